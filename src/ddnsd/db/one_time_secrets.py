# SPDX-License-Identifier: GPL-3.0-or-later
"""New secrets, encrypted, until the browser that sent the form shows them.

A row is created with the form, is ready when the secret works, and loses the secret when it is read. It stays for a
while after that, so that a form that is sent twice creates nothing twice.
"""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, select, tuple_, update

from ddnsd.db import queries
from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.schema import one_time_secrets as table

LIFETIME = 10 * 60 * 1_000_000
"""Microseconds that a secret waits for its page."""

PART = 100


class Found(NamedTuple):
    """`sealed` is None after it was read."""

    sealed: str | None
    ready: bool


def begin(connection: Connection, session_id: int, number: str, sealed: str) -> bool:
    """Store a secret under the number of its form. False if that form was sent before."""
    moment = queries.now()
    forget(connection, moment - LIFETIME, PART)
    row = {"session_id": session_id, "number": number, "sealed": sealed, "created": moment}
    statement = insert_into(connection.dialect.name, table).values(row).on_conflict_do_nothing()
    return connection.execute(statement).rowcount > 0


def finish(connection: Connection, session_id: int, number: str) -> None:
    """Mark the secret as ready."""
    connection.execute(update(table).where(*_at(session_id, number)).values(ready=True))


def cancel(connection: Connection, session_id: int, number: str) -> None:
    """Delete the row of a secret that was not created."""
    connection.execute(delete(table).where(*_at(session_id, number)))


def take(connection: Connection, session_id: int, number: str) -> Found | None:
    """Read the secret, and delete it if it is ready. None for an unknown or expired number."""
    fresh = table.c.created >= queries.now() - LIFETIME
    query = select(table.c.sealed, table.c.ready).where(*_at(session_id, number), fresh)
    row = connection.execute(query.with_for_update()).first()
    if row is None:
        return None
    if row.ready:
        connection.execute(update(table).where(*_at(session_id, number)).values(sealed=None))
    return Found(row.sealed, bool(row.ready))


def forget(connection: Connection, before: int, limit: int) -> int:
    """Remove at most `limit` rows older than `before`. Returns the number."""
    key = table.c.session_id, table.c.number
    old = select(*key).where(table.c.created < before).limit(limit)
    return connection.execute(delete(table).where(tuple_(*key).in_(old))).rowcount


def _at(session_id: int, number: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.session_id == session_id, table.c.number == number
