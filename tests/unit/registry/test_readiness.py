# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that cannot write, cannot read or has lost a worker does not serve, and whoever asks is answered in time."""

import asyncio
from typing import Any, cast

import pytest

from ddnsd.db.base import StoreDown
from ddnsd.registry import readiness
from ddnsd.registry.readiness import Readiness


class Store:
    def __init__(self) -> None:
        self.writes, self.error = 0, cast(Exception | None, None)
        self.hangs = False

    async def transact(self, _work: object) -> None:
        self.writes += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


class Lookups:
    def __init__(self) -> None:
        self.host, self.hangs = self, False

    async def one(self, _key: str) -> None:
        if self.hangs:
            await asyncio.Event().wait()


class Writer:
    stuck = False


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> tuple[Store, Lookups, Writer, list[str]]:
    monkeypatch.setattr(readiness, "WRITE_SECONDS", 0.05)
    monkeypatch.setattr(readiness, "READ_SECONDS", 0.05)
    return Store(), Lookups(), Writer(), []


def built(parts: tuple[Store, Lookups, Writer, list[str]]) -> Readiness:
    store, lookups, writer, ended = cast(Any, parts)
    return Readiness(store, lookups, lambda: ended[0] if ended else None, writer)


async def test_all_is_well(parts: Any) -> None:
    assert await built(parts).look() == (None, [])


async def test_everybody_who_asks_within_a_second_shares_one_write(parts: Any) -> None:
    ready = built(parts)
    await asyncio.gather(*(ready.look() for _ in range(50)))
    await ready.look()
    assert parts[0].writes == 1


async def test_a_database_that_takes_no_write_is_told(parts: Any) -> None:
    parts[0].error = StoreDown("database or disk is full")
    store, workers = await built(parts).look()
    assert store is not None
    assert "disk is full" in store
    assert workers == []


async def test_a_database_that_hangs_is_told_and_asked_again(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0.0)
    ready, (store, *_) = built(parts), parts
    store.hangs = True
    assert "has not accepted a write" in str((await ready.look()).store)
    store.hangs = False
    assert (await ready.look()).store is None


async def test_lookups_that_hang_are_told(parts: Any) -> None:
    parts[1].hangs = True
    assert (await built(parts).look()).workers == ["lookups: no answer within two seconds"]


async def test_a_transaction_without_end_is_told(parts: Any) -> None:
    parts[2].stuck = True
    assert (await built(parts).look()).workers == ["writer: a transaction hangs"]


async def test_a_worker_that_ends_after_the_write_is_told_at_once(parts: Any) -> None:
    ready = built(parts)
    assert (await ready.look()).workers == []
    parts[3].append("watch of the name servers")
    assert (await ready.look()).workers == ["watch of the name servers"]
