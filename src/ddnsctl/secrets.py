# SPDX-License-Identifier: GPL-3.0-or-later
"""Where new secrets go: files that only their owner reads, in clear or encrypted by `ansible-vault`.

A file holds the secret and a line break, nothing else. It appears at once and whole. It is never overwritten unless the
change voids the secret that is in it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from ddnsctl.sync.errors import Problem, SyncError
from ddnsctl.sync.model import SecretSpec
from ddnsctl.sync.plan import Action, Change

FILE, VAULT = "file", "vault"
SINGLY = 64
"""With more files than this, everything is made durable at once, which is faster than one by one."""


class SecretError(SyncError):
    """Secrets could not be kept; nothing has been changed. `problems` says why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("new secrets could not be kept; nothing has been changed")
        self.problems = tuple(problems)


class SecretWriter:
    """Keeps the secrets of a plan's changes; call it with each change and its secret."""

    def __init__(self, changes: Iterable[Change], vault: Sequence[str] = (), *, resumed: bool = False) -> None:
        """`vault` are options of `ansible-vault` that say where its passwords are.

        `resumed`: files that an earlier run of the same plan wrote may stand, with secrets that are replaced.
        """
        self.changes = [change for change in changes if change.makes_secret]
        self.vault, self.resumed = tuple(vault), resumed
        self.dropped: list[str] = []
        """Hosts whose secrets had no place to go."""
        self.written: list[Path] = []
        """What is not yet durable."""

    def check(self) -> None:
        """Raises SinkError unless every secret can be kept."""
        problems: list[Problem] = []
        taken: dict[str, str] = {}
        for change in self.changes:
            if change.secret is None:
                continue
            path = os.path.normpath(change.secret.path)
            other = taken.setdefault(path, change.name)
            if other != change.name:
                problems.append(Problem(f"{change.name}: {path} is the file of {other}'s secret", hint="name another"))
            elif not self.replaces(change) and os.path.lexists(path):
                text = f"{change.name} is new, but the file of its secret exists: {path}"
                problems.append(Problem(text, hint="move the file away, or name another"))
        problems += unwritable({Path(path).parent for path in taken})
        if not problems and any(change.secret and change.secret.kind == VAULT for change in self.changes):
            problems += self._vault_problem()
        if problems:
            raise SecretError(problems)

    def _vault_problem(self) -> list[Problem]:
        try:
            self.encrypted("a secret")
        except (SyncError, OSError) as error:
            return [Problem(str(error))]
        return []

    def __call__(self, change: Change, secret: str) -> None:
        """Keep one secret. Raises OSError."""
        if change.secret is None:
            self.dropped.append(change.name)
            return
        content = f"{secret}\n".encode() if change.secret.kind == FILE else self.encrypted(secret)
        path = Path(change.secret.path)
        write(path, content, replace=self.replaces(change))
        self.written.append(path)

    def flush(self) -> None:
        """Make durable what was written. Raises OSError."""
        if len(self.written) > SINGLY:
            os.sync()
        else:
            for path in {part for file in self.written for part in (file, file.parent)}:
                _sync(path)
        self.written.clear()

    def replaces(self, change: Change) -> bool:
        """Whether the change's secret may take the place of another, which it makes void."""
        return self.resumed or change.action is not Action.CREATE

    def encrypted(self, secret: str) -> bytes:
        """What `ansible-vault` makes of it; the secret goes through its standard input. Raises OSError, SyncError."""
        from ddnsctl import inventory

        result = inventory.run(
            inventory.VAULT_PROGRAM, ["encrypt", "--output", "-", *self.vault], f"{secret}\n".encode()
        )
        if result.returncode or not result.stdout.startswith(b"$ANSIBLE_VAULT"):
            raise OSError(f"{inventory.VAULT_PROGRAM}: {inventory.error_text(result)}")
        return result.stdout


def in_folder(folder: str, fqdn: str) -> SecretSpec:
    """A file of the host's name in a folder."""
    return SecretSpec(FILE, str(Path(folder) / fqdn))


def write(path: Path, content: bytes, *, replace: bool) -> None:
    """A file with mode 0600, at once and whole, in folders made with 0700. Raises OSError, FileExistsError."""
    make_folder(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        if replace:
            Path(name).replace(path)
        else:
            os.link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """The folder and those above it; what is new has mode 0700. Raises OSError."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(0o700, exist_ok=True)


def unwritable(folders: Iterable[Path]) -> list[Problem]:
    """Why no secret can be kept in some of the folders."""
    problems = []
    for folder in sorted(folders):
        existing = folder
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        if not existing.is_dir():
            problems.append(Problem(f"{existing} is no folder, so no secret can be kept in {folder}"))
        elif not os.access(existing, os.W_OK | os.X_OK):
            problems.append(Problem(f"{existing} is not writable, so no secret can be kept in {folder}"))
    return problems
