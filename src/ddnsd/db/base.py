# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: transactions on SQLite or PostgreSQL, and fresh reads for the hot path.

A query is a plain function of a SQLAlchemy `Connection`. On SQLite it runs in a thread of the store, one hop for a
whole transaction; on PostgreSQL it runs on asyncpg. No other part of the service depends on which one it is.

    StoreDown       the database is not available; nothing of the transaction is committed
    OutcomeUnknown  a StoreDown: the connection was lost during the commit, so the transaction may be committed
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
"""SQLSTATE classes of errors in a statement: values, constraints, syntax."""

_NOT_OURS = {"42501", "42P01", "42703", "3F000"}
"""Exceptions to these: no permission, or a missing table, column or schema. The database is not ready."""


class StoreDown(Exception):
    """the database cannot be used"""


class OutcomeUnknown(StoreDown):
    """the connection to the database was lost during the commit: the change may be kept"""


class ZoneLock(Protocol):
    """A held lock of a zone."""

    def check(self) -> None:
        """Check the lock. Raises StoreDown if it was lost: another process may send to the zone."""


class DatabaseName(NamedTuple):
    """The database's name in messages, the text for one that does not answer, and its driver's errors."""

    name: str
    silent: str
    errors: tuple[type[Exception], ...] = ()


class Gate:
    """Refuses callers until the database is known to have our schema."""

    held: str | None = None
    """The reason why the database cannot be used yet, or None."""

    def hold(self, reason: str) -> None:
        """Refuse callers with StoreDown and this reason."""
        self.held = reason

    def release(self) -> None:
        """Let callers use the database."""
        self.held = None

    def check_gate(self) -> None:
        """Check the gate. Raises StoreDown while callers are refused."""
        if self.held is not None:
            raise StoreDown(self.held)


class Store(Protocol):
    """The interface of both databases."""

    async def transact(self, work: Work[T]) -> T:
        """Run `work` in one write transaction, durable when this returns. Raises StoreDown."""

    async def execute(self, work: Work[T]) -> T:
        """Run `work` of a single statement, durable when this returns. Raises StoreDown."""

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a consistent read. Raises StoreDown."""

    def zone_lock(self, domain_id: int) -> AbstractAsyncContextManager[ZoneLock]:
        """Hold the zone's lock, so that no other process sends to the zone. Raises StoreDown."""

    async def tidy(self) -> None:
        """Refresh statistics and files, if the database does not do this itself. Raises StoreDown."""

    async def close(self) -> None:
        """Release every connection."""


@contextmanager
def faults(place: DatabaseName) -> Iterator[None]:
    """Convert errors of an unavailable database into StoreDown; errors of a statement are not changed."""
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
    """The text for logs and operators: the database, and why it is not available."""
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
