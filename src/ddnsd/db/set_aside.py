# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts, RRsets and removals that name servers refuse, each with the reason and the time of the next try.

A row is deleted with its object, or when the name server accepts it. Foreign records that have a host's name (`held`)
concern the host's owner; everything else concerns the operator, who may skip it: then it is not retried until the host
or the RRset changes.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, Table, and_, case, delete, exists, func, literal, or_, select, update

from ddnsd.db import history, queries
from ddnsd.db.bulk_hosts import among
from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.history import SERVICE
from ddnsd.db.pending import ASKED_FOR
from ddnsd.db.rows import Host
from ddnsd.db.schema import domains, hosts, pending, removals, rrsets, set_aside

SECOND = 1_000_000

FIRST_PAUSE, LONGEST_PAUSE = 30 * SECOND, 3600 * SECOND
"""First and longest pause between two tries; it doubles."""

HELD_FIRST_PAUSE, HELD_LONGEST_PAUSE = 5 * SECOND, 300 * SECOND
"""The same for a host with a foreign record, which should return soon after the record is removed."""

NEVER = 2**62
"""The time of the next try of skipped objects."""

EXAMPLES = 3
"""Names per reason in a summary."""

CONFLICT_LENGTH = 255

REMOVAL_NOTE = " (removal)"
"""The end of the name of a removal."""

OF: dict[str, Table] = {"host_id": hosts, "rrset_id": rrsets, "removal_id": removals}
"""Columns for the object of a row."""


class Aside(NamedTuple):
    """A refused object: `column` is a key of `OF`, `name` the text for operators."""

    domain_id: int
    column: str
    item_id: int
    name: str
    reason: str
    held: bool = False


class Due(NamedTuple):
    """An RRset to retry with its host."""

    domain_id: int
    host_id: int
    rrset_id: int


class Refused(NamedTuple):
    """Objects refused in a zone for one reason: number, since (microseconds), and some names."""

    zone: str
    reason: str
    total: int
    since: int
    names: tuple[str, ...]


_COUNTED = ~set_aside.c.held, ~set_aside.c.skipped


# ---- reading --------------------------------------------------------------------------------------------------------


def refused(connection: Connection, zones: Collection[str] | None = None) -> list[Refused]:
    """Refused objects by zone and reason, oldest first; of all zones, or only those given.

    Without skipped objects, and without hosts whose names foreign records have.
    """
    count, since = func.count(), func.min(set_aside.c.since)
    query = select(domains.c.id, domains.c.name, set_aside.c.reason, count, since).join_from(set_aside, domains)
    query = query.where(*_COUNTED)
    if zones is not None:
        query = query.where(among(connection, domains.c.name, zones))
    found = connection.execute(query.group_by(domains.c.id, domains.c.name, set_aside.c.reason).order_by(since)).all()
    return [
        Refused(zone, reason, number, oldest, _examples(connection, domain_id, reason))
        for domain_id, zone, reason, number, oldest in found
    ]


def _examples(connection: Connection, domain_id: int, reason: str) -> tuple[str, ...]:
    which = set_aside.c.domain_id == domain_id, set_aside.c.reason == reason, *_COUNTED
    query = select(set_aside.c.name).where(*which).order_by(set_aside.c.since, set_aside.c.id).limit(EXAMPLES)
    return tuple(connection.scalars(query))


def counts(connection: Connection) -> dict[int, int]:
    """Numbers of refused objects by domain id, without skipped ones."""
    query = select(set_aside.c.domain_id, func.count()).where(*_COUNTED).group_by(set_aside.c.domain_id)
    return {row[0]: row[1] for row in connection.execute(query)}


def skipped_hosts(connection: Connection, domain_id: int) -> set[int]:
    """The ids of a domain's skipped hosts."""
    query = select(set_aside.c.host_id).where(set_aside.c.domain_id == domain_id, set_aside.c.skipped)
    return set(connection.scalars(query.where(set_aside.c.host_id.is_not(None))))


