# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ddnsd doctor` finds in a database."""

from collections.abc import Callable
from operator import methodcaller
from pathlib import Path

import pytest
from pydantic import SecretStr
from support.servers.service import migrated_file

from ddnsd.db.connect import open_store
from ddnsd.operations import doctor
from ddnsd.settings import Settings


@pytest.fixture
def url(tmp_path: Path, store_settings: Callable[[], dict[str, str]]) -> str:
    """A database with the newest schema."""
    return store_settings().get("database_url") or f"sqlite:///{migrated_file(tmp_path)}"


async def examined(url: str, *statements: str) -> dict[str, str | None]:
    """What doctor finds after the statements."""
    store = open_store(url)
    try:
        for statement in statements:
            await store.transact(methodcaller("exec_driver_sql", statement))
    finally:
        await store.close()
    return dict(await doctor.examine(Settings(database_url=SecretStr(url))))


async def test_a_whole_database_is_healthy(url: str) -> None:
    assert await examined(url) == {"settings": None, "database": None}


async def test_it_names_what_the_tables_lack(url: str) -> None:
    found = await examined(
        url,
        "ALTER TABLE hosts DROP COLUMN wildcard",
        "ALTER TABLE hosts DROP COLUMN comment",
        "DROP TABLE write_checks",
    )
    problem = found["database"]
    assert problem is not None
    for text in (
        "table hosts lacks column comment",
        "table hosts lacks column wildcard",
        "there is no table write_checks",
    ):
        assert text in problem
    assert problem.endswith("restore a backup")
