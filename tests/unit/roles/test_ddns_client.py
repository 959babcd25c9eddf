# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables: what is documented is what there is, and what the updater takes."""

import importlib.machinery
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ROLE = ROOT / "roles" / "ddns_client"


def load(file: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROLE / file).read_text())
    return loaded


SPECS = load("meta/argument_specs.yml")["argument_specs"]
MAIN, USER_DATA = SPECS["main"]["options"], SPECS["user_data"]["options"]
OPTIONS = MAIN | {name: option for name, option in USER_DATA.items() if name.startswith("ddns_client_user_data_")}
DEFAULTS = load("defaults/main.yml")
NAME = MAIN["ddns_client_names"]["options"]


@pytest.fixture(scope="module")
def updater() -> ModuleType:
    """The updater, as a module."""
    loader = importlib.machinery.SourceFileLoader("ddns_update_of_role", str(ROLE / "files" / "ddns-update"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def test_every_default_is_specified_and_the_other_way_round() -> None:
    assert {name for name, option in OPTIONS.items() if not option.get("required")} == set(DEFAULTS)


def test_the_specified_defaults_are_those_that_hold() -> None:
    computed = {name for name, value in DEFAULTS.items() if "{{" in str(value)}
    plain = {name: value for name, value in DEFAULTS.items() if name not in computed}
    assert {name: OPTIONS[name].get("default") for name in plain} == plain
    assert not [name for name in computed if "default" in OPTIONS[name]]


def test_every_variable_is_read_by_a_task_or_a_template() -> None:
    files = [file for part in ("tasks", "templates", "handlers", "vars") for file in (ROLE / part).iterdir()]
    text = "\n".join(file.read_text() for file in files)
    assert [name for name in OPTIONS if not re.search(rf"\b{name}\b", text)] == []


def test_a_name_takes_all_options_of_the_updater_and_no_others(updater: ModuleType) -> None:
    assert set(NAME) - {"name", "label"} == set(updater.OPTIONS)


def test_the_words_are_those_of_the_updater(updater: ModuleType) -> None:
    assert set(NAME["provider"]["choices"]) == set(updater.PROVIDERS)
    sources = " ".join(MAIN["ddns_client_sources"]["description"])
    assert set(re.findall(r"V\((\w+)\)", sources)) == set(updater.SOURCES)
    for option, (check, _default) in updater.OPTIONS.items():
        for word in NAME[option].get("choices", []):
            check(word)


def test_the_specified_defaults_of_a_name_are_those_of_the_updater(updater: ModuleType) -> None:
    specified = {option: str(NAME[option]["default"]) for option in updater.OPTIONS if "default" in NAME[option]}
    assert specified == {option: updater.OPTIONS[option][1] for option in specified}


def test_the_page_is_what_the_generator_prints() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "scripts" / "role-docs", "ddns_client"], capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / "roles" / "ddns_client.md").read_text() == printed


@pytest.mark.parametrize("kind", ["bool", "int"])
def test_texts_of_the_command_line_are_converted_where_they_are_read(kind: str) -> None:
    """`-e NAME=false` is a text, and a text is true, or an error as a condition."""
    names = [name for name, option in OPTIONS.items() if option.get("type") == kind]
    files = [file for part in ("tasks", "templates", "handlers", "vars") for file in (ROLE / part).iterdir()]
    texts = {file: re.sub(r"fail_msg: ([>|]-\n( {6,}.*\n)+|.*\n)|quorum: .*", "", file.read_text()) for file in files}
    assert names
    for name in names:  # what is left out writes the text only
        plain = rf"\b{name}\b(?!\s*\|\s*(?:{kind}|string)\b).*"
        assert {file.name: found[0] for file, text in texts.items() if (found := re.search(plain, text))} == {}
