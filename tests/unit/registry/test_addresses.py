# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses as clients send them: one table for every door."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsd.db.rows import Host
from ddnsd.registry.addresses import (
    AddressUpdate,
    columns,
    denied,
    is_internal,
    named_columns,
    parse,
    parse_address,
    reached,
)
from ddnsd.registry.errors import InvalidAddress

PEER = "198.51.100.9"


def host(**values: object) -> Host:
    """A host without addresses, but for `values`."""
    fields = dict.fromkeys(Host._fields)
    return Host(**{**fields, "id": 1, "fqdn": "h.dyn.example.org", **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "ipv4", "ipv6", "prefix"),
    [
        (["192.0.2.1"], "192.0.2.1", None, None),
        (["192.0.2.1/24"], "192.0.2.1", None, None),
        (["2001:DB8::0:1"], None, "2001:db8::1", None),
        (["2001:db8::5/64"], None, "2001:db8::5", None),
        (["2001:db8:1::/64"], None, None, "2001:db8:1::/64"),
        (["2001:db8:1::/128"], None, "2001:db8:1::", None),
        (["::ffff:192.0.2.1"], "192.0.2.1", None, None),
        (["192.0.2.1,2001:db8::1"], "192.0.2.1", "2001:db8::1", None),
        (["2001:db8::1 , 192.0.2.1"], "192.0.2.1", "2001:db8::1", None),
        (["192.0.2.1", "2001:db8::1"], "192.0.2.1", "2001:db8::1", None),
        (["192.0.2.1,", ",192.0.2.1"], "192.0.2.1", None, None),
        (["203.0.113.5,2001:db8:1::/64"], "203.0.113.5", None, "2001:db8:1::/64"),
        (["2001:db8:1::7,2001:db8:1::/64"], None, "2001:db8:1::7", "2001:db8:1::/64"),
        (["192.0.2.5,2001:db8:a::1,2001:db8:b::/64"], "192.0.2.5", "2001:db8:a::1", "2001:db8:b::/64"),
        (["2001:db8:b::/64", "2001:db8:a::1"], None, "2001:db8:a::1", "2001:db8:b::/64"),
        (["2001:DB8:b::/64,2001:db8:b:0::/64"], None, None, "2001:db8:b::/64"),
        (["192.0.2.5,<ip6lanprefix>"], "192.0.2.5", None, None),
        (["<ipaddr>,<ip6addr>,2001:db8:b::/64"], None, None, "2001:db8:b::/64"),
        (["<ip6addr>", "no"], None, None, None),
        (["no,192.0.2.1"], "192.0.2.1", None, None),
        (["preserve"], None, None, None),
        (["10.0.0.1"], "10.0.0.1", None, None),
        (["100.64.0.1"], "100.64.0.1", None, None),
        (["64:ff9b::1"], None, "64:ff9b::1", None),
        ([], PEER, None, None),
        ([""], PEER, None, None),
        ([","], PEER, None, None),
    ],
)
def test_what_is_wanted(values: list[str], ipv4: str | None, ipv6: str | None, prefix: str | None) -> None:
    wanted = parse(values, PEER)
    assert (wanted.ipv4, wanted.ipv6, wanted.prefix) == (ipv4, ipv6, prefix)


@pytest.mark.parametrize(
    "text",
    [
        "zzz",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.01",
        "192.0.2.1/33",
        "192.0.2.1/x",
        "192.0.2.1/",
        "2001:db8::1/129",
        "fe80::1",
        "fe80::1%eth0",
        "2001:db8::1%1",
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "0.1.2.3",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
        "169.254.1.1",
        "::ffff:127.0.0.1",
        "fe80::/64",
        "ff00::/8",
        "192.0.2.1,192.0.2.2",
        "2001:db8::1,2001:db8::2",
        "2001:db8:1::/64,2001:db8:2::/64",
        "<ip6addr>",
        ",<ipaddr>, <ip6lanprefix> ,",
        "<",
        "<ipaddr",
        "192.0.2.1;192.0.2.2",
        "١٢.0.2.1",
    ],
)
def test_what_no_host_may_have(text: str) -> None:
    with pytest.raises(InvalidAddress):
        parse([text], PEER)


def test_loopback_peers_only_where_they_are_allowed() -> None:
    with pytest.raises(InvalidAddress):
        parse([], "127.0.0.1")
    assert parse([], "127.0.0.1", loopback_peers=True).ipv4 == "127.0.0.1"
    assert parse([], "::ffff:127.0.0.1", loopback_peers=True).ipv4 == "127.0.0.1"
    assert not parse([], "::1", loopback_peers=True).explicit
    with pytest.raises(InvalidAddress):
        parse(["127.0.0.1"], PEER, loopback_peers=True)


