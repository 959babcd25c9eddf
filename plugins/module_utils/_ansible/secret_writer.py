# SPDX-License-Identifier: GPL-3.0-or-later
"""Where new secrets of a declaration go: to files, or into the task's result on request."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable

from .._sync import secret_files
from .._sync.errors import DeclarationError, Problem
from .._sync.plan import Action, Change


class SecretWriter:
    """Writes the secrets of a plan's changes. Call it with each change and its secret."""

    def __init__(
        self, changes: Iterable[Change], folder: str | None, base: str | None, *, returns: bool = False
    ) -> None:
        """`folder` is for hosts that name no file of their own. Relative files are relative to `base`.

        `returns`: secrets without a file are returned. Otherwise they are dropped.
        """
        self.changes = [change for change in changes if change.makes_secret]
        self.folder, self.base, self.returns = folder, base, returns
        self.returned: dict[str, str] = {}
        """Secrets by host, of those without a file."""
        self.dropped: list[str] = []
        """Hosts whose new secrets were not written anywhere."""

    def without_destination(self) -> list[str]:
        """Hosts whose new secrets go neither to a file nor into the result."""
        return [] if self.returns else [change.name for change in self.changes if self._path(change) is None]

    def check(self) -> None:
        """Raises DeclarationError unless every secret can be written."""
        problems: list[Problem] = []
        destinations: list[secret_files.Destination] = []
        for change in self.changes:
            path = self._path(change)
            if path is None:
                continue
            if problem := _unsupported(change, path):
                problems.append(problem)
            else:
                replaces = change.secret is None or change.action is not Action.CREATE
                destinations.append(secret_files.Destination(change.name, path, replaces))
        problems += secret_files.check(destinations)
        if problems:
            raise DeclarationError(problems)

    def __call__(self, change: Change, secret: str) -> None:
        """Write one secret. Raises OSError."""
        path = self._path(change)
        if path is not None:
            secret_files.write(path, f"{secret}\n".encode())
        elif self.returns:
            self.returned[change.name] = secret
        else:
            self.dropped.append(change.name)

    def _path(self, change: Change) -> Path | None:
        if change.secret is not None:
            return Path(self.base or "") / Path(change.secret.path).expanduser()
        return None if self.folder is None else Path(self.folder).absolute() / change.name


def _unsupported(change: Change, path: Path) -> Problem | None:
    """What a task cannot do that `ddnsctl` can."""
    if change.secret is not None and change.secret.kind != "file":
        text = f"{change.name}: secret.{change.secret.kind}: only `ddnsctl apply` encrypts secrets"
        return Problem(text, hint="name a `file`, or take the secret from the task's result")
    if not path.is_absolute():
        text = f"{change.name}: secret.file: {path} is relative, and the task runs on another host than the declaration"
        return Problem(text, hint="name an absolute path")
    return None
