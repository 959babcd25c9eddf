# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of YAML, their positions, and what is wrong with it. The collection uses the same reader."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsctl.sync.errors import Location
from ddnsctl.yaml.reader import read


def values(text: str) -> Any:
    document = read(text.encode(), "f.yml")
    assert document.problems == ()
    return document.data


def problems(raw: bytes) -> list[str]:
    return [str(problem) for problem in read(raw, "f.yml").problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("", None),
        ("42", 42),
        ("-7", -7),
        ("1.5", "1.5"),
        ("1.10", "1.10"),
        ("+5", "+5"),
        ("-0", "-0"),
        ("0", 0),
        ("007", "007"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("2001-01-01", "2001-01-01"),
        ("20:30:10", "20:30:10"),
        ("2001:10:20:30:40:50:10:20", "2001:10:20:30:40:50:10:20"),
        ("192.0.2.1", "192.0.2.1"),
        ("'yes'", "yes"),
        ('"7"', "7"),
        ("!!str 7", "7"),
        ("!!int 7", 7),
        ("dynamic", "dynamic"),
        ("|\n  two\n  lines", "two\nlines"),
    ],
)
def test_a_scalar_is_what_it_looks_like(text: str, value: Any) -> None:
    found = values(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_text() -> None:
    assert list(values("on: 1\n7: 2\n1.5: 3\n~: 4\n")) == ["on", "7", "1.5", "~"]


def test_anchors_and_merge_keys() -> None:
    text = (
        "base: &base {ipv4: 192.0.2.1, ttl: 60}\nmore: &more {comment: x}\na: {<<: [*base, *more], ttl: 9}\nb: *base\n"
    )
    found = values(text)
    assert found["a"] == {"ipv4": "192.0.2.1", "ttl": 9, "comment": "x"}
    assert found["b"] == {"ipv4": "192.0.2.1", "ttl": 60}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "f.yml: is empty (a declaration begins with `version: 1`)"),
        (b"# nothing\n---\n", None),
        (b"# nothing\n", "f.yml: is empty (a declaration begins with `version: 1`)"),
        (b"a: 1\nb:\n\tc: 2\n", "f.yml:3:1: is indented with a tab, which YAML does not allow (use spaces)"),
        (b"a: 1\nb: \xff\n", "f.yml:2:4: is not UTF-8 text (save the file as UTF-8)"),
        (b"a: \x01\n", "f.yml:1:4: contains a control character (remove it)"),
        (b"a: 1\nb: 2\na: 3\n", "f.yml:3:1: the key 'a' appears twice (first on line 1)"),
        (b"a: 1\n---\nb: 2\n", "f.yml:2:1: contains more than one document (put each document into its own file)"),
        (b"a: &a [*a]\n", "f.yml:1:4: the value of an anchor contains the anchor itself"),
        (b"? [a]\n: 1\n", "f.yml:1:3: a key must be text"),
        (b"a: {<<: 7}\n", "f.yml:1:9: << takes only a mapping or a list of mappings"),
        (b"a: !thing 7\n", "f.yml:1:4: the tag !thing is not allowed here (write the value without a tag)"),
        (b"a: !thing {}\n", "f.yml:1:4: the tag !thing is not allowed here (write the value without a tag)"),
        (b"a: !!int x\n", "f.yml:1:4: the tag !!int is not allowed here (write the value without a tag)"),
        (b"a: b: c\n", "f.yml:1:5: is not valid YAML: mapping values are not allowed in this context"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(raw: bytes, expected: str | None) -> None:
    assert problems(raw) == ([] if expected is None else [expected])


def test_an_encrypted_value_is_refused_with_a_hint() -> None:
    (problem,) = problems(b"a:\n  b: !vault |\n    $ANSIBLE_VAULT;1.1;AES256\n    3132\n")
    assert problem.startswith("f.yml:2:6: the tag !vault is not allowed here (")
    assert "encrypt the whole file or inventory" in problem


def test_all_problems_are_told() -> None:
    assert len(problems(b"a: !x 1\na: 2\nb: {<<: 3}\n")) == 3


def test_every_key_and_item_has_its_place() -> None:
    document = read(b"\xef\xbb\xbfa:\n  bb: [x,\n   y]\nbase: &base {c: 1}\nd:\n  <<: *base\n", "f.yml")
    places = {path: document.locate(path) for path in [(), ("a",), ("a", "bb"), ("a", "bb", 1), ("d", "c")]}
    lines = {path: place and (place.line, place.column) for path, place in places.items()}
    assert lines == {(): (1, 1), ("a",): (1, 1), ("a", "bb"): (2, 3), ("a", "bb", 1): (3, 4), ("d", "c"): (4, 14)}


def test_what_is_not_there_has_the_place_of_what_would_hold_it() -> None:
    document = read(b"a:\n  b: 1\n", "f.yml")
    assert document.locate(("a", "nothing", "more")) == Location("f.yml", 1, 1)
    assert document.locate(("a", "b", 3)) == Location("f.yml", 2, 3)


texts = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f\x85"), max_size=12)
plain = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | texts
trees = st.recursive(plain, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4))


@given(st.dictionaries(texts.filter(lambda key: key != "<<"), trees, max_size=5))
def test_json_is_read_as_it_is(data: dict[str, Any]) -> None:
    assert values(json.dumps(data)) == data


def test_the_collection_has_the_same_reader() -> None:
    root = Path(__file__).parents[4]
    link, shared = root / "src/ddnsctl/yaml/reader.py", root / "plugins/plugin_utils/_yaml/reader.py"
    assert link.is_symlink()
    assert link.resolve() == shared.resolve()


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 3_000 + "]" * 3_000,
        "a: " + "{a: " * 200 + "1" + "}" * 200,
        "[" * 100_000,
        "- " * 100_000 + "a",
        "".join(f"{' ' * n}a:\n" for n in range(200)),
    ],
    ids=["brackets", "braces", "open", "dashes", "block"],
)
def test_what_is_nested_too_deeply_is_refused(text: str) -> None:
    document = read(text.encode(), "f.yml")
    (problem,) = document.problems
    assert problem.text == "is nested deeper than 100 levels"
    assert problem.where is not None


@pytest.mark.parametrize("text", ["a: '" + "[" * 300 + "'", "# " + "{" * 300 + "\na: 1", "a: |\n" + " " * 150 + "x"])
def test_brackets_that_nest_nothing_are_allowed(text: str) -> None:
    assert read(text.encode(), "f.yml").problems == ()
