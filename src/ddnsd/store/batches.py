# SPDX-License-Identifier: GPL-3.0-or-later
"""One statement for many sets of values: SQLite executes it once for each, PostgreSQL once for all.

On PostgreSQL the values come as one array for each name, and the statement reads them as a table.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Executable,
    Select,
    Table,
    bindparam,
    column,
    func,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeEngine

from ddnsd.store.tables import contacts, history, hosts, pending

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

_TYPES: dict[str, TypeEngine[Any]] = {c.name: c.type for t in (hosts, pending, history, contacts) for c in t.c}


class Given(dict[str, ColumnElement[Any]]):
    """The values by name, of one database's dialect; a name is that of a column of `_TYPES`."""

    def __init__(self, dialect: str, names: Sequence[str]) -> None:
        self.dialect = dialect
        if dialect == "postgresql":
            arrays = (bindparam(name, type_=ARRAY(_TYPES[name])) for name in names)
            table = func.unnest(*arrays).table_valued(*(column(n, _TYPES[n]) for n in names), name="given")
            super().__init__(table.render_derived().c.items())
        else:
            super().__init__({name: bindparam(name, type_=_TYPES[name]) for name in names})

    def upsert(self, table: Table, rows: Select[Any]) -> Executable:
        """Insert rows of all columns, or update those with the same primary key."""
        return upsert(self.dialect, table, rows)


def upsert(dialect: str, table: Table, rows: Select[Any]) -> Executable:
    """Insert rows of all columns, or update those with the same primary key."""
    statement = insert_into(dialect, table).from_select(table.c.keys(), rows)
    new = {c.name: statement.excluded[c.name] for c in table.c if not c.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=new)


def insert_into(dialect: str, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT that takes ON CONFLICT."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # here: commands start faster without it

        return postgresql.insert(table)
    return sqlite.insert(table)


def for_each(connection: Connection, build: Callable[[Given], Executable], values: Sequence[dict[str, Any]]) -> None:
    """Execute what `build` makes for each of `values`, which have the same names."""
    if not values:
        return
    names = tuple(values[0])
    statement = _statement(build, connection.dialect.name, names)
    if connection.dialect.name == "postgresql":
        connection.execute(statement, {name: [value[name] for value in values] for name in names})
    else:
        connection.execute(statement, list(values))


@lru_cache(maxsize=64)
def _statement(build: Callable[[Given], Executable], dialect: str, names: tuple[str, ...]) -> Executable:
    return build(Given(dialect, names))
