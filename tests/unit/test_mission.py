# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/mission.md: each row names tests and scenarios that exist, or says what is missing."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    line
    for line in (ROOT / "docs" / "mission.md").read_text().splitlines()
    if line.startswith("| ") and line != "| named | shown by |"
]


@pytest.mark.parametrize("row", ROWS, ids=[row.split(" | ")[0].removeprefix("| ") for row in ROWS])
def test_a_row_is_shown_by_something(row: str) -> None:
    tests = re.findall(r"`(tests/[^`:]+)(?:::([^`]+))?`", row)
    scenarios = re.findall(r"scenario `([^`]+)`", row)
    assert tests or scenarios or "**Missing**" in row
    for path, name in tests:
        assert not name or re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.M), name
        assert (ROOT / path).is_file(), path
    for scenario in scenarios:
        assert (ROOT / "extensions" / "molecule" / scenario / "molecule.yml").is_file(), scenario
