# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs that an address belongs to a host."""

import pytest

from ddnsd.db.reverse_zones import ReverseZones
from ddnsd.registry.reverse import Origin, is_same, new_proofs, proofs
from ddnsd.registry.validation import BLANK

HOST = BLANK._replace(ptr=True, ipv4="192.0.2.1", proved_ipv4="192.0.2.1", ipv6="2001:db8::1")


@pytest.mark.parametrize(
    ("address", "client", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8:0::1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1 192.0.2.2", "192.0.2.1", False),
        ("192.0.2.1", None, False),
        (None, "192.0.2.1", False),
        ("192.0.2.1", "a name", False),
    ],
)
def test_the_client_has_the_address(address: str | None, client: str | None, same: bool) -> None:
    assert is_same(address, client) is same


def test_a_proof_ends_with_the_address() -> None:
    assert proofs(HOST, {"ipv4": "192.0.2.2"}, Origin("192.0.2.2")) == {"proved_ipv4": "192.0.2.2"}
    assert proofs(HOST, {"ipv4": "192.0.2.2"}, Origin("198.51.100.1")) == {"proved_ipv4": None}
    assert proofs(HOST, {"ipv4": None}, Origin("198.51.100.1")) == {"proved_ipv4": None}
    assert proofs(HOST, {"prefix": "2001:db8::/64"}, Origin("2001:db8::1")) == {}


def test_an_unchanged_address_keeps_its_proof() -> None:
    values = {"ipv4": "192.0.2.1", "ipv6": "2001:db8::2"}
    assert proofs(HOST, values, Origin("2001:db8::2")) == {"proved_ipv4": "192.0.2.1", "proved_ipv6": "2001:db8::2"}
    assert new_proofs(HOST, {"ipv4": "192.0.2.1"}, Origin("192.0.2.1")) == {}
    assert new_proofs(HOST, {"ipv6": "2001:db8::1"}, Origin("2001:db8::1")) == {"proved_ipv6": "2001:db8::1"}


def test_nobody_proves_an_address_without_a_zone() -> None:
    origin = Origin(None, ReverseZones([]), lambda _: True)
    assert not origin.proves("192.0.2.1")
    assert not origin.proves(None)
