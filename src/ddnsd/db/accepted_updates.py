# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS UPDATE messages that were decided, by their MAC, until their time of signing is too old for any node."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, exists, select

from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.schema import accepted_updates as table


class Accepted(NamedTuple):
    """The MAC of a message, the rcode of its answer, and when it may be forgotten, in microseconds since the epoch."""

    mac: bytes
    rcode: int
    expires: int


def rcodes(connection: Connection, macs: Collection[bytes]) -> dict[bytes, int]:
    """The rcodes of those messages that were decided, by MAC."""
    found = connection.execute(select(table.c.mac, table.c.rcode).where(table.c.mac.in_(list(macs))))
    return {bytes(row.mac): row.rcode for row in found}


def add(connection: Connection, accepted: Sequence[Accepted]) -> None:
    """Add messages, unless they are there."""
    if accepted:
        statement = insert_into(connection.dialect.name, table).on_conflict_do_nothing()
        connection.execute(statement, [one._asdict() for one in accepted])


def claim(connection: Connection, accepted: Accepted) -> int | None:
    """Add a message before it is carried out. Returns the rcode if it was there before, on any node."""
    statement = insert_into(connection.dialect.name, table).values(accepted._asdict()).on_conflict_do_nothing()
    if connection.execute(statement).rowcount:
        return None
    return rcodes(connection, [accepted.mac])[accepted.mac]


def put(connection: Connection, accepted: Accepted) -> None:
    """Add a message, or replace its rcode."""
    statement = insert_into(connection.dialect.name, table).values(accepted._asdict())
    connection.execute(statement.on_conflict_do_update(index_elements=["mac"], set_={"rcode": accepted.rcode}))


def forget(connection: Connection, before: int, limit: int) -> int:
    """Delete at most `limit` messages that may be forgotten."""
    found = select(table.c.mac).where(table.c.expires < before).order_by(table.c.expires).limit(limit)
    return connection.execute(delete(table).where(table.c.mac.in_(found))).rowcount


def has_old(connection: Connection, before: int) -> bool:
    """Whether there are messages that may be forgotten."""
    return bool(connection.scalar(select(exists().where(table.c.expires < before))))
