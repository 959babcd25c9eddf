# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader of large JSON texts agrees with `json.loads`, however the text is cut; values that are too long apart."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddnsd.web.api import json_slices
from ddnsd.web.api.json_slices import NotJson, Reader, Repeated, TooLong

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@pytest.fixture(autouse=True)
def tiny_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that each text ends in the middle of everything."""
    monkeypatch.setattr(json_slices, "SLICE", 3)


def value(body: bytes, cut: int = 7) -> Any:
    """The whole text as one value."""
    reader = Reader([body[start : start + cut] for start in range(0, len(body), cut)])
    found = reader.value()
    reader.end()
    return found


def members(body: bytes) -> dict[str, Any]:
    """An object of lists, value by value."""
    reader, found = Reader([body]), {}
    reader.expect("{")
    for name in reader.names():
        found[name] = list(reader.items()) if reader.begins("[") else reader.value()
    reader.end()
    return found


@settings(deadline=None, max_examples=200, derandomize=True, database=None)
@given(content=VALUES, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]), cut=st.integers(1, 9))
def test_values_are_read_as_by_the_library(content: Any, ascii_only: bool, indent: int | None, cut: int) -> None:
    body = json.dumps(content, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    try:
        expected = json.loads(body.decode())
    except UnicodeDecodeError:
        with pytest.raises(NotJson):
            value(body, cut)
        return
    assert value(body, cut) == expected
    assert members(b' { "a" : %b , "b":[%b , 1]}\n' % (body, body)) == {
        "a": expected,
        "b": [expected, 1],
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[1",
        b"[1,",
        b"[1,]",
        b"[1 2]",
        b'{"a"',
        b'{"a":',
        b'{"a":1,',
        b'{"a":1,}',
        b"{1:1}",
        b"'a'",
        b"01",
        b"1.",
        b"1e",
        b"1 2",
        b"tru",
        b'"a',
        b'"\n"',
        b"\xff",
        b'"\xc3',
        b"\xef\xbb\xbf1",
        b"[" * 5000,
        b'{"a":[1}',
        b"1" * 5000,
    ],
)
def test_what_is_no_json(body: bytes) -> None:
    for read in (value, members):
        with pytest.raises(NotJson):
            read(body)


def test_an_object_has_a_member_once() -> None:
    with pytest.raises(Repeated):
        value(b'[{"a":1,"a":1}]')


def test_a_value_has_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_slices, "VALUE", 100)
    assert members(b'{"a":[' + b",".join([b'"' + b"x" * 80 + b'"'] * 50) + b"]}") == {"a": ["x" * 80] * 50}
    for body in (b"[" + b"1," * 500 + b"1]", b'"' + b"x" * 500 + b'"', b"[" * 500, b'{"a":' * 500):
        with pytest.raises(TooLong):
            value(body)
