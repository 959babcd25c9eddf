# SPDX-License-Identifier: GPL-3.0-or-later
"""The store in a PostgreSQL database, which may restart at any time.

A connection that was lost while idle is replaced before it is used: asyncpg knows that it is closed, and one that was
idle for a while is tested first. After a loss during use, reads, and transactions whose COMMIT was not sent, are
repeated once. A lost COMMIT is OutcomeUnknown.

Every wait has a limit: for a free connection, for a new one, and for each statement.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ddnsd.db import postgres_tls
from ddnsd.db.base import BUSY_SECONDS, DatabaseName, Faults, Gate, OutcomeUnknown, T, Work
from ddnsd.db.notifications import Notifications

COMMAND_SECONDS = 30.0
"""Limit of a statement."""

PLANS = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off"
"""For queries by an array of keys: otherwise PostgreSQL plans them anew for each array, which takes longer than to run
them. All of them use an index, also while the statistics of a table are of a time when it was small."""

LIMITS = "SET lock_timeout = 2000; SET idle_in_transaction_session_timeout = 10000"
"""Milliseconds. A row that somebody else has locked, or a process that was stopped, delays nobody for longer."""

IDLE_SECONDS = 5.0
"""A connection idle for longer is tested before use: a firewall or a failover may have ended it silently."""

TRY_SECONDS = 1.0
"""Limit of such a test."""

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
)


_VALUES = re.compile(r"(?s)(invalid input for query argument \$\d+).*|()\s*(?:DETAIL|HINT|CONTEXT|WHERE): .*")
"""A part of a message with values."""


def driver_url(url: str) -> URL:
    """The URL with the driver that we use."""
    return make_url(url).set(drivername="postgresql+asyncpg")


def engine_of(url: str, connect_args: Mapping[str, Any], **options: Any) -> AsyncEngine:
    """An engine whose errors never contain values, which may be secrets."""
    address, tls = postgres_tls.arguments(driver_url(url))
    engine = create_async_engine(address, hide_parameters=True, connect_args={**connect_args, **tls}, **options)

    @event.listens_for(engine.sync_engine, "handle_error")
    def _failed(context: ExceptionContext) -> None:
        for error in (context.sqlalchemy_exception, context.original_exception, context.original_exception.__cause__):
            if error is not None:
                _remove_values(error)

    return engine


def _remove_values(error: BaseException) -> None:
    """Remove the values that PostgreSQL and asyncpg quote in their messages."""
    if isinstance(error, asyncpg.PostgresError):
        error.detail = None
    error.args = tuple(_VALUES.sub(r"\1", part) if isinstance(part, str) else part for part in error.args)


def database_name(url: str) -> DatabaseName:
    """The database's name in messages: its address, never its password."""
    address = make_url(url)
    host = address.host or address.query.get("host") or "localhost"
    hosts = host if isinstance(host, str) else ", ".join(host)
    port = f":{address.port}" if address.port else ""
    return DatabaseName(f"PostgreSQL at {hosts}{port}", "does not answer", DRIVER_ERRORS)


