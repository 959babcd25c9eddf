# SPDX-License-Identifier: GPL-3.0-or-later
"""What the zones should have, for their comparison with the database; and the marks of what must be sent again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, Select, exists, select, update

from ddnsd.db import history, queries, records
from ddnsd.db.bulk_hosts import among
from ddnsd.db.history import SERVICE
from ddnsd.db.lookups import Lookup
from ddnsd.db.pending import lock
from ddnsd.db.rows import Related, Removal, RRset, Watched
from ddnsd.db.schema import hosts, pending, related, removals, rrsets, set_aside, users
from ddnsd.db.sqlite import SqliteStore

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore

EVENTS = 100
"""Repaired hosts of one comparison with an event each; more have one event together."""

EXAMPLES = 3
"""Names in an event."""

DRIVER_SECONDS = 6e-6
"""Processor time of a row on PostgreSQL: its driver shares the event loop with other tasks, so it is not measured."""

_BELOW = 500

WATCHED: Select[Any] = select(
    *(hosts.c[name] for name in Watched._fields[:-4]),
    users.c.withdrawn,
    pending.c.since,
    exists().where(related.c.host_id == hosts.c.id),
    exists().where(set_aside.c.host_id == hosts.c.id),
).select_from(hosts.join(users, users.c.id == hosts.c.owner_id).outerjoin(pending, pending.c.host_id == hosts.c.id))


class Repair(NamedTuple):
    """A host to be sent again: `found` and `wanted` are values by name and type; none if it is only tried again."""

    host: Watched
    found: Mapping[str, Sequence[str]]
    wanted: Mapping[str, Sequence[str]]


class WatchedRows:
    """Looks up the rows of names. Raises StoreDown."""

    def __init__(self, store: "SqliteStore | PostgresStore") -> None:
        self.row_seconds = None if isinstance(store, SqliteStore) else DRIVER_SECONDS
        """Processor time per row where it cannot be measured, or None."""
        self._by_name = Lookup(store, WATCHED, hosts.c.fqdn, Watched._make)
        self._related = Lookup(store, queries.RELATED, related.c.host_id, Related._make)
        self._rrsets = Lookup(store, records.RRSET, rrsets.c.host_id, RRset._make)

    async def hosts(self, names: Iterable[str]) -> dict[str, Watched]:
        """The hosts with these names."""
        found = await self._by_name.many(list(names))
        return {name: rows[0] for name, rows in found.items()}

    async def related(self, found: Iterable[Watched]) -> dict[int, list[Related]]:
        """The related names by host id."""
        ids = [host.id for host in found if host.has_related]
        return await self._related.many(ids) if ids else {}

    async def rrsets(self, found: Iterable[Watched]) -> dict[int, list[RRset]]:
        """The RRsets by host id."""
        ids = [host.id for host in found if host.has_rrsets]
        return await self._rrsets.many(ids) if ids else {}


# ---- reading a whole zone


class Slice(NamedTuple):
    """Hosts of a zone with ids above the last slice, and their related names and RRsets by host id."""

    hosts: list[Watched]
    related: dict[int, list[Related]]
    rrsets: dict[int, list[RRset]]


def slice_of_domain(connection: Connection, domain_id: int, after: int, limit: int) -> Slice:
    """The next hosts of the domain, by id."""
    query = WATCHED.where(hosts.c.domain_id == domain_id, hosts.c.id > after).order_by(hosts.c.id).limit(limit)
    found = [Watched._make(row) for row in connection.execute(query)]
    with_related = [host.id for host in found if host.has_related]
    with_rrsets = [host.id for host in found if host.has_rrsets]
    sets: dict[int, list[RRset]] = {}
    for one in records.below(connection, with_rrsets) if with_rrsets else ():
        sets.setdefault(one.host_id, []).append(one)
    return Slice(found, queries.related_of(connection, with_related), sets)


def removed_at(connection: Connection, domain_id: int, names: Sequence[str]) -> list[Removal]:
    """The finished removals at these names."""
    query = select(*(removals.c[name] for name in Removal._fields))
    query = query.where(removals.c.domain_id == domain_id, removals.c.dirty_since.is_(None), removals.c.fqdn.in_(names))
    return [Removal._make(row) for row in connection.execute(query)]


def below(connection: Connection, domain_id: int, name: str, after: int, *, held: bool) -> list[Watched]:
    """The next hosts at or below the name, by id: those whose name a foreign record has, or the others."""
    within = (hosts.c.fqdn == name) | hosts.c.fqdn.endswith("." + name, autoescape=True)
    query = WATCHED.where(hosts.c.domain_id == domain_id, hosts.c.id > after, within)
    query = query.where(hosts.c.conflict.is_not(None) if held else hosts.c.conflict.is_(None))
    return [Watched._make(row) for row in connection.execute(query.order_by(hosts.c.id).limit(_BELOW))]


# ---- marking


def send_again(connection: Connection, repairs: Sequence[Repair], zone: str, owner_id: int) -> list[Repair]:
    """Mark hosts as pending, unless they have changed since; tell their owners. Returns those that were marked."""
    lock(connection, [repair.host.id for repair in repairs])
    query = select(hosts.c.id, hosts.c.version).where(
        among(connection, hosts.c.id, [repair.host.id for repair in repairs])
    )
    versions: dict[int, int] = {row.id: row.version for row in connection.execute(query)}
    marked = [repair for repair in repairs if versions.get(repair.host.id) == repair.host.version]
    queries.wish_again(connection, [repair.host.id for repair in marked])
    _tell(connection, [repair for repair in marked if repair.found or repair.wanted], zone, owner_id)
    return marked


def _tell(connection: Connection, repairs: Sequence[Repair], zone: str, owner_id: int) -> None:
    entries = [
        history.entry(host.id, host.owner_id, "repaired", SERVICE, {"zone": dict(found)}, {"zone": dict(wanted)})
        for host, found, wanted in repairs
    ]
    history.add(connection, entries)
    if len(repairs) > EVENTS:
        detail = f"{len(repairs)} hosts"
        queries.add_event(connection, SERVICE.actor, "domain.repaired", zone, None, detail, owner_id=owner_id)
        return
    for host, found, wanted in repairs:
        detail = "; ".join(
            f"{place}: {_text(found.get(place))} instead of {_text(wanted.get(place))}" for place in {**wanted, **found}
        )
        queries.add_event(connection, SERVICE.actor, "host.repaired", host.fqdn, None, detail, owner_id=host.owner_id)


def _text(values: Sequence[str] | None) -> str:
    return ", ".join(values or ()) or "nothing"


def remove_again(connection: Connection, removed: Sequence[Removal], zone: str, owner_id: int) -> None:
    """Mark removals as pending, because their records came back."""
    queries.remove_again(connection, [removal.id for removal in removed])
    names = ", ".join(sorted({removal.fqdn for removal in removed})[:EXAMPLES])
    detail = f"{len(removed)} removed records came back: {names}"
    queries.add_event(connection, SERVICE.actor, "domain.repaired", zone, None, detail, owner_id=owner_id)


def try_rrsets(connection: Connection, ids: Iterable[int]) -> None:
    """Let RRsets that were set aside, and not skipped, be sent with the next sweep."""
    given = among(connection, set_aside.c.rrset_id, list(ids)), ~set_aside.c.skipped
    connection.execute(update(set_aside).where(*given).values(retry_at=queries.now()))
