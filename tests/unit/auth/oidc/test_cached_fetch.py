# SPDX-License-Identifier: GPL-3.0-or-later
"""What a provider publishes: asked for once, kept, renewed beside the requests, and not asked for too often."""

import asyncio

import pytest

from ddnsd.auth.oidc import ProviderDown
from ddnsd.auth.oidc.cached_fetch import FRESH_SECONDS, PAUSE_SECONDS, STALE_SECONDS, Fetched


class Source:
    """Counts how often it is asked; `down` makes it fail."""

    def __init__(self) -> None:
        self.asked, self.down, self.now = 0, False, 1000.0
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self) -> int:
        self.asked += 1
        await self.gate.wait()
        if self.down:
            raise ProviderDown("down")
        return self.asked


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def fetched(source: Source) -> Fetched[int]:
    return Fetched(source.fetch, clock=lambda: source.now)


async def test_all_who_wait_get_one_answer(source: Source, fetched: Fetched[int]) -> None:
    source.gate.clear()
    waiting = [asyncio.create_task(fetched.get()) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    source.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [1] * 19
    assert await fetched.get() == source.asked == 1


async def test_it_is_renewed_while_it_is_used(source: Source, fetched: Fetched[int]) -> None:
    assert await fetched.get() == 1
    source.now += FRESH_SECONDS + 1
    source.gate.clear()
    assert await fetched.get() == 1  # does not wait
    await asyncio.sleep(0)
    source.gate.set()
    await asyncio.sleep(0.01)
    assert await fetched.get() == 2


async def test_an_old_value_serves_while_the_source_is_down(source: Source, fetched: Fetched[int]) -> None:
    assert await fetched.get() == 1
    source.down = True
    source.now += FRESH_SECONDS + 1
    for _ in range(3):
        assert await fetched.get() == 1
        await asyncio.sleep(0.01)
    assert source.asked == 2  # not again within the pause
    source.now += STALE_SECONDS
    with pytest.raises(ProviderDown):
        await fetched.get()
    source.now += PAUSE_SECONDS + 1
    source.down = False
    assert await fetched.get() == source.asked == 4


async def test_a_source_that_is_down_is_left_alone_for_a_while(source: Source, fetched: Fetched[int]) -> None:
    source.down = True
    for _ in range(3):
        with pytest.raises(ProviderDown, match="down"):
            await fetched.get()
    assert source.asked == 1
    source.now += PAUSE_SECONDS
    with pytest.raises(ProviderDown):
        await fetched.get()
    assert source.asked == 2


async def test_a_newer_value_is_fetched_now_and_then(source: Source, fetched: Fetched[int]) -> None:
    assert [await fetched.newer() for _ in range(3)] == [1, 1, 1]
    source.now += PAUSE_SECONDS
    assert [await fetched.newer() for _ in range(3)] == [2, 2, 2]
    source.now += PAUSE_SECONDS
    source.down = True
    with pytest.raises(ProviderDown):
        await fetched.newer()
    assert await fetched.get() == 2
