# SPDX-License-Identifier: GPL-3.0-or-later
"""The store's half of group commit: new values of hosts, their histories, and which rows DNS has come to hold.

On PostgreSQL every statement costs a turn of the event loop beside its own time, so that one does all of it. On SQLite
there is a statement for each table.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Integer,
    Update,
    UpdateBase,
    bindparam,
    column,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from ddnsd.store import history, queries
from ddnsd.store.batches import Given, for_each, upsert
from ddnsd.store.tables import history as history_table
from ddnsd.store.tables import hosts, pending
from ddnsd.store.waiting import Settled, lock, locking, mark_pending, mark_settled

_ENTRY = tuple(f"entry_{name}" for name in history.Entry._fields)
_NO_ENTRY = (None,) * len(_ENTRY)


class Wish(NamedTuple):
    """New values for some columns of a host; the change counts as a version and waits for DNS.

    `unclaimed`: the host was seen before its name was known to be ours (see `queries.remember_unclaimed`). `entry` is
    for the host's history.
    """

    host_id: int
    values: Mapping[str, Any]
    unclaimed: bool = False
    entry: history.Entry | None = None


def is_single(wishes: Sequence[Wish]) -> bool:
    """Whether `write_wishes` is a single statement on PostgreSQL."""
    return len({tuple(wish.values) for wish in wishes}) == 1 and not any(wish.unclaimed for wish in wishes)


def write_wishes(connection: Connection, wishes: Iterable[Wish], settled: Iterable[Settled]) -> None:
    """Mark what is settled, then write every wish; of several for the same columns of a host the last one counts."""
    wishes = list(wishes)
    changed = {wish.host_id for wish in wishes}
    settled = [item for item in settled if item.host_id not in changed]  # of those newer rows wait
    by_shape: dict[tuple[str, ...], list[Wish]] = {}
    for wish in wishes:
        by_shape.setdefault(tuple(wish.values), []).append(wish)
    unclaimed = [wish.host_id for wish in wishes if wish.unclaimed]
    if not is_single(wishes):
        lock(connection, changed | {item.host_id for item in settled})
        mark_settled(connection, settled)
        queries.remember_unclaimed(connection, unclaimed)
        settled = []
    if connection.dialect.name == "postgresql":
        for names, same in by_shape.items():
            _write_at_once(connection, names, same, settled)
        return
    mark_settled(connection, settled)
    for names, same in by_shape.items():
        last = {wish.host_id: (wish.host_id, *wish.values.values()) for wish in same}
        for_each(connection, _write, ("host_id", *names), list(last.values()))
    mark_pending(connection, changed, queries.now())
    history.add(connection, [wish.entry for wish in wishes if wish.entry is not None])


def _write(given: Given) -> Update:
    columns = {name: value for name, value in given.items() if name in hosts.c}
    return update(hosts).where(hosts.c.id == given["host_id"]).values(version=hosts.c.version + 1, **columns)


# ---- PostgreSQL


def _write_at_once(
    connection: Connection, names: tuple[str, ...], wishes: Sequence[Wish], settled: Sequence[Settled]
) -> None:  # fmt: skip
    last = {wish.host_id: n for n, wish in enumerate(wishes)}
    rows = [
        (wish.host_id if last[wish.host_id] == n else None, *wish.values.values(), *(wish.entry or _NO_ENTRY))
        for n, wish in enumerate(wishes)
    ]
    settled_ids, versions = zip(*settled, strict=True) if settled else ((), ())
    others = {
        "ids": sorted({*last, *settled_ids}),
        "settled_ids": list(settled_ids),
        "settled_versions": list(versions),
    }
    for_each(connection, _write_all, ("host_id", *names, *_ENTRY), rows, **others, since=queries.now())


def _write_all(given: Given) -> UpdateBase:
    """Everything for the `given` wishes of one shape; those without `host_id` leave an entry alone.

    Beside them: `since`, the arrays `settled_ids` and `settled_versions`, and `ids` of all hosts, to be locked.
    """
    locked = locking().cte("locked")
    arrays = bindparam("settled_ids", type_=ARRAY(BigInteger)), bindparam("settled_versions", type_=ARRAY(Integer))
    settled = func.unnest(*arrays).table_valued(column("host_id"), column("version"), name="settled").render_derived()
    left = delete(pending).where(
        tuple_(pending.c.host_id, pending.c.version).in_(select(*settled.c)), pending.c.host_id.in_(select(locked.c.id))
    )
    written = _write(given).where(hosts.c.id == locked.c.id).returning(hosts.c.id, hosts.c.version).cte("written")
    since = bindparam("since", type_=BigInteger)
    waiting = upsert(given.dialect, pending, select(written.c.id, written.c.version, since))
    entries = select(*(given[name] for name in _ENTRY)).where(given["entry_kind"].is_not(None))
    statement = insert(history_table).from_select(history.Entry._fields, entries)
    return statement.add_cte(left.cte("left"), waiting.cte("waiting"))
