# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories and contacts as both databases keep them."""

import time
from typing import cast

import pytest

from ddnsd.db import history, last_seen, queries
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.history import Author
from ddnsd.db.last_seen import Contact
from ddnsd.db.retention import PART, Trimmer
from ddnsd.registry.last_seen import LastSeen

DAY = history.DAY_MICROSECONDS


def entry(host_id: int, number: int = 0) -> history.Entry:
    author = Author("alice", "192.0.2.1", "token", "ci", "curl/8")
    return history.entry(host_id, 7, "update", author, {"ipv4": None}, {"ipv4": f"10.0.{number // 256}.{number % 256}"})


async def add(store: Store, entries: list[history.Entry]) -> None:
    await store.transact(lambda c: history.add(c, entries))


async def count(store: Store, host_id: int) -> int:
    return len(await store.read(lambda c: history.page(c, host_id, 10_000)))


async def test_what_is_added_is_read(store: Store) -> None:
    await add(store, [entry(1), entry(2), entry(1, 1)])
    newest, oldest = await store.read(lambda c: history.page(c, 1, 10))
    assert newest[2:] == (
        "update",
        {"ipv4": None},
        {"ipv4": "10.0.0.1"},
        None,
        "alice",
        "token",
        "ci",
        "192.0.2.1",
        "curl/8",
    )
    assert newest.id > oldest.id
    assert await store.read(lambda c: history.page(c, 1, 10, before=newest.id)) == [oldest]
    assert await store.read(lambda c: history.page(c, 1, 10, reader_id=8)) == []
    assert len(await store.read(lambda c: history.page(c, 1, 10, reader_id=7))) == 2


async def test_days_are_counted(store: Store) -> None:
    noon = 20_000 * DAY + DAY // 2
    ages = (0, 0, 1, 3, 30)
    await add(store, [entry(1)._replace(at=noon - age * DAY) for age in ages])
    found = await store.read(lambda c: history.per_day(c, 1, 4, now=noon))
    assert found == [("2024-10-01", 1), ("2024-10-02", 0), ("2024-10-03", 1), ("2024-10-04", 2)]


async def test_a_flapping_host_is_trimmed_and_others_are_not(store: Store) -> None:
    trimmer = Trimmer(store)
    await add(store, [entry(1, n) for n in range(history.KEPT)])
    await trimmer.run()
    await add(store, [entry(n) for n in (1, 2, 3)])
    await trimmer.run()
    assert await count(store, 1) == history.KEPT + 1  # a few more are no reason yet
    await add(store, [entry(1, n) for n in range(PART + 100)])
    await trimmer.run()
    assert [await count(store, host_id) for host_id in (1, 2, 3)] == [history.KEPT, 1, 1]
    newest = await store.read(lambda c: history.page(c, 1, 1))
    assert newest[0].after == {"ipv4": f"10.0.{(PART + 99) // 256}.{(PART + 99) % 256}"}
    await trimmer.run()
    assert await count(store, 1) == history.KEPT


async def test_the_newest_contact_stays(store: Store) -> None:
    await store.transact(lambda c: last_seen.write(c, {}))
    later = Contact(2, "192.0.2.2", "a\0\n" + "b" * 200, "nochg", True)
    await store.transact(lambda c: last_seen.write(c, {1: Contact(1, None, None, "good", False), 2: later}))
    found = await store.read(lambda c: last_seen.of(c, [1, 2, 3]))
    assert found == {1: Contact(1, None, None, "good", False), 2: later._replace(agent="a" + "b" * 119)}
    for older in (Contact(1, None, None, "good", False), later):
        await store.transact(lambda c, o=older: last_seen.write(c, {2: o}))  # type: ignore[misc]
        assert (await store.read(lambda c: last_seen.of(c, [2])))[2].at == 2


async def test_contacts_wait_for_the_database(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = LastSeen(store)
    for host_id in range(1203):
        seen.note(host_id, "192.0.2.1", "curl", "nochg", tls=True)

    async def down(_work: object) -> None:
        raise StoreDown("gone")

    with monkeypatch.context() as patch:
        patch.setattr(store, "transact", down)
        with pytest.raises(StoreDown):
            await seen.write()
    seen.note(5, "192.0.2.5", "", "good", tls=False)
    for _ in range(2):
        await seen.write()
    found = await store.read(lambda c: last_seen.of(c, [4, 5, 1202]))
    assert [found[host_id].word for host_id in (4, 5, 1202)] == ["nochg", "good", "nochg"]
    assert found[5].source == "192.0.2.5"
    assert abs(found[5].at - time.time_ns() // 1000) < 60_000_000
    assert seen.last(5, found[5]) == found[5]


async def test_what_repeats_is_written_now_and_then_and_a_wrong_secret_never(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = LastSeen(store)
    minute, moment = 60 * 1_000_000, time.time_ns() // 1000

    async def written(minutes: int, word: str, source: str = "192.0.2.1") -> bool:
        at = moment + minutes * minute
        monkeypatch.setattr(queries, "now", lambda: at)
        seen.note(1, source, "curl", word, tls=True)
        await seen.write()
        kept = (await store.read(lambda c: last_seen.of(c, [1]))).get(1)
        assert seen.last(1, kept) == Contact(at, source, "curl", word, True)
        return kept is not None and kept.at == at

    assert not await written(0, "badauth")
    assert await written(0, "nochg")
    assert not await written(1, "nochg")
    assert not await written(2, "badauth")
    assert not await written(4, "nochg")
    assert await written(5, "nochg")
    assert await written(6, "nochg", "192.0.2.2")
    assert await written(7, "abuse", "192.0.2.2")
    assert not await written(8, "abuse", "192.0.2.2")
    assert await written(9, "good", "192.0.2.2")
    assert await written(10, "good", "192.0.2.2")
    later = Contact(moment + 60 * minute, "192.0.2.3", None, "nochg", True)
    assert seen.last(1, later) == later  # another process was asked
    assert seen.last(2, None) is None


def test_what_is_remembered_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddnsd.registry.last_seen.REMEMBERED", 2)
    seen = LastSeen(cast("Store", None))
    for host_id in (1, 2, 1, 3):
        seen.note(host_id, None, "x" * 70_000, "badauth", tls=True)
    first, second, third = (seen.last(host_id, None) for host_id in (1, 2, 3))
    assert first
    assert third
    assert second is None
    assert first.agent == "x" * history.AGENT_LENGTH
