# SPDX-License-Identifier: GPL-3.0-or-later
"""Files with one secret each, readable by their owner only. `ddnsctl` and the Ansible modules write them alike.

A file contains the secret and a line break. It appears complete or not at all. `check` finds out before any change is
made whether all secrets can be written.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Iterable, Iterator, NamedTuple

from .errors import Problem


class Destination(NamedTuple):
    """Where the new secret of a host goes; `replaces`: an existing file may be replaced."""

    name: str
    path: Path
    replaces: bool


def read(path: Path) -> str | None:
    """The secret in a file; None if the file is missing or empty. Raises OSError."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except FileNotFoundError:
        return None


def contains(path: Path, secret: str) -> bool:
    """Whether the file contains this secret and only its owner can read it. Raises OSError."""
    return read(path) == secret and not stat.S_IMODE(path.stat().st_mode) & 0o077


@contextmanager
def new_file(path: Path, *, replace: bool = True, durable: bool = True) -> Iterator[BinaryIO]:
    """A file with mode 0600 to write to. It appears at `path` when the block ends without an error.

    `durable`: it also survives a power failure right after. Raises OSError if the folder is not writable, before the
    block runs, and FileExistsError if there is a file already and `replace` is false.
    """
    descriptor, name = tempfile.mkstemp(prefix=".ddns-", dir=str(path.parent))
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if replace:
            Path(name).replace(path)
        else:
            os.link(name, str(path))
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


def write(path: Path, content: bytes, *, replace: bool = True, durable: bool = True, private: bool = True) -> None:
    """Write a file as `new_file` does, and create its folder. Raises OSError, FileExistsError.

    `private`: the mode is 0600, otherwise that of any other new file.
    """
    make_folder(path.parent)
    with new_file(path, replace=replace, durable=durable) as file:
        file.write(content)
        if not private:
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(file.fileno(), 0o666 & ~mask)


def make_folder(path: Path) -> None:
    """Create the folder and its parents with mode 0700, where they are missing. Raises OSError."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(0o700, exist_ok=True)


def unwritable(folder: Path) -> str:
    """Why no file can be created in a folder that exists or can be created; empty if it can."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return f"{existing} is not a folder, so no secret can be written to {folder}"
    if not os.access(str(existing), os.W_OK | os.X_OK):
        return f"{existing} is not writable, so no secret can be written to {folder}"
    return ""


def check(destinations: Iterable[Destination]) -> list[Problem]:
    """Everything that prevents secrets from being written: shared files, existing files, unwritable folders."""
    problems: list[Problem] = []
    taken: dict[str, str] = {}
    for name, path, replaces in destinations:
        other = taken.setdefault(os.path.normpath(str(path)), name)
        if other != name:
            problems.append(Problem(f"{name}: {path} is the file of {other}'s secret", hint="name another file"))
        elif not replaces and os.path.lexists(str(path)):
            text = f"{name} is new, but the file for its secret exists: {path}"
            problems.append(Problem(text, hint="move the file away, or name another"))
    folders = sorted({str(Path(path).parent) for path in taken})
    return problems + [Problem(text) for text in map(unwritable, map(Path, folders)) if text]
