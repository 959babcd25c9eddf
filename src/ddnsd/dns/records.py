# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of a host in its zone, computed from its current row."""

import ipaddress
from collections.abc import Container, Iterable
from typing import NamedTuple

from ddnsd.db.rows import ANY_TARGET, Host, Related, Removal, RRset, Watched, addresses_of
from ddnsd.db.wildcards import wildcard_name


class Addresses(NamedTuple):
    """The addresses of one name, several of a family separated by blanks; or the target of an alias. Canonical text."""

    fqdn: str
    ipv4: str | None
    ipv6: str | None
    alias: str | None = None

    @property
    def values(self) -> list[str]:
        """All of them."""
        return [*addresses_of(self.ipv4), *addresses_of(self.ipv6), *([self.alias] if self.alias else [])]


class RecordSet(NamedTuple):
    """An RRset of a host: values in presentation format, none to remove it.

    `ttl` is in seconds; None: the host's.
    """

    fqdn: str
    rtype: str
    ttl: int | None
    values: tuple[str, ...]
    claimed: bool
    id: int
    again: bool = False
    """The name server refused it the last time; it is sent again."""


class HostRecords(NamedTuple):
    """A host, and all records that its zone should have."""

    host: Host
    names: list[Addresses]
    sets: list[RecordSet]
    is_set_aside: bool = False
    leaving: tuple[str, ...] = ()
    """Types of RRsets of ours at its name that are being removed: an alias needs a name without them."""

    @property
    def claimed(self) -> bool:
        """Whether all its names and RRsets are known to be ours."""
        return self.host.claimed and all(one.claimed for one in self.sets)

    @property
    def to_mark(self) -> bool:
        """Whether the database must be updated when the name server accepts it."""
        told = self.claimed and self.host.conflict is None and not self.is_set_aside
        return not told or self.was_aliased or any(one.again for one in self.sets)

    @property
    def was_aliased(self) -> bool:
        """Whether it removes a CNAME record of ours."""
        return bool(self.host.aliased) and self.host.alias is None


def records(host: Host | Watched, related: Iterable[Related] = ()) -> list[Addresses]:
    """All names of the host with their addresses; a hidden host has only those of its quarantine, if any."""
    hidden = is_hidden(host)
    ipv4, ipv6 = (host.quarantine_ipv4, host.quarantine_ipv6) if hidden else (host.ipv4, host.ipv6)
    if host.alias is not None and not hidden:
        return [Addresses(host.fqdn, None, None, host.alias)]
    names = [Addresses(host.fqdn, ipv4, ipv6)]
    if host.wildcard:
        names.append(Addresses(wildcard_name(host.fqdn), ipv4, ipv6))
    if hidden:
        return names + [Addresses(r.fqdn, ipv4, ipv6) for r in related]
    prefix = host.prefix
    names += [Addresses(r.fqdn, None, combine(prefix, r.interface_id) if prefix else None) for r in related]
    return names


def leaving(host: Host, related: Iterable[Related] = ()) -> list[Addresses]:
    """The same names as they are removed, with any CNAME record of ours."""
    names = records(host, related)
    return [name._replace(alias=name.alias or ANY_TARGET) for name in names] if host.aliased else names


def owned_names(host: Host, related: Iterable[Related] = (), rrsets: Iterable[RRset] = ()) -> set[str]:
    """All names at which the host has or may have records."""
    return {name.fqdn for name in records(host, related)} | {one.name(host.fqdn) for one in rrsets}


def is_hidden(host: Host | Watched) -> bool:
    """Whether the host's own records are removed from DNS.

    It is blocked, also in quarantine, or its owner is disabled with records removed. Reverse names follow their hosts.
    """
    return host.reverse_of is None and bool(host.abuse_blocked or host.withdrawn)


def record_sets(host: Host | Watched, rrsets: Iterable[RRset], again: Container[int] = ()) -> list[RecordSet]:
    """The host's RRsets, without those in conflict unless sent `again`; without values if the host is hidden."""
    hidden = is_hidden(host)
    return [
        RecordSet(
            one.name(host.fqdn),
            one.rtype,
            one.ttl,
            () if hidden else values_of(one.data),
            bool(one.claimed),
            one.id,
            one.conflict is not None,
        )
        for one in rrsets
        if one.conflict is None or one.id in again
    ]


def values_of(data: str) -> tuple[str, ...]:
    """The values of an RRset's row, one per line."""
    return tuple(data.split("\n"))


def values_removed(removal: Removal) -> set[str]:
    """The values that a removal removes."""
    if removal.data is not None:
        return set(values_of(removal.data))
    return set(Addresses(removal.fqdn, removal.ipv4, removal.ipv6, removal.alias).values)


def ttl(host: Host, default: int) -> int:
    """The TTL in seconds: the host's, else its domain's, else the service's."""
    return host.ttl or host.domain_ttl or default


def combine(prefix: str, interface_id: str) -> str:
    """The address of `interface_id` in the IPv6 network `prefix`: ('2001:db8:1::/64', '::7') → '2001:db8:1::7'."""
    network = ipaddress.IPv6Network(prefix)
    low_bits = int(ipaddress.IPv6Address(interface_id)) & int(network.hostmask)
    return str(ipaddress.IPv6Address(int(network.network_address) | low_bits))
