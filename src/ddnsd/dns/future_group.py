# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for many acknowledgements at once, as long as name servers continue to answer."""

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class FutureGroup(Generic[K]):
    """The outcomes of many futures: `outcomes` has those that have ended, with their error or None."""

    def __init__(self) -> None:
        self.outcomes: dict[K, BaseException | None] = {}
        self._open: dict[K, asyncio.Future[None]] = {}
        self._all_ended = asyncio.Event()

    def future(self, key: K) -> asyncio.Future[None]:
        """A new future whose outcome is stored under `key`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(partial(self._ended, key))
        self._open[key] = future
        return future

    async def wait(
        self, seconds: float, most: float, progress: Callable[[], int], more: Callable[[], float] = lambda: 0.0
    ) -> None:
        """Wait until all have ended: `seconds`, again while `progress` increases, `most` in all, then `more()` till 0.

        The others are then cancelled.
        """
        end = asyncio.get_running_loop().time() + most
        while self._open:
            before = progress()
            if not await self._all_end_within(seconds) and (
                progress() == before or asyncio.get_running_loop().time() >= end
            ):
                while (rest := more()) and not await self._all_end_within(rest):
                    pass
                break
        for future in self._open.values():
            future.cancel()

    async def _all_end_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._all_ended.wait()
        except TimeoutError:
            return False

    def _ended(self, key: K, future: asyncio.Future[None]) -> None:
        if future.cancelled():
            return
        self.outcomes[key] = future.exception()
        del self._open[key]
        if not self._open:
            self._all_ended.set()
