# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a database to the newest schema, with Alembic, which is imported only where there is something to do."""

from pathlib import Path

from sqlalchemy import Connection, inspect
from sqlalchemy.engine import make_url

MIGRATIONS = Path(__file__).parent / "migrations"

NEWEST = "0002"
"""The newest revision that this version of the service knows."""


async def upgrade(url: str) -> None:
    """Create or upgrade the schema; does nothing when it is the newest."""
    if url.startswith("sqlite"):
        _upgrade_file(Path(make_url(url).database or ""))
    else:
        await _upgrade_server(url)


def _upgrade_file(path: Path) -> None:
    from ddnsd.store.sqlite import engine_of

    engine = engine_of(path)
    with engine.begin() as connection:
        _upgrade(connection)
    engine.dispose()


async def _upgrade_server(url: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    from ddnsd.store.postgres import driver_url

    engine = create_async_engine(driver_url(url))
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade)
    await engine.dispose()


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # several nodes may start at once
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7233, 0)")
    if revision(connection) == NEWEST:
        return

    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def revision(connection: Connection) -> str | None:
    """The revision of the database; None without a schema."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found
