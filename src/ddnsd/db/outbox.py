# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories and events as an outbox: each webhook reads all rows that were written after its cursor, and misses none.

On SQLite, ids are in the order of the commits, so a cursor is the last id that was read.

On PostgreSQL, a row with a lower id may be committed after one with a higher id. Each row has the id of its
transaction (xid). All transactions below `pg_snapshot_xmin` have ended, so the rows in a window of them, `from_xid` to
`to_xid`, are complete. Within a window rows are read by id: rows of one host are written while the host is locked, so
their ids are in order, which their xids need not be.

The xids of a database that was restored into another server, or copied, are of that server: see `adopt`.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)

from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.schema import events, history, users, webhook_cursors, webhooks

SOURCES: dict[str, Table] = {"history": history, "events": events}

TOLD_FOR = 2 * 86_400 * 1_000_000
"""How long a row waits for webhooks to read it; they tell only of the last day."""

ADOPTED = 5000
"""Rows of another server that get other xids in a transaction."""

_XMIN: ColumnElement[int] = literal_column("pg_snapshot_xmin(pg_current_snapshot())::text::bigint", BigInteger)
_XMAX: ColumnElement[int] = literal_column("pg_snapshot_xmax(pg_current_snapshot())::text::bigint", BigInteger)
_OWN: ColumnElement[int] = literal_column("pg_current_xact_id()::text::bigint", BigInteger)


class Cursor(NamedTuple):
    """How far a webhook has read: up to `after_id`, on PostgreSQL in a window of xids; no `to_xid`: in none yet."""

    after_id: int
    from_xid: int | None = None
    to_xid: int | None = None


def end(connection: Connection, source: str) -> Cursor:
    """The cursor after all rows that there are; on PostgreSQL, it may be before some of the newest ones."""
    if connection.dialect.name == "postgresql":
        return Cursor(0, connection.scalar(select(_XMIN)))
    return Cursor(_last_id(connection, SOURCES[source]))


def oldest_xid(connection: Connection) -> int | None:
    """The xid of the oldest transaction that has not ended; None on SQLite."""
    return connection.scalar(select(_XMIN)) if connection.dialect.name == "postgresql" else None


def read(
    connection: Connection, source: str, cursor: Cursor, before: int | None, limit: int
) -> tuple[Sequence[Row[Any]], Cursor]:
    """At most `limit` rows after the cursor, by id, and the cursor after them; without rows it may be another one.

    `before` is from `oldest_xid`: cursors that have read everything before it are equal.
    """
    table = SOURCES[source]
    if before is None:
        after = _without_xid(connection, table, cursor)
        found = connection.execute(table.select().where(table.c.id > after).order_by(table.c.id).limit(limit)).all()
        return found, Cursor(found[-1].id) if found else cursor
    assert cursor.from_xid is not None  # `adopt` has set it
    last = cursor.to_xid if cursor.to_xid is not None else max(before, cursor.from_xid)
    window = table.c.xid >= cursor.from_xid, table.c.xid < last, table.c.id > cursor.after_id
    by_id = table.c.id + 0  # otherwise the planner may read the whole table in the order of its key
    found = connection.execute(table.select().where(*window).order_by(by_id).limit(limit)).all()
    if len(found) == limit:
        return found, cursor._replace(after_id=found[-1].id, to_xid=last)
    return found, Cursor(0, last)


def _without_xid(connection: Connection, table: Table, cursor: Cursor) -> int:
    """The last id that was read, also if the cursor is from PostgreSQL: then rows without xid are newer."""
    if cursor.from_xid is None:
        return cursor.after_id
    first: int | None = connection.scalar(select(func.min(table.c.id)).where(table.c.xid >= cursor.from_xid))
    if first is not None:
        return first - 1
    return connection.scalar(select(func.max(table.c.id)).where(table.c.xid.is_not(None))) or 0


def _last_id(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.max(table.c.id))) or 0


def put(connection: Connection, source: str, cursor: Cursor, webhook_ids: Sequence[int]) -> None:
    """Set the cursors of webhooks."""
    rows = [{"webhook_id": number, "source": source, **cursor._asdict()} for number in webhook_ids]
    statement = insert_into(connection.dialect.name, webhook_cursors)
    new = {name: statement.excluded[name] for name in Cursor._fields}
    keys = ["webhook_id", "source"]
    if rows:
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=new), rows)


