# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for thousands of rows at once.

On PostgreSQL a transaction runs in the event loop, so each step must be short: rows are read and written in slices, and
`aside` runs long computations.
"""

import asyncio
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    String,
    Table,
    Update,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    update,
)

from ddnsd.db import history, host_edits, pointer_marks, queries, rows
from ddnsd.db.bulk_sql import Given, for_each, upsert
from ddnsd.db.schema import domains, events, hosts, pending, related, removals, users

T = TypeVar("T")

SLICE = 500


class NewRemoval(NamedTuple):
    """A name to remove from a zone; `exact`: only these values, because the name may not be ours.

    With an `rtype` the values are the lines of `data`, otherwise addresses, and the target of a CNAME record.
    """

    domain_id: int
    fqdn: str
    ipv4: str | None
    ipv6: str | None
    alias: str | None
    exact: bool
    rtype: str | None = None
    data: str | None = None


class Event(NamedTuple):
    """An entry of the audit trail. `hides_source`: its reader may not see the address of the actor."""

    action: str
    object: str
    owner_id: int
    detail: str | None
    hides_source: bool = False


def aside(connection: Connection, work: Callable[[], T]) -> T:
    """Run a long computation without a query and without blocking the event loop."""
    if connection.dialect.name != "postgresql":
        return work()  # SQLite's transactions run in their own thread
    adapted: Any = connection.connection.dbapi_connection
    answer: T = adapted.run_async(lambda _driver: asyncio.to_thread(work))
    return answer


# ---- reading --------------------------------------------------------------------------------------------------------


def lock_hosts(connection: Connection, names: Collection[str]) -> None:
    """Lock the hosts of these names until the end of the transaction, in the order of their ids."""
    if connection.dialect.name == "postgresql":
        query = select(hosts.c.id).where(among(connection, hosts.c.fqdn, names)).order_by(hosts.c.id)
        connection.execute(query.with_for_update(key_share=True))


def hold_domains(connection: Connection, names: Collection[str]) -> None:
    """Lock the domains among the names until the end of the transaction; call it before a host is locked."""
    if connection.dialect.name == "postgresql":
        query = select(domains.c.id).where(among(connection, domains.c.name, names)).order_by(domains.c.id)
        connection.execute(query.with_for_update(read=True, key_share=True))


def hosts_named(connection: Connection, names: Collection[str]) -> list[rows.Host]:
    """The hosts of full `names`."""
    return [
        rows.Host._make(row)
        for part in _slices(list(names))
        for row in connection.execute(queries.HOST.where(among(connection, hosts.c.fqdn, part)))
    ]


def domains_named(connection: Connection, names: Collection[str]) -> list[rows.Domain]:
    """The domains of these names."""
    found = connection.execute(queries.DOMAIN.where(among(connection, domains.c.name, names)))
    return [rows.Domain._make(row) for row in found]


def related_named(connection: Connection, names: Collection[str]) -> set[str]:
    """Those of the names that are related names of hosts."""
    if not names:
        return set()
    return set(connection.scalars(select(related.c.fqdn).where(among(connection, related.c.fqdn, names))))


def related_of(connection: Connection, host_ids: Collection[int]) -> dict[int, list[rows.Related]]:
    """Related names by their host's id."""
    found: dict[int, list[rows.Related]] = {}
    query = select(*(related.c[name] for name in rows.Related._fields))
    for row in connection.execute(query.where(among(connection, related.c.host_id, host_ids))):
        found.setdefault(row.host_id, []).append(rows.Related._make(row))
    return found


def names_being_removed(connection: Connection, names: Collection[str]) -> set[str]:
    """Those of the names with a pending removal: they are in the zone and are ours."""
    if not names:
        return set()
    waiting = removals.c.dirty_since.is_not(None), ~removals.c.exact
    return set(connection.scalars(select(removals.c.fqdn).where(among(connection, removals.c.fqdn, names), *waiting)))


def names_above_others(
    connection: Connection, wanted: Collection[tuple[str, int]], besides: Collection[str]
) -> set[tuple[str, int]]:
    """Those of the (full name, owner's id) below which others have a host, in the same zone or in one below it.

    Hosts `besides` in the same zone do not count.
    """
    if not wanted:
        return set()
    found = names_above_others_in_zone(connection, wanted, besides)
    given = _given_names(connection, wanted)
    zones = select(given.fqdn, given.owner_id, domains.c.id).where(_below(domains, given))
    for row in connection.execute(zones).all():
        pair = row.fqdn, row.owner_id
        if pair not in found and _has_hosts_of_others(connection, row.id, row.owner_id):
            found.add(pair)
    return found


