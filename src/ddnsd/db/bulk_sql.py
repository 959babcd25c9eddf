# SPDX-License-Identifier: GPL-3.0-or-later
"""One statement for many rows of values, which it reads as a table.

PostgreSQL gets an array per column, SQLite gets VALUES. With one step per row, the writing thread would wait for
Python's lock at each step, behind the requests.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    UpdateBase,
    any_,
    bindparam,
    column,
    delete,
    func,
    literal,
    select,
    values,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from ddnsd.db.schema import contacts, history, hosts, pending

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

_TYPES: dict[str, TypeEngine[Any]] = {c.name: c.type for t in (hosts, pending, history, contacts) for c in t.c}
_TYPES |= {f"entry_{c.name}": c.type for c in history.c}
_TYPES["if_inferred"] = hosts.c.inferred.type

_SIZES = [1 << n for n in reversed(range(9))]
"""Rows per statement on SQLite: few sizes, so that each is prepared only once."""

Row = Sequence[Any]


def delete_found(connection: Connection, key: Column[int], found: Select[tuple[int]]) -> int:
    """Delete the rows whose `key` the query finds. Returns the number.

    As one statement, PostgreSQL may compare them with the whole table.
    """
    return delete_keys(connection, key, list(connection.scalars(found)))


def delete_keys(connection: Connection, key: Column[int], ids: Sequence[int]) -> int:
    """Delete the rows with these values of `key`. Returns the number."""
    if not ids:
        return 0
    if connection.dialect.name == "postgresql":
        chosen = key == any_(bindparam(None, list(ids), type_=ARRAY(key.type), unique=True))
    else:
        chosen = key.in_(select(func.json_each(literal(json.dumps(list(ids)))).table_valued("value").c.value))
    return connection.execute(delete(key.table).where(chosen)).rowcount


class Given(dict[str, ColumnElement[Any]]):
    """The columns of the table of values by name; a name is a key of `_TYPES`. Only SQLite needs `rows`."""

    def __init__(self, dialect: str, names: Sequence[str], rows: int = 1) -> None:
        self.dialect = dialect
        columns = [column(name, _TYPES[name]) for name in names]
        if dialect == "postgresql":
            arrays = (bindparam(name, type_=ARRAY(_TYPES[name])) for name in names)
            table = func.unnest(*arrays).table_valued(*columns, name="rows").render_derived()
            super().__init__(select(*table.c).cte("given").c.items())
        else:
            row = tuple(bindparam(None, None, type_=_TYPES[name], unique=True) for name in names)
            super().__init__(values(*columns).data([row] * rows).cte("given").c.items())


def upsert(dialect: str, table: Table, rows: Select[Any]) -> "sqlite.Insert | postgresql.Insert":
    """Insert rows of all columns, or update those with the same primary key."""
    statement = insert_into(dialect, table).from_select(table.c.keys(), rows)
    new = {c.name: statement.excluded[c.name] for c in table.c if not c.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=new)


def insert_into(dialect: str, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT that supports ON CONFLICT."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # here: commands start faster without it

        return postgresql.insert(table)
    return sqlite.insert(table)


def for_each(
    connection: Connection,
    build: Callable[[Given], UpdateBase],
    names: Sequence[str],
    rows: Sequence[Row],
) -> None:
    """Execute the statement of `build` for `rows` of values of the columns `names`."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        arrays = {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
        connection.execute(_of_arrays(build, tuple(names)), arrays)
        return
    for part in _parts(rows):
        sql, rest = _of_values(build, tuple(names), len(part))
        connection.exec_driver_sql(sql, (*chain.from_iterable(part), *rest))


def fetch_each(
    connection: Connection,
    build: Callable[[Given], "UpdateBase | Select[Any]"],
    names: Sequence[str],
    rows: Sequence[Row],
    **others: Any,
) -> list[Any]:
    """Execute the statement of `build` as `for_each` does, on PostgreSQL. Returns the first column of its rows."""
    arrays = {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    return list(connection.scalars(_of_arrays(build, tuple(names)), arrays | others))


@lru_cache(maxsize=64)
def _of_arrays(
    build: Callable[[Given], "UpdateBase | Select[Any]"], names: tuple[str, ...]
) -> "UpdateBase | Select[Any]":
    return build(Given("postgresql", names))


@lru_cache(maxsize=256)
def _of_values(build: Callable[[Given], UpdateBase], names: tuple[str, ...], rows: int) -> tuple[str, tuple[Any, ...]]:
    """The statement's text, and its parameters after the rows."""
    compiled = build(Given("sqlite", names, rows)).compile(dialect=sqlite.dialect())
    assert compiled.positiontup is not None
    return str(compiled), tuple(compiled.params[name] for name in compiled.positiontup[len(names) * rows :])


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    begin = 0
    for size in _SIZES:
        while len(rows) - begin >= size:
            yield rows[begin : begin + size]
            begin += size


class Lines(FunctionElement[str]):
    """An aggregate of text."""

    type = Text()
    inherit_cache = True


@compiles(Lines)
def _sqlite(element: Lines, compiler: SQLCompiler, **options: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **options)}, char(10))"


@compiles(Lines, "postgresql")
def _postgresql(element: Lines, compiler: SQLCompiler, **options: Any) -> str:
    return f"string_agg({compiler.process(element.clauses, **options)}, chr(10))"
