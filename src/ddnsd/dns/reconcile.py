# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare database and zone, and send differences again.

The zone is read by AXFR (RFC 5936), so the name server must let our key transfer it. Names that we never had are not
a difference: the zone may have records of its operator.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Set
from typing import NamedTuple

import dns.rdatatype
from sqlalchemy import Connection

from ddnsd.db import queries, set_aside
from ddnsd.db import records as rrsets
from ddnsd.db.base import Store
from ddnsd.db.rows import Domain, Host, Related, Removal, RRset
from ddnsd.dns import errors, zone_transfer
from ddnsd.dns.conflicts import Kind, Obstacle
from ddnsd.dns.message import CNAME
from ddnsd.dns.obstacles import ABOVE, OWN, between
from ddnsd.dns.pacing import Pacer
from ddnsd.dns.places import found_at, kinds_of, texts
from ddnsd.dns.records import record_sets, records, values_removed
from ddnsd.dns.writer import Outcomes
from ddnsd.dns.writer import Place as RemovalPlace

SECOND_LOOK_SECONDS = 0.5

STILL_DIFFERS = "DNS differs again"

Follow = Callable[[Mapping[int, Iterable[int]], Mapping[RemovalPlace, Collection[str]]], Awaitable[Outcomes]]
"""The signature of `Writer.push_bulk`."""


class Difference(NamedTuple):
    """A difference: the values `wanted` by the database and `found` in the zone; `rtype` is None for addresses.

    `reason` is the foreign record in the way, or why the repair failed.
    """

    fqdn: str
    rtype: str | None
    wanted: tuple[str, ...]
    found: tuple[str, ...]
    host_id: int | None
    removal_id: int | None
    reason: str | None = None

    @property
    def place(self) -> "Place":
        """Name and type of the difference."""
        return self.fqdn, self.rtype


Place = tuple[str, str | None]
"""A name and the type of an RRset, or None for addresses."""

Sets = dict[Place, tuple[str, ...]]


class Zone(NamedTuple):
    """The contents of a zone: `sets` of types that may be ours, and `foreign` types by name that may be in the way.

    `types` has all types by name, without those that the name server adds for DNSSEC.
    """

    sets: Sets
    foreign: Mapping[str, Set[int]]
    types: Mapping[str, Set[str]]


async def differences(store: Store, domain: Domain) -> list[Difference]:
    """The differences that two comparisons both find, so that a change under way does not count. Without skipped hosts.

    Raises DnsError, StoreDown.
    """
    first = await _look(store, domain)
    if not first:
        return []
    await asyncio.sleep(SECOND_LOOK_SECONDS)
    before = set(first)
    return [d for d in await _look(store, domain) if d in before]


async def restore(store: Store, domain: Domain, found: list[Difference], push_bulk: Follow) -> list[Difference]:
    """Send differences again; return those that are left, with the reasons.

    Raises DnsError if the name server does not answer in time, and StoreDown.
    """
    await repair(store, found)
    hosts = {d.host_id: None for d in found if d.host_id is not None}
    names = {d.fqdn for d in found if d.removal_id is not None}
    outcomes = await push_bulk({domain.id: list(hosts)}, {(domain.id, ""): names} if names else {})
    if len(outcomes) < len(hosts) + bool(names) or any(map(_is_late, outcomes.values())):
        raise errors.Unreachable(f"the name server of {domain.name} does not answer in time")
    places = {d.place for d in found}
    left = [d for d in await differences(store, domain) if d.place in places]
    return await store.read(lambda c: _with_reasons(c, left)) if left else []


def _is_late(outcome: BaseException | None) -> bool:
    return isinstance(outcome, errors.NotAcknowledged) and not isinstance(outcome, errors.ChangeRefused)


def _with_reasons(connection: Connection, left: list[Difference]) -> list[Difference]:
    hosts = set_aside.reasons(connection, "host_id", [d.host_id for d in left if d.host_id is not None])
    removals = set_aside.reasons(connection, "removal_id", [d.removal_id for d in left if d.removal_id is not None])
    return [
        d._replace(reason=d.reason or hosts.get(d.host_id or 0) or removals.get(d.removal_id or 0) or STILL_DIFFERS)
        for d in left
    ]


