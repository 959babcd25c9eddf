# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories are read completely and in order, also where PostgreSQL commits higher ids first, and after a restore."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import Connection, text, update

from ddnsd.db import history, outbox, queries, webhooks
from ddnsd.db.base import Store
from ddnsd.db.history import SERVICE
from ddnsd.db.outbox import Cursor
from ddnsd.db.postgres import PostgresStore
from ddnsd.db.schema import history as table
from ddnsd.db.schema import users
from ddnsd.db.sqlite import SqliteStore

LIMIT = 3


def entry(host_id: int, note: str) -> history.Entry:
    return history.entry(host_id, 1, "update", SERVICE, note=note)


async def add(store: Store, host_id: int, *notes: str) -> None:
    await store.transact(lambda c: history.add(c, [entry(host_id, note) for note in notes]))


async def read_all(store: Store, cursor: Cursor, limit: int = LIMIT) -> tuple[list[str], Cursor]:
    """The notes of all rows after the cursor, and the cursor at the end."""
    notes: list[str] = []
    before = await store.read(outbox.oldest_xid)
    while True:
        rows, after = await store.read(lambda c, at=cursor: outbox.read(c, "history", at, before, limit))  # type: ignore[misc]
        if after == cursor:
            return notes, cursor
        notes += [row.note for row in rows]
        cursor = after


async def test_each_row_is_read_once(store: Store) -> None:
    await add(store, 1, "old")
    cursor = await store.read(lambda c: outbox.end(c, "history"))
    assert await read_all(store, cursor) == ([], cursor)
    notes = [str(n) for n in range(8)]
    for note in notes:
        await add(store, 1, note)
    found, cursor = await read_all(store, cursor)
    assert found == notes
    await add(store, 2, "a", "b")
    found, cursor = await read_all(store, cursor)
    assert found == ["a", "b"]
    assert (await read_all(store, cursor))[0] == []


@pytest.fixture
async def postgres(new_database: Callable[[], str]) -> Any:
    store = PostgresStore(new_database())
    yield store
    await store.close()


async def test_lower_ids_that_are_committed_later_are_not_missed(postgres: PostgresStore) -> None:
    cursor = await postgres.read(lambda c: outbox.end(c, "history"))
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(postgres._engine.connect())
        await slow.run_sync(lambda c: history.add(c, [entry(1, "slow")]))
        await add(postgres, 2, "quick")
        ids = (await postgres.read(lambda c: c.execute(text("SELECT id FROM history")))).scalars().all()
        assert ids == [2], "the higher id is committed, the lower one is not"
        assert (await read_all(postgres, cursor))[0] == []
        await slow.commit()
    found, cursor = await read_all(postgres, cursor)
    assert found == ["slow", "quick"]
    assert (await read_all(postgres, cursor))[0] == []


async def test_rows_of_a_host_are_in_order_if_a_later_one_is_of_an_older_transaction(postgres: PostgresStore) -> None:
    cursor = await postgres.read(lambda c: outbox.end(c, "history"))
    async with AsyncExitStack() as stack:
        older = await stack.enter_async_context(postgres._engine.connect())
        await older.run_sync(lambda c: c.execute(text("SELECT pg_current_xact_id()")).close())
        await add(postgres, 1, "first")
        assert (await read_all(postgres, cursor))[0] == []
        await older.run_sync(lambda c: history.add(c, [entry(1, "second")]))
        await older.commit()
    rows = await postgres.read(lambda c: c.execute(table.select().order_by(table.c.xid)).all())
    assert [row.note for row in rows] == ["second", "first"]
    assert (await read_all(postgres, cursor))[0] == ["first", "second"]


async def test_many_writers_at_once(store: Store) -> None:
    cursor = await store.read(lambda c: outbox.end(c, "history"))
    found: list[str] = []

    async def write(host_id: int) -> None:
        for n in range(20):
            await add(store, host_id, f"{host_id} {n}")

    async with asyncio.TaskGroup() as group:
        writers = [group.create_task(write(host_id)) for host_id in range(1, 5)]
        while not all(writer.done() for writer in writers):
            notes, cursor = await read_all(store, cursor)
            found += notes
            await asyncio.sleep(0)
    found += (await read_all(store, cursor))[0]
    assert len(found) == 80
    for host_id in range(1, 5):
        assert [note for note in found if note.startswith(f"{host_id} ")] == [f"{host_id} {n}" for n in range(20)]


# ---- deletion


