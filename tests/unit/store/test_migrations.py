# SPDX-License-Identifier: GPL-3.0-or-later
"""The migrations make the tables that the queries use, on both databases."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from ddnsd.store import migrate
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
