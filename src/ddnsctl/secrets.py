# SPDX-License-Identifier: GPL-3.0-or-later
"""Where `ddnsctl` writes new secrets: to files with mode 0600, in plain text or encrypted by `ansible-vault`, or to the
standard input of commands.

A file is never overwritten, unless the change replaces the secret in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ddnsctl.sync import secret_commands, secret_files
from ddnsctl.sync.errors import Problem, SyncError
from ddnsctl.sync.model import EXEC, FILE, NONE, VAULT, SecretSpec
from ddnsctl.sync.plan import Action, Change

MANY = 64
"""With more files than this, one sync of all file systems is faster than one for each file."""


class SecretError(SyncError):
    """New secrets cannot be written. Nothing has been changed. `problems` says why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("new secrets cannot be written, so nothing has been changed")
        self.problems = tuple(problems)


class SecretWriter:
    """Writes the secrets of a plan's changes. Call it with each change and its secret."""

    def __init__(self, changes: Iterable[Change], vault: Sequence[str] = (), *, resumed: bool = False) -> None:
        """`vault` are options of `ansible-vault` that say where its passwords are.

        `resumed`: files from an earlier run of the same plan may exist, and are replaced.
        """
        self.changes = [change for change in changes if change.makes_secret]
        self.vault, self.resumed = tuple(vault), resumed
        self.dropped: list[str] = []
        """Hosts whose new secrets were not written anywhere."""
        self.written: list[Path] = []
        """Files that are not durable yet."""

    def check(self) -> None:
        """Raises SecretError unless every secret can be written."""
        if problems := self.problems():
            raise SecretError(problems)

    def problems(self) -> list[Problem]:
        """Everything that prevents secrets from being written."""
        destinations = [(change, change.secret) for change in self.changes if change.secret and change.secret.in_file]
        problems = secret_files.check(
            secret_files.Destination(change.name, Path(secret.path), self.replaces(change))
            for change, secret in destinations
        )
        if not problems and any(secret.kind == VAULT for _, secret in destinations):
            problems += self._vault_problem()
        return problems + secret_commands.problems(self.changes)

    def _vault_problem(self) -> list[Problem]:
        try:
            self.encrypted("a secret")
        except (SyncError, OSError) as error:
            return [Problem(str(error))]
        return []

    def __call__(self, change: Change, secret: str) -> None:
        """Write one secret. Raises OSError."""
        if change.secret is None:
            self.dropped.append(change.name)
            return
        if change.secret.kind == NONE:
            return
        if change.secret.kind == EXEC:
            secret_commands.give(change.secret.command, secret)
            return
        content = f"{secret}\n".encode() if change.secret.kind == FILE else self.encrypted(secret)
        path = Path(change.secret.path)
        secret_files.write(path, content, replace=self.replaces(change), durable=False)
        self.written.append(path)

    def flush(self) -> None:
        """Make the written files durable. Raises OSError."""
        if len(self.written) > MANY:
            os.sync()
        else:
            for path in {part for file in self.written for part in (file, file.parent)}:
                _fsync(path)
        self.written.clear()

    def replaces(self, change: Change) -> bool:
        """Whether the change may replace an existing file: it also replaces the secret in it."""
        return self.resumed or change.action is not Action.CREATE

    def encrypted(self, secret: str) -> bytes:
        """The secret, encrypted by `ansible-vault`, which reads it from standard input. Raises OSError, SyncError."""
        from ddnsctl import inventory

        result = inventory.run(
            inventory.VAULT_PROGRAM, ["encrypt", "--output", "-", *self.vault], f"{secret}\n".encode()
        )
        if result.returncode or not result.stdout.startswith(b"$ANSIBLE_VAULT"):
            raise OSError(f"{inventory.VAULT_PROGRAM}: {inventory.error_text(result)}")
        return result.stdout


def in_folder(folder: str, fqdn: str) -> SecretSpec:
    """A file with the host's name in a folder."""
    return SecretSpec(FILE, str(Path(folder) / fqdn))


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
