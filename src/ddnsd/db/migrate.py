# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade a database to the newest schema, with Alembic, which is imported only if needed."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, inspect
from sqlalchemy.engine import make_url

from ddnsd.db import moved, postgres_tls
from ddnsd.db.base import BUSY_SECONDS, Faults, StoreDown
from ddnsd.db.connect import open_store

MIGRATIONS = Path(__file__).parent / "migrations"

NEWEST = "0034"
"""The newest revision that this version of the service knows."""

PAUSE_SECONDS = 1.0
"""Pause between two tries to reach a database."""


class OldSchema(StoreDown):
    """the database does not have this version's schema yet"""


class ForeignSchema(Exception):
    """the database has a schema that this version does not know"""


class Unverified(Exception):
    """a new database is on another machine, and the connection does not check the server's certificate"""


async def verify(url: str) -> None:
    """Check the connection, that the database has the newest schema, and that it was not moved.

    Raises StoreDown, OldSchema, Moved, ForeignSchema, Pooled.
    """
    store = open_store(url)
    try:
        await store.check()
        found = await store.read(_revision_in_use)
    finally:
        await store.close()
    if found == NEWEST:
        return
    _check_known(found)
    has = f"has the schema {found} of an older version" if found else "has no schema"
    raise OldSchema(f"the database {has}, this version needs {NEWEST}: run `ddnsd db upgrade`")


def _revision_in_use(connection: Connection) -> str | None:
    """The revision of the database. Raises Moved."""
    moved.check(connection)
    return revision(connection)


def _check_known(found: str | None) -> None:
    """Check the revision. Raises ForeignSchema."""
    known = {path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("*.py")}
    if found is not None and found not in known:
        raise ForeignSchema(
            f"the database has the schema {found}, which this version does not know (its own is {NEWEST}): "
            "install the version of ddnsd that created it, or restore a backup into an empty database"
        )


async def upgrade_when_there(url: str, wait: float, say: Callable[[str], None]) -> bool:
    """Run `upgrade`, retried for `wait` seconds while the database is not available; `say` gets the reason.

    Raises StoreDown, Moved, ForeignSchema.
    """
    end = time.monotonic() + wait
    said = ""
    while True:
        try:
            return await upgrade(url)
        except moved.Moved:
            raise
        except StoreDown as error:
            left = end - time.monotonic()
            if left <= 0:
                tried = f" (tried for {wait:.0f} s)" if wait else ""
                raise StoreDown(f"{error}{tried}") from error
            if str(error) != said:
                said = str(error)
                say(f"{said}; waiting for it, {left:.0f} s at most")
            await asyncio.sleep(min(PAUSE_SECONDS, left))


async def upgrade(url: str) -> bool:
    """Create or upgrade the schema. Returns whether it changed. Raises StoreDown, Moved, ForeignSchema."""
    if url.startswith("sqlite"):
        return _upgrade_file(Path(make_url(url).database or ""))
    return await _upgrade_server(url)


def _upgrade_file(path: Path) -> bool:
    from ddnsd.db.sqlite import database_name, engine_of

    with Faults(database_name(path)):
        engine = engine_of(path)
        try:
            with engine.begin() as connection:
                return _upgrade(connection)
        finally:
            engine.dispose()


async def _upgrade_server(url: str) -> bool:
    from ddnsd.db.postgres import database_name, engine_of

    engine = engine_of(url, {"timeout": BUSY_SECONDS})
    try:
        with Faults(database_name(url)):
            async with engine.begin() as connection:
                if postgres_tls.is_undecided(url) and await connection.run_sync(revision) is None:
                    raise Unverified(
                        f"{database_name(url).name}: the connection does not check the server's certificate, so a "
                        f"machine in between could pretend to be the server: {postgres_tls.STEP}. If you trust the "
                        "network, write another sslmode into the URL, such as ?sslmode=prefer"
                    )
                return await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> bool:
    if connection.dialect.name == "postgresql":  # several nodes may start at once: one upgrades, the others retry
        connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7233, 0)")
        connection.exec_driver_sql("SET LOCAL lock_timeout = DEFAULT")
    found = _revision_in_use(connection)
    if found == NEWEST:
        return False
    _check_known(found)

    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return True


def missing(connection: Connection) -> list[str]:
    """What the database lacks of the schema, in words: tables, and columns of tables."""
    from ddnsd.db.schema import metadata

    inspector = inspect(connection)
    tables = set(inspector.get_table_names())
    found = []
    for table in metadata.sorted_tables:
        if table.name not in tables:
            found.append(f"there is no table {table.name}")
            continue
        there = {column["name"] for column in inspector.get_columns(table.name)}
        found += [f"table {table.name} lacks column {c.name}" for c in table.columns if c.name not in there]
    return found


def revision(connection: Connection) -> str | None:
    """The revision of the database; None without a schema."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found
