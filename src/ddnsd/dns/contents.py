# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out whether a zone belongs to this database: whose names does it have?

A zone that the service has created has its hosts, and few names beside them. If most of its names are unknown, the
database is empty, older, or another one's. Then nothing must be repaired before the right database is back.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from ddnsd.db import removals, watched
from ddnsd.db.base import Store
from ddnsd.db.rows import Domain
from ddnsd.dns.message import CNAME, DHCID, NS
from ddnsd.dns.obstacles import between
from ddnsd.dns.places import kinds_of, places_of
from ddnsd.dns.zone_transfer import State, Transfer, state_of

ROWS = 1000
"""Hosts that are read at once."""

SUSPICIOUS = 3
"""Fewer unknown names are an operator's own."""

SAMPLE = 500
"""Unknown names that are looked up among removed ones."""

SHOWN = 3

OUR_LABELS = ("_ddnsd", "_ddnsd-probe")
OUR_PREFIX = "ddnsd-check-"
"""Names that the service itself writes."""


class Contents(NamedTuple):
    """How many names of a zone the database has, how many it does not have, and some of those."""

    known: int
    unknown: int
    examples: tuple[str, ...] = ()


async def contents(store: Store, domain: Domain, known: int, unknown: Sequence[str]) -> Contents:
    """The contents of a zone with so many `known` names of hosts, and these `unknown` ones. Raises StoreDown."""
    if unknown and _is_suspicious(known, len(unknown)):  # removed hosts may still be there
        sample = unknown[:SAMPLE]
        removed = await store.read(lambda c: removals.names_among(c, domain.id, sample))
        unknown = [] if removed.issuperset(sample) else [name for name in unknown if name not in removed]
    return Contents(known, len(unknown), tuple(unknown[:SHOWN]))


async def of_transfer(store: Store, domain: Domain, found: Transfer, name_servers: Collection[str]) -> Contents:
    """The contents of a zone that was transferred as a whole. Raises StoreDown."""
    logs, known, after = dict(found.logs), 0, 0
    while True:
        part = await store.read(lambda c, after=after: watched.slice_of_domain(c, domain.id, after, ROWS))  # type: ignore[misc]
        if not part.hosts:
            break
        after = part.hosts[-1].id
        for host in part.hosts:
            names = places_of(host, part.related.get(host.id, ()), part.rrsets.get(host.id, ()))
            there = [name for name in {host.fqdn, *names} if logs.pop(name, None) is not None]
            known += bool(there)
    delegated = {name for name in found.others if name != domain.name and state_of(logs.get(name, b"")).has(NS)}
    unknown = [
        name
        for name, log in logs.items()
        if is_a_host(domain.name, name, state_of(log), name_servers) and not is_below(delegated, name, domain.name)
    ]
    return await contents(store, domain, known, unknown)


def is_a_host(zone: str, name: str, state: State, name_servers: Collection[str]) -> bool:
    """Whether a name looks like that of a host: it has such records, and is neither the service's nor another's."""
    if name == zone or name in name_servers or is_of_service(zone, name):
        return False
    return bool(kinds_of(state)) and not state.has(NS, DHCID, CNAME)


def is_below(delegated: Collection[str], name: str, zone: str) -> bool:
    """Whether a name above is one of the delegated ones: then it is that of a name server (glue)."""
    return bool(delegated) and not set(between(name, zone)).isdisjoint(delegated)


def is_of_service(zone: str, name: str) -> bool:
    """Whether the service itself writes the name, to mark or to try the zone."""
    label = name.removesuffix(f".{zone}")
    return label in OUR_LABELS or label.startswith(OUR_PREFIX)


def _is_suspicious(known: int, unknown: int) -> bool:
    return unknown >= max(SUSPICIOUS, known + 1)


def problem(domain: Domain, found: Contents) -> str | None:
    """The suspicion that the database is a wrong one, or None. Zones that others made may have names of others.

    So may zones that members of a Kerberos realm write.
    """
    if not domain.provisioned or domain.gss_realm is not None or not _is_suspicious(found.known, found.unknown):
        return None
    return (
        f"the zone has {found.unknown} names that the database does not have ({', '.join(found.examples)}, …), and "
        f"only {found.known} that it has: is this the right database? Compare DDNSD_DATABASE_URL (`ddnsd settings`) "
        "with the former one, or restore a backup. If the names are not needed, remove them by `nsupdate`"
    )
