# SPDX-License-Identifier: GPL-3.0-or-later
"""The database half of group commit: new values of hosts, their histories, and confirmed versions.

A host update has the values to set; the row is not read before. The statement that writes the row also returns its
former values for the history, which gets no entry if no address changes.

On PostgreSQL every statement costs a turn of the event loop in addition to its own time, so one statement does all. On
SQLite there is a statement per table.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    Text,
    Update,
    UpdateBase,
    and_,
    bindparam,
    case,
    column,
    delete,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from ddnsd.db import history, queries
from ddnsd.db.bulk_sql import Given, fetch_each, for_each, upsert
from ddnsd.db.pending import Confirmed, lock, lock_free, locking, mark_confirmed, mark_pending
from ddnsd.db.pointer_marks import mark
from ddnsd.db.schema import history as history_table
from ddnsd.db.schema import hosts, pending, pointer_marks

_ENTRY = tuple(f"entry_{name}" for name in history.Entry._fields if name not in ("before", "after"))
_NO_ENTRY = (None,) * len(_ENTRY)
_KIND = history.Entry._fields.index("kind")

IF_INFERRED = "if_inferred"
"""A key in an update's values: the family whose address is removed if it is still the guess of registration."""

_OLD = ("ipv4", "ipv6", "prefix", "inferred", "alias")
"""Columns whose former values are needed."""


class HostUpdate(NamedTuple):
    """New values for some columns of a host, as a pending new version.

    `unclaimed`: the host was read before its name was known to be ours (see `queries.remember_unclaimed`). `entry` is
    for the host's history, with the addresses that change. `own` computes the host's own IPv6 address from the
    interface id of the row.
    """

    host_id: int
    values: Mapping[str, Any]
    unclaimed: bool = False
    entry: history.Entry | None = None
    own: Callable[[str], str] | None = None


def is_single(host_updates: Sequence[HostUpdate]) -> bool:
    """Whether `write_host_updates` is a single statement on PostgreSQL."""
    if any(item.unclaimed or item.own for item in host_updates):
        return False
    return len({tuple(item.values) for item in host_updates}) == 1 and len(
        {item.host_id for item in host_updates}
    ) == len(host_updates)


def write_host_update(connection: Connection, host_update: HostUpdate) -> None:
    """Write one host update, as a part of a transaction. Waits for others that have locked the row."""
    lock(connection, [host_update.host_id])
    write_host_updates(connection, [host_update], ())


def write_host_updates(
    connection: Connection,
    host_updates: Iterable[HostUpdate],
    confirmed: Iterable[Confirmed],
    faults: Iterable[tuple[int, str]] = (),
) -> set[int]:
    """Mark confirmed versions, write all host updates, those of one host in order, and count faults.

    All rows are locked at once and in one order, without waiting. Returns the ids of hosts whose rows somebody else has
    locked, and of hosts that are gone; nothing is written for these.
    """
    host_updates, faults = list(host_updates), list(faults)
    changed = {item.host_id for item in host_updates}
    confirmed = [item for item in confirmed if item.host_id not in changed]  # newer rows of these are pending
    if is_single(host_updates) and not faults and connection.dialect.name == "postgresql":
        return _write_at_once(connection, tuple(host_updates[0].values), host_updates, confirmed)
    skipped = lock_free(connection, changed.union((c.host_id for c in confirmed), (host_id for host_id, _ in faults)))
    if skipped:
        host_updates = [item for item in host_updates if item.host_id not in skipped]
        changed -= skipped
    mark_confirmed(connection, [item for item in confirmed if item.host_id not in skipped])
    queries.count_faults(connection, [fault for fault in faults if fault[0] not in skipped])
    queries.remember_unclaimed(connection, [item.host_id for item in host_updates if item.unclaimed])
    for turn in [host_updates] if len(changed) == len(host_updates) else _in_turn(host_updates):
        for names, same in _by_shape(_with_own_addresses(connection, turn)).items():
            if connection.dialect.name == "postgresql":
                _write_at_once(connection, names, same, ())
            else:
                _add_entries(connection, names, same)
                rows = [(host_update.host_id, *host_update.values.values()) for host_update in same]
                for_each(connection, _write, ("host_id", *names), rows)
                mark_pending(connection, [host_update.host_id for host_update in same], queries.now())
                mark(connection, [host_update.host_id for host_update in same])
    return skipped


def _in_turn(host_updates: Sequence[HostUpdate]) -> Iterable[Sequence[HostUpdate]]:
    """Split the host updates into parts that contain each host once."""
    turns: list[list[HostUpdate]] = []
    seen: Counter[int] = Counter()
    for host_update in host_updates:
        if (turn := seen[host_update.host_id]) == len(turns):
            turns.append([])
        turns[turn].append(host_update)
        seen[host_update.host_id] += 1
    return turns


def _by_shape(host_updates: Iterable[HostUpdate]) -> Mapping[tuple[str, ...], Sequence[HostUpdate]]:
    shapes: dict[tuple[str, ...], list[HostUpdate]] = {}
    for host_update in host_updates:
        shapes.setdefault(tuple(host_update.values), []).append(host_update)
    return shapes


def _with_own_addresses(connection: Connection, host_updates: Sequence[HostUpdate]) -> Iterable[HostUpdate]:
    """The host updates; a prefix is combined with the current interface id of the row."""
    asking = [item.host_id for item in host_updates if item.own]
    if not asking:
        return host_updates
    query = select(hosts.c.id, hosts.c.interface_id).where(hosts.c.id.in_(asking), hosts.c.interface_id.is_not(None))
    ids: dict[int, str] = {row.id: row.interface_id for row in connection.execute(query)}
    return [
        host_update._replace(values={**host_update.values, "ipv6": host_update.own(ids[host_update.host_id])})
        if host_update.own and host_update.host_id in ids
        else host_update
        for host_update in host_updates
    ]


