# SPDX-License-Identifier: GPL-3.0-or-later
"""What a provider publishes: asked for once, kept, renewed beside the requests, and not asked for too often."""

import asyncio

import pytest

from ddnsd.auth.oidc import ProviderDown
from ddnsd.auth.oidc.cached_fetch import FRESH_SECONDS, PAUSE_SECONDS, STALE_SECONDS, CachedFetch


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
def client_ip() -> Source:
    return Source()


@pytest.fixture
def fetched(client_ip: Source) -> CachedFetch[int]:
    return CachedFetch(client_ip.fetch, clock=lambda: client_ip.now)


async def test_all_who_wait_get_one_answer(client_ip: Source, fetched: CachedFetch[int]) -> None:
    client_ip.gate.clear()
    waiting = [asyncio.create_task(fetched.get()) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    client_ip.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [1] * 19
    assert await fetched.get() == client_ip.asked == 1


async def test_it_is_renewed_while_it_is_used(client_ip: Source, fetched: CachedFetch[int]) -> None:
    assert await fetched.get() == 1
    client_ip.now += FRESH_SECONDS + 1
    client_ip.gate.clear()
    assert await fetched.get() == 1  # does not wait
    await asyncio.sleep(0)
    client_ip.gate.set()
    await asyncio.sleep(0.01)
    assert await fetched.get() == 2


async def test_an_old_value_serves_while_the_source_is_down(client_ip: Source, fetched: CachedFetch[int]) -> None:
    assert await fetched.get() == 1
    client_ip.down = True
    client_ip.now += FRESH_SECONDS + 1
    for _ in range(3):
        assert await fetched.get() == 1
        await asyncio.sleep(0.01)
    assert client_ip.asked == 2  # not again within the pause
    client_ip.now += STALE_SECONDS
    with pytest.raises(ProviderDown):
        await fetched.get()
    client_ip.now += PAUSE_SECONDS + 1
    client_ip.down = False
    assert await fetched.get() == client_ip.asked == 4


async def test_a_source_that_is_down_is_left_alone_for_a_while(client_ip: Source, fetched: CachedFetch[int]) -> None:
    client_ip.down = True
    for _ in range(3):
        with pytest.raises(ProviderDown, match="down"):
            await fetched.get()
    assert client_ip.asked == 1
    client_ip.now += PAUSE_SECONDS
    with pytest.raises(ProviderDown):
        await fetched.get()
    assert client_ip.asked == 2


async def test_a_newer_value_is_fetched_now_and_then(client_ip: Source, fetched: CachedFetch[int]) -> None:
    assert [await fetched.newer() for _ in range(3)] == [1, 1, 1]
    client_ip.now += PAUSE_SECONDS
    assert [await fetched.newer() for _ in range(3)] == [2, 2, 2]
    client_ip.now += PAUSE_SECONDS
    client_ip.down = True
    with pytest.raises(ProviderDown):
        await fetched.newer()
    assert await fetched.get() == 2
