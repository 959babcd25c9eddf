# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for many acknowledgements."""

import asyncio
from itertools import count

from ddnsd.dns.future_group import Tally

SHORT, LONG = 0.01, 30.0


async def test_every_end_is_told_apart() -> None:
    tally: Tally[str] = Tally()
    good, bad = tally.future("good"), tally.future("bad")
    error = ValueError("no")
    asyncio.get_running_loop().call_later(SHORT, good.set_result, None)
    asyncio.get_running_loop().call_later(2 * SHORT, bad.set_exception, error)
    await tally.wait(LONG, LONG, progress=lambda: 0)
    assert tally.outcomes == {"good": None, "bad": error}


async def test_nothing_to_wait_for() -> None:
    tally: Tally[str] = Tally()
    await tally.wait(LONG, LONG, progress=lambda: 0)
    assert tally.outcomes == {}


async def test_without_progress_the_rest_is_cancelled() -> None:
    tally: Tally[int] = Tally()
    futures = [tally.future(n) for n in range(3)]
    futures[1].set_result(None)
    await tally.wait(SHORT, LONG, progress=lambda: 0)
    await asyncio.sleep(0)
    assert tally.outcomes == {1: None}
    assert [future.cancelled() for future in futures] == [True, False, True]


async def test_progress_is_waited_for() -> None:
    tally: Tally[int] = Tally()
    future = tally.future(1)
    asyncio.get_running_loop().call_later(10 * SHORT, future.set_result, None)
    steps = count()
    await tally.wait(SHORT, LONG, progress=lambda: next(steps))
    assert tally.outcomes == {1: None}


async def test_but_not_for_ever() -> None:
    tally: Tally[int] = Tally()
    future = tally.future(1)
    steps = count()
    await tally.wait(SHORT, 3 * SHORT, progress=lambda: next(steps))
    await asyncio.sleep(0)
    assert future.cancelled()
    assert tally.outcomes == {}
