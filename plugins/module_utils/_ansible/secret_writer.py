# SPDX-License-Identifier: GPL-3.0-or-later
"""Where new secrets of a task go: to files, encrypted or not, to commands, or into the task's result on request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Callable, Iterable, NamedTuple

from .._sync import secret_commands, secret_files
from .._sync.errors import DeclarationError, Problem, SyncError
from .._sync.model import FILE, VAULT, SecretSpec
from .._sync.plan import Action, Change

Encrypt = Callable[[bytes], bytes]
"""Encrypts as `ansible-vault` does. Raises SyncError if there is no password."""


class Vault(NamedTuple):
    """The vault of the play. Both raise SyncError if there is no password that fits."""

    encrypt: Encrypt
    decrypt: Callable[[bytes], bytes]


class SecretWriter:
    """Writes the secrets of a plan's changes. Call it with each change and its secret."""

    def __init__(
        self,
        changes: Iterable[Change],
        folder: str | None = None,
        base: str | None = None,
        *,
        returns: bool = False,
        encrypt: Encrypt | None = None,
        resumed: bool = False,
    ) -> None:
        """`folder` is for hosts that name no file of their own. Relative files are relative to `base`.

        `returns`: secrets without a file are returned. Otherwise they are dropped. Without `encrypt`, no secret can go
        to an encrypted file. `resumed`: files from an earlier run of the same plan may exist, and are replaced.
        """
        self.changes = [change for change in changes if change.makes_secret]
        self.folder, self.base, self.returns, self.encrypt = folder, base, returns, encrypt
        self.resumed = resumed
        self.returned: dict[str, str] = {}
        """Secrets by host, of those without a file."""
        self.dropped: list[str] = []
        """Hosts whose new secrets were not written anywhere."""

    def without_destination(self) -> list[str]:
        """Hosts whose new secrets go neither to a file nor into the result, although nobody declared that."""
        return [] if self.returns else [change.name for change in self.changes if self._is_lost(change)]

    def check(self) -> None:
        """Raises DeclarationError unless every secret can be written."""
        if problems := self.problems():
            raise DeclarationError(problems)

    def problems(self) -> list[Problem]:
        """Everything that prevents secrets from being written."""
        problems: list[Problem] = []
        destinations: list[secret_files.Destination] = []
        for change in self.changes:
            path = self._path(change)
            if path is None:
                continue
            if problem := self._unsupported(change, path):
                problems.append(problem)
            else:
                replaces = self.resumed or change.secret is None or change.action is not Action.CREATE
                destinations.append(secret_files.Destination(change.name, path, replaces))
        problems += secret_files.check(destinations) + secret_commands.problems(self.changes)
        if not problems and self.encrypt and any(map(_is_encrypted, self.changes)):
            try:
                self.encrypt(b"a secret")
            except SyncError as error:
                problems.append(Problem(f"secret.vault: {error}"))
        return problems

    def __call__(self, change: Change, secret: str) -> None:
        """Write one secret. Raises OSError."""
        path = self._path(change)
        if change.secret is not None and change.secret.command:
            secret_commands.give(change.secret.command, secret)
        elif path is not None:
            content = f"{secret}\n".encode()
            secret_files.write(path, self.encrypt(content) if _is_encrypted(change) and self.encrypt else content)
        elif self.returns:
            self.returned[change.name] = secret
        elif self._is_lost(change):
            self.dropped.append(change.name)

    def placed(self, change: Change) -> Change:
        """The change with the absolute path of its secret's file, if there is one."""
        path = self._path(change) if change.makes_secret else None
        if path is None:
            return change
        return replace(change, secret=SecretSpec(change.secret.kind if change.secret else FILE, str(path)))

    def _is_lost(self, change: Change) -> bool:
        return change.secret is None and self._path(change) is None

    def _path(self, change: Change) -> Path | None:
        if change.secret is not None:
            return Path(self.base or "") / Path(change.secret.path).expanduser() if change.secret.in_file else None
        return None if self.folder is None else Path(self.folder).absolute() / change.name

    def _unsupported(self, change: Change, path: Path) -> Problem | None:
        """What the task cannot do in the place where it runs."""
        if _is_encrypted(change) and self.encrypt is None:
            text = f"{change.name}: secret.vault: only the controller can encrypt secrets"
            return Problem(text, hint="run the task there, with `delegate_to: localhost`, or name a `file`")
        if not path.is_absolute():
            text = f"{change.name}: secret.file: {path} is relative, and the task runs on another host"
            return Problem(text, hint="name an absolute path")
        return None


def _is_encrypted(change: Change) -> bool:
    return change.secret is not None and change.secret.kind == VAULT
