# SPDX-License-Identifier: GPL-3.0-or-later
"""The page about stored data names every table once, and the settings with their defaults."""

import re
from pathlib import Path

from ddnsd.db.schema import metadata
from ddnsd.settings import PREFIX, Settings

PAGE = (Path(__file__).parents[2] / "docs" / "data-protection.md").read_text()


def test_it_has_every_table_once() -> None:
    section = PAGE.partition("## In the database")[2].partition("## Elsewhere")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(metadata.tables)


def test_defaults_are_those_of_the_settings() -> None:
    found = re.findall(rf"`{PREFIX}(\w+)` \((\d+)\)", PAGE)
    assert len(found) >= 5
    for name, value in found:
        assert Settings.model_fields[name.lower()].default == int(value), name
