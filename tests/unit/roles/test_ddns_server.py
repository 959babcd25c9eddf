# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables: what is documented is what there is."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
ROLE = ROOT / "roles" / "ddns_server"


def load(file: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROLE / file).read_text())
    return loaded


OPTIONS = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
DEFAULTS = load("defaults/main.yml")


def test_every_default_is_specified_and_the_other_way_round() -> None:
    assert list(OPTIONS) == list(DEFAULTS)


def test_the_specified_defaults_are_those_that_hold() -> None:
    computed = {name for name, value in DEFAULTS.items() if "{{" in str(value)}
    assert {name: option.get("default") for name, option in OPTIONS.items() if name not in computed} == {
        name: value for name, value in DEFAULTS.items() if name not in computed
    }
    assert not [name for name in computed if "default" in OPTIONS[name]]


def test_every_variable_is_read_by_a_task_or_a_template() -> None:
    files = [file for part in ("tasks", "templates", "handlers", "vars") for file in (ROLE / part).iterdir()]
    text = "\n".join(file.read_text() for file in [*files, ROLE / "defaults" / "main.yml"])
    unread = [name for name in OPTIONS if len(re.findall(rf"\b{name}\b", text)) < 2]
    assert unread == []


def test_the_page_is_what_the_generator_prints() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "scripts" / "role-docs", "ddns_server"], capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / "roles" / "ddns_server.md").read_text() == printed
