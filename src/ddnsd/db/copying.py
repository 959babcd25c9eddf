# SPDX-License-Identifier: GPL-3.0-or-later
"""One database of a copy, an export or an import: locks, snapshots, rows in parts, and checksums.

Each side has one connection with one transaction at a time, which begins with the next statement after `commit`.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Row, Table, insert, inspect, select, tuple_
from sqlalchemy.engine import URL, make_url

from ddnsd.db import schema
from ddnsd.db.base import DatabaseName, Faults, StoreDown, T, Work

PAGE = 2000
"""Rows in memory at once."""

LOCK_TRIES = 15
"""How often a lock is tried, for two seconds each: a busy service leaves gaps."""

SETTLE_SECONDS = 40.0
"""No message of a service to a name server takes longer."""

OF_PROCESSES = (schema.nodes, schema.zone_leases, schema.webhook_sender, schema.write_checks)
"""Tables about running processes, which are not copied."""

TABLES = [table for table in schema.metadata.sorted_tables if table not in OF_PROCESSES]
"""The tables to copy, each after those that it refers to."""

SHIPPED = schema.denials
"""The table that has rows in an empty database, too."""

COPY_LOCK = "7233, 1"
"""Advisory lock of PostgreSQL for one copy at a time."""


_NOW = "extract(epoch FROM clock_timestamp()) * 1000000"


class Busy(StoreDown):
    """the database is in use"""


class Refused(Exception):
    """The database does not accept values; the text has the table and the reason."""


class Side(Protocol):
    """A database with one connection."""

    label: str
    """The database in messages, without user and password."""

    async def run(self, work: Work[T]) -> T:
        """Run `work` in the current transaction. Raises StoreDown."""

    async def add(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Insert complete rows."""

    async def snapshot(self) -> None:
        """Begin a transaction that only reads, and sees everything as it is now."""

    async def reserve(self) -> None:
        """Take the lock of the copy, until the side is closed. Raises Busy."""

    async def lock(self) -> None:
        """Refuse the writes of all others until the transaction ends. Raises Busy."""

    async def settle(self) -> None:
        """Wait until no service sends changes of this database any more: those that begin are refused already."""

    async def commit(self) -> None:
        """End the transaction. Raises StoreDown."""

    async def rollback(self) -> None:
        """Undo the transaction."""


class _File:
    """An SQLite file. Its write lock is taken with the first statement of each transaction."""

    def __init__(self, path: Path, place: DatabaseName, connection: Connection) -> None:
        self.path, self.label = path, _file_label(path)
        self._place, self._connection = place, connection

    async def run(self, work: Work[T]) -> T:
        with Faults(self._place):
            return work(self._connection)

    async def add(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        names = [column.name for column in table.columns]
        await self.run(lambda c: c.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows]))

    async def snapshot(self) -> None:
        self._connection = self._connection.execution_options(reading=True)
        await self.run(lambda c: c.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar())

    async def reserve(self) -> None:
        """Nothing to do: `lock` is enough."""

    async def lock(self) -> None:
        for _ in range(LOCK_TRIES):
            with contextlib.suppress(StoreDown):
                return await self.run(lambda c: c.exec_driver_sql("SELECT 1").close())
        raise Busy(f"{self.label} is locked by another process")

    async def settle(self) -> None:
        from ddnsd.db.sqlite import zone_lock_file

        end = time.monotonic() + SETTLE_SECONDS
        pattern = zone_lock_file(Path(self.path.name), "*").name
        for file in self.path.parent.glob(pattern):
            with file.open("rb") as descriptor:
                while time.monotonic() < end:
                    with contextlib.suppress(BlockingIOError):
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    await asyncio.sleep(0.05)

    async def commit(self) -> None:
        with Faults(self._place):
            self._connection.commit()

    async def rollback(self) -> None:
        with Faults(self._place):
            self._connection.rollback()


