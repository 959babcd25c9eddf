# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that hold one secret each, readable by their owner alone."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Callable


def read_secret(path: Path) -> str | None:
    """The secret in a file; None where there is no file, or nothing in it. Raises OSError."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except FileNotFoundError:
        return None


def contains_secret(path: Path, secret: str) -> bool:
    """Whether the file has this secret and is readable by its owner alone. Raises OSError."""
    return read_secret(path) == secret and not stat.S_IMODE(path.stat().st_mode) & 0o077


def write_secret(path: Path, make: Callable[[], str]) -> None:
    """Keep what `make` answers in a file of mode 0600, whole or not at all.

    `make` is called once it is certain that the folder takes a file. Raises OSError, and what `make` raises.
    """
    handle, name = tempfile.mkstemp(prefix=".ddns-", dir=str(path.parent))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(make() + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def make_folder(path: Path) -> None:
    """The folder and those above it; what is new has mode 0700. Raises OSError."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(0o700)


def unwritable(folder: Path) -> str:
    """Why a folder takes no file; nothing when it does, or when it can be made."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        return f"{existing} is no folder, so no secret can be kept in {folder}"
    return "" if os.access(existing, os.W_OK | os.X_OK) else f"{existing} is not writable, so {folder} keeps no secret"
