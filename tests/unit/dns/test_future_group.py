# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for many acknowledgements."""

import asyncio
from itertools import count

from ddnsd.dns.future_group import FutureGroup

SHORT, LONG = 0.01, 30.0


async def test_every_end_is_told_apart() -> None:
    group: FutureGroup[str] = FutureGroup()
    good, bad = group.future("good"), group.future("bad")
    error = ValueError("no")
    asyncio.get_running_loop().call_later(SHORT, good.set_result, None)
    asyncio.get_running_loop().call_later(2 * SHORT, bad.set_exception, error)
    await group.wait(LONG, LONG, progress=lambda: 0)
    assert group.outcomes == {"good": None, "bad": error}


async def test_nothing_to_wait_for() -> None:
    group: FutureGroup[str] = FutureGroup()
    await group.wait(LONG, LONG, progress=lambda: 0)
    assert group.outcomes == {}


async def test_without_progress_the_rest_is_cancelled() -> None:
    group: FutureGroup[int] = FutureGroup()
    futures = [group.future(n) for n in range(3)]
    futures[1].set_result(None)
    await group.wait(SHORT, LONG, progress=lambda: 0)
    await asyncio.sleep(0)
    assert group.outcomes == {1: None}
    assert [future.cancelled() for future in futures] == [True, False, True]


async def test_progress_is_waited_for() -> None:
    group: FutureGroup[int] = FutureGroup()
    future = group.future(1)
    asyncio.get_running_loop().call_later(10 * SHORT, future.set_result, None)
    steps = count()
    await group.wait(SHORT, LONG, progress=lambda: next(steps))
    assert group.outcomes == {1: None}


async def test_but_not_for_ever() -> None:
    group: FutureGroup[int] = FutureGroup()
    future = group.future(1)
    steps = count()
    await group.wait(SHORT, 3 * SHORT, progress=lambda: next(steps))
    await asyncio.sleep(0)
    assert future.cancelled()
    assert group.outcomes == {}


async def test_more_time_is_given_until_there_is_none() -> None:
    group: FutureGroup[int] = FutureGroup()
    late, never = group.future(1), group.future(2)
    asyncio.get_running_loop().call_later(5 * SHORT, late.set_result, None)
    given = iter([SHORT, 20 * SHORT, SHORT, 0.0])
    await group.wait(SHORT, LONG, progress=lambda: 0, more=lambda: next(given))
    await asyncio.sleep(0)
    assert group.outcomes == {1: None}
    assert never.cancelled()
