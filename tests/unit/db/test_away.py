# SPDX-License-Identifier: GPL-3.0-or-later
"""The database goes away in the middle: what is done again, what is told to whom, and that nobody waits for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from ddnsd.db import history, queries, schema
from ddnsd.db.base import OutcomeUnknown, StoreDown
from ddnsd.db.host_updates import HostUpdate
from ddnsd.db.lookups import Lookups
from ddnsd.db.postgres import PostgresStore
from ddnsd.dns.writer import Writer


@pytest.fixture
async def store(new_database: Callable[[], str]) -> AsyncIterator[PostgresStore]:
    opened = PostgresStore(new_database())
    yield opened
    await opened.close()


def end(connection: Connection) -> None:
    """The connection is lost."""
    driver: Any = connection.connection.driver_connection
    driver.terminate()


def add_user(connection: Connection, name: str) -> None:
    connection.execute(insert(schema.users).values(name=name, created=0))


async def users(store: PostgresStore) -> list[str]:
    found = await store.read(lambda c: c.scalars(select(schema.users.c.name)).all())
    return sorted(found)


async def test_a_transaction_is_done_again_when_its_commit_was_not_sent(store: PostgresStore) -> None:
    tries = []

    def work(connection: Connection) -> int:
        tries.append(1)
        add_user(connection, f"try{len(tries)}")
        if len(tries) == 1:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return len(tries)

    assert await store.transact(work) == 2
    assert await users(store) == ["try2"]


async def test_a_lost_commit_is_not_done_again(store: PostgresStore) -> None:
    tries = []

    def work(connection: Connection) -> None:
        tries.append(1)
        add_user(connection, "me")
        end(connection)

    with pytest.raises(OutcomeUnknown, match="may be kept"):
        await store.transact(work)
    with pytest.raises(OutcomeUnknown):
        await store.execute(lambda c: c.execute(text("SELECT pg_terminate_backend(pg_backend_pid())")))
    assert tries == [1]
    assert await users(store) == []


async def test_a_read_is_done_again_and_a_wrong_statement_is_not(store: PostgresStore) -> None:
    tries = []

    def work(connection: Connection) -> int:
        tries.append(1)
        if len(tries) == 1:
            end(connection)
        return int(connection.execute(text("SELECT 7")).scalar_one())

    assert await store.read(work) == 7
    await store.transact(lambda c: add_user(c, "me"))
    with pytest.raises(IntegrityError):
        await store.transact(lambda c: add_user(c, "me"))


async def test_what_is_lost_without_a_sign_is_tried_first(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other end is gone, and no packet has said so: a failover, a firewall that forgets."""
    lookups = Lookups(store)
    assert await lookups.token.one(b"none") is None
    await store.execute(lambda c: add_user(c, "a"))
    async with store._engine.connect() as connection:
        pooled = (await connection.get_raw_connection()).driver_connection
    assert store._reader is not None
    silent = [store._reader.driver, pooled]
    for driver in silent:
        driver._transport.pause_reading()
    monkeypatch.setattr("ddnsd.db.postgres.IDLE_SECONDS", 0.0)
    assert await lookups.token.one(b"none") is None
    await store.execute(lambda c: add_user(c, "b"))
    assert await users(store) == ["a", "b"]
    assert [driver.is_closed() for driver in silent] == [True] * 2


# ---- lookups


async def test_everyone_of_a_group_read_is_told_whatever_happens(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = Lookups(store)

    async def broken(*_: Any) -> list[Any]:
        await asyncio.sleep(0)
        raise RuntimeError("no such thing")

    with monkeypatch.context() as patched:
        patched.setattr(store, "rows", broken)
        asked = [asyncio.create_task(lookups.token.one(bytes([n]))) for n in range(3)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [StoreDown] * 3
    assert await lookups.token.one(b"none") is None
    assert lookups.alive


async def test_a_caller_who_goes_does_not_break_the_group(store: PostgresStore) -> None:
    lookups = Lookups(store)
    asked = [asyncio.create_task(lookups.token.one(b"same")) for _ in range(3)]
    await asyncio.sleep(0)
    asked[0].cancel()
    assert await asyncio.gather(*asked[1:]) == [None, None]


async def test_a_group_read_that_is_cancelled_leaves_nobody(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = Lookups(store)
    stuck = asyncio.Event()

    async def never(*_: Any) -> list[Any]:
        stuck.set()
        await asyncio.Event().wait()
        return []

    with monkeypatch.context() as patched:
        patched.setattr(store, "rows", never)
        asked = asyncio.create_task(lookups.token.one(b"x"))
        await stuck.wait()
        assert lookups.token._drain is not None
        monkeypatch.setattr(lookups.token.heartbeat, "_seconds", 0.0)
        assert not lookups.alive
        lookups.token._drain.cancel()
        with pytest.raises(StoreDown):
            await asked
    assert lookups.alive
    assert await lookups.token.one(b"x") is None


# ---- the writer


def fill(connection: Connection) -> None:
    connection.execute(insert(schema.users).values(id=1, name="me", created=0))
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    connection.execute(insert(schema.domains).values(id=1, owner_id=1, name="example.org", created=0, **key))
    queries.add_host(connection, domain_id=1, owner_id=1, secret_hash=b"", claimed=True, name="h", fqdn="h.example.org")


@pytest.mark.parametrize("kept", [True, False])
async def test_a_batch_whose_answer_was_lost_is_written_once(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    await store.transact(fill)
    execute = store.execute

    async def lost(work: Any) -> None:
        if kept:
            await execute(work)
        raise OutcomeUnknown("lost")

    monkeypatch.setattr(store, "execute", lost)
    author = history.Author("h", "192.0.2.1", "host")
    host_update = HostUpdate(
        1, {"ipv4": "192.0.2.7"}, False, history.entry(1, 1, "update", author, None, {"ipv4": "192.0.2.7"})
    )
    writer = Writer(store, Lookups(store), deadline=2.5, default_ttl=60)
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    await writer._write([(1, host_update, done)], [], [])
    assert len(await store.read(lambda c: history.page(c, 1, 10))) == 1
    (host,) = await store.read(lambda c: queries.hosts_by_id(c, [1]))
    assert (host.ipv4, host.version) == ("192.0.2.7", 2)
