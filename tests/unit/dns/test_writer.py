# SPDX-License-Identifier: GPL-3.0-or-later
"""The writer's tasks end when they are told to, whatever comes in at that moment."""

import asyncio
from typing import Any

import pytest

from ddnsd.db.pending import Settled
from ddnsd.dns.writer import Writer


class EmptyStore:
    async def read(self, _work: Any) -> list[Any]:
        return []

    async def transact(self, _work: Any) -> None:
        await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(8))
def test_it_stops_while_acknowledgements_come_in(turns: int) -> None:
    async def go() -> None:
        store: Any = EmptyStore()
        writer = Writer(store, store, deadline=1, default_ttl=60)
        await writer.start()
        writer._acknowledged(Settled(1, 1))
        for _ in range(4):  # it pauses before it marks
            await asyncio.sleep(0)
        writer._acknowledged(Settled(2, 1))
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await writer.stop()

    asyncio.run(go())
