# SPDX-License-Identifier: GPL-3.0-or-later
"""A document that is read in parts is what `json` reads, wherever the parts end."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsd.operations import json_reader
from ddnsd.operations.json_reader import JsonReader

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text(max_size=5), st.lists(VALUES, max_size=4), max_size=4)


def everything(text: str) -> dict[str, list[Any]]:
    reader = JsonReader(io.StringIO(text))
    found = {name: list(reader.elements()) for name in reader.members()}
    reader.end()
    return found


@pytest.mark.parametrize("part", [1, 3, 7, 4096])
@given(document=DOCUMENTS, indent=st.none() | st.integers(0, 2))
def test_it_reads_what_json_reads(part: int, document: dict[str, list[Any]], indent: int | None) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_reader, "PART", part)
        assert everything(json.dumps(document, indent=indent)) == document


@pytest.mark.parametrize("text", ["1", "12", " 12 ", '"x"', "-1.5e3", "null"])
def test_a_single_value(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_reader, "PART", 1)
    reader = JsonReader(io.StringIO(text))
    assert reader.value() == json.loads(text)
    reader.end()


BROKEN = """
[]|{|{"a"|{"a":|{"a": [|{"a": [1|{"a": [1,]}|{"a": [1 2]}|{"a": [1]|{"a": [1]} x
{"a" [1]}|{1: [1]}|{"a": {}}|{"a": [1] "b": [2]}|{"a": [01]}|{"a": ["x]}
"""


@pytest.mark.parametrize("text", ["", *BROKEN.strip().replace("\n", "|").split("|")])
def test_what_is_not_such_a_document(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        everything(text)


def test_a_value_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_reader, "LARGEST", 1000)
    monkeypatch.setattr(json_reader, "PART", 100)
    with pytest.raises(ValueError, match="not complete"):
        everything('{"a": ["' + "x" * 100_000)
