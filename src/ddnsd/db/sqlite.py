# SPDX-License-Identifier: GPL-3.0-or-later
"""The store in an SQLite file."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine, make_url

from ddnsd.db.base import BUSY_SECONDS, DatabaseName, Gate, T, Work, ZoneLock, faults


def engine_of(path: Path) -> Engine:
    """An engine with our durability settings; creates the file's folder."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # SQLAlchemy begins transactions, see below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-8000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Take the write lock at the start, so that a transaction that reads before it writes has no stale snapshot.
        mode = "DEFERRED" if connection.get_execution_options().get("reading") else "IMMEDIATE"
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def database_name(path: Path) -> DatabaseName:
    """The file's name in messages."""
    return DatabaseName(f"SQLite at {path}", "cannot be used")


class SqliteStore(Gate):
    """One file, with one writing thread, two reading threads, and reads of single rows in the event loop.

    In WAL mode readers do not wait, and a row by its key takes microseconds, less than a switch of threads.
    """

    def __init__(self, url: str) -> None:
        self.path = Path(make_url(url).database or "")
        self._place = database_name(self.path)
        with faults(self._place):
            self._engine = engine_of(self.path)
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(2, "store-reader")
        self._loop_reader: sqlite3.Connection | None = None
        self._locks: dict[int, int] = {}
        self.changes = 0
        """Number of transactions of this process with changes."""

    async def transact(self, work: Work[T]) -> T:
        self.check_gate()
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._transact, work)

    def _transact(self, work: Work[T]) -> T:
        with faults(self._place), self._engine.begin() as connection:
            answer = work(connection)
        self.changes += 1
        return answer

    execute = transact

    async def read(self, work: Work[T]) -> T:
        self.check_gate()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Work[T]) -> T:
        with faults(self._place), self._engine.connect() as connection:
            return work(connection.execution_options(reading=True))

    def rows(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Run a compiled query at once, in the event loop, without waiting.

        The reads of one turn of the loop share a transaction. It begins after their requests have arrived, so it sees
        all changes that were answered before.
        """
        self.check_gate()
        with faults(self._place):
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
    async def zone_lock(self, domain_id: int) -> AsyncIterator[ZoneLock]:
        descriptor = self._locks.get(domain_id)
        if descriptor is None:
            name = f"{self.path}-zone{domain_id}.lock"
            with faults(self._place):
                descriptor = os.open(name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            self._locks[domain_id] = descriptor
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.005)
        try:
            yield _FileLock()
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    async def tidy(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, self._tidy)

    def _tidy(self) -> None:
        with faults(self._place), closing(self._engine.raw_connection()) as connection:
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


class _FileLock:
    """A file lock, which the kernel keeps as long as the process lives."""

    def check(self) -> None:
        """Nothing to check: the lock cannot be lost."""
