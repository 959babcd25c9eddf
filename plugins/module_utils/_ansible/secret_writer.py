# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the new secrets of a declaration go: to files, or into the task's result if it asks for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterable

from .._sync.errors import DeclarationError, Problem
from .._sync.plan import Action, Change
from .files import make_folder, unwritable, write_secret


class SecretWriter:
    """Keeps the secrets of a plan's changes; call it with each change and its secret."""

    def __init__(
        self, changes: Iterable[Change], folder: str | None, base: str | None, *, returns: bool = False
    ) -> None:
        """`folder` is for hosts that name no file of their own; relative files are relative to `base`.

        `returns`: secrets without a file are returned; otherwise they are dropped.
        """
        self.changes = [change for change in changes if change.makes_secret]
        self.folder, self.base, self.returns = folder, base, returns
        self.returned: dict[str, str] = {}
        """Secrets by host, of those that go to no file."""
        self.dropped: list[str] = []
        """Hosts whose secrets were not kept anywhere."""

    def homeless(self) -> list[str]:
        """Hosts whose new secrets go neither to a file nor into the result."""
        return [] if self.returns else [change.name for change in self.changes if self._path(change) is None]

    def check(self) -> None:
        """Raises DeclarationError unless every secret can be kept."""
        problems: list[Problem] = []
        taken: dict[Path, str] = {}
        for change in self.changes:
            path = self._path(change)
            if path is not None:
                problems += self._problem(change, path, taken.setdefault(path, change.name))
        folders = sorted({path.parent for path in taken if path.is_absolute()})
        problems += [Problem(text) for text in map(unwritable, folders) if text]
        if problems:
            raise DeclarationError(problems)

    def _problem(self, change: Change, path: Path, holder: str) -> Iterable[Problem]:
        name = change.name
        if change.secret is not None and change.secret.kind != "file":
            text = f"{name}: secret.{change.secret.kind}: only `ddnsctl apply` encrypts secrets"
            yield Problem(text, hint="name a `file`, or take the secret from the task's result")
        elif not path.is_absolute():
            text = f"{name}: secret.file: {path} is relative, and the task does not run where it was declared"
            yield Problem(text, hint="name an absolute path")
        elif holder != name:
            yield Problem(f"{name}: {path} is the file of {holder}'s secret", hint="name another")
        elif change.secret is not None and change.action is Action.CREATE and os.path.lexists(path):
            text = f"{name} is new, but the file of its secret exists: {path}"
            yield Problem(text, hint="move the file away, or name another")

    def __call__(self, change: Change, secret: str) -> None:
        """Keep one secret. Raises OSError."""
        path = self._path(change)
        if path is None:
            if self.returns:
                self.returned[change.name] = secret
            else:
                self.dropped.append(change.name)
            return
        make_folder(path.parent)
        write_secret(path, lambda: secret)

    def _path(self, change: Change) -> Path | None:
        if change.secret is not None:
            return Path(self.base or "") / Path(change.secret.path).expanduser()
        return None if self.folder is None else Path(self.folder).absolute() / change.name
