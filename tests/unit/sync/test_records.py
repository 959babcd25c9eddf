# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared RRsets: how they are read, compared with registered ones, and shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsctl.sync import records
from ddnsctl.sync.model import DYNAMIC, KEEP, UNKNOWN, Host, HostSpec
from ddnsd.dns import rdata

MX = {"ttl": None, "values": ["10 mail.example.org."]}
TXT = {"ttl": None, "values": ['"a"']}


@pytest.mark.parametrize(
    ("given_key", "key"),
    [
        ("TXT", "@ TXT"),
        ("@ txt", "@ TXT"),
        (" _443._TCP  tlsa ", "_443._tcp TLSA"),
        ("sel._DomainKey TXT", "sel._domainkey TXT"),
    ],
)
def test_keys(given_key: str, key: str) -> None:
    assert list(records.declared({given_key: None})) == [key]


@pytest.mark.parametrize(("rtype", "text"), rdata.EXAMPLES.items())
def test_what_the_service_writes_is_not_changed(rtype: str, text: str) -> None:
    assert records.canonical(rtype, text) == text


@pytest.mark.parametrize(
    ("rtype", "text"),
    [
        ("MX", " 10   Mail.Example.org. "),
        ("SRV", "1 2 3 SIP.example.org."),
        ("TLSA", "3 1 1 " + "AB " * 32),
        ("SSHFP", "4 2 " + "Ab" * 32),
        ("TXT", "two words"),
        ("TXT", '"two"   "strings"'),
        ("TXT", 'a "quoted" \\ word'),
        ("TXT", "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n"),
        ("TXT", "x" * 600),
        ("TXT", r'"\065\"\\"'),
    ],
)
def test_values_are_written_as_the_service_writes_them(rtype: str, text: str) -> None:
    assert records.canonical(rtype, text) == rdata.canonical(rtype, text)


@given(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1))
def test_literal_text_is_that_of_the_service_and_comes_back(text: str) -> None:
    if text.startswith('"'):
        return
    value = records.canonical("TXT", text)
    assert value == rdata.canonical("TXT", text)
    assert records.canonical("TXT", records.literal("TXT", value)) == value


@given(st.binary(max_size=255))
def test_every_value_can_be_imported(octets: bytes) -> None:
    value = rdata.canonical("TXT", '"' + "".join(f"\\{octet:03}" for octet in octets) + '"')
    assert records.canonical("TXT", records.literal("TXT", value)) == value


@pytest.mark.parametrize(
    ("given_records", "text"),
    [
        (["TXT"], "must be a mapping"),
        ({"a b c": ["x"]}, "is not the key of an RRset"),
        ({"1": ["x"]}, "is not the key of an RRset"),
        ({"TXT": ["a"], "@ txt": ["b"]}, "@ TXT is named twice"),
        ({"TXT": "text"}, "@ TXT: needs a list of 1 to 16 values, or `dynamic`"),
        ({"TXT": []}, "needs a list"),
        ({"TXT": ["x"] * 17}, "needs a list"),
        ({"TXT": {"values": ["x"], "tll": 5}}, "unknown key tll"),
        ({"TXT": {"values": ["x"], "ttl": 0}}, "seconds"),
        ({"TXT": [7]}, "must be text, not the number 7"),
        ({"TXT": ['"open']}, "strings in quotation marks"),
        ({"TXT": [r'"\999"']}, "is not an octet"),
    ],
)
def test_errors(given_records: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text.replace("(", r"\(").replace("|", r"\|")):
        records.declared(given_records)


def test_what_differs() -> None:
    host = Host("www.example.org", "example.org", records={"@ MX": MX, "@ TXT": TXT})

    def differing(declared: Any, *, keeps: bool = False) -> dict[str, Any]:
        return records.differing(HostSpec("www.example.org", records=declared, keeps_records=keeps), host)

    assert differing(KEEP) == {}
    assert differing({}) == {"@ MX": None, "@ TXT": None}
    assert differing({"@ MX": MX, "@ TXT": TXT}) == {}
    assert differing({"@ MX": MX, "@ TXT": DYNAMIC}) == {}
    assert differing({"@ MX": MX, "_dmarc TXT": DYNAMIC}) == {"@ TXT": None}
    assert differing({"@ MX": MX | {"ttl": 60}, "@ TXT": None}) == {"@ MX": MX | {"ttl": 60}, "@ TXT": None}
    assert differing({"_dmarc TXT": TXT}, keeps=True) == {"_dmarc TXT": TXT}
    unknown = Host("www.example.org", "example.org", records=UNKNOWN)
    assert records.differing(HostSpec("www.example.org", records={}), unknown) == {}
    assert records.initial(HostSpec("a.b", records={"@ MX": MX, "@ TXT": None, "_dmarc TXT": DYNAMIC})) == {"@ MX": MX}


def test_how_changes_are_shown() -> None:
    after = {
        "@ MX": None,
        "@ TXT": {"ttl": 300, "values": ['"b"', '"c"']},
        "_443._tcp TLSA": {"ttl": None, "values": ["3 1 1 ab"]},
    }
    assert list(records.details({"@ MX": MX, "@ TXT": TXT}, after)) == [
        "- MX @: 10 mail.example.org.",
        '~ TXT @: "a" → "b", "c" (ttl 300)',
        "+ TLSA _443._tcp: 3 1 1 ab",
    ]


def test_related_names() -> None:
    host = Host("cam.example.org", "example.org", related={"nas": "::7", "tv": "::8"})

    def differing(declared: Any, *, keeps: bool = False) -> dict[str, Any]:
        return records.related_differing(HostSpec("cam.example.org", related=declared, keeps_related=keeps), host)

    assert differing(KEEP) == differing({"nas": "::7", "tv": "::8"}) == {}
    assert differing({}) == {"nas": None, "tv": None}
    assert differing({"nas": "::9", "new": "::a", "old": None}) == {"nas": "::9", "new": "::a", "tv": None}
    assert differing({"nas": "::7", "tv": None}, keeps=True) == {"tv": None}
    unknown = Host("cam.example.org", "example.org")
    assert records.related_differing(HostSpec("cam.example.org", related={}), unknown) == {}
    assert list(records.related_details({"nas": "::7", "tv": "::8"}, {"new": "::a", "nas": "::9", "tv": None})) == [
        "~ related nas: ::7 → ::9",
        "+ related new: ::a",
        "- related tv: ::8",
    ]
