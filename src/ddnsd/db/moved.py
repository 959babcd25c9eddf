# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark of a database that `ddnsd db copy` moves, and the triggers that refuse every write to it.

    copying   the target of an unfinished copy: incomplete
    copied    a complete copy, whose source may still be in use
    moved     the source: its content is in another database, and triggers refuse writes

A database without a mark has no table `database_move`. Services read the mark every second (`look`). A service that
has not read it for NOTICE_SECONDS does not say that an update is unchanged: somebody may use the copy by then.
"""

import time
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Column, Connection, MetaData, String, Table, Text, insert, inspect, select

from ddnsd.db.base import Gate, Store, StoreDown
from ddnsd.db.schema import metadata

LOOK_SECONDS = 1.0
"""How often a service reads the mark."""

SQLSTATE = "DDMOV"
"""The error of the triggers on PostgreSQL."""

FUNCTION = "database_move_refuse"

database_move = Table(
    "database_move",
    MetaData(),  # not part of the schema: it exists only while it is needed
    Column("state", String(10), nullable=False),
    Column("peer", Text, nullable=False),  # the other database, without user and password
    Column("copy_id", String(32), nullable=False),
)


class State(StrEnum):
    """How far a copy is, as seen from one of its two databases."""

    COPYING = "copying"
    COPIED = "copied"
    MOVED = "moved"


class Move(NamedTuple):
    """The mark: `peer` is the other database; both databases of a copy have the same `copy_id`."""

    state: State
    peer: str
    copy_id: str

    @property
    def reason(self) -> str:
        """Why the database cannot be used, and what to do."""
        match self.state:
            case State.MOVED:
                return (
                    f"this database was moved to {self.peer}: set DDNSD_DATABASE_URL to the new database and restart "
                    "the service, or run `ddnsd db unfreeze` to use this one again"
                )
            case State.COPIED:
                return (
                    f"the copy from {self.peer} into this database is not finished: repeat `ddnsd db copy`, or run "
                    "`ddnsd db unfreeze` to use this database, if no service uses the other one"
                )
            case State.COPYING:
                return f"the copy from {self.peer} into this database is not complete: repeat `ddnsd db copy`"


class Moved(StoreDown):
    """the database was moved, or is the target of an unfinished copy"""


def find(connection: Connection) -> Move | None:
    """The mark, or None."""
    if not inspect(connection).has_table(database_move.name):
        return None
    row = connection.execute(select(database_move)).first()
    return None if row is None else Move(State(row.state), row.peer, row.copy_id)


def check(connection: Connection) -> None:
    """Check that the database has no mark. Raises Moved."""
    if found := find(connection):
        raise Moved(found.reason)


async def look(store: Store) -> None:
    """Read the mark for a running service. Raises StoreDown."""
    assert isinstance(store, Gate)
    began = time.monotonic()
    found = await store.read(find)
    store.note_mark(None if found is None else found.reason, began)


def mark(connection: Connection, move: Move) -> None:
    """Set the mark."""
    unmark(connection)
    database_move.create(connection)
    connection.execute(insert(database_move), move._asdict())


def unmark(connection: Connection) -> None:
    """Remove the mark."""
    database_move.drop(connection, checkfirst=True)


def freeze(connection: Connection, move: Move) -> None:
    """Mark the database as moved, and refuse every write to its tables."""
    mark(connection, move)
    text = _quoted(move.reason)
    if connection.dialect.name == "postgresql":
        body = _quoted(f"BEGIN RAISE EXCEPTION USING MESSAGE = {text}, ERRCODE = '{SQLSTATE}'; END")
        connection.exec_driver_sql(f"CREATE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS {body}")
    for table in metadata.sorted_tables:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(
                f"CREATE TRIGGER database_move BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table.name} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTION}()"
            )
            continue
        for action in ("INSERT", "UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {_trigger(table, action)} BEFORE {action} ON {table.name} "
                f"BEGIN SELECT RAISE(ABORT, {text}); END"
            )


def unfreeze(connection: Connection) -> None:
    """Remove the mark of a moved database, and accept writes again."""
    for table in metadata.sorted_tables:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS database_move ON {table.name}")
            continue
        for action in ("INSERT", "UPDATE", "DELETE"):
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {_trigger(table, action)}")
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {FUNCTION}()")
    unmark(connection)


def _trigger(table: Table, action: str) -> str:
    return f"database_move_{table.name}_{action.lower()}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
