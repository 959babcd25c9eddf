# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that alternate because several clients set them: what counts, and that an episode is told once."""

from collections.abc import Iterable

import pytest
from sqlalchemy import Connection, delete, insert, select

from ddnsd.db import flapping, history, queries
from ddnsd.db.base import Store
from ddnsd.db.flapping import CHANGES, PERIOD_MICROSECONDS, RETURNS, FlappingDetector
from ddnsd.db.history import Author, Entry
from ddnsd.db.retention import Trimmer
from ddnsd.db.schema import domains, events, hosts, users

HOSTS = 4
MINUTE = 60 * 1_000_000


def fill(connection: Connection) -> None:
    connection.execute(insert(users).values(id=1, name="me", created=0))
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    connection.execute(insert(domains).values(id=1, owner_id=1, name="example.org", created=0, **key))
    for n in range(HOSTS):
        queries.add_host(connection, domain_id=1, owner_id=1, secret_hash=b"", name=f"h{n}", fqdn=f"h{n}.example.org")


@pytest.fixture(autouse=True)
async def filled(store: Store) -> None:
    await store.transact(fill)


def change(
    before: str | None, after: str | None, source: str, agent: str = "", family: str = "ipv4", host_id: int = 1
) -> Entry:
    author = Author("h", source, "host", None, agent)
    return history.entry(host_id, 1, "update", author, {family: before}, {family: after})


def alternating(count: int, *, first: str = "10.0.0.1", second: str = "10.0.0.2", host_id: int = 1) -> list[Entry]:
    """Two machines, each with its own address."""
    pairs = ((second, first) if n % 2 else (first, second) for n in range(count))
    return [change(before, after, after, host_id=host_id) for before, after in pairs]


async def add(store: Store, entries: Iterable[Entry]) -> None:
    await store.transact(lambda c: history.add(c, list(entries)))


async def told(store: Store, host_id: int = 1) -> list[str | None]:
    found = await store.read(lambda c: history.page(c, host_id, 1000))
    return [entry.note for entry in found if entry.kind == "flapping"]


async def since(store: Store, host_id: int = 1) -> int | None:
    return await store.read(lambda c: flapping.since(c, host_id))


async def test_an_episode_is_told_once_also_by_two_processes(store: Store) -> None:
    one, other = Trimmer(store), Trimmer(store)
    await add(store, alternating(60))
    for _ in range(2):
        await one.run()
        await other.run()
    began = await since(store)
    assert began is not None
    assert await told(store) == ["10.0.0.1 from 10.0.0.1; 10.0.0.2 from 10.0.0.2"]
    found = await store.read(lambda c: c.execute(select(events.c.object, events.c.owner_id, events.c.action)).all())
    assert [tuple(row) for row in found] == [("h0.example.org", 1, "host.flapping")]
    await add(store, alternating(60))
    await one.run()
    assert len(await told(store)) == 1
    assert await since(store) == began
    assert await since(store, 2) is None


async def test_entries_of_a_process_that_has_ended(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await add(store, alternating(20))
    await add(store, alternating(20, host_id=2))
    monkeypatch.setattr("ddnsd.db.retention.LOOK_BACK", 20)
    await Trimmer(store).run()
    assert [await since(store, n) is not None for n in (1, 2)] == [False, True]


async def test_an_episode_ends_and_another_begins(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    detector, moment = FlappingDetector(store), queries.now()
    await add(store, alternating(CHANGES))
    detector.note({1: CHANGES})
    await detector.run()
    assert await since(store) is not None
    monkeypatch.setattr(queries, "now", lambda: moment + PERIOD_MICROSECONDS - MINUTE)
    await detector.run()
    assert await since(store) is not None
    later = moment + PERIOD_MICROSECONDS + 2 * MINUTE
    monkeypatch.setattr(queries, "now", lambda: later)
    await detector.run()
    assert await since(store) is None
    await add(store, [entry._replace(at=later) for entry in alternating(CHANGES)])
    detector.note({1: CHANGES})
    await detector.run()
    assert await since(store) == later
    assert len(await told(store)) == 2


NONE = {
    "too few changes": alternating(RETURNS),
    "ever new addresses": [change(f"10.0.0.{n}", f"10.0.0.{n + 1}", f"10.0.0.{n % 2}") for n in range(30)],
    "one client": [e._replace(source="10.9.9.9", agent="curl") for e in alternating(30)],
    "on and off": [change("10.0.0.1", None, "a") if n % 2 else change(None, "10.0.0.1", "b") for n in range(30)],
    "long ago": [e._replace(at=e.at - PERIOD_MICROSECONDS - MINUTE) for e in alternating(30)],
}


@pytest.mark.parametrize("entries", NONE.values(), ids=NONE.keys())
async def test_what_is_no_flapping(store: Store, entries: list[Entry]) -> None:
    await add(store, entries)
    assert await store.read(lambda c: flapping.find(c, 1)) is None


async def test_agents_tell_clients_apart_behind_one_address(store: Store) -> None:
    pairs = (("fd00::1", "fd00::2", "x/1") if n % 2 else ("fd00::2", "fd00::1", "y/2") for n in range(CHANGES))
    await add(store, [change(before, after, "192.0.2.1", agent, "ipv6") for before, after, agent in pairs])
    found = await store.read(lambda c: flapping.find(c, 1))
    assert found is not None
    assert sorted(found.note.split("; ")) == ["fd00::1 from 192.0.2.1 (y/2)", "fd00::2 from 192.0.2.1 (x/1)"]


async def test_a_note_fits(store: Store) -> None:
    entries = [e._replace(agent=f"{e.source}" + "x" * 109) for e in alternating(CHANGES)]
    await add(store, entries * 2)
    found = await store.read(lambda c: flapping.find(c, 1))
    assert found is not None
    assert len(found.note) == flapping.NOTE_LENGTH
    assert await store.transact(lambda c: flapping.record(c, 1, found))


async def test_a_run_is_limited_and_nobody_is_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flapping, "AT_ONCE", 2)
    detector = FlappingDetector(store)
    for host_id in range(1, HOSTS + 1):
        await add(store, alternating(CHANGES, host_id=host_id))
    detector.note(dict.fromkeys(range(1, HOSTS + 1), CHANGES - 1))
    states = []
    for added in ({}, {2: 1, 1: 1}, {1: CHANGES, 3: 1, 4: 1}, {1: CHANGES}, {1: CHANGES}):
        detector.note(added)
        await detector.run()
        states.append([n for n in range(1, HOSTS + 1) if await since(store, n) is not None])
    assert states == [[], [1, 2], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]


async def test_hosts_that_are_gone(store: Store) -> None:
    await add(store, alternating(CHANGES))
    found = await store.read(lambda c: flapping.find(c, 1))
    assert found is not None
    assert await store.transact(lambda c: flapping.record(c, 1, found))
    await store.transact(lambda c: c.execute(delete(hosts).where(hosts.c.id == 1)))
    assert await since(store) is None
    assert await store.read(lambda c: flapping.find(c, 1)) is None
    assert not await store.transact(lambda c: flapping.record(c, 1, found))
