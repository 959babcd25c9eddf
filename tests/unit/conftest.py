# SPDX-License-Identifier: GPL-3.0-or-later
"""A store for tests of what asks it, on each database."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import count

import pytest
from parts.postgres import create_database

from ddnsd.store import migrate
from ddnsd.store.database import Store, open_store


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Where nothing is stored yet; PostgreSQL's have the newest schema, copied from one, which costs less."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path_factory.mktemp('store')}/ddnsd.db"
    server: str = request.getfixturevalue("postgres_server")
    asyncio.run(migrate.upgrade(create_database(server, "schema")))
    numbers = count(1)
    return lambda: create_database(server, f"copy{next(numbers)}", template="schema")


@pytest.fixture
async def store(new_store_url: Callable[[], str]) -> AsyncIterator[Store]:
    """An empty store with the newest schema."""
    url = new_store_url()
    await migrate.upgrade(url)
    opened = open_store(url)
    yield opened
    await opened.close()