def due_rrsets(connection: Connection, limit: int) -> list[Due]:
    """RRsets that are due, of hosts that are not set aside themselves. Without those of frozen domains."""
    query = select(hosts.c.domain_id, hosts.c.id, rrsets.c.id).join_from(rrsets, hosts)
    query = query.join(set_aside, set_aside.c.rrset_id == rrsets.c.id).where(set_aside.c.retry_at <= queries.now())
    query = query.where(hosts.c.domain_id.not_in(queries.FROZEN_DOMAINS))
    query = query.where(hosts.c.id.not_in(select(set_aside.c.host_id).where(set_aside.c.host_id.is_not(None))))
    return [Due._make(row) for row in connection.execute(query.order_by(set_aside.c.retry_at).limit(limit))]


def still_due(connection: Connection, rrset_ids: Collection[int]) -> set[int]:
    """Which of these RRsets are due. An operator may have skipped others since they were."""
    query = select(set_aside.c.rrset_id).where(set_aside.c.retry_at <= queries.now())
    return set(connection.scalars(query.where(among(connection, set_aside.c.rrset_id, rrset_ids))))


def resolved(connection: Connection) -> list[int]:
    """Rows of objects that another process has published without knowing that they were set aside."""
    # a lookup per row: a list of all finished removals would be built each time
    done = (
        and_(set_aside.c.host_id.is_not(None), ~exists().where(pending.c.host_id == set_aside.c.host_id)),
        exists().where(rrsets.c.id == set_aside.c.rrset_id, rrsets.c.conflict.is_(None)),
        exists().where(removals.c.id == set_aside.c.removal_id, removals.c.dirty_since.is_(None)),
    )
    return list(connection.scalars(select(set_aside.c.id).where(or_(*done))))


def reasons(connection: Connection, column: str, ids: Collection[int]) -> dict[int, str]:
    """The reasons of those that were set aside."""
    item = set_aside.c[column]
    query = select(item, set_aside.c.reason).where(among(connection, item, ids))
    return {row[0]: row[1] for row in connection.execute(query)}


# ---- changing -------------------------------------------------------------------------------------------------------


def put(connection: Connection, items: Sequence[Aside]) -> list[Aside]:
    """Set objects aside, again or for the first time. Returns those that are new or have a new reason."""
    ids: dict[str, list[int]] = {}
    for item in items:
        ids.setdefault(item.column, []).append(item.item_id)
    for column in ids.keys() - {"host_id"}:  # skipped ones are sent only after a change: see `put_host` for hosts
        end_skip(connection, column, ids[column])
    before = {(column, n): why for column, some in ids.items() for n, why in reasons(connection, column, some).items()}
    there = [item for item in items if _upsert(connection, item)]
    return [item for item in there if before.get((item.column, item.item_id)) != item.reason]


def _upsert(connection: Connection, item: Aside) -> bool:
    moment, table = queries.now(), OF[item.column]
    values = {
        "domain_id": item.domain_id,
        item.column: table.c.id,
        "name": item.name,
        "reason": item.reason,
        "held": item.held,
        "since": moment,
        "tries": 0,
        "retry_at": moment + _pause(item.held, 0),
    }
    rows = select(*(v if v is table.c.id else literal(v, set_aside.c[n].type) for n, v in values.items()))
    statement = insert_into(connection.dialect.name, set_aside).from_select(
        list(values), rows.where(table.c.id == item.item_id)
    )
    again = _next_try(item, moment)
    # a client that repeats its request does not increase the pause
    was_due = set_aside.c.retry_at <= moment
    new = {
        "domain_id": item.domain_id,  # a renamed host may be in another domain
        "reason": item.reason,
        "held": item.held,
        "name": item.name,
        "tries": set_aside.c.tries + case((was_due, 1), else_=0),
        "retry_at": case((was_due, again), else_=set_aside.c.retry_at),
    }
    return connection.execute(statement.on_conflict_do_update(index_elements=[item.column], set_=new)).rowcount > 0


def _next_try(item: Aside, moment: int) -> Any:
    times = [literal(moment + _pause(item.held, tries), BigInteger) for tries in range(1, 8)]
    return case(*((set_aside.c.tries + 1 == tries, time) for tries, time in enumerate(times, 1)), else_=times[-1])


