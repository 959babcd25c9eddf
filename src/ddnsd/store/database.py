# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: transactions on SQLite or PostgreSQL, and fresh reads for the hot path.

A query is a plain function of a SQLAlchemy `Connection`. On SQLite it runs in a thread of the store, one hop for a
whole transaction; on PostgreSQL it runs on asyncpg. Nothing else in the service knows which one it is.

    StoreDown       the database cannot be used now; nothing of the transaction is kept
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

if TYPE_CHECKING:
    from ddnsd.store.postgres import PostgresStore
    from ddnsd.store.sqlite import SqliteStore

T = TypeVar("T")
Work = Callable[[Connection], T]

BUSY_SECONDS = 2.0
"""How long a transaction waits for another process's write lock on SQLite."""

_OURS = (IntegrityError, ProgrammingError, DataError)


class StoreDown(Exception):
    """the database cannot be used"""


class Store(Protocol):
    """What both databases offer."""

    async def transact(self, work: Work[T]) -> T:
        """Run `work` in one write transaction, durable when this returns. Raises StoreDown."""

    async def execute(self, work: Work[T]) -> T:
        """Run `work` of a single statement, durable when this returns. Raises StoreDown."""

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a consistent read. Raises StoreDown."""

    def zone_lock(self, domain_id: int) -> Any:
        """Async context manager: no other process sends to this zone meanwhile."""

    async def tidy(self) -> None:
        """Put statistics and files in order, where the database does not do so by itself. Raises StoreDown."""

    async def close(self) -> None:
        """Release every connection."""


@contextmanager
def faults() -> Iterator[None]:
    """Turn what the database cannot do now into StoreDown; what was asked wrongly stays as it is."""
    try:
        yield
    except _OURS:
        raise
    except (DBAPIError, PoolTimeout, sqlite3.Error, OSError) as error:
        raise StoreDown(str(getattr(error, "orig", None) or error)) from error


def open_store(url: str) -> "SqliteStore | PostgresStore":
    """The store behind `sqlite:///PATH` or `postgresql://…`; connects when first used."""
    if url.startswith("sqlite"):
        from ddnsd.store.sqlite import SqliteStore  # here: commands start twice as fast without the other database

        return SqliteStore(url)
    from ddnsd.store.postgres import PostgresStore

    return PostgresStore(url)