def names_above_others_in_zone(
    connection: Connection, wanted: Collection[tuple[str, int]], besides: Collection[str]
) -> set[tuple[str, int]]:
    """Those of the (full name, owner's id) below which others have a host in the same zone, apart from `besides`."""
    given = _given_names(connection, wanted)
    counted = hosts.c.owner_id != given.owner_id, not_(among(connection, hosts.c.fqdn, besides))
    # not EXISTS: PostgreSQL would read all hosts below a name instead of the first one
    first = select(hosts.c.id).where(_below(hosts, given), *counted).order_by(hosts.c.reversed_name).limit(1)
    query = select(given.fqdn, given.owner_id).where(first.scalar_subquery().is_not(None))
    return {(row.fqdn, row.owner_id) for row in connection.execute(query)}


def hold_hosts(connection: Connection, host_ids: Collection[int]) -> dict[int, int]:
    """Keep the names of these hosts until the end of the transaction. Returns the owners of those that exist, by id."""
    query = select(hosts.c.id, hosts.c.owner_id).where(among(connection, hosts.c.id, host_ids)).order_by(hosts.c.id)
    held = connection.execute(query.with_for_update(read=True, key_share=True))
    return {row.id: row.owner_id for row in held}


def _has_hosts_of_others(connection: Connection, domain_id: int, owner_id: int) -> bool:
    query = select(hosts.c.id).where(hosts.c.domain_id == domain_id, hosts.c.owner_id != owner_id)
    return connection.scalar(query.order_by(hosts.c.id).limit(1)) is not None


def _below(table: Table, given: "_Given") -> ColumnElement[bool]:
    names = table.c.reversed_name
    return and_(names > given.reversed_name + ".", names < given.reversed_name + "/")  # the character after the dot


class _Given(NamedTuple):
    """Columns of a table of values."""

    fqdn: ColumnElement[str]
    reversed_name: ColumnElement[str]
    owner_id: ColumnElement[int]


def _given_names(connection: Connection, wanted: Collection[tuple[str, int]]) -> _Given:
    names, owners = zip(*wanted, strict=True)
    return _given(connection, names, [rows.reversed_name(name) for name in names], owners)


def _given(connection: Connection, *values: Sequence[Any]) -> _Given:
    columns = [hosts.c[name] for name in _Given._fields]
    if connection.dialect.name == "postgresql":
        arrays = (
            bindparam(None, list(of_one), type_=ARRAY(column.type), unique=True)
            for of_one, column in zip(values, columns, strict=True)
        )
        table = func.unnest(*arrays).table_valued(*_Given._fields, name="given").render_derived()
        return _Given(*(table.c[name] for name in _Given._fields))
    row = func.json_each(literal(json.dumps(list(zip(*values, strict=True))))).table_valued("value").c.value
    found = (func.json_extract(row, f"$[{n}]", type_=column.type) for n, column in enumerate(columns))
    return _Given(*(value.label(column.name) for value, column in zip(found, columns, strict=True)))


class NamedUser(NamedTuple):
    """A user, and whether they are active."""

    name: str
    id: int
    active: bool


def users_known(connection: Connection, names: Collection[str], ids: Collection[int]) -> list[NamedUser]:
    """The users of these names or ids."""
    chosen = among(connection, users.c.name, names), among(connection, users.c.id, ids)
    found = connection.execute(select(users.c.name, users.c.id, users.c.active).where(or_(*chosen)))
    return [NamedUser._make(row) for row in found]


def lock_users(connection: Connection, names: Collection[str]) -> None:
    """Lock these users until the end of the transaction."""
    if names and connection.dialect.name == "postgresql":
        query = select(users.c.id).where(among(connection, users.c.name, names)).order_by(users.c.id)
        connection.execute(query.with_for_update(read=True))


def among(connection: Connection, column: Column[Any], keys: Collection[Any]) -> ColumnElement[bool]:
    """Any number of keys as one parameter, read as a table: no plan compares every row with every key."""
    if connection.dialect.name == "postgresql":
        array: ColumnElement[Any] = bindparam(None, list(keys), type_=ARRAY(column.type), unique=True)
        return column.in_(select(func.unnest(array)))
    return column.in_(select(func.json_each(literal(json.dumps(list(keys)))).table_valued("value").c.value))


# ---- changing -------------------------------------------------------------------------------------------------------


