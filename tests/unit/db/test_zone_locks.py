# SPDX-License-Identifier: GPL-3.0-or-later
"""Who takes the lock of a zone learns whether the database was moved."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ddnsd.db import migrate, moved
from ddnsd.db.sqlite import SqliteStore, engine_of


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    url = f"sqlite:///{tmp_path}/ddnsd.db"
    await migrate.upgrade(url)
    opened = SqliteStore(url)
    yield opened
    await opened.close()


def move(path: Path) -> None:
    """Mark the database as another process does."""
    engine = engine_of(path)
    with engine.begin() as connection:
        moved.mark(connection, moved.Move(moved.State.MOVED, "elsewhere", "1"))
    engine.dispose()


async def test_a_lock_that_is_taken_after_the_move_in_the_same_turn(store: SqliteStore) -> None:
    async with store.zone_lock("1"):
        move(store.path)  # no turn of the loop has passed since the check of the first lock
        with pytest.raises(moved.Moved, match="elsewhere"):
            async with store.zone_lock("2"):
                pytest.fail("the lock was given")


async def test_locks_of_one_turn_share_the_check(store: SqliteStore) -> None:
    async def take(name: str) -> str:
        try:
            async with store.zone_lock(name):
                if name == "1":
                    move(store.path)
                return "taken"
        except moved.Moved:
            return "moved"

    # all three are taken before the first one is checked, and the move comes after that check
    assert set(await asyncio.gather(take("1"), take("2"), take("3"))) == {"taken"}
    assert await take("4") == "moved"
