# SPDX-License-Identifier: GPL-3.0-or-later
"""Deny entries of administrators; the settings have others."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select

from ddnsd.db import queries
from ddnsd.db.schema import denials


class Denial(NamedTuple):
    """A network, the beginning of a user agent, or a pattern of names; `created` in microseconds."""

    id: int
    kind: str
    value: str
    comment: str | None
    created_by: str
    created: int


_DENIAL = select(*(denials.c[name] for name in Denial._fields))


def everything(connection: Connection) -> list[Denial]:
    """All entries, by kind and value."""
    query = _DENIAL.order_by(denials.c.kind, denials.c.value)
    return [Denial._make(row) for row in connection.execute(query)]


def page(connection: Connection, after: int, limit: int, kind: str | None = None) -> list[Denial]:
    """At most `limit` with an id above `after`, by id: of one kind or of all."""
    query = _DENIAL.where(denials.c.id > after)
    if kind is not None:
        query = query.where(denials.c.kind == kind)
    return [Denial._make(row) for row in connection.execute(query.order_by(denials.c.id).limit(limit))]


def find(connection: Connection, denial_id: int) -> Denial | None:
    """The entry with this id."""
    row = connection.execute(_DENIAL.where(denials.c.id == denial_id)).first()
    return Denial._make(row) if row else None


def named(connection: Connection, kind: str, value: str) -> Denial | None:
    """The entry of this kind and value."""
    row = connection.execute(_DENIAL.where(denials.c.kind == kind, denials.c.value == value)).first()
    return Denial._make(row) if row else None


def add(connection: Connection, **values: Any) -> Denial:
    """Insert an entry."""
    result = connection.execute(insert(denials).values(created=queries.now(), **values))
    assert result.inserted_primary_key is not None
    made = find(connection, result.inserted_primary_key[0])
    assert made is not None
    return made


def remove(connection: Connection, denial_id: int) -> bool:
    """Delete an entry. Returns whether it existed."""
    return connection.execute(delete(denials).where(denials.c.id == denial_id)).rowcount > 0
