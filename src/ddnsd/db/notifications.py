# SPDX-License-Identifier: GPL-3.0-or-later
"""NOTIFY and LISTEN of PostgreSQL, on a connection of its own.

A notification is a hint: those sent while the connection is lost are lost. Who waits for one also reads the database.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ddnsd.db.base import StoreDown

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore

LARGEST_OCTETS = 7900
"""PostgreSQL's limit is 8000."""

TRY_SECONDS = 2.0
"""A notification takes less."""

CHECK_SECONDS = 5.0
PAUSE_SECONDS = 0.5

POOLED = (
    "notifications do not arrive: the connection goes through a pooler that shares sessions (PgBouncer with "
    "pool_mode = transaction). Connect to PostgreSQL directly, or set pool_mode = session"
)


_NOTIFY = "SELECT pg_notify(channel, message) FROM unnest($1::text[], $2::text[]) AS messages (channel, message)"


class Pooled(Exception):
    """the database is behind a pooler that cannot LISTEN"""


class Notifications:
    """Calls `listeners` (by channel) with the text of each notification."""

    def __init__(self, store: "PostgresStore", listeners: Mapping[str, Callable[[str], None]]) -> None:
        self._store, self._listeners = store, dict(listeners)
        self._driver: Any = None
        self._sending = asyncio.Lock()
        self._lost = asyncio.Event()

    async def start(self) -> None:
        """Connect, and check that notifications arrive. Raises StoreDown, Pooled."""
        self._drop()
        self._driver = await self._store.session()
        self._lost = asyncio.Event()
        try:
            await self._listen(self._lost)
            await self._check()
        except BaseException:
            self._drop()
            raise

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        while True:
            await self._watch()
            self._drop()
            await asyncio.sleep(PAUSE_SECONDS)
            with contextlib.suppress(StoreDown, Pooled):
                await self.start()

    async def send(self, messages: Sequence[tuple[str, str]]) -> None:
        """Send texts of up to LARGEST_OCTETS to their channels; they are lost while there is no connection."""
        driver = self._driver
        if driver is None:
            return
        async with self._sending:
            with self._until_lost():
                await driver.fetch(_NOTIFY, *zip(*messages, strict=True), timeout=TRY_SECONDS)

    def stop(self) -> None:
        """Close the connection."""
        self._drop()

    async def _listen(self, lost: asyncio.Event) -> None:
        with self._store.faults():
            self._driver.add_termination_listener(lambda _: lost.set())
            for channel, listener in self._listeners.items():
                await self._driver.add_listener(channel, _with_text(listener))

    async def _check(self) -> None:
        """Send a notification from another connection, which a pooler gives to one of its own sessions."""
        arrived, channel = asyncio.Event(), f"ddnsd_{secrets.token_hex(8)}"
        own = _with_text(lambda _: arrived.set())
        other = await self._store.session()
        try:
            with self._store.faults():
                await self._driver.add_listener(channel, own)
                await other.execute(f"NOTIFY {channel}", timeout=TRY_SECONDS)
                if not await _within(arrived, TRY_SECONDS):
                    raise Pooled(POOLED)
                await self._driver.remove_listener(channel, own)
        finally:
            other.terminate()

    async def _watch(self) -> None:
        """Wait until the connection is lost, also without a sign."""
        while self._driver is not None and not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._lost.wait()
            async with self._sending:
                with self._until_lost():
                    if self._driver is not None and not self._lost.is_set():
                        await self._driver.fetchval("SELECT 1", timeout=TRY_SECONDS)

    @contextlib.contextmanager
    def _until_lost(self) -> Any:
        try:
            with self._store.faults():
                yield
        except StoreDown:
            self._lost.set()

    def _drop(self) -> None:
        if self._driver is not None:
            self._driver.terminate()
            self._driver = None


async def _within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False


def _with_text(listener: Callable[[str], None]) -> Callable[[Any, int, str, str], None]:
    return lambda _connection, _process, _channel, text: listener(text)