async def repair(store: Store, found: list[Difference]) -> None:
    """Mark differences as pending. Raises StoreDown."""
    hosts = {d.host_id for d in found if d.host_id is not None}
    removals = [d.removal_id for d in found if d.removal_id is not None]

    def mark(connection: Connection) -> None:
        queries.wish_again(connection, hosts)
        queries.remove_again(connection, removals)

    await store.transact(mark)


async def _look(store: Store, domain: Domain) -> list[Difference]:
    zone = await zone_of(domain)
    return await store.read(lambda c: _compare(c, domain, zone))


def _compare(connection: Connection, domain: Domain, zone: Zone) -> list[Difference]:
    found: list[Difference] = []
    related = queries.related_of_domain(connection, domain.id)
    sets = rrsets.of_domain(connection, domain.id)
    seen: set[Place] = set()
    skipped = set_aside.skipped_hosts(connection, domain.id)
    for host in queries.hosts_of_domain(connection, domain.id):
        wanted = wanted_of(host, related.get(host.id, ()), sets.get(host.id, ()))
        seen.update(wanted)
        if not host.claimed and host.conflict is not None:
            continue  # the name belongs to somebody else
        if host.id in skipped:
            continue
        if obstacle := zone.foreign and _obstacle(zone, domain.name, host, wanted):
            found += [Difference(*p, v, (), host.id, None, f"held: {obstacle}") for p, v in wanted.items() if v]
            continue
        for place, values in wanted.items():
            if (there := zone.sets.get(place, ())) != values:
                found.append(Difference(*place, values, there, host.id, None))
    for removal in queries.removed_names(connection, domain.id):
        place = removal.fqdn, removal.rtype
        if place not in seen and not _hidden(zone, domain.name, removal.fqdn) and (back := came_back(removal, zone)):
            seen.add(place)
            found.append(Difference(*place, (), back, None, removal.id))
    return found


def _obstacle(zone: Zone, apex: str, host: Host, wanted: Iterable[Place]) -> Obstacle | None:
    """The foreign record at one of a host's names or above, or None."""
    for fqdn, rtype in wanted:
        if reason := _hidden(zone, apex, fqdn):
            return reason
        for number, kind in OWN.items():
            ours = number == CNAME and host.aliased
            if rtype is None and not ours and number in zone.foreign.get(fqdn, ()):
                return kind.at(fqdn)
    return None


def _hidden(zone: Zone, apex: str, fqdn: str) -> Obstacle | None:
    """The record above the name that delegates or redirects it, or None."""
    if dns.rdatatype.DNAME in zone.foreign.get(apex, ()):
        return Kind.REDIRECTED.at(apex)
    for parent in reversed(between(fqdn, apex)):
        found = zone.foreign.get(parent, set())
        for number, kind in ABOVE.items():
            if number in found:
                return kind.at(parent)
    return None


def wanted_of(host: Host, related: Iterable[Related], sets: Iterable[RRset]) -> Sets:
    """The values that the zone should have for the host, by place; empty for none."""
    wanted: Sets = {}
    for name in records(host, related):
        wanted[name.fqdn, None] = tuple(sorted(name.values))
    for one in record_sets(host, sets):
        wanted[one.fqdn, one.rtype] = tuple(sorted(one.values))
    return wanted


def came_back(removal: Removal, zone: Zone) -> tuple[str, ...]:
    """The values at a removed place, if they are those that were removed; others belong to somebody else."""
    held, left = zone.sets.get((removal.fqdn, removal.rtype), ()), values_removed(removal)
    return held if held and left.issuperset(held) else ()


async def zone_of(domain: Domain) -> Zone:
    """The relevant contents of the zone, by AXFR, with sorted values. Raises DnsError."""
    pacer = Pacer()
    logs = (await zone_transfer.fetch(domain, pacer=pacer)).logs
    found: Sets = {}
    types: dict[str, set[str]] = {}
    foreign: dict[str, set[int]] = {}
    while logs:
        name, log = logs.popitem()
        state = zone_transfer.state_of(log)
        types[name] = {dns.rdatatype.to_text(dns.rdatatype.RdataType(rtype)) for rtype, _ in state.records}
        for kind in kinds_of(state):
            found[name, kind] = texts(found_at(state, kind, frozenset()))
        if others := {rtype for rtype, _ in state.records if rtype in OWN}:
            foreign[name] = others
        await pacer.turn()
    foreign.get(domain.name, set()).discard(dns.rdatatype.NS)  # its own
    return Zone(found, foreign, types)
