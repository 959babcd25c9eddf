# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts are divided into messages that fit."""

from ddnsd.store.rows import Host, Related
from ddnsd.zones.fit import parts
from ddnsd.zones.message import DHCID, Update
from ddnsd.zones.records import records
from ddnsd.zones.tsig import TsigKey

ZONE = "dyn.example.org"
LONG = ".".join(["a" * 60] * 3)


def host(n: int, **values: object) -> Host:
    fields = dict.fromkeys(Host._fields)
    named = {"id": n, "fqdn": f"h{n}.{LONG}.{ZONE}", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}
    return Host(**{**fields, **named, **values})  # type: ignore[arg-type]


def test_every_message_fits_and_every_host_is_sent_once() -> None:
    hosts = [host(n, wildcard=True, prefix="2001:db8::/64") for n in range(256)]
    related = {h.id: [Related(1, h.id, f"nas.{h.fqdn}", "::7")] for h in hosts}
    found = list(parts(hosts, related))
    assert [h.id for part in found for h in part] == list(range(256))
    assert len(found) > 1
    for part in found:
        update = Update(ZONE)
        for h in part:
            for name in records(h, related[h.id]):
                update.require_absent(name.fqdn, DHCID).replace(name.fqdn, 60, name.ipv4, name.ipv6)
        assert len(update.to_wire(TsigKey.generate("key", "hmac-sha512")).wire) < 65_535
