# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of fronts that do not tell their clients' addresses, and for how long it is shown."""

import pytest

from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.registry import unknown_fronts
from ddnsd.registry.unknown_fronts import FRONTS, REPEAT_SECONDS, SHOWN_MICROSECONDS, Fronts


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_one_entry_for_each_front_in_some_minutes(store: Store) -> None:
    clock = Clock()
    found = Fronts(store, clock=clock)
    await found.write()
    assert await store.read(unknown_fronts.seen) == []
    for _ in range(3):
        found.note("unix", None)
        found.note("192.0.2.1", "unknown")
    await found.write()
    first = await store.read(unknown_fronts.seen)
    assert [front.front for front in first] == ["192.0.2.1", "unix"]
    assert first[0].text.endswith("'unknown'; 3 requests")
    found.note("192.0.2.1", "later")
    clock.now += REPEAT_SECONDS - 1
    await found.write()
    assert await store.read(unknown_fronts.seen) == first
    clock.now += 1
    await found.write()
    second = await store.read(unknown_fronts.seen)
    assert [front.text.endswith("'later'; 1 requests") for front in second] == [True, False]
    clock.now += REPEAT_SECONDS
    await found.write()
    assert await store.read(unknown_fronts.seen) == second


async def test_what_is_long_ago_is_not_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Fronts(store)
    found.note("192.0.2.1", "unknown")
    await found.write()
    now = queries.now()
    monkeypatch.setattr(queries, "now", lambda: now + SHOWN_MICROSECONDS + 1_000_000)
    assert await store.read(unknown_fronts.seen) == []


async def test_a_long_hop_and_many_fronts_are_kept_short(store: Store) -> None:
    found = Fronts(store)
    for number in range(2 * FRONTS):
        found.note(f"front {number}", "\n" + "x" * 10_000)
    await found.write()
    shown = await store.read(unknown_fronts.seen)
    assert len(shown) == FRONTS
    assert all(
        len(unknown_fronts.advice(front)) < 400 and unknown_fronts.advice(front).isprintable() for front in shown
    )
