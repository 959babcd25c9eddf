# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories and contacts as both databases keep them."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ddnsd.registry.contacts import Contacts
from ddnsd.store import contacts, history, migrate
from ddnsd.store.contacts import Contact
from ddnsd.store.database import Store, StoreDown, open_store
from ddnsd.store.history import Author
from ddnsd.store.trimming import PART, Trimmer

DAY = history.DAY_MICROSECONDS


@pytest.fixture
async def store(tmp_path: Path, store_settings: Callable[[], dict[str, str]]) -> AsyncIterator[Store]:
    url = store_settings().get("database_url", f"sqlite:///{tmp_path}/ddnsd.db")
    await migrate.upgrade(url)
    opened = open_store(url)
    yield opened
    await opened.close()


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
        "update", {"ipv4": None}, {"ipv4": "10.0.0.1"}, None, "alice", "token", "ci", "192.0.2.1", "curl/8"
    )  # fmt: skip
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
    await store.transact(lambda c: contacts.write(c, {}))
    later = Contact(2, "192.0.2.2", "a\0\n" + "b" * 200, "nochg", True)
    await store.transact(lambda c: contacts.write(c, {1: Contact(1, None, None, "good", False), 2: later}))
    found = await store.read(lambda c: contacts.of(c, [1, 2, 3]))
    assert found == {1: Contact(1, None, None, "good", False), 2: later._replace(agent="a" + "b" * 119)}
    for older in (Contact(1, None, None, "good", False), later):
        await store.transact(lambda c, o=older: contacts.write(c, {2: o}))  # type: ignore[misc]
        assert (await store.read(lambda c: contacts.of(c, [2])))[2].at == 2


async def test_contacts_wait_for_the_database(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Contacts(store)
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
    found = await store.read(lambda c: contacts.of(c, [4, 5, 1202]))
    assert [found[host_id].word for host_id in (4, 5, 1202)] == ["nochg", "good", "nochg"]
    assert found[5].source == "192.0.2.5"
    assert abs(found[5].at - time.time_ns() // 1000) < 60_000_000
    assert seen.recent(5) is None
