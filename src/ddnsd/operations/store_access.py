# SPDX-License-Identifier: GPL-3.0-or-later
"""Database and writer for commands."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection

from ddnsd.db import migrate
from ddnsd.db.connect import open_store
from ddnsd.db.lookups import Lookups
from ddnsd.db.notifications import Pooled
from ddnsd.dns.writer import Writer
from ddnsd.settings import Settings

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore
    from ddnsd.db.sqlite import SqliteStore

T = TypeVar("T")


class AdminError(Exception):
    """the command failed"""


@asynccontextmanager
async def opened(url: str) -> "AsyncIterator[SqliteStore | PostgresStore]":
    """The store, closed at the end."""
    store = open_store(url)
    try:
        yield store
    finally:
        await store.close()


async def with_store(url: str, work: Callable[[Connection], T]) -> T:
    """Run one transaction. Raises StoreDown, AdminError if the schema is missing or old."""
    await check_schema(url)
    async with opened(url) as store:
        return await store.transact(work)


async def check_schema(url: str) -> None:
    """Check that the database has the newest schema. Raises AdminError, StoreDown."""
    try:
        await migrate.verify(url)
    except (migrate.OldSchema, migrate.ForeignSchema, Pooled) as error:
        raise AdminError(str(error)) from None


def new_writer(store: "SqliteStore | PostgresStore", settings: Settings) -> Writer:
    """A writer for a command: it can wait longer for name servers, and sends only what no service can send."""
    return Writer(store, Lookups(store), deadline=30.0, default_ttl=settings.ttl, guest=True)