def _pause(held: bool, tries: int) -> int:
    first, longest = (HELD_FIRST_PAUSE, HELD_LONGEST_PAUSE) if held else (FIRST_PAUSE, LONGEST_PAUSE)
    return min(first << tries, longest)


def take_back(connection: Connection, column: str, ids: Collection[int]) -> None:
    """Delete the rows of accepted objects."""
    connection.execute(delete(set_aside).where(among(connection, set_aside.c[column], ids)))


def end_skip(connection: Connection, column: str, ids: Collection[int]) -> None:
    """Delete the rows of skipped objects that have changed since."""
    connection.execute(delete(set_aside).where(among(connection, set_aside.c[column], ids), set_aside.c.skipped))


def forget(connection: Connection, ids: Collection[int]) -> None:
    """Delete the rows of `settled`."""
    connection.execute(delete(set_aside).where(among(connection, set_aside.c.id, ids)))


# ---- operators ------------------------------------------------------------------------------------------------------


def retry(connection: Connection, ids: Collection[int]) -> None:
    """Make these rows due now."""
    due = update(set_aside).where(among(connection, set_aside.c.id, ids))
    connection.execute(due.values(retry_at=queries.now(), tries=0, skipped=False))


def skip(connection: Connection, ids: Collection[int]) -> None:
    """Do not retry these rows, and do not count them as faults."""
    never = update(set_aside).where(among(connection, set_aside.c.id, ids))
    connection.execute(never.values(retry_at=NEVER, skipped=True))


# ---- hosts ----------------------------------------------------------------------------------------------------------


def put_host(
    connection: Connection, host: Host, reason: str, *, conflict: str | None = None, tell: bool = False
) -> list[Aside]:
    """Set the host aside. Returns the new entries. It stays pending, and skipped unless it has changed.

    With a `conflict` it is held: a foreign record has the name. `reason` is the sentence for people; with `tell` it is
    also in the host's history.
    """
    if connection.scalar(select(pending.c.since).where(pending.c.host_id == host.id)) != ASKED_FOR:
        end_skip(connection, "host_id", [host.id])
    _wait(connection, host)
    if conflict is not None:
        _hold(connection, host, reason[:CONFLICT_LENGTH], conflict, tell=tell)
    held = conflict is not None
    return put(connection, [Aside(host.domain_id, "host_id", host.id, host.fqdn, reason, held)])


def _wait(connection: Connection, host: Host) -> None:
    """Mark the version as pending, without a message under way."""
    row = pending.c.host_id == host.id, pending.c.version == host.version
    connection.execute(update(pending).where(*row).values(since=ASKED_FOR))
    current = select(hosts.c.id, hosts.c.version, literal(ASKED_FOR))
    missing = current.where(hosts.c.id == host.id, hosts.c.version == host.version)
    statement = insert_into(connection.dialect.name, pending).from_select(pending.c.keys(), missing)
    connection.execute(statement.on_conflict_do_nothing())


def _hold(connection: Connection, host: Host, reason: str, conflict: str, *, tell: bool) -> None:
    same = hosts.c.id == host.id, hosts.c.fqdn == host.fqdn
    connection.execute(update(hosts).where(*same).values(conflict=conflict))
    if tell and host.conflict not in (conflict, reason):  # earlier versions stored the reason
        queries.add_event(connection, SERVICE.actor, "host.held", host.fqdn, None, reason, owner_id=host.owner_id)
        history.add(connection, [history.entry(host.id, host.owner_id, "held", SERVICE, note=reason)])


def tell_taken_back(connection: Connection, host: Host, reason: str | None) -> None:
    """Tell in events and history that the host is back in DNS; `reason` is the sentence for the former conflict."""
    queries.add_event(connection, SERVICE.actor, "host.resumed", host.fqdn, None, reason, owner_id=host.owner_id)
    history.add(connection, [history.entry(host.id, host.owner_id, "resumed", SERVICE, note=reason)])
