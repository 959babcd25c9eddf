# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of RRsets: what is understood, and that nothing is completed or dropped silently."""

import string

import dns.name
import dns.rdata
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsd.dns.rdata import EXAMPLES, BadValue, LongString, RelativeName, canonical, text_of, wire

LABELS = st.text(string.ascii_letters + string.digits, min_size=1, max_size=20)
NAMES = st.lists(LABELS, max_size=4).map(lambda labels: ".".join(labels) + ".")
NUMBERS = st.integers(0, 65535)


@pytest.mark.parametrize(("rtype", "text"), EXAMPLES.items())
def test_examples_are_canonical(rtype: str, text: str) -> None:
    assert canonical(rtype, text) == text
    assert text_of(dns.rdata.from_wire("IN", rtype, wire(rtype, text), 0, len(wire(rtype, text)))) == text


@given(st.binary(max_size=255))
def test_every_string_of_a_text_comes_back(octets: bytes) -> None:
    text = '"' + "".join(f"\\{octet:03}" for octet in octets) + '"'
    assert wire("TXT", canonical("TXT", text)) == bytes((len(octets),)) + octets
    assert canonical("TXT", canonical("TXT", text)) == canonical("TXT", text)


@given(NUMBERS, NUMBERS, NUMBERS, NAMES)
def test_names_are_compared_without_case(priority: int, weight: int, port: int, target: str) -> None:
    text = f"{priority} {weight} {port} {target}"
    assert canonical("SRV", text) == canonical("SRV", text.upper()) == text.lower()


@given(st.sampled_from(sorted(EXAMPLES)), st.text(max_size=40))
def test_anything_is_a_canonical_value_or_refused(rtype: str, text: str) -> None:
    try:
        found = canonical(rtype, text)
    except BadValue:
        return
    assert canonical(rtype, found) == found
    assert "\n" not in found


@given(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1).filter(lambda text: text[0] != '"'))
def test_literal_text_is_divided_into_strings(text: str) -> None:
    octets = wire("TXT", canonical("TXT", text))
    found = b""
    while octets:
        found, octets = found + octets[1 : 1 + octets[0]], octets[1 + octets[0] :]
    assert found == text.encode()
    assert canonical("TXT", canonical("TXT", text)) == canonical("TXT", text)


@pytest.mark.parametrize(
    ("rtype", "text", "error"),
    [
        ("MX", "10 mail", RelativeName),
        ("MX", "10 @", RelativeName),
        ("SRV", "1 2 3 sip.example.org", RelativeName),
        ("TXT", '"' + "é" * 128 + '"', LongString),
        ("TXT", "two\nlines", BadValue),
        ("TXT", '"a" b', BadValue),
        ("MX", "10 a. ; a comment", BadValue),
        ("CAA", "0 issue ca.example;x", BadValue),
        ("MX", "( 10 a. )", BadValue),
        ("SSHFP", "4 2 xyz", BadValue),
    ],
)
def test_refused(rtype: str, text: str, error: type[BadValue]) -> None:
    with pytest.raises(error):
        canonical(rtype, text)
