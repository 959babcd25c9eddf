# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: transactions on SQLite or PostgreSQL, and fresh reads for the hot path.

A query is a plain function of a SQLAlchemy `Connection`. On SQLite it runs in a thread of the store, one hop for a
whole transaction; on PostgreSQL it runs on asyncpg. Nothing else in the service knows which one it is.

    StoreDown       the database cannot be used now; nothing of the transaction is kept
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

T = TypeVar("T")
Work = Callable[[Connection], T]

BUSY_SECONDS = 2.0
"""How long a transaction waits for another process's write lock on SQLite."""

_OURS = (IntegrityError, ProgrammingError, DataError)


class StoreDown(Exception):
    """the database cannot be used"""


class Store(Protocol):
    """What both databases offer."""

    async def transact(self, work: Work[T]) -> T:
        """Run `work` in one write transaction, durable when this returns. Raises StoreDown."""

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a consistent read. Raises StoreDown."""

    def zone_lock(self, domain_id: int) -> Any:
        """Async context manager: no other process sends to this zone meanwhile."""

    async def tidy(self) -> None:
        """Put statistics and files in order, where the database does not do so by itself. Raises StoreDown."""

    async def close(self) -> None:
        """Release every connection."""


def open_store(url: str) -> "SqliteStore | PostgresStore":
    """The store behind `sqlite:///PATH` or `postgresql://…`; connects when first used."""
    return SqliteStore(url) if url.startswith("sqlite") else PostgresStore(url)


def sync_engine(url: str) -> Engine:
    """An engine for migrations; SQLite with our durability."""
    if not url.startswith("sqlite"):
        return create_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    path = make_url(url).database or ""
    Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy begins, see below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-8000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A write lock from the start: a transaction that reads before it writes never meets a stale snapshot.
        mode = "DEFERRED" if connection.get_execution_options().get("reading") else "IMMEDIATE"
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except _OURS:
        raise
    except (DBAPIError, PoolTimeout, sqlite3.Error, OSError) as error:
        raise StoreDown(str(getattr(error, "orig", None) or error)) from error


class SqliteStore:
    """One file; one writing thread, two reading ones, and reads of single rows in the event loop itself.

    In WAL mode a reader waits for nobody, and a row by its key takes microseconds, less than a thread's hop.
    """

    def __init__(self, url: str) -> None:
        self.path = Path(make_url(url).database or "")
        self._engine = sync_engine(url)
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(2, "store-reader")
        self._loop_reader: sqlite3.Connection | None = None
        self._locks: dict[int, int] = {}

    async def transact(self, work: Work[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._transact, work)

    def _transact(self, work: Work[T]) -> T:
        with _faults(), self._engine.begin() as connection:
            return work(connection)

    async def read(self, work: Work[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Work[T]) -> T:
        with _faults(), self._engine.connect() as connection:
            return work(connection.execution_options(reading=True))

    def rows(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Run a compiled query at once, in the event loop, waiting for nobody.

        The reads of one turn of the loop share a transaction. It begins after their requests have come in, so it sees
        all that was answered before them.
        """
        with _faults():
            if self._loop_reader is None:
                name = f"file:{self.path}?mode=ro"
                self._loop_reader = sqlite3.connect(name, uri=True, timeout=0, isolation_level=None)
            if not self._loop_reader.in_transaction:
                self._loop_reader.execute("BEGIN")
                asyncio.get_running_loop().call_soon(self._end_reads)
            return self._loop_reader.execute(sql, parameters).fetchall()

    def _end_reads(self) -> None:
        if self._loop_reader is not None and self._loop_reader.in_transaction:
            self._loop_reader.rollback()

    @asynccontextmanager
    async def zone_lock(self, domain_id: int) -> AsyncIterator[None]:
        descriptor = self._locks.get(domain_id)
        if descriptor is None:
            name = f"{self.path}-zone{domain_id}.lock"
            descriptor = self._locks[domain_id] = os.open(name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.005)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    async def tidy(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, self._tidy)

    def _tidy(self) -> None:
        with _faults(), closing(self._engine.raw_connection()) as connection:
            for pragma in ("optimize", "wal_checkpoint(TRUNCATE)"):
                connection.cursor().execute(f"PRAGMA {pragma}").fetchall()

    async def close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._engine.dispose()
        if self._loop_reader is not None:
            self._loop_reader.close()
            self._loop_reader = None
        for descriptor in self._locks.values():
            os.close(descriptor)


class PostgresStore:
    """A PostgreSQL database shared by any number of service processes."""

    def __init__(self, url: str) -> None:
        address = make_url(url).set(drivername="postgresql+asyncpg")
        options: dict[str, Any] = {"timeout": BUSY_SECONDS, "command_timeout": 30}
        self._engine = create_async_engine(address, pool_size=6, max_overflow=4, pool_timeout=2, connect_args=options)
        # Locks are held while a name server is slow; they must not use up the connections of the others.
        self._lock_engine = create_async_engine(address, pool_size=4, max_overflow=28, connect_args=options)
        self._reader: AsyncConnection | None = None
        self._reading = asyncio.Lock()

    async def transact(self, work: Work[T]) -> T:
        with _faults():
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)

    async def read(self, work: Work[T]) -> T:
        with _faults():
            async with self._engine.connect() as connection:
                return await connection.run_sync(work)

    async def rows(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Run a compiled query on a connection kept for it."""
        async with self._reading:
            with _faults():
                if self._reader is None or self._reader.invalidated:
                    self._reader = await self._engine.connect()
                async with asyncio.timeout(BUSY_SECONDS):
                    return await _fetch(self._reader, sql, *parameters)

    @asynccontextmanager
    async def zone_lock(self, domain_id: int) -> AsyncIterator[None]:
        with _faults():
            async with self._lock_engine.connect() as connection:
                await _fetch(connection, "SELECT pg_advisory_lock(7233, $1)", domain_id)
                try:
                    yield
                finally:
                    await _fetch(connection, "SELECT pg_advisory_unlock_all()")

    async def tidy(self) -> None:
        """It vacuums by itself."""

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()
        for engine in (self._engine, self._lock_engine):
            await engine.dispose()


async def _fetch(connection: AsyncConnection, sql: str, *parameters: Any) -> list[Any]:
    """Run a query on asyncpg's own connection: the few of the hot path need nothing that stands between.

    A failure closes the connection, and ends what it has locked. Raises StoreDown.
    """
    try:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        found: list[Any] = await driver.fetch(sql, *parameters)
        return found
    except BaseException as error:
        await connection.invalidate()
        if isinstance(error, Exception):
            raise StoreDown(str(error)) from error
        raise