def advance(
    connection: Connection, source: str, before: Cursor, after: Cursor, webhook_ids: Sequence[int]
) -> list[int]:
    """Move the cursors of those webhooks that are still at `before`. Returns their ids."""
    same = (webhook_cursors.c[name].is_not_distinct_from(value) for name, value in before._asdict().items())
    chosen = update(webhook_cursors).where(
        webhook_cursors.c.source == source, webhook_cursors.c.webhook_id.in_(webhook_ids), *same
    )
    return list(connection.scalars(chosen.values(**after._asdict()).returning(webhook_cursors.c.webhook_id)))


def is_foreign(connection: Connection) -> bool:
    """Whether `adopt` has something to do: rows or cursors are of another server, or of SQLite."""
    if connection.dialect.name != "postgresql":
        return False
    newest = (select(func.max(table.c.xid)).scalar_subquery() for table in SOURCES.values())
    limit, *xids = connection.execute(select(_XMAX, *newest)).one()
    if any(xid is not None and xid >= limit for xid in xids):
        return True
    return connection.execute(select(webhook_cursors).where(_IS_FOREIGN).limit(1)).first() is not None


_IS_FOREIGN = or_(webhook_cursors.c.from_xid.is_(None), webhook_cursors.c.from_xid > _XMAX)


def adopt(connection: Connection) -> None:
    """Give rows of another server the xid of this transaction, so that they are read once.

    Rows that every webhook has read get none. The others may be delivered a second time to some webhooks.
    """
    own = connection.scalar(select(_OWN)) or 0
    for source, table in SOURCES.items():
        unread = _least(connection, source, webhook_cursors.c.from_xid)
        is_foreign_row = table.c.xid >= _XMAX, table.c.xid != own  # the limit is not known to be above its own one
        foreign = select(table.c.id, table.c.xid).where(*is_foreign_row).order_by(table.c.xid).limit(ADOPTED)
        while found := connection.execute(foreign).all():
            for is_unread, xid in ((True, own), (False, None)):
                ids = [row.id for row in found if (unread is not None and row.xid >= unread) == is_unread]
                connection.execute(update(table).where(table.c.id.in_(ids)).values(xid=xid))
        after = _least(connection, source, webhook_cursors.c.after_id, webhook_cursors.c.from_xid.is_(None))
        if after is not None:  # from SQLite
            connection.execute(update(table).where(table.c.id > after, table.c.xid.is_(None)).values(xid=own))
    begin = connection.scalar(select(_XMIN))
    connection.execute(update(webhook_cursors).where(_IS_FOREIGN).values(after_id=0, from_xid=begin, to_xid=None))


def is_read(connection: Connection, source: str) -> ColumnElement[bool]:
    """The condition that a row may be deleted: all webhooks have read it, and its id is not used again.

    Rows that are too old to be told need nobody to read them: perhaps nobody reads any more.
    """
    table = SOURCES[source]
    on_server = connection.dialect.name == "postgresql"
    first = _least(connection, source, webhook_cursors.c.from_xid if on_server else webhook_cursors.c.after_id)
    read: ColumnElement[bool] = true()
    if first is not None:
        seen = or_(table.c.xid.is_(None), table.c.xid < first) if on_server else table.c.id <= first
        read = or_(seen, table.c.at < time.time_ns() // 1000 - TOLD_FOR)
    kept = kept_id(connection, source)
    return read if kept is None else and_(read, table.c.id != kept)


def kept_id(connection: Connection, source: str) -> int | None:
    """The newest id, if its row must stay: SQLite would use the id again, and webhooks would miss the new row."""
    if connection.dialect.name == "postgresql" or not connection.scalar(select(exists(select(webhook_cursors)))):
        return None
    return _last_id(connection, SOURCES[source])


def _least(connection: Connection, source: str, column: Column[int], *conditions: ColumnElement[bool]) -> int | None:
    """The lowest value in the cursors of webhooks that are not switched off."""
    query = select(func.min(column)).select_from(webhook_cursors.join(webhooks).join(users))
    return connection.scalar(
        query.where(webhook_cursors.c.source == source, webhooks.c.active, users.c.active, *conditions)
    )
