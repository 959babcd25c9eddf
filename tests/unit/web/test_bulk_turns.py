# SPDX-License-Identifier: GPL-3.0-or-later
"""Large calls take turns, and one that waits too long is refused."""

import asyncio

import pytest

from ddnsd.web.api.bulk_turns import BulkTurns
from ddnsd.web.api.errors import Problem


async def test_a_user_has_one_at_a_time() -> None:
    turns = BulkTurns(seconds=0.01)
    async with turns.of_user(1), turns.of_user(2):
        with pytest.raises(Problem) as refused:
            async with turns.of_user(1):
                raise AssertionError
    assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "10"})
    async with turns.of_user(1):
        pass


async def test_a_call_waits_for_the_one_before() -> None:
    turns, order = BulkTurns(), []

    async def call(name: str) -> None:
        async with turns.of_user(1), turns.of_all():
            order.append(name)
            await asyncio.sleep(0)
            order.append(name)

    await asyncio.gather(*(call(name) for name in "abc"))
    assert order == list("aabbcc")


async def test_all_users_together_have_a_few() -> None:
    turns = BulkTurns(seconds=0.01, at_once=2)
    async with turns.of_all(), turns.of_all():
        with pytest.raises(Problem):
            async with turns.of_all():
                raise AssertionError
    async with turns.of_all():
        pass


async def test_a_call_that_gives_up_leaves_the_turn_to_the_next() -> None:
    turns = BulkTurns()
    async with turns.of_user(1):
        waiting = [asyncio.create_task(_enter(turns)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    await waiting[1]


async def _enter(turns: BulkTurns) -> None:
    async with turns.of_user(1):
        pass
