# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ddnsd doctor` finds in a database."""

import time
from collections.abc import Callable
from operator import methodcaller
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from support.servers.service import migrated_file

from ddnsd.auth.sealing import SealingKeys
from ddnsd.db.connect import open_store
from ddnsd.db.schema import write_checks
from ddnsd.operations import doctor
from ddnsd.settings import Settings


@pytest.fixture
def url(tmp_path: Path, store_settings: Callable[[], dict[str, str]]) -> str:
    """A database with the newest schema."""
    return store_settings().get("database_url") or f"sqlite:///{migrated_file(tmp_path)}"


async def examined(url: str, *statements: str) -> dict[str, str | None]:
    """What doctor finds in the database after the statements."""
    store = open_store(url)
    try:
        for statement in statements:
            await store.transact(methodcaller("exec_driver_sql", statement))
    finally:
        await store.close()
    return dict(await doctor.examine(Settings(database_url=SecretStr(url))))


async def test_a_whole_database_is_healthy(url: str) -> None:
    found = await examined(url)
    assert set(found.values()) == {None}
    assert {"settings", "database", "clock, compared with the database"} <= found.keys()


async def test_it_leaves_no_row(url: str) -> None:
    await examined(url)
    store = open_store(url)
    try:
        assert await store.read(lambda c: c.execute(select(write_checks)).all()) == []
    finally:
        await store.close()


async def test_entries_of_the_future_tell_of_a_clock_that_went_back(url: str) -> None:
    future = (int(time.time()) + 3600) * 1_000_000
    found = await examined(
        url, f"INSERT INTO events (at, actor, action, object) VALUES ({future}, 'me', 'user.add', 'x')"
    )
    problem = found["clock, compared with the database"]
    if url.startswith("sqlite"):
        assert problem is not None
        assert "entries of the future" in problem
        assert "timedatectl" in problem
    else:
        assert problem is None, "the clock of the server itself is compared"


@pytest.mark.parametrize(
    ("used", "given", "problem"),
    [
        ("11", "11", None),
        ("11", "22\n11", None),
        ("11", "22", "has another key than the one in use"),
        ("11", "x", "64 hexadecimal digits"),
        ("11", None, "DDNSD_SECOND_FACTOR_KEY is not set"),
    ],
)
async def test_it_checks_the_key_of_second_factors(
    url: str, tmp_path: Path, used: str, given: str | None, problem: str | None
) -> None:
    sealed = SealingKeys([bytes.fromhex(used * 32)]).seal("totp", 1, "SEED")
    file = tmp_path / "key"
    if given is not None:
        file.write_text("\n".join(one * 32 if one != "x" else one for one in given.split()))
    await examined(
        url,
        "INSERT INTO users (id, name, created) VALUES (1, 'me', 0)",
        f"INSERT INTO totp (user_id, sealed, last_step, created) VALUES (1, '{sealed}', 0, 0)",
    )
    loaded = Settings(database_url=SecretStr(url), second_factor_key=None if given is None else file)
    found = dict(await doctor.examine(loaded))["key of second factors"]
    assert found == problem if problem is None or found is None else problem in found


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