def insert_hosts(connection: Connection, names: Sequence[str], values: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    """Insert pending hosts, as values of the columns `names`, the first of which is `fqdn`. Returns ids by name.

    Raises IntegrityError if a name is taken.
    """
    moment = queries.now()
    # in the order of full names: two transactions that insert the same ones wait, but not for each other
    new = sorted(values, key=itemgetter(0))
    _insert(connection, hosts, (*names, "created"), [(*row, moment) for row in new])
    ids: dict[str, int] = {}
    for part in _slices([row[0] for row in new]):
        found = connection.execute(select(hosts.c.fqdn, hosts.c.id).where(among(connection, hosts.c.fqdn, part)))
        ids |= {row.fqdn: row.id for row in found}
    _mark_pending(connection, list(ids.values()))
    pointer_marks.mark(connection, ids.values())
    return ids


def update_hosts(
    connection: Connection, host_updates: Mapping[int, Mapping[str, Any]], unclaimed: Collection[int]
) -> None:
    """Write new values by host id, as pending new versions. Raises IntegrityError if a name is taken.

    `unclaimed` are hosts whose names are not known to be ours.
    """
    renamed = [(host_id,) for host_id, values in sorted(host_updates.items()) if "fqdn" in values]
    queries.remember_unclaimed(connection, list(unclaimed))
    for_each(connection, _leave_name, ["host_id"], renamed)  # hosts may swap their names
    _write(connection, _write_version, host_updates)
    _mark_pending(connection, sorted(host_updates))
    pointer_marks.mark(connection, sorted(host_updates))


def _mark_pending(connection: Connection, host_ids: Sequence[int]) -> None:
    moment = queries.now()
    for part in _slices(host_ids):
        rows = select(hosts.c.id, hosts.c.version, literal(moment)).where(among(connection, hosts.c.id, part))
        connection.execute(upsert(connection.dialect.name, pending, rows))


def _leave_name(given: Given) -> Update:
    return update(hosts).where(hosts.c.id == given["host_id"]).values(fqdn=literal("#") + cast(hosts.c.id, String))


def set_hosts(connection: Connection, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Write new values by host id, of columns that do not affect DNS."""
    _write(connection, _write_plain, changes)
    shown = {"ptr", "proved_ipv4", "proved_ipv6"}
    pointer_marks.mark(connection, sorted(host_id for host_id, values in changes.items() if shown & values.keys()))


def _write(
    connection: Connection, build: Callable[[Given], Update], host_updates: Mapping[int, Mapping[str, Any]]
) -> None:
    by_shape: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for host_id, values in sorted(host_updates.items()):
        by_shape.setdefault(tuple(values), []).append((host_id, *values.values()))
    for names, same in by_shape.items():
        for part in _slices(same):
            for_each(connection, build, ("host_id", *names), part)


def _write_plain(given: Given) -> Update:
    values = {name: value for name, value in given.items() if name != "host_id"}
    return update(hosts).where(hosts.c.id == given["host_id"]).values(**values)


def _write_version(given: Given) -> Update:
    return _write_plain(given).values(version=hosts.c.version + 1)


def leave_keys_of_others(connection: Connection, host_ids: Sequence[int]) -> None:
    """Remove hosts from the keys of users who do not own them."""
    for part in _slices(host_ids):
        host_edits.leave_keys_of_others(connection, part)


def delete_hosts(connection: Connection, host_ids: Collection[int]) -> None:
    """Delete hosts, their related names and their entries in keys."""
    pointer_marks.mark(connection, host_ids)
    for part in _slices(sorted(host_ids)):
        connection.execute(delete(hosts).where(among(connection, hosts.c.id, part)))
        connection.execute(delete(pending).where(among(connection, pending.c.host_id, part)))


def add_removals(connection: Connection, leaving: Iterable[NewRemoval]) -> None:
    """Add pending removals."""
    moment = queries.now()
    _insert(
        connection, removals, (*NewRemoval._fields, "dirty_since", "created"), [(*n, moment, moment) for n in leaving]
    )


def reclaim(connection: Connection, names: Collection[str]) -> dict[str, bool]:
    """Cancel pending removals of these names. Returns those that are still in the zone as ours; True: as an alias."""
    if not names:
        return {}
    waiting = removals.c.dirty_since.is_not(None), ~removals.c.exact, removals.c.rtype.is_(None)
    query = delete(removals).where(among(connection, removals.c.fqdn, names), *waiting)
    found: dict[str, bool] = {}
    for fqdn, alias in connection.execute(query.returning(removals.c.fqdn, removals.c.alias)):
        found[fqdn] = found.get(fqdn, False) or alias is not None
    return found


def add_events(connection: Connection, actor: str, source: str | None, happened: Iterable[Event]) -> None:
    """Append to the audit trail."""
    now = queries.now()
    new = [(now, actor, None if event.hides_source else source, *event[:-1]) for event in happened]
    _insert(connection, events, ("at", "actor", "source", *Event._fields[:-1]), new)


def add_history(connection: Connection, entries: Sequence[history.Entry]) -> None:
    """Append to the hosts' histories."""
    for part in _slices(entries):
        history.add(connection, part)


def _insert(connection: Connection, table: Table, names: tuple[str, ...], values: Sequence[tuple[Any, ...]]) -> None:
    """Execute rows with the driver directly: SQLAlchemy would cost more than the database."""
    compiled = insert(table).compile(dialect=connection.dialect, column_keys=names)
    assert compiled.positiontup is not None
    order = itemgetter(*(names.index(name) for name in compiled.positiontup))
    for part in _slices(values):
        connection.exec_driver_sql(str(compiled), [order(row) for row in part])


def _slices(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[i : i + SLICE] for i in range(0, len(items), SLICE))
