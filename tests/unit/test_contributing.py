# SPDX-License-Identifier: GPL-3.0-or-later
"""What CONTRIBUTING.md and README.md name is there: files, tests, targets of make."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text()
PAGES = CONTRIBUTING + (REPOSITORY / "README.md").read_text()
FOLDERS = "src|tests|docs|scripts|requirements|changelogs|extensions|examples"


def found(pattern: str, text: str) -> list[str]:
    """What the pattern finds, once each."""
    return sorted(set(re.findall(pattern, text)))


@pytest.mark.parametrize("path", found(rf"(?<![\w/])(?:{FOLDERS})/[\w./-]*\w", CONTRIBUTING))
def test_a_path_is_there(path: str) -> None:
    made = "/fr" in path or "configurations/FILE" in path
    assert made or (REPOSITORY / path).exists()


@pytest.mark.parametrize("name", found(r"test_\w+(?![\w.])", CONTRIBUTING))
def test_a_test_is_there(name: str) -> None:
    files = [file for folder in ("unit", "portal", "clients") for file in (REPOSITORY / "tests" / folder).rglob("*.py")]
    assert any(f"def {name}(" in file.read_text() for file in files)


def targets() -> list[str]:
    """The targets in commands such as `make lint types`."""
    commands = found(r"(?:\$ |`)make ([a-z][^`#\n]*)", PAGES)
    return sorted({word for command in commands for word in command.split() if "=" not in word})


@pytest.mark.parametrize("target", targets())
def test_a_target_of_make_is_there(target: str) -> None:
    assert f"\n{target}:" in (REPOSITORY / "Makefile").read_text()
