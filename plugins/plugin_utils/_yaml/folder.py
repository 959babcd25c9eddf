# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a folder are declarations."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".yml", ".yaml")
EMPTY = "the folder contains no *.yml or *.yaml file"


def declarations(folder: str) -> list[str]:
    """The declarations in a folder and its subfolders, sorted: *.yml and *.yaml in any case, without hidden ones."""
    return sorted(str(file) for file in Path(folder).rglob("*") if _is_declaration(file.relative_to(folder), file))


def _is_declaration(name: Path, file: Path) -> bool:
    """Whether a file is read: by its name, and unless it or a subfolder is hidden."""
    hidden = any(part.startswith(".") for part in name.parts)
    return not hidden and name.suffix.lower() in SUFFIXES and file.is_file()
