# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: transactions on SQLite or PostgreSQL, and fresh reads for the hot path.

A query is a plain function of a SQLAlchemy `Connection`. On SQLite it runs in a thread of the store, one hop for a
whole transaction; on PostgreSQL it runs on asyncpg. No other part of the service depends on which one it is.

    StoreDown       the database is not available; nothing of the transaction is committed
    OutcomeUnknown  a StoreDown: the connection was lost during the commit, so the transaction may be committed
"""

import math
import os
import socket
import sqlite3
import ssl
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ddnsd.db.postgres_tls import STEP

T = TypeVar("T")
Work = Callable[[Connection], T]

BUSY_SECONDS = 2.0
"""How long a transaction waits for another process's write lock on SQLite."""

NOTICE_SECONDS = 5.0
"""After this time every running service knows that `ddnsd db copy` has moved its database."""

_FAULTS = (DBAPIError, PoolTimeout, sqlite3.Error, OSError)

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
    """The right to send a zone's changes."""

    @property
    def marker(self) -> str | None:
        """The text that marks this ownership in the zone; None if a former owner cannot send after the next one."""

    def check(self) -> None:
        """Check it. Raises an error if it was lost: another process may send to the zone."""


class DatabaseName(NamedTuple):
    """The database's name in messages, the text for one that does not answer, and its driver's errors."""

    name: str
    silent: str
    errors: tuple[type[Exception], ...] = ()


class Gate:
    """Refuses callers until the database is known to have our schema, and knows whether it was moved."""

    held: str | None = None
    """The reason why the database cannot be used yet, or None."""

    moved: str | None = None
    """The reason why writes are refused: the content was moved to another database; or None."""

    _mark_read = math.inf
    """When a service began to read the mark of a moved database; infinite in commands, which do not repeat this."""

    def note_mark(self, reason: str | None, moment: float) -> None:
        """Note what the read of the mark that began then (time.monotonic) has found."""
        self.moved, self._mark_read = reason, moment

    @property
    def is_current(self) -> bool:
        """Whether this database is surely the one in use: it was not moved, as of NOTICE_SECONDS ago at most."""
        return self.moved is None and time.monotonic() - self._mark_read < NOTICE_SECONDS

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

    async def check(self) -> None:
        """Check that the connection can do what the service needs. Raises StoreDown, Pooled."""

    async def tidy(self) -> None:
        """Refresh statistics and files, if the database does not do this itself. Raises StoreDown."""

    async def close(self) -> None:
        """Release every connection."""


class Faults:
    """Converts errors of an unavailable database into StoreDown; errors of a statement are not changed.

    Every read of the hot path has one, so it is no generator.
    """

    __slots__ = ("_place",)

    def __init__(self, place: DatabaseName) -> None:
        self._place = place

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Convert the error, if there is one. Raises StoreDown."""
        if error is not None and isinstance(error, (*_FAULTS, *self._place.errors)) and not _is_ours(error):
            raise StoreDown(_describe(error, self._place)) from error


def _is_ours(error: BaseException) -> bool:
    state = getattr(getattr(error, "orig", error), "sqlstate", None)
    if state is None:
        code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
        # only a moved database has triggers
        return isinstance(error, _OURS) and code != sqlite3.SQLITE_CONSTRAINT_TRIGGER
    return state[:2] in _OUR_CLASSES and state not in _NOT_OURS


def _describe(error: BaseException, place: DatabaseName) -> str:
    """The text for logs and operators: the database, and why it is not available."""
    if isinstance(error, PoolTimeout):
        return f"{place.name}: every connection of this process is in use"
    if isinstance(error, TimeoutError):
        return f"{place.name} {place.silent} in time"
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "verify_message", "") or error.reason or "TLS failed"
        return f"{place.name}: its certificate is not accepted: {reason}: {STEP}"
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        if error.errno and not isinstance(error, socket.gaierror):
            reason = os.strerror(error.errno)
        return f"{place.name} {place.silent}: {reason}"
    cause = getattr(error, "orig", None) or error
    text = " ".join(str(cause.__cause__ or cause).split())
    return f"{place.name}: {text}"
