# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that a host's wildcard does not answer for, because a host below them exists (RFC 4592, 2.2.2).

A name without records exists in a zone if a name below it has records. A wildcard answers neither for such a name, an
empty non-terminal, nor for names below it.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, select

from ddnsd.db.bulk_hosts import among
from ddnsd.db.rows import Host, endings
from ddnsd.db.schema import hosts, related

DEEP = "%.%.%"
"""Names, within their domain, of hosts that can have an empty non-terminal between them and the host of a wildcard."""

MOST = 10_000
"""Maximum number of such hosts that are read at once."""


class EmptyNonTerminal(NamedTuple):
    """An empty non-terminal: the wildcard is that of `host`, and the host `below` makes the name exist."""

    name: str
    host: str
    below: str


def _is_deep(host: Host) -> bool:
    return host.name.count(".") >= 2


def of_hosts(connection: Connection, found: Collection[Host]) -> dict[str, list[EmptyNonTerminal]]:
    """Empty non-terminals by full names of hosts: those above a host, and those below a host with a wildcard.

    Sorted by name, each once. Hosts without any are missing.
    """
    deep = [(host.fqdn, host.domain) for host in found if _is_deep(host)]
    wild = {host.fqdn for host in found if host.wildcard}
    if wild:
        deep += _deep_hosts(connection, {host.domain_id for host in found if host.wildcard}, wild)
    if not deep:
        return {}
    taken = _taken(connection, {name for fqdn, zone in deep for name in _above(fqdn, zone)})
    names = {host.fqdn for host in found}
    by_host: dict[str, dict[str, EmptyNonTerminal]] = {}
    for fqdn, zone in sorted(set(deep)):
        for empty in _empty_above(fqdn, zone, taken):
            for owner in {empty.below, empty.host} & names:
                by_host.setdefault(owner, {}).setdefault(empty.name, empty)
    return {fqdn: sorted(empties.values()) for fqdn, empties in by_host.items()}


def _deep_hosts(connection: Connection, domain_ids: set[int], wild: set[str]) -> list[tuple[str, str]]:
    """(full name, domain) of hosts that may be below the hosts `wild`."""
    within: list[ColumnElement[bool]] = [hosts.c.domain_id.in_(domain_ids), hosts.c.name.like(DEEP)]
    if len(wild) == 1:
        within.append(hosts.c.fqdn.endswith("." + next(iter(wild))))
    query = select(hosts.c.fqdn, hosts.c.name).where(*within).order_by(hosts.c.fqdn).limit(MOST)
    return [(row.fqdn, row.fqdn.removeprefix(row.name + ".")) for row in connection.execute(query)]


def _above(fqdn: str, zone: str) -> Iterator[str]:
    """The names above a name, below the apex of its zone, from the closest one."""
    for name in endings(fqdn)[1:]:
        if name == zone:
            return
        yield name


def _taken(connection: Connection, names: set[str]) -> dict[str, bool]:
    """Those of the names that hosts and related names have, and whether it is a host with a wildcard."""
    found = dict.fromkeys(
        connection.scalars(select(related.c.fqdn).where(among(connection, related.c.fqdn, names))), False
    )
    query = select(hosts.c.fqdn, hosts.c.wildcard).where(among(connection, hosts.c.fqdn, names))
    return found | {row.fqdn: bool(row.wildcard) for row in connection.execute(query)}


def _empty_above(fqdn: str, zone: str, taken: Mapping[str, bool]) -> list[EmptyNonTerminal]:
    """The empty non-terminals between a host and the closest host above it, if that has a wildcard."""
    names: list[str] = []
    for name in _above(fqdn, zone):
        if name in taken:
            return [EmptyNonTerminal(empty, name, fqdn) for empty in names] if taken[name] else []
        names.append(name)
    return []
