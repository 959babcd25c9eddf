# SPDX-License-Identifier: GPL-3.0-or-later
"""The store in an SQLite file."""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine, make_url

from ddnsd.db import moved
from ddnsd.db.base import BUSY_SECONDS, DatabaseName, Faults, Gate, T, Work, ZoneLock


def engine_of(path: Path) -> Engine:
    """An engine with our durability settings; creates the file's folder, and the file for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(
        f"sqlite:///{path}", hide_parameters=True, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}
    )

    @event.listens_for(engine, "do_connect")
    def _protect(*_: object) -> None:
        _keep_private(path)

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


def _keep_private(path: Path) -> None:
    """Create the file with mode 0600. If everyone can read it, which is the default of umask, set this mode.

    SQLite gives the files beside it (`-wal`, `-shm`) the mode of the database. Errors are those of the connection.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        with contextlib.suppress(OSError):
            if file.stat().st_mode & stat.S_IROTH:
                file.chmod(0o600)


def database_name(path: Path) -> DatabaseName:
    """The file's name in messages."""
    return DatabaseName(f"SQLite at {path}", "cannot be used")


def zone_lock_file(path: Path, name: str) -> Path:
    """A zone's lock file of this name, beside the database."""
    return path.with_name(f"{path.name}-zone{name}.lock")


class SqliteStore(Gate):
    """One file, with one writing thread, two reading threads, and reads of single rows in the event loop.

    In WAL mode readers do not wait, and a row by its key takes microseconds, less than a switch of threads.
    """

    def __init__(self, url: str) -> None:
        self.path = Path(make_url(url).database or "")
        self._place = database_name(self.path)
        with Faults(self._place):
            self._engine = engine_of(self.path)
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(2, "store-reader")
        self._loop_reader: sqlite3.Connection | None = None
        self._locks: dict[str, int] = {}
        self._in_place = False  # the reads of this turn of the loop have found that the file was not moved
        self.changes = 0
        """Number of transactions of this process with changes."""

    async def transact(self, work: Work[T]) -> T:
        self.check_gate()
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._transact, work)

    def _transact(self, work: Work[T]) -> T:
        with Faults(self._place), self._engine.begin() as connection:
            answer = work(connection)
        self.changes += 1
        return answer

    execute = transact

    async def read(self, work: Work[T]) -> T:
        self.check_gate()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Work[T]) -> T:
        with Faults(self._place), self._engine.connect() as connection:
            return work(connection.execution_options(reading=True))

    def rows(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Run a compiled query at once, in the event loop, without waiting.

        The reads of one turn of the loop share a transaction. It begins after their requests have arrived, so it sees
        all changes that were answered before.
        """
        self.check_gate()
        with Faults(self._place):
            if self._loop_reader is None:
                name = f"file:{self.path}?mode=ro"
                self._loop_reader = sqlite3.connect(name, uri=True, timeout=0, isolation_level=None)
            if not self._loop_reader.in_transaction:
                self._loop_reader.execute("BEGIN")
                asyncio.get_running_loop().call_soon(self._end_reads)
            return self._loop_reader.execute(sql, parameters).fetchall()

    @property
    def version(self) -> int:
        """A number that changes with every transaction of any process. Raises StoreDown."""
        ((version,),) = self.rows("PRAGMA data_version", ())
        return int(version)

    def _end_reads(self) -> None:
        self._in_place = False
        if self._loop_reader is not None and self._loop_reader.in_transaction:
            self._loop_reader.rollback()

    @asynccontextmanager
    async def zone_lock(self, name: str) -> AsyncIterator[ZoneLock]:
        """Wait for the lock file of this name; `db copy` takes all of them. Raises Moved, StoreDown."""
        descriptor = self._locks.get(name)
        if descriptor is None:
            with Faults(self._place):
                descriptor = os.open(zone_lock_file(self.path, name), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            self._locks[name] = descriptor
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.005)
        try:
            await asyncio.sleep(0)  # locks that are taken in this turn of the loop share the check
            self._check_moved()
            yield _FileLock()
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def hold_alone(self, name: str) -> bool:
        """Take the lock file of this name until the store is closed. Returns whether no other process has it."""
        if name in self._locks:
            return True
        with Faults(self._place):
            file = self.path.with_name(f"{self.path.name}-{name}.lock")
            descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._locks[name] = descriptor
        return True

    def _check_moved(self) -> None:
        """Check at the last moment that the file was not moved: then another process sends. Raises Moved."""
        if self._in_place:
            return
        self._end_reads()  # they may have begun before
        if self.rows("SELECT 1 FROM sqlite_master WHERE name = ?", (moved.database_move.name,)):
            with Faults(self._place), self._engine.connect() as connection:
                moved.check(connection.execution_options(reading=True))
        self._in_place = True

    async def check(self) -> None:
        """Nothing to check: the file is ours."""

    async def tidy(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, self._tidy)

    def _tidy(self) -> None:
        with Faults(self._place), closing(self._engine.raw_connection()) as connection:
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

    marker = None

    def check(self) -> None:
        """Nothing to check: the lock cannot be lost."""