class _Server:
    """A PostgreSQL database."""

    def __init__(self, label: str, place: DatabaseName, connection: Any) -> None:
        self.label, self._place, self._connection = label, place, connection

    async def run(self, work: Work[T]) -> T:
        with Faults(self._place):
            found: T = await self._connection.run_sync(work)
            return found

    async def add(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        names = [column.name for column in table.columns]
        with Faults(self._place):
            await self._connection.exec_driver_sql("SELECT 1")  # begins the transaction
            driver = (await self._connection.get_raw_connection()).driver_connection
            await driver.copy_records_to_table(table.name, records=map(tuple, rows), columns=names)

    async def snapshot(self) -> None:
        mode = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        await self.run(lambda c: c.exec_driver_sql(mode).close())
        await self.run(lambda c: c.exec_driver_sql("SELECT 1").close())

    async def reserve(self) -> None:
        taken = await self.run(lambda c: c.exec_driver_sql(f"SELECT pg_try_advisory_lock({COPY_LOCK})").scalar())
        await self.commit()
        if not taken:
            raise Busy(f"{self.label} is used by another `ddnsd db copy`, or both URLs name the same database")

    async def lock(self) -> None:
        # also the tables of processes: `freeze` must not wait for somebody who waits for us
        names = ", ".join(table.name for table in schema.metadata.sorted_tables)
        for attempt in range(LOCK_TRIES):
            try:
                await self.run(lambda c: c.exec_driver_sql("SET LOCAL lock_timeout = '2s'").close())
                await self.run(lambda c: c.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE").close())
                return
            except StoreDown as error:
                await self.rollback()
                if attempt == LOCK_TRIES - 1:
                    raise Busy(f"{self.label}: the tables cannot be locked: {error}") from error

    async def settle(self) -> None:
        query = f"SELECT count(*) FROM zone_leases WHERE expires > {_NOW}"  # noqa: S608
        end = time.monotonic() + SETTLE_SECONDS
        while await self.run(lambda c: c.exec_driver_sql(query).scalar()) and time.monotonic() < end:
            await self.commit()
            await asyncio.sleep(0.1)
        await self.commit()

    async def commit(self) -> None:
        with Faults(self._place):
            await self._connection.commit()

    async def rollback(self) -> None:
        with Faults(self._place):
            await self._connection.rollback()


def label(url: str) -> str:
    """The URL without user, password and options."""
    address = make_url(url)
    if url.startswith("sqlite"):
        return _file_label(Path(address.database or ""))
    host = address.host or address.query.get("host")
    shown = host if host is None or isinstance(host, str) else ",".join(host)
    return URL.create("postgresql", host=shown, port=address.port, database=address.database).render_as_string()


def _file_label(path: Path) -> str:
    return f"sqlite:///{path.absolute()}"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Side]:
    """The side behind the URL; what was not committed is undone at the end. Raises StoreDown."""
    if url.startswith("sqlite"):
        from ddnsd.db import sqlite

        path = Path(make_url(url).database or "")
        place = sqlite.database_name(path)
        with Faults(place):
            file = sqlite.engine_of(path)
            connection = file.connect()
        try:
            yield _File(path, place, connection)
        finally:
            connection.close()
            file.dispose()
        return
    from ddnsd.db import postgres

    place = postgres.database_name(url)
    limits = {"idle_in_transaction_session_timeout": "0", "statement_timeout": "0"}
    engine = postgres.engine_of(url, {"timeout": 10})
    server = engine.connect()
    try:
        with Faults(place):
            await server.start()
            for name, value in limits.items():
                await server.exec_driver_sql(f"SET {name} = {value}")
            await server.commit()
        yield _Server(label(url), place, server)
    finally:
        with contextlib.suppress(Exception):  # the connection may be lost; its transaction is undone anyway
            await server.close()
        await engine.dispose()


async def pages(side: Side, table: Table) -> AsyncIterator[Sequence[Row[Any]]]:
    """All rows of a table, in parts in the order of its key."""
    key = [*table.primary_key]
    places = [list(table.columns).index(column) for column in key]
    query = select(table).order_by(*key).limit(PAGE)
    part = await side.run(lambda c: c.execute(query).all())
    while part:
        yield part
        last = [part[-1][place] for place in places]
        after = query.where(tuple_(*key) > tuple_(*last)) if len(key) > 1 else query.where(key[0] > last[0])
        part = await side.run(lambda c, q=after: c.execute(q).all())  # type: ignore[misc]


async def add_rows(side: Side, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Insert complete rows. Raises StoreDown, Refused."""
    try:
        await side.add(table, rows)
    except StoreDown:
        raise
    except Exception as error:  # the drivers have many, and asyncpg's encoders raise any
        cause = getattr(error, "orig", None) or error  # without parameters, which may be secret
        raise Refused(f"table {table.name}: {str(cause).partition(chr(10))[0]}") from None


class Checksum:
    """Number of rows, and a sum over them that does not depend on their order."""

    def __init__(self) -> None:
        self.count = self._sum = 0

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows."""
        for row in rows:
            digest = hashlib.blake2b(repr(tuple(row)).encode("utf-8", "surrogatepass"), digest_size=16).digest()
            self._sum = (self._sum + int.from_bytes(digest, "big")) % 2**128
            self.count += 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checksum) and (self.count, self._sum) == (other.count, other._sum)

    __hash__ = None  # type: ignore[assignment]


def first_with_rows(connection: Connection) -> str | None:
    """The name of a table that has rows, or None; tables may be missing, and `SHIPPED` may have rows."""
    there = set(inspect(connection).get_table_names())
    tables = [table for table in TABLES if table.name in there and table is not SHIPPED]
    return next((t.name for t in tables if connection.execute(select(1).select_from(t).limit(1)).first()), None)


def clear_shipped(connection: Connection) -> None:
    """Delete the rows that an empty database has: those of the other database replace them."""
    connection.execute(SHIPPED.delete())


def clear(connection: Connection) -> None:
    """Delete all rows; tables of newer schemas may be missing."""
    there = set(inspect(connection).get_table_names())
    for table in reversed(schema.metadata.sorted_tables):
        if table.name in there:
            connection.execute(table.delete())


def live_nodes(connection: Connection) -> int:
    """Number of services that use the database; on SQLite always 0."""
    if connection.dialect.name != "postgresql":
        return 0
    query = f"SELECT count(*) FROM nodes WHERE expires > {_NOW}"  # noqa: S608
    return connection.exec_driver_sql(query).scalar() or 0


def set_sequences(connection: Connection) -> None:
    """Let PostgreSQL continue after the highest ids."""
    if connection.dialect.name != "postgresql":
        return
    for table in TABLES:
        if "id" in table.c:
            sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
            connection.exec_driver_sql(
                f"SELECT setval({sequence}, (SELECT coalesce(max(id), 0) + 1 FROM {table.name}))"  # noqa: S608
            )
