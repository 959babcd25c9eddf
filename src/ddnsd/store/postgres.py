# SPDX-License-Identifier: GPL-3.0-or-later
"""The store in a PostgreSQL database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from ddnsd.store.database import BUSY_SECONDS, StoreDown, T, Work, faults


def driver_url(url: str) -> URL:
    """The same database, by the driver that we use."""
    return make_url(url).set(drivername="postgresql+asyncpg")


class PostgresStore:
    """A PostgreSQL database shared by any number of service processes."""

    def __init__(self, url: str) -> None:
        address = driver_url(url)
        options: dict[str, Any] = {"timeout": BUSY_SECONDS, "command_timeout": 30}
        self._engine = create_async_engine(address, pool_size=6, max_overflow=4, pool_timeout=2, connect_args=options)
        # A statement by itself needs no other two around it, each of which costs a turn of the event loop.
        self._single = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        # Locks are held while a name server is slow; they must not use up the connections of the others.
        self._lock_engine = create_async_engine(address, pool_size=4, max_overflow=28, connect_args=options)
        self._reader: AsyncConnection | None = None
        self._reading = asyncio.Lock()
        self.changes = 0
        """How many transactions of this process have changed something."""

    async def transact(self, work: Work[T]) -> T:
        with faults():
            async with self._engine.begin() as connection:
                answer = await connection.run_sync(work)
        self.changes += 1
        return answer

    async def execute(self, work: Work[T]) -> T:
        with faults():
            async with self._single.connect() as connection:
                return await connection.run_sync(work)

    async def read(self, work: Work[T]) -> T:
        with faults():
            async with self._engine.connect() as connection:
                return await connection.run_sync(work)

    async def rows(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Run a compiled query on a connection kept for it."""
        async with self._reading:
            with faults():
                if self._reader is None or self._reader.invalidated:
                    self._reader = await self._engine.connect()
                async with asyncio.timeout(BUSY_SECONDS):
                    return await _fetch(self._reader, sql, *parameters)

    @asynccontextmanager
    async def zone_lock(self, domain_id: int) -> AsyncIterator[None]:
        with faults():
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
