# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema of declarations: what it refuses is refused anyway, and examples and what it offers are right."""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsctl.loader import Sources, load
from ddnsctl.sync import declare
from ddnsctl.sync.errors import DeclarationError
from ddnsctl.yaml import composition, reader

REPOSITORY = Path(__file__).parents[3]
SCHEMA = json.loads(resources.files("ddnsctl").joinpath("schema/declaration.schema.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def accepted(data: Any) -> bool:
    try:
        declare.declaration(data)
    except DeclarationError:
        return False
    return True


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", sorted((REPOSITORY / "examples").glob("*.yml")), ids=lambda file: file.name)
def test_examples_are_valid(file: Path) -> None:
    document = reader.read(file.read_bytes(), str(file))
    assert document.problems == ()
    assert list(VALIDATOR.iter_errors(document.data)) == []
    load(Sources((str(file),), env=next(iter(document.data.get("environments", ())), None)))


def test_both_know_the_same_keys() -> None:
    definitions = SCHEMA["definitions"]
    assert set(SCHEMA["properties"]) == {*declare._TOP, *composition.COMPOSED}
    assert set(SCHEMA["properties"]["defaults"]["properties"]) == set(declare._DEFAULTS)
    assert set(definitions["host"]["properties"]) == set(declare._HOST)
    assert set(definitions["domain"]["properties"]) == set(declare._DOMAIN_KEYS)


@pytest.mark.parametrize(
    "data",
    [
        [],
        {},
        {"version": 2},
        {"version": 1, "hsots": {}},
        {"version": 1, "stack": 7},
        {"version": 1, "hosts": []},
        {"version": 1, "hosts": {"a.example.org": {"ipv5": "192.0.2.1"}}},
        {"version": 1, "hosts": {"a.example.org": {"ipv4": 7}}},
        {"version": 1, "hosts": {"a.example.org": {"wildcard": "maybe"}}},
        {"version": 1, "hosts": {"a.example.org": {"ttl": 0}}},
        {"version": 1, "hosts": {"a.example.org": {"labels": {"a": {}}}}},
        {"version": 1, "hosts": {"a.example.org": {"secret": {"fiel": "a"}}}},
        {"version": 1, "domains": {"example.org": {"public": "?"}}},
    ],
)
def test_it_finds_mistakes(data: Any) -> None:
    assert not VALIDATOR.is_valid(data)
    assert not accepted(data)


junk = (
    st.none()
    | st.booleans()
    | st.integers(-1, 90000)
    | st.sampled_from(["", "yes", "dynamic", "192.0.2.1", "2001:db8::1", "60", "a.example.org", "maybe", 1.5, "on"])
)
anything = (
    junk | st.lists(junk, max_size=1) | st.dictionaries(st.sampled_from(["file", "vault", "a", ""]), junk, max_size=2)
)


def mappings(keys: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from([*keys, "unknown"]), anything, max_size=3)


tops = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from([1, "1", 2, None, True]),
        "server": junk | st.just("https://ddns.example.org"),
        "stack": anything,
        "defaults": mappings(declare._DEFAULTS) | anything,
        "domains": st.dictionaries(st.just("example.org"), mappings(declare._DOMAIN_KEYS) | anything, max_size=1)
        | anything,
        "hosts": st.dictionaries(st.just("a.example.org"), mappings(declare._HOST) | anything, max_size=1) | anything,
        "unknown": anything,
    },
)


@given(tops)
def test_what_the_schema_refuses_is_refused(data: dict[str, Any]) -> None:
    if not VALIDATOR.is_valid(data):
        assert not accepted(data)


def test_the_documentation_s_declarations_are_valid(tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "declaration.md").read_text()
    blocks = [block for block in re.findall(r"(?s)```yaml\n(.*?)```", text) if block.startswith("version: 1")]
    assert blocks
    for block in blocks:
        data = reader.read(block.encode(), "docs").data
        assert VALIDATOR.is_valid(data)
        for file in ("block.yml", *data.get("include", ())):
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).write_text(block if file == "block.yml" else "version: 1\n")
        env = "prod" if "environments" in data else None
        load(Sources((str(tmp_path / "block.yml"),), domain="dyn.example.org", env=env))
