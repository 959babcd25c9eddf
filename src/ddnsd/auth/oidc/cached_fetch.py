# SPDX-License-Identifier: GPL-3.0-or-later
"""Cache of a document that a provider publishes: fetched when needed, once for all waiting callers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from ddnsd.auth.oidc import ProviderDown

log = structlog.get_logger()

T = TypeVar("T")

FRESH_SECONDS = 300.0
"""Age after which it is fetched again, while the cached value is still used."""

STALE_SECONDS = 24 * 3600.0
"""Age after which it is not used."""

PAUSE_SECONDS = 10.0
"""Minimum time between two attempts."""


class CachedFetch(Generic[T]):
    """The cached value of `fetch`, which may raise ProviderDown."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._value: T | None = None
        self._fetched_at = self._failed_at = float("-inf")
        self._failure = ""
        self._task: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The value; waits only if there is none. Raises ProviderDown."""
        age = self._clock() - self._fetched_at
        if self._value is None or age > STALE_SECONDS:
            return await self._refresh()
        if age > FRESH_SECONDS and not self._pausing():
            self._start()
        return self._value

    async def newer(self) -> T:
        """The value, fetched within the last seconds. Raises ProviderDown."""
        if self._value is not None and self._clock() - self._fetched_at < PAUSE_SECONDS:
            return self._value
        return await self._refresh()

    def _pausing(self) -> bool:
        return self._clock() - self._failed_at < PAUSE_SECONDS

    async def _refresh(self) -> T:
        if self._task is None and self._pausing():
            raise ProviderDown(self._failure)
        return await asyncio.shield(self._start())

    def _start(self) -> asyncio.Task[T]:
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(self._done)
        return self._task

    async def _run(self) -> T:
        value = await self._fetch()
        self._value, self._fetched_at = value, self._clock()
        return value

    def _done(self, task: asyncio.Task[T]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed_at, self._failure = self._clock(), str(error)
            log.warning("identity provider did not answer", reason=str(error))
