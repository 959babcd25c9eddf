# SPDX-License-Identifier: GPL-3.0-or-later
"""Slow down guesses at one account from many sources, without locking the account."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from ddnsd.auth.throttle import REMEMBERED, Turns

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
LONGEST_WAIT_SECONDS = 10.0

RESET_SECONDS = 15 * 60.0
"""A name without failures for so long is no longer slowed down."""

SOURCES = 2
"""Factor by which a name may fail more often from all sources than from one."""


class AccountBackoff:
    """After some failures of a name, a sign-in waits for its turn; the pause between two turns doubles with more."""

    def __init__(
        self,
        failures: int,
        *,
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._turns = Turns(FIRST_PAUSE_SECONDS, LONGEST_WAIT_SECONDS, clock=clock, sleep=sleep)
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self.use(failures, enabled=enabled)

    def use(self, failures: int, *, enabled: bool) -> None:
        """Apply this limit of failures from now on; when disabled, nobody waits."""
        self._limit, self._enabled = failures * SOURCES, enabled
        if not enabled:
            self._failures.clear()

    def slows(self, name: str) -> bool:
        """Whether sign-ins with the name need a turn."""
        return self._count(name) >= self._limit

    async def take(self, name: str, *, failed_before: bool = False) -> bool:
        """Wait for a turn. False if too many wait. `failed_before`: in the queue of sources that have failed before."""
        steps = self._count(name) // self._limit
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (steps - 1), LONGEST_PAUSE_SECONDS)
        return await self._turns.take(f"{name}\0{failed_before}", pause)

    def failed(self, name: str) -> None:
        """Count a failure."""
        if not self._enabled:
            return
        self._failures[name] = min(self._count(name) + 1, 100 * self._limit), self._clock()
        self._failures.move_to_end(name)
        if len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def _count(self, name: str) -> int:
        count, last = self._failures.get(name, (0, 0.0))
        return count if self._clock() - last < RESET_SECONDS else 0
