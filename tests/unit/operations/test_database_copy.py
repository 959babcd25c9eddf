# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy that fails changes nothing, and one that is not exact is noticed."""

import sqlite3
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert, select
from support.servers.service import migrated_file

from ddnsd.db import copying, denylist, moved
from ddnsd.db.connect import open_store
from ddnsd.db.copying import Checksum
from ddnsd.db.denylist import Denial
from ddnsd.db.schema import hosts, users
from ddnsd.operations import database_copy
from ddnsd.operations.store_access import AdminError


@pytest.fixture(autouse=True)
def _no_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_copy, "NOTICE_SECONDS", 0)


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A database with one user."""
    return f"sqlite:///{migrated_file(tmp_path)}"


def add_user(url: str, name: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
        file.execute("INSERT INTO users (name, created) VALUES (?, 0)", [name])
        file.commit()


async def first_with_rows(url: str) -> str | None:
    store = open_store(url)
    try:
        assert await store.read(moved.find) is None
        return await store.read(copying.first_with_rows)
    finally:
        await store.close()


async def test_values_that_the_new_database_refuses(source: str, new_database: Callable[[], str]) -> None:
    target = new_database()
    add_user(source, "right")
    add_user(source, "no\0text")
    with pytest.raises(AdminError, match="does not accept the rows of table users"):
        await database_copy.copy(source, target)
    assert await first_with_rows(target) is None
    add_user(source, "still accepts changes")


async def _denied(url: str) -> list[Denial]:
    store = open_store(url)
    try:
        return await store.read(denylist.everything)
    finally:
        await store.close()


async def test_a_copy_that_is_not_exact(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = f"sqlite:///{tmp_path / 'new.db'}"
    add_user(source, "name")
    add = copying._File.add

    async def inexact(self: copying._File, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        wrong = [(row[0], f"{row[1]}x", *row[2:]) for row in rows] if table is users else rows
        await add(self, table, wrong)

    with monkeypatch.context() as patched:
        patched.setattr(copying._File, "add", inexact)
        with pytest.raises(AdminError, match="table users differs after the copy"):
            await database_copy.copy(source, target)
    assert await first_with_rows(target) is None
    shipped = await _denied(source)
    assert shipped
    assert (await database_copy.copy(source, target)).rows == 1 + len(shipped)
    assert await _denied(target) == shipped


def test_a_checksum_does_not_depend_on_the_order() -> None:
    rows = [(1, "a", None), (2, b"b", True), (3, "", False)]
    one, other, third = Checksum(), Checksum(), Checksum()
    one.add(rows)
    other.add(reversed(rows))
    third.add([*rows[:2], (3, None, False)])
    assert one == other != third


async def test_memory_does_not_grow_with_the_hosts(source: str, tmp_path: Path) -> None:
    store = open_store(source)
    await store.transact(_add_hosts)
    await store.close()
    await database_copy.copy(source, f"sqlite:///{tmp_path / 'first.db'}")  # imports everything
    await database_copy.unfreeze(source)
    tracemalloc.start()
    try:
        await database_copy.copy(source, f"sqlite:///{tmp_path / 'second.db'}")
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()


def _add_hosts(connection: Connection) -> None:
    connection.execute(insert(users).values(id=1, name="me", created=0))
    columns = 'owner_id, name, "primary", key_name, key_algorithm, key_secret, created'
    connection.exec_driver_sql(f"INSERT INTO domains ({columns}) VALUES (1, 'example.org', '', '', '', '', 0)")
    names = [{"fqdn": f"h{n}.example.org", "name": f"h{n}"} for n in range(12_000)]
    values = {"domain_id": 1, "owner_id": 1, "secret_hash": bytes(32), "created": 0, "comment": "c" * 250}
    connection.execute(insert(hosts), [values | name for name in names])
    assert connection.execute(select(hosts.c.id).limit(1)).scalar()


def names(url: str) -> list[str]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
        return [name for (name,) in file.execute("SELECT name FROM users ORDER BY name")]


async def test_back_into_the_database_that_was_moved(source: str, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path / 'new.db'}"
    add_user(source, "first")
    assert (await database_copy.copy(source, target)).rows > 0
    assert (await database_copy.copy(source, target)).rows == 0, "a copy that is finished"
    add_user(target, "second")
    with pytest.raises(AdminError, match="cannot be used: this database was moved to"):
        await database_copy.copy(target, source)
    assert names(source) == ["first"]
    assert (await database_copy.copy(target, source, replace_moved=True)).rows > 0
    assert names(source) == ["first", "second"]
    add_user(source, "accepts changes")
    with pytest.raises(sqlite3.IntegrityError, match="was moved to"):
        add_user(target, "refused")


async def test_a_database_in_use_is_never_replaced(source: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    target = f"sqlite:///{migrated_file(tmp_path / 'other')}"
    add_user(target, "in use")
    with pytest.raises(AdminError, match="is not empty"):
        await database_copy.copy(source, target, replace_moved=True)
    assert names(target) == ["in use"]
