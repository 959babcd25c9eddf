# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's row as records."""

import pytest

from ddnsd.db.rows import Host, Related
from ddnsd.dns.records import Addresses, combine, records, ttl


def host(**values: object) -> Host:
    fields = dict.fromkeys(Host._fields)
    return Host(**{**fields, "fqdn": "h.x.org", "ipv4": "192.0.2.1", **values})  # type: ignore[arg-type]


def test_plain_wildcard_and_related() -> None:
    assert records(host()) == [Addresses("h.x.org", "192.0.2.1", None)]
    with_all = host(wildcard=True, ipv6="2001:db8::1", prefix="2001:db8::/64")
    assert records(with_all, [Related(1, 1, "nas.h.x.org", "::7")]) == [
        Addresses("h.x.org", "192.0.2.1", "2001:db8::1"),
        Addresses("*.h.x.org", "192.0.2.1", "2001:db8::1"),
        Addresses("nas.h.x.org", None, "2001:db8::7"),
    ]
    assert records(host(), [Related(1, 1, "nas.h.x.org", "::7")])[1] == Addresses("nas.h.x.org", None, None)


def test_a_blocked_host_has_names_without_addresses() -> None:
    assert records(host(abuse_blocked=True, wildcard=True)) == [
        Addresses("h.x.org", None, None),
        Addresses("*.h.x.org", None, None),
    ]


@pytest.mark.parametrize(
    ("prefix", "interface_id", "address"),
    [
        ("2001:db8:1::/64", "::7", "2001:db8:1::7"),
        ("2001:db8:1::/64", "2001:db8:ffff::7", "2001:db8:1::7"),
        ("2001:db8:100::/56", "::3:0:0:0:7", "2001:db8:100:3::7"),
    ],
)
def test_prefix_and_interface_id(prefix: str, interface_id: str, address: str) -> None:
    assert combine(prefix, interface_id) == address


def test_the_closest_ttl_counts() -> None:
    assert ttl(host(), 60) == 60
    assert ttl(host(domain_ttl=120), 60) == 120
    assert ttl(host(domain_ttl=120, ttl=30), 60) == 30


def test_names_of_a_host_in_quarantine_have_its_addresses() -> None:
    held = host(abuse_blocked=True, wildcard=True, prefix="2001:db8::/64", quarantine_ipv4="192.0.2.66")
    assert records(held, [Related(1, 1, "nas.h.x.org", "::7")]) == [
        Addresses("h.x.org", "192.0.2.66", None),
        Addresses("*.h.x.org", "192.0.2.66", None),
        Addresses("nas.h.x.org", "192.0.2.66", None),
    ]
