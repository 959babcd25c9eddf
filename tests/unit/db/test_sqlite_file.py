# SPDX-License-Identifier: GPL-3.0-or-later
"""Only its owner can read the database file, whatever the umask was and is."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from ddnsd.db import migrate
from ddnsd.db.sqlite import engine_of


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    former = os.umask(0)
    yield
    os.umask(former)


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.glob("*.db*")}


def write(path: Path) -> dict[str, int]:
    """The modes while the database is open."""
    engine = engine_of(path)
    try:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS t (a)"))
            return modes(path.parent)
    finally:
        engine.dispose()


def test_a_new_file(tmp_path: Path) -> None:
    assert write(tmp_path / "new.db") == dict.fromkeys(("new.db", "new.db-shm", "new.db-wal"), 0o600)


async def test_a_file_of_the_migrations(tmp_path: Path) -> None:
    await migrate.upgrade(f"sqlite:///{tmp_path}/made.db")
    assert set(modes(tmp_path).values()) == {0o600}


def test_a_file_that_everyone_could_read(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    write(file)
    for name in modes(tmp_path):
        (tmp_path / name).chmod(0o644)
    assert set(write(file).values()) == {0o600}


def test_a_group_that_the_operator_lets_read(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    write(file)
    file.chmod(0o640)
    write(file)
    assert modes(tmp_path)["old.db"] == 0o640
