# SPDX-License-Identifier: GPL-3.0-or-later
"""The migrations make the tables that the queries use, on both databases."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from parts.postgres import create_database
from sqlalchemy import Connection

from ddnsd.store import migrate, queries
from ddnsd.store.database import open_store
from ddnsd.store.tables import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ddnsd.db"
    empty: str = request.getfixturevalue("empty_database")
    return empty


async def test_they_lead_to_the_tables(url: str) -> None:
    for _ in range(2):  # the second run finds nothing to do
        await migrate.upgrade(url)
    store = open_store(url)
    try:
        assert await store.read(migrate.revision) == migrate.NEWEST
        assert await store.read(_differences) == []
    finally:
        await store.close()


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


@pytest.fixture(params=["sqlite", "postgresql"])
def first(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the first schema alone."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/first.db"
    return create_database(request.getfixturevalue("postgres_server"), "first")


async def test_a_database_with_something_in_it_is_upgraded(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("alembic.command.upgrade", partial(_upgrade_to, command.upgrade, "0001"))
        await migrate.upgrade(first)
    store = open_store(first)
    try:
        await store.transact(_fill)
        await migrate.upgrade(first)
        assert await store.read(_differences) == []
        (domain,) = await store.read(queries.all_domains)
        assert (domain.name, domain.generation) == ("example.org", 1)
    finally:
        await store.close()


def _upgrade_to(upgrade: Callable[[Config, str], None], revision: str, config: Config, _head: str) -> None:
    upgrade(config, revision)


def _fill(connection: Connection) -> None:
    connection.exec_driver_sql("INSERT INTO users (id, name, created) VALUES (1, 'me', 0)")
    columns = 'owner_id, name, "primary", key_name, key_algorithm, key_secret, created'
    connection.exec_driver_sql(f"INSERT INTO domains ({columns}) VALUES (1, 'example.org', '', '', '', '', 0)")
