# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: transactions on SQLite or PostgreSQL, and fresh reads for the hot path.

A query is a plain function of a SQLAlchemy `Connection`. On SQLite it runs in a thread of the store, one hop for a
whole transaction; on PostgreSQL it runs on asyncpg. Nothing else in the service knows which one it is.

    StoreDown       the database cannot be used now; nothing of the transaction is kept
    OutcomeUnknown  a StoreDown: the connection was lost during the commit, so the transaction may be kept
"""

import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

T = TypeVar("T")
Work = Callable[[Connection], T]

BUSY_SECONDS = 2.0
"""How long a transaction waits for another process's write lock on SQLite."""

_OURS = (IntegrityError, ProgrammingError, DataError)

_OUR_CLASSES = ("22", "23", "42")
"""Classes of SQLSTATE for what the statement asked wrongly: values, constraints, syntax."""

_NOT_OURS = {"42501", "42P01", "42703", "3F000"}
"""Of those: no permission, and a table, column or schema that is not there. The database is not ready for us."""


class StoreDown(Exception):
    """the database cannot be used"""


class OutcomeUnknown(StoreDown):
    """the connection to the database was lost during the commit: the change may be kept"""


class ZoneLock(Protocol):
    """A zone's lock that is held."""

    def check(self) -> None:
        """Raises StoreDown when the lock was lost: another process may send to the zone."""


class DatabaseName(NamedTuple):
    """Which database messages speak of, what they say of one without an answer, and its driver's own errors."""

    name: str
    silent: str
    errors: tuple[type[Exception], ...] = ()


class Gate:
    """Keeps callers from a database of which it is not known yet whether it has our schema."""

    held: str | None = None
    """Why nobody may use the database; None when everybody may."""

    def hold(self, reason: str) -> None:
        """Answer StoreDown with this reason from now on."""
        self.held = reason

    def release(self) -> None:
        """Let callers use the database."""
        self.held = None

    def check_gate(self) -> None:
        """Raises StoreDown while the store is held."""
        if self.held is not None:
            raise StoreDown(self.held)


class Store(Protocol):
    """What both databases offer."""

    async def transact(self, work: Work[T]) -> T:
        """Run `work` in one write transaction, durable when this returns. Raises StoreDown."""

    async def execute(self, work: Work[T]) -> T:
        """Run `work` of a single statement, durable when this returns. Raises StoreDown."""

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a consistent read. Raises StoreDown."""

    def zone_lock(self, domain_id: int) -> AbstractAsyncContextManager[ZoneLock]:
        """No other process sends to this zone meanwhile, unless the lock is lost. Raises StoreDown."""

    async def tidy(self) -> None:
        """Put statistics and files in order, where the database does not do so by itself. Raises StoreDown."""

    async def close(self) -> None:
        """Release every connection."""


@contextmanager
def faults(place: DatabaseName) -> Iterator[None]:
    """Turn what the database cannot do now into StoreDown; what was asked wrongly stays as it is."""
    kinds: tuple[type[Exception], ...] = (DBAPIError, PoolTimeout, sqlite3.Error, OSError, *place.errors)
    try:
        yield
    except kinds as error:
        if _is_ours(error):
            raise
        raise StoreDown(_describe(error, place)) from error


def _is_ours(error: Exception) -> bool:
    state = getattr(getattr(error, "orig", error), "sqlstate", None)
    if state is None:
        return isinstance(error, _OURS)
    return state[:2] in _OUR_CLASSES and state not in _NOT_OURS


def _describe(error: Exception, place: DatabaseName) -> str:
    """What is wrong, for logs and operators: which database it is, and why it cannot be used."""
    if isinstance(error, PoolTimeout):
        return f"{place.name}: every connection of this process is in use"
    if isinstance(error, TimeoutError):
        return f"{place.name} {place.silent} in time"
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        if error.errno and not isinstance(error, socket.gaierror):
            reason = os.strerror(error.errno)
        return f"{place.name} {place.silent}: {reason}"
    cause = getattr(error, "orig", None) or error
    text = " ".join(str(cause.__cause__ or cause).split())
    return f"{place.name}: {text}"