class PostgresStore(Gate):
    """A PostgreSQL database shared by any number of service processes."""

    def __init__(self, url: str) -> None:
        self._url, tls = postgres_tls.arguments(driver_url(url))
        self._options: dict[str, Any] = {"timeout": BUSY_SECONDS, "command_timeout": COMMAND_SECONDS, **tls}
        self._place = database_name(url)
        self._engine = engine_of(url, self._options, pool_size=6, max_overflow=4, pool_timeout=2)
        # A single statement needs no BEGIN and COMMIT, each of which costs a turn of the event loop.
        self._single = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._silence = _Silence()
        _replace_lost(self._engine, self._silence)
        _limit_waits(self._engine)
        self._reader: _Kept | None = None
        self._reading = asyncio.Lock()
        self.changes = 0
        """Number of transactions of this process with changes."""

    async def transact(self, work: Work[T]) -> T:
        self.check_gate()
        try:
            with Faults(self._place):
                return await self._twice(lambda: self._transact(work))
        finally:
            self.changes += 1

    async def _transact(self, work: Work[T]) -> T:
        committing = False
        try:
            async with self._engine.connect() as connection:
                answer = await connection.run_sync(work)
                committing = True
                await connection.commit()
                return answer
        except (DBAPIError, OSError) as error:
            if committing:
                self._check_outcome(error)
            raise

    async def execute(self, work: Work[T]) -> T:
        self.check_gate()
        with Faults(self._place):
            async with self._single.connect() as connection:
                try:
                    return await connection.run_sync(work)
                except (DBAPIError, OSError) as error:
                    self._check_outcome(error)
                    raise

    async def _twice(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Run again, on a new connection, if the connection was lost; only for work that leaves nothing behind."""
        try:
            return await attempt()
        except (DBAPIError, OSError, *DRIVER_ERRORS) as error:
            if not _is_lost(error):
                raise
        self._silence.note()  # the others may be lost as well, which asyncpg does not know yet
        return await attempt()

    def _check_outcome(self, error: Exception) -> None:
        if _is_lost(error) or isinstance(error, TimeoutError):
            self._silence.note()
            text = f"{self._place.name}: the connection was lost during the commit, so the change may be kept"
            raise OutcomeUnknown(text) from error

    async def read(self, work: Work[T]) -> T:
        self.check_gate()
        with Faults(self._place):
            return await self._twice(lambda: self._read(work))

    async def _read(self, work: Work[T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(work)

    async def rows(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Run a compiled query on a connection kept for it. Raises StoreDown after BUSY_SECONDS at the latest."""
        self.check_gate()
        with Faults(self._place):
            async with asyncio.timeout(BUSY_SECONDS), self._reading:
                return await self._twice(lambda: self._rows(sql, parameters))

    async def _rows(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        kept = self._reader
        if kept is None or not await self._silence.over(kept.driver, kept.used):
            if kept is not None:
                self._reader = None
                await kept.drop()
            kept = self._reader = await _kept(self._engine)
        return await kept.fetch(sql, *parameters)

    async def session(self) -> Any:
        """A new connection of asyncpg for notifications, outside the pool; their commits do not wait for the disk.

        Raises StoreDown.
        """
        arguments, options = self._engine.dialect.create_connect_args(self._url)
        with self.faults():
            driver = await asyncpg.connect(*arguments, **options, **self._options)
            await driver.execute("SET synchronous_commit = off")
            return driver

    async def check(self) -> None:
        """Check that connections keep their sessions. Raises StoreDown, Pooled."""
        notifications = Notifications(self, {})
        await notifications.start()
        notifications.stop()

    def faults(self) -> Faults:
        """Convert errors of the connection into StoreDown."""
        return Faults(self._place)

    async def tidy(self) -> None:
        """Nothing to do: PostgreSQL vacuums automatically."""

    async def close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BUSY_SECONDS):
                if self._reader is not None:
                    await self._reader.connection.close()
                await self._engine.dispose()


class _Kept:
    """A connection of a pool, and asyncpg's own, which queries of the hot path use directly."""

    def __init__(self, connection: AsyncConnection, driver: Any) -> None:
        self.connection, self.driver = connection, driver
        self.used = time.monotonic()

    async def fetch(self, sql: str, *parameters: Any) -> list[Any]:
        """Run a query. A failure closes the connection and ends its locks."""
        try:
            found: list[Any] = await self.driver.fetch(sql, *parameters)
        except BaseException as error:
            _remove_values(error)
            await self.drop()
            raise
        self.used = time.monotonic()
        return found

    async def drop(self) -> None:
        """Close the connection at once, without waiting for a server that may be gone."""
        self.driver.terminate()
        if self.connection.closed:
            return
        await self.connection.invalidate()
        await self.connection.close()


async def _kept(engine: AsyncEngine) -> _Kept:
    connection = await engine.connect()
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.execute(PLANS)
    return _Kept(connection, driver)


class _Silence:
    """Detect silently lost connections: if one is lost, those last used before it are lost too."""

    def __init__(self) -> None:
        self._heard = 0.0

    def note(self) -> None:
        """Note that a connection was lost: those that were last used before are not used again."""
        self._heard = time.monotonic()

    async def over(self, driver: Any, used: float) -> bool:
        """Whether a connection last used then can be used; tests it if it was idle for long."""
        if driver.is_closed() or used < self._heard:
            return False
        if time.monotonic() - used < IDLE_SECONDS:
            return True
        try:
            await driver.fetchval("SELECT 1", timeout=TRY_SECONDS)
        except (*DRIVER_ERRORS, OSError):
            self.note()
            return False
        return True

    def may_be_lost(self, driver: Any, used: float) -> bool:
        """Whether the connection must be tested."""
        return driver.is_closed() or used < self._heard or time.monotonic() - used >= IDLE_SECONDS


def _limit_waits(engine: AsyncEngine) -> None:
    """Set LIMITS in each new connection. Poolers refuse them as parameters of the connection."""

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.run_async(lambda driver: driver.execute(LIMITS))


def _replace_lost(engine: AsyncEngine, silence: _Silence) -> None:
    """Let the pool replace connections that were lost while idle, without a round trip."""

    @event.listens_for(engine.sync_engine, "checkin")
    def _left(_connection: object, record: Any) -> None:
        record.info["left"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _taken(connection: Any, record: Any, _fairy: object) -> None:
        left = record.info.get("left")
        if left is None:
            return  # a new one
        driver = connection.driver_connection
        if silence.may_be_lost(driver, left) and not connection.run_async(lambda d: silence.over(d, left)):
            driver.terminate()
            raise DisconnectionError


def _is_lost(error: Exception) -> bool:
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return isinstance(error, _LOST) or (isinstance(error, asyncpg.InterfaceError) and "closed" in str(error))