def _write(given: Given) -> Update:
    new = _new_values(given, hosts.c)
    return update(hosts).where(hosts.c.id == given["host_id"]).values(version=hosts.c.version + 1, **new)


def _new_values(given: Given, old: Any) -> dict[str, ColumnElement[Any]]:
    """The new columns of a row that was `old`."""
    new: dict[str, ColumnElement[Any]] = {name: value for name, value in given.items() if name in hosts.c}
    if IF_INFERRED in given:
        still = old["inferred"] == given[IF_INFERRED]
        dropped = ("ipv6", "prefix") if "ipv4" in given else ("ipv4",)
        new |= {name: case((still, None), else_=old[name]) for name in dropped}
    if "alias" not in given:  # an update may have begun before the host became static
        is_static = or_(old["alias"].is_not(None), *(old[family].like(_text("% %")) for family in ("ipv4", "ipv6")))
        new |= {name: case((is_static, old[name]), else_=new[name]) for name in history.ADDRESSES if name in new}
    return new


# ---- histories


def _add_entries(connection: Connection, names: tuple[str, ...], host_updates: Sequence[HostUpdate]) -> None:
    rows = [
        (host_update.host_id, *host_update.values.values(), *_of_entry(host_update.entry))
        for host_update in host_updates
        if host_update.entry is not None
    ]
    for_each(connection, _tell, ("host_id", *names, *_ENTRY), rows)


def _of_entry(entry: history.Entry | None) -> tuple[Any, ...]:
    return _NO_ENTRY if entry is None else (*entry[: _KIND + 1], *entry[_KIND + 3 :])


def _tell(given: Given) -> UpdateBase:
    return insert(history_table).from_select(_INTO, _entries(given, hosts.c).where(hosts.c.id == given["host_id"]))


_INTO = [*(name.removeprefix("entry_") for name in _ENTRY), "before", "after"]


def _entries(given: Given, old: Any) -> Select[Any]:
    """The history entries of updates that change an address of the `old` rows."""
    new = _new_values(given, old)
    changes = {name: old[name].is_distinct_from(new[name]) for name in history.ADDRESSES if name in new}
    if "prefix" in changes and "ipv6" in changes:  # an entry has the prefix if the host has no new address in it
        changes["prefix"] = and_(changes["prefix"], ~changes["ipv6"])
    before, after = (_json(changes, values) for values in (old, new))
    told = given["entry_kind"].is_not(None), or_(false(), *changes.values())
    return select(*(given[name] for name in _ENTRY), before, after).where(*told)


def _json(changes: Mapping[str, ColumnElement[bool]], values: Any) -> ColumnElement[str]:
    """A JSON object of the changed addresses; they need no escaping."""
    members = _text("")
    for name, changed in changes.items():
        value = func.coalesce(_text('"').concat(values[name]).concat(_text('"')), _text("null"))
        members = members.concat(case((changed, _text(f',"{name}":').concat(value)), else_=_text("")))
    return _text("{").concat(func.substr(members, 2)).concat(_text("}"))


def _text(constant: str) -> ColumnElement[str]:
    return literal_column(f"'{constant}'", Text)


# ---- PostgreSQL


def _write_at_once(
    connection: Connection, names: tuple[str, ...], host_updates: Sequence[HostUpdate], confirmed: Sequence[Confirmed]
) -> set[int]:
    """Write host updates of the same columns. Returns the ids of hosts that were locked or gone."""
    rows = [
        (host_update.host_id, *host_update.values.values(), *_of_entry(host_update.entry))
        for host_update in host_updates
    ]
    settled_ids, versions = zip(*confirmed, strict=True) if confirmed else ((), ())
    others = {
        "ids": sorted({*(item.host_id for item in host_updates), *settled_ids}),
        "settled_ids": list(settled_ids),
        "settled_versions": list(versions),
    }
    columns = ("host_id", *names, *_ENTRY)
    return set(others["ids"]).difference(
        fetch_each(connection, _write_all, columns, rows, **others, since=queries.now())
    )


def _write_all(given: Given) -> Select[Any]:
    """The statement for `given` host updates with the same columns, each of another host. It returns the locked hosts.

    Other parameters: `since`, the arrays `settled_ids` and `settled_versions`, and `ids` of all hosts, to be locked.
    """
    locked = locking(*_OLD, skip_locked=True).cte("locked")
    arrays = bindparam("settled_ids", type_=ARRAY(BigInteger)), bindparam("settled_versions", type_=ARRAY(Integer))
    confirmed = func.unnest(*arrays).table_valued(column("host_id"), column("version"), name="settled").render_derived()
    left = delete(pending).where(
        tuple_(pending.c.host_id, pending.c.version).in_(select(*confirmed.c)),
        pending.c.host_id.in_(select(locked.c.id)),
    )
    written = (
        _write(given)
        .where(hosts.c.id == locked.c.id)
        .returning(hosts.c.id, hosts.c.version, hosts.c.ptr)
        .cte("written")
    )
    since = bindparam("since", type_=BigInteger)
    waiting = upsert(given.dialect, pending, select(written.c.id, written.c.version, since))
    marks = insert(pointer_marks).from_select(["host_id"], select(written.c.id).where(written.c.ptr))
    entries = _entries(given, locked.c).where(locked.c.id == given["host_id"])
    added = insert(history_table).from_select(_INTO, entries)
    return select(locked.c.id).add_cte(left.cte("left"), waiting.cte("waiting"), marks.cte("marks"), added.cte("added"))
