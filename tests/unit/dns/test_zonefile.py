# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of new zones, read as a name server reads them."""

import dns.zone
import pytest

from ddnsd.dns.bind.catalog import label
from ddnsd.dns.bind.zonefile import NameServer, catalog_text, zone_text

SERVERS = tuple(
    NameServer.from_text(text)
    for text in ("ns1.a.example=192.0.2.53=2001:DB8::53", "NS2.B.example.=192.0.2.54", "ns3.example.net")
)


def records(origin: str, text: str) -> set[str]:
    """NAME TYPE DATA of all records but SOA."""
    zone = dns.zone.from_text(text, origin, relativize=False)
    return {
        f"{name} {rdataset.rdtype.name} {rdata}"
        for name, node in zone.nodes.items()
        for rdataset in node
        for rdata in rdataset
        if rdataset.rdtype.name != "SOA"
    }


def test_addresses_stand_in_the_zone_of_the_name_alone() -> None:
    every = {"@ NS ns1.a.example.", "@ NS ns2.b.example.", "@ NS ns3.example.net."}
    inside = {
        "a.example": {"ns1.a.example. A 192.0.2.53", "ns1.a.example. AAAA 2001:db8::53"},
        "b.example": {"ns2.b.example. A 192.0.2.54"},
        "c.example": set(),
        "xa.example": set(),
    }
    for origin, addresses in inside.items():
        expected = {line.replace("@", f"{origin}.") for line in every} | addresses
        assert records(origin, zone_text(origin, SERVERS, 7)) == expected


def test_the_first_server_is_the_primary() -> None:
    soa = dns.zone.from_text(zone_text("a.example", SERVERS, 7), "a.example", relativize=False).get_soa()
    assert (soa.mname.to_text(), soa.rname.to_text(), soa.serial) == ("ns1.a.example.", "hostmaster.a.example.", 7)


def test_a_catalog_zone_says_its_version() -> None:
    assert records("catalog.invalid", catalog_text(7)) == {
        "catalog.invalid. NS invalid.",
        'version.catalog.invalid. TXT "2"',
    }


def test_a_member_has_the_label_that_bind_s_manual_gives() -> None:
    assert label("domain.example") == "5960775ba382e7a4e09263fc06e7c00569b6a05c"


@pytest.mark.parametrize("text", ["", "a b", "ns.example=", "ns.example=192.0.2", "=192.0.2.1", "n/s.example"])
def test_what_is_no_name_server(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a valid name for a zone|does not appear to be"):
        NameServer.from_text(text)


def test_text_and_back() -> None:
    assert [str(server) for server in SERVERS] == [
        "ns1.a.example=192.0.2.53=2001:db8::53",
        "ns2.b.example=192.0.2.54",
        "ns3.example.net",
    ]
