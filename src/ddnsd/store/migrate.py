# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a database to the newest schema, with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from ddnsd.store.database import sync_engine

MIGRATIONS = Path(__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


def newest() -> str | None:
    """The newest revision that this version of the service knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


async def upgrade(url: str) -> None:
    """Create or upgrade the schema; does nothing when it is the newest."""
    if url.startswith("sqlite"):
        engine = sync_engine(url)
        with engine.begin() as connection:
            _upgrade(connection)
        engine.dispose()
        return
    async_engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    async with async_engine.begin() as connection:
        await connection.run_sync(_upgrade)
    await async_engine.dispose()


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # several nodes may start at once
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7233, 0)")
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def revision(connection: Connection) -> str | None:
    """The revision of the database."""
    return MigrationContext.configure(connection).get_current_revision()
