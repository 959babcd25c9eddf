# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of reverse zones and of addresses in them."""

from ipaddress import ip_network
from typing import Any

import pytest

from ddnsd.db.reverse_zones import ReverseZones, fits, name_of, network_of
from ddnsd.db.rows import Domain


def domain(name: str, **values: Any) -> Domain:
    fields: dict[str, Any] = dict.fromkeys(Domain._fields)
    return Domain(**fields | {"name": name} | values)


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("10.in-addr.arpa", "10.0.0.0/8"),
        ("2.0.192.in-addr.arpa", "192.0.2.0/24"),
        ("8.b.d.0.1.0.0.2.ip6.arpa", "2001:db8::/32"),
        ("0-63.2.0.192.in-addr.arpa", "192.0.2.0/26"),
        ("64-127.2.0.192.in-addr.arpa", "192.0.2.64/26"),
        ("0-255.2.0.192.in-addr.arpa", "192.0.2.0/24"),
        ("4-5.2.0.192.in-addr.arpa", "192.0.2.4/31"),
        ("0-26.2.0.192.in-addr.arpa", None),  # no block of a power of two
        ("32-95.2.0.192.in-addr.arpa", None),  # does not begin at a multiple of its size
        ("5-5.2.0.192.in-addr.arpa", None),
        ("0-63.0.192.in-addr.arpa", None),
        ("0-300.2.0.192.in-addr.arpa", None),
        ("office.2.0.192.in-addr.arpa", None),
        ("1.2.0.192.in-addr.arpa", None),  # one address
        ("300.0.192.in-addr.arpa", None),
        ("02.0.192.in-addr.arpa", None),
        ("g.ip6.arpa", None),
        ("in-addr.arpa", None),
        ("dyn.example.org", None),
    ],
)
def test_the_network_of_a_name(name: str, network: str | None) -> None:
    assert network_of(name) == (network and ip_network(network))


@pytest.mark.parametrize(
    ("name", "network", "fitting"),
    [
        ("2.0.192.in-addr.arpa", "192.0.2.0/24", True),
        ("2.0.192.in-addr.arpa", "192.0.2.0/25", False),
        ("office.2.0.192.in-addr.arpa", "192.0.2.64/26", True),
        ("office.2.0.192.in-addr.arpa", "192.0.2.0/24", False),
        ("office.2.0.192.in-addr.arpa", "192.0.3.64/26", False),
        ("office.2.0.192.in-addr.arpa", "192.0.2.64/32", False),
        ("office.2.0.192.in-addr.arpa", "2001:db8::/64", False),
        ("office.0.192.in-addr.arpa", "192.0.2.0/26", False),
        ("x.8.b.d.0.1.0.0.2.ip6.arpa", "2001:db8::/40", False),
    ],
)
def test_a_network_fits_a_name(name: str, network: str, fitting: bool) -> None:
    assert fits(name, ip_network(network)) is fitting


def test_the_smallest_network_has_the_address() -> None:
    whole, part, ten = domain("2.0.192.in-addr.arpa"), domain("64-127.2.0.192.in-addr.arpa"), domain("10.in-addr.arpa")
    six, named = domain("8.b.d.0.1.0.0.2.ip6.arpa"), domain("office.3.0.192.in-addr.arpa", network="192.0.3.0/28")
    zones = ReverseZones([whole, part, ten, six, named, domain("dyn.example.org")])
    assert zones.of("192.0.2.63") is whole
    assert zones.of("192.0.2.64") is part
    assert zones.of("10.1.2.3") is ten
    assert zones.of("2001:db8::1") is six
    assert zones.of("192.0.3.15") is named
    assert zones.of("192.0.3.16") is None
    assert zones.of("2001:db9::1") is None


def test_the_name_of_an_address() -> None:
    assert name_of(domain("10.in-addr.arpa"), "10.1.2.3") == "3.2.1.10.in-addr.arpa"
    assert name_of(domain("64-127.2.0.192.in-addr.arpa"), "192.0.2.65") == "65.64-127.2.0.192.in-addr.arpa"
    name = name_of(domain("8.b.d.0.1.0.0.2.ip6.arpa"), "2001:db8::1")
    assert name == "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
