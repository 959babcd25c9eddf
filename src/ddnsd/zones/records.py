# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's row as the records that the zone shall hold: a pure function of the current row."""

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

from ddnsd.store.rows import Host, Related

DEFAULT_TTL = 60


class Addresses(NamedTuple):
    """What stands at one name: at most one A and one AAAA record, as canonical text."""

    fqdn: str
    ipv4: str | None
    ipv6: str | None


def records(host: Host, related: Iterable[Related] = ()) -> list[Addresses]:
    """Every name of the host with its addresses; a blocked host has none."""
    ipv4, ipv6, prefix = (None, None, None) if host.abuse_blocked else (host.ipv4, host.ipv6, host.prefix)
    names = [Addresses(host.fqdn, ipv4, ipv6)]
    if host.wildcard:
        names.append(Addresses(f"*.{host.fqdn}", ipv4, ipv6))
    names += [Addresses(r.fqdn, None, combine(prefix, r.interface_id) if prefix else None) for r in related]
    return names


def ttl(host: Host, default: int) -> int:
    """Seconds: the host's, else its domain's, else the service's."""
    return host.ttl or host.domain_ttl or default


def combine(prefix: str, interface_id: str) -> str:
    """The address of `interface_id` in the IPv6 network `prefix`: ('2001:db8:1::/64', '::7') → '2001:db8:1::7'."""
    network = ipaddress.IPv6Network(prefix)
    low_bits = int(ipaddress.IPv6Address(interface_id)) & int(network.hostmask)
    return str(ipaddress.IPv6Address(int(network.network_address) | low_bits))
