# SPDX-License-Identifier: GPL-3.0-or-later
"""Slices of long computations, and their share of the processor's time."""

import asyncio
import time

import pytest

from ddnsd.dns import pacing
from ddnsd.dns.pacing import Budget, Pacer


def work(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def test_others_have_their_turn() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    pacer = Pacer()
    for _ in range(10):
        work(pacing.SLICE_SECONDS)
        await pacer.turn()
        pacer.pause()  # a pause does not begin a new slice
        pacer.resume()
    task.cancel()
    assert turns >= 10
    assert pacer.spent >= 10 * pacing.SLICE_SECONDS


async def test_pauses_do_not_count() -> None:
    pacer = Pacer()
    before = pacer.spent
    pacer.pause()
    work(0.01)
    pacer.resume()
    pacer.add(1.0)
    assert 1.0 <= pacer.spent - before < 1.0 + 0.01


def test_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    monkeypatch.setattr(time, "process_time", lambda: moment / 2)  # half busy
    budget = Budget(0.05, 30.0)
    assert budget.allows(0.0)
    moment += 10
    budget.spend(0.1)
    assert not budget.allows(moment)
    moment += 3.9
    assert not budget.allows(moment - 3.9)
    moment += 0.2
    assert budget.allows(moment - 4.1)
    budget.spend(10.0)
    moment += 31
    assert budget.allows(moment - 31), "the longest pause"
    assert not budget.allows(moment - 29)