def webhook(connection: Connection) -> int:
    """A webhook of a new user."""
    user = connection.execute(users.insert().values(name="alice", created=0))
    assert user.inserted_primary_key is not None
    values = {"user_id": user.inserted_primary_key[0], "name": "w", "url": "https://h/", "types": "host.deleted"}
    return webhooks.add(connection, values | {"sealed": "", "created": 0, "silent_days": 7, "silent_until": 0})


async def test_entries_of_deleted_hosts_stay_until_they_are_read(store: Store) -> None:
    webhook_id = await store.transact(webhook)
    (before,) = (await store.read(lambda c: webhooks.cursors(c, "history"))).values()
    await add(store, 1, "a", "b")
    await add(store, 2, "c")
    assert await store.read(lambda c: history.strangers(c, 0, 10)) == []
    assert await store.transact(lambda c: history.forget_hosts(c, [1, 2], 10)) == 0
    _, after = await read_all(store, before)
    assert await store.transact(lambda c: outbox.advance(c, "history", before, after, [webhook_id])) == [webhook_id]
    assert await store.transact(lambda c: outbox.advance(c, "history", before, after, [webhook_id])) == []
    on_file = isinstance(store, SqliteStore)  # it would use the newest id again
    assert await store.read(lambda c: history.strangers(c, 0, 10)) == ([1] if on_file else [1, 2])
    assert await store.transact(lambda c: history.forget_hosts(c, [1, 2], 10)) == (2 if on_file else 3)


async def test_ids_are_not_used_again(store: Store) -> None:
    await store.transact(webhook)
    await add(store, 1, "a", "b")
    cursor = await store.read(lambda c: outbox.end(c, "history"))
    await store.transact(lambda c: outbox.put(c, "history", cursor, [1]))
    await store.transact(lambda c: history.forget_hosts(c, [1], 10))
    await store.transact(lambda c: history.forget(c, queries.now() + 1, 10))
    await add(store, 2, "c")
    assert (await read_all(store, cursor))[0] == ["c"]


# ---- other servers


async def adopt(store: Store) -> None:
    assert await store.read(outbox.is_foreign)
    await store.transact(outbox.adopt)
    assert not await store.read(outbox.is_foreign)


async def test_a_database_of_another_server(postgres: PostgresStore) -> None:
    """Its xids are higher than those of this one. What was not read is read, and nothing is read twice later."""
    webhook_id = await postgres.transact(webhook)
    await add(postgres, 1, "read", "not read")
    far = 10**9

    def restored(connection: Connection) -> None:
        connection.execute(update(table).where(table.c.note == "read").values(xid=far))
        connection.execute(update(table).where(table.c.note == "not read").values(xid=far + 10))
        outbox.put(connection, "history", Cursor(0, far + 5), [webhook_id])

    await postgres.transact(restored)
    await adopt(postgres)
    cursor = (await postgres.read(lambda c: webhooks.cursors(c, "history")))[webhook_id]
    assert (await read_all(postgres, cursor))[0] == ["not read"]
    rows = await postgres.read(lambda c: c.execute(table.select().order_by(table.c.id)).all())
    assert rows[0].xid is None


async def test_a_database_from_sqlite(postgres: PostgresStore) -> None:
    webhook_id = await postgres.transact(webhook)
    await add(postgres, 1, "read", "not read")

    def copied(connection: Connection) -> None:
        connection.execute(update(table).values(xid=None))
        outbox.put(connection, "history", Cursor(1), [webhook_id])

    await postgres.transact(copied)
    await adopt(postgres)
    cursor = (await postgres.read(lambda c: webhooks.cursors(c, "history")))[webhook_id]
    assert (await read_all(postgres, cursor))[0] == ["not read"]


async def test_a_database_from_postgresql(store: Store) -> None:
    if isinstance(store, PostgresStore):
        return
    await add(store, 1, "read", "not read", "new")
    for note, xid in (("read", 10), ("not read", 20)):
        await store.transact(
            lambda c, n=note, x=xid: c.execute(update(table).where(table.c.note == n).values(xid=x))  # type: ignore[misc]
        )
    assert (await read_all(store, Cursor(0, 20, 21)))[0] == ["not read", "new"]
    assert (await read_all(store, Cursor(0, 30)))[0] == ["new"]


async def test_deleted_hosts_of_a_copy_get_no_id_that_a_new_one_could_have(store: Store) -> None:
    await add(store, 7, "a")
    await store.transact(history.disown_strangers)
    rows = await store.read(lambda c: c.execute(table.select()).all())
    assert [row.host_id for row in rows] == [-7]
