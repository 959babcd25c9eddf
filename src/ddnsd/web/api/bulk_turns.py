# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns for large calls, which need much memory: one at a time for each user, and a few for all users together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from ddnsd.web.api.errors import Problem

WAIT_SECONDS = 30.0
"""How long a call waits for its turn."""

AT_ONCE = 4
"""Maximum number of large calls that are parsed and carried out at the same time."""

RETRY = {"Retry-After": "10"}


class BulkTurns:
    """The turns of this process."""

    def __init__(self, *, seconds: float = WAIT_SECONDS, at_once: int = AT_ONCE) -> None:
        self._seconds, self._of_all = seconds, asyncio.Semaphore(at_once)
        self._of_users: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def of_user(self, user_id: int) -> AsyncIterator[None]:
        """Wait until no other large call of the user is running. Raises Problem."""
        turn = self._of_users.setdefault(user_id, asyncio.Semaphore(1))
        async with self._held(turn, "Another large call of yours is still running: wait for its answer."):
            yield

    @asynccontextmanager
    async def of_all(self) -> AsyncIterator[None]:
        """Wait until there is room for one more large call. Raises Problem."""
        async with self._held(self._of_all, "Too many large calls are running: try again later."):
            yield

    @asynccontextmanager
    async def _held(self, turn: asyncio.Semaphore, refusal: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds):
                await turn.acquire()
        except TimeoutError:
            raise Problem(429, f"Nothing was changed. {refusal}", headers=RETRY) from None
        try:
            yield
        finally:
            turn.release()