@given(st.ip_addresses())
def test_an_address_is_refused_or_canonical(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    try:
        parsed = parse_address(str(address).upper())
    except InvalidAddress:
        return
    assert str(parsed) in (str(address), str(getattr(address, "ipv4_mapped", None)))


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        parse([text], PEER)
    except InvalidAddress as error:
        assert str(error).startswith("Invalid IP address: ")  # noqa: PT017


# (columns before, wish, columns that change)
CHANGES = [
    ({}, AddressUpdate("192.0.2.1"), {"ipv4": "192.0.2.1"}),
    ({"ipv4": "192.0.2.1"}, AddressUpdate("192.0.2.1"), {}),
    ({"ipv6": "2001:db8::1"}, AddressUpdate("192.0.2.1"), {"ipv4": "192.0.2.1"}),
    ({"ipv4": "192.0.2.1", "inferred": "ipv4"}, AddressUpdate("192.0.2.1"), {"inferred": None}),
    ({"ipv4": "192.0.2.1", "inferred": "ipv4"}, AddressUpdate("192.0.2.2"), {"ipv4": "192.0.2.2", "inferred": None}),
    (
        {"ipv4": "192.0.2.1", "inferred": "ipv4"},
        AddressUpdate(None, "2001:db8::1"),
        {
            "ipv4": None,
            "inferred": None,
            "ipv6": "2001:db8::1",
            "prefix": "2001:db8::/64",
            "interface_id": "2001:db8::1",
        },
    ),
    (
        {"ipv4": "192.0.2.1", "inferred": "ipv4"},
        AddressUpdate(None, "2001:db8::1", explicit=False),
        {"ipv6": "2001:db8::1", "prefix": "2001:db8::/64", "interface_id": "2001:db8::1"},
    ),
    ({"ipv4": "192.0.2.1"}, AddressUpdate(), {}),
    (
        {"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "prefix": "2001:db8::/64"},
        AddressUpdate(remove=frozenset({"ipv6"}), explicit=False),
        {"ipv6": None, "prefix": None},
    ),
    (
        {"ipv6": "2001:db8::7", "prefix": "2001:db8::/64", "interface_id": "2001:db8::7"},
        AddressUpdate(prefix="2001:db8:1::/64"),
        {"ipv6": "2001:db8:1::7", "prefix": "2001:db8:1::/64"},
    ),
    (
        {"ipv6": "2001:db8:0:3::7", "interface_id": "2001:db8:0:3::7"},
        AddressUpdate(prefix="2001:db8:1::/56"),
        {"ipv6": "2001:db8:1:3::7", "prefix": "2001:db8:1::/56"},
    ),
    ({}, AddressUpdate(prefix="2001:db8:1::/64"), {"prefix": "2001:db8:1::/64"}),
    (
        {"ipv6": "2001:db8::7", "prefix": "2001:db8::/64", "interface_id": "2001:db8::7"},
        AddressUpdate(ipv6="2001:db8:a::1", prefix="2001:db8:b::/64"),
        {"ipv6": "2001:db8:a::1", "prefix": "2001:db8:b::/64", "interface_id": "2001:db8:a::1"},
    ),
]


@pytest.mark.parametrize(("before", "wanted", "changed"), CHANGES)
def test_only_what_is_named_changes(before: dict[str, str], wanted: AddressUpdate, changed: dict[str, Any]) -> None:
    assert changes(host(**before), wanted) == changed
    assert changes(host(**before)._replace(**changed), wanted) == {}


def changes(row: Host, wanted: AddressUpdate) -> dict[str, str | None]:
    return columns(row, wanted, named_columns(row, wanted))


def test_all_columns_of_a_family_are_named_though_they_are_as_wanted_already() -> None:
    before = host(ipv4="192.0.2.1", ipv6="2001:db8::1", prefix="2001:db8::/64", interface_id="2001:db8::1")
    v6 = {"ipv6": "2001:db8::1", "prefix": "2001:db8::/64", "interface_id": "2001:db8::1"}
    assert named_columns(before, AddressUpdate("192.0.2.2", "2001:db8::1")) == {"ipv4": "192.0.2.2", **v6}
    assert named_columns(before, AddressUpdate("192.0.2.2")) == {"ipv4": "192.0.2.2"}
    assert named_columns(before, AddressUpdate(prefix="2001:db8::/64")) == {"prefix": "2001:db8::/64"}
    assert named_columns(before, AddressUpdate(remove=frozenset({"ipv4", "ipv6"}))) == {
        "ipv4": None,
        "ipv6": None,
        "prefix": None,
    }


def test_answers_repeat_ipv4_first_and_a_prefix_as_its_network() -> None:
    assert AddressUpdate("192.0.2.1", "2001:db8::1").addresses == ["192.0.2.1", "2001:db8::1"]
    assert AddressUpdate(prefix="2001:db8:1::/64").addresses == ["2001:db8:1::"]
    both = AddressUpdate("192.0.2.1", "2001:db8::1", "2001:db8:1::/64")
    assert both.addresses == ["192.0.2.1", "2001:db8::1"]
    assert both.named == ["192.0.2.1", "2001:db8::1", "2001:db8:1::"]


def test_ipv4_addresses_within_ipv6() -> None:
    nat64, six_to_four, teredo = "64:ff9b::c000:209", "2002:c000:209::1", "2001:0:cb00:7101:0:1234:3fff:fdf6"
    inner = {text: [str(address) for address in reached([text])][1:] for text in (nat64, six_to_four, teredo, "::1")}
    assert inner == {
        nat64: ["192.0.2.9"],
        six_to_four: ["192.0.2.9"],
        teredo: ["203.0.113.1", "192.0.2.9"],
        "::1": [],
    }


def test_networks_of_the_operator() -> None:
    networks = [ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::/32")]
    assert denied(reached(["198.51.100.1", "192.0.2.9"]), networks)
    assert denied(reached(["2001:db8::1"]), networks)
    assert not denied(reached(["198.51.100.1"]), networks)
    assert [is_internal(a) for a in ("10.0.0.1", "100.64.0.1", "192.0.2.1", "8.8.8.8")] == [True, True, True, False]
