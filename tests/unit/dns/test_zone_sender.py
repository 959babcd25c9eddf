# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts are divided into messages that fit."""

from ddnsd.db.rows import Host, Related
from ddnsd.dns.packing import parts, set_octets
from ddnsd.dns.rdata import EXAMPLES
from ddnsd.dns.records import HostRecords, RecordSet, records
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.update_builder import host_update
from ddnsd.registry.host_columns import MOST_ADDRESSES
from ddnsd.registry.record_sets import LONGEST, MOST, OCTETS
from ddnsd.registry.related_labels import MOST as MOST_RELATED

ZONE = "dyn.example.org"
LONG = ".".join(["a" * 60] * 3)


def host(n: int, **values: object) -> Host:
    fields = dict.fromkeys(Host._fields)
    named = {"id": n, "fqdn": f"h{n}.{LONG}.{ZONE}", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}
    return Host(**{**fields, **named, **values})  # type: ignore[arg-type]


def largest(n: int) -> HostRecords:
    """A host with all that one may have, at the longest names."""
    ipv4 = " ".join(f"192.0.2.{i}" for i in range(1, MOST_ADDRESSES + 1))
    ipv6 = " ".join(f"2001:db8::{i}" for i in range(1, MOST_ADDRESSES + 1))
    made = host(n, wildcard=True, prefix="2001:db8::/64", ipv4=ipv4, ipv6=ipv6, claimed=True, aliased=True)
    below = ".".join(["b" * (len(LONGEST) - len(made.fqdn) - 1)])
    related = [Related(i, n, f"{below}.{made.fqdn}", "::7") for i in range(MOST_RELATED)]
    room = OCTETS
    sets: list[RecordSet] = []
    for i in range(MOST):
        smallest = (MOST - i - 1) * set_octets(LONGEST, ["x"])
        values = ["x"]
        while len(values) < MOST and set_octets(LONGEST, [*values, '"xx"']) <= room - smallest:
            values.append('"xx"')
        room -= set_octets(LONGEST, values)
        sets.append(RecordSet(f"{below}.{made.fqdn}", "TXT", None, tuple(values), False, i))
    assert 0 <= room < set_octets(LONGEST, ["x"])
    return HostRecords(made, records(made, related), sets)


def octets(part: list[HostRecords]) -> int:
    return len(host_update(ZONE, part, 60).to_wire(TsigKey.generate("key", "hmac-sha512")).wire)


def test_every_message_fits_and_every_host_is_sent_once() -> None:
    hosts = [host(n, wildcard=True, prefix="2001:db8::/64") for n in range(256)]
    related = {h.id: [Related(1, h.id, f"nas.{h.fqdn}", "::7")] for h in hosts}
    found = list(parts([HostRecords(h, records(h, related[h.id]), []) for h in hosts], ZONE))
    assert [item.host.id for part in found for item in part] == list(range(256))
    assert len(found) > 1
    assert all(octets(part) < 65_535 for part in found)


def test_many_aliases_fit() -> None:
    target = f"{LONG}.example.net."
    hosts = [host(n, alias=target, aliased=True, claimed=True, ipv4=None, ipv6=None) for n in range(256)]
    items = [HostRecords(h, records(h), [], leaving=tuple(EXAMPLES)) for h in hosts]
    found = list(parts(items, ZONE))
    assert [item.host.id for part in found for item in part] == list(range(256))
    assert all(octets(part) < 65_535 for part in found)


def test_a_host_with_all_that_one_may_have_fits() -> None:
    found = list(parts([largest(1), largest(2)], ZONE))
    assert [[item.host.id for item in part] for part in found] == [[1], [2]]
    assert all(octets(part) < 65_535 for part in found)
