# SPDX-License-Identifier: GPL-3.0-or-later
"""The page about stored data names every table once, and the settings with their defaults."""

import re
from pathlib import Path

from ddnsd.db.schema import metadata
from ddnsd.registry.events import SECURITY
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


def test_it_names_the_actions_of_security_logs() -> None:
    listed = PAGE.partition("Its actions are")[2].partition(" Without")[0]
    kinds = {f"{action.partition('.')[0]}.*" for action in SECURITY} - {"user.*"}
    assert set(re.findall(r"`(\S+)`", listed)) == kinds | {"user.set"}


def test_each_setting_of_a_time_is_in_the_table() -> None:
    table = PAGE.partition("## Change the times")[2].partition("The security log")[0]
    listed = re.findall(rf"`{PREFIX}(\w+)` \| (\S+) \|", table)
    kinds = {"event", "history", "security_log", "last_request", "abuse_report"}
    assert {name.lower() for name, _ in listed} == {f"{kind}_days" for kind in kinds}
    for name, value in listed:
        default = Settings.model_fields[name.lower()].default
        assert value == ("empty" if default is None else str(default)), name
