# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the database: no value of a statement, which may be a secret, reaches a log."""

import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, text
from support.servers.service import migrated_file

from ddnsd.db import queries
from ddnsd.db.connect import open_store
from ddnsd.db.postgres import PostgresStore
from ddnsd.db.schema import users
from ddnsd.db.sqlite import SqliteStore

SECRET = "s3cret-of-somebody"


@pytest.fixture
async def store(
    tmp_path: Path, store_settings: Callable[[], dict[str, str]]
) -> AsyncIterator[SqliteStore | PostgresStore]:
    opened = open_store(store_settings().get("database_url") or f"sqlite:///{migrated_file(tmp_path)}")
    yield opened
    await opened.close()


def twice(connection: Connection) -> None:
    """Violate a constraint; PostgreSQL shows the key in the detail of its error."""
    for _ in range(2):
        connection.execute(insert(users).values(name=SECRET, admin=False, created=queries.now()))


def missing_table(connection: Connection) -> None:
    connection.execute(text("INSERT INTO nothing VALUES (:secret)"), {"secret": SECRET})


def wrong_type(connection: Connection) -> None:
    """asyncpg quotes the value of a wrong type, sqlite3 quotes nothing."""
    connection.execute(text("INSERT INTO users (name, created) VALUES (:secret, :secret)"), {"secret": [SECRET]})


def cast(connection: Connection) -> None:
    """PostgreSQL quotes a text that it cannot cast."""
    connection.execute(text("SELECT CAST(CAST(:secret AS text) AS integer), missing_column"), {"secret": SECRET})


@pytest.mark.parametrize("work", [twice, missing_table, wrong_type, cast])
async def test_values_are_not_shown(store: SqliteStore | PostgresStore, work: Callable[[Connection], None]) -> None:
    for run in (store.transact, store.execute, store.read):
        with pytest.raises(Exception) as caught:  # noqa: PT011  (their kinds differ by database)
            await run(work)
        shown = "".join(traceback.format_exception(caught.value))
        assert SECRET not in shown
        assert "Error" in shown


async def test_values_of_the_hot_path_are_not_shown(store: SqliteStore | PostgresStore) -> None:
    if isinstance(store, SqliteStore):
        return
    with pytest.raises(Exception) as caught:  # noqa: PT011
        await store.rows("SELECT $1::integer", (SECRET,))
    assert SECRET not in "".join(traceback.format_exception(caught.value))
