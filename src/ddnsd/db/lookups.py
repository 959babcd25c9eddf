# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows by key for the hot path: always fresh from the database, never a cache.

On SQLite a key is one read in the event loop. On PostgreSQL the callers of one moment share a query (group read): a
key requested while a query runs is read by the next one, never by a query that began before.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import structlog
from sqlalchemy import ARRAY, Column, ColumnElement, LargeBinary, Select, any_, bindparam, func, select
from sqlalchemy.dialects import sqlite

from ddnsd.db import dhcp_keys, enrolments, fleets, queries, records, rows, schema, tsig_secrets
from ddnsd.db.base import StoreDown
from ddnsd.db.sqlite import SqliteStore
from ddnsd.gathering import Gathering
from ddnsd.heartbeat import Heartbeat

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore

R = TypeVar("R")

FEW = 8
GATHER_SECONDS = (0.002, 0.01)
"""Shortest and longest pause after a group read with few callers, so that more share the next one."""

STUCK_SECONDS = 20.0
"""No group read takes this long: the database gives up after two seconds."""

log = structlog.get_logger()


class Lookup(Generic[R]):
    """Looks up rows of `query` by a key in `column`, as `row` objects."""

    def __init__(
        self,
        store: "SqliteStore | PostgresStore",
        query: Select[Any],
        column: Column[Any],
        row: Callable[[Iterable[Any]], R],
    ) -> None:
        self._row = row
        self._store = store
        self.heartbeat = Heartbeat(STUCK_SECONDS)
        if isinstance(store, SqliteStore):
            one = query.where(column == bindparam("key"))
            self._sql = str(one.compile(dialect=sqlite.dialect()))
            self._binary = isinstance(column.type, LargeBinary)  # not possible in JSON
            given = select(func.json_each(bindparam("keys")).table_valued("value").c.value)
            one_of = column.in_([bindparam("keys")]) if self._binary else column.in_(given)
            self._sql_of_many = str(query.add_columns(column).where(one_of).compile(dialect=sqlite.dialect()))
        else:
            from sqlalchemy.dialects.postgresql import asyncpg

            keys: ColumnElement[Any] = bindparam("keys", type_=ARRAY(column.type))
            many = query.add_columns(column).where(column == any_(keys))
            self._sql_of_many = str(many.compile(dialect=asyncpg.dialect()))  # type: ignore[no-untyped-call]
            self._waiting: list[_Waiter[R]] = []
            self._gathering = Gathering(*GATHER_SECONDS)
            self._drain: asyncio.Task[None] | None = None

    async def all(self, key: Any) -> list[R]:
        """All rows with this key. Raises StoreDown."""
        if isinstance(self._store, SqliteStore):
            return [self._row(row) for row in self._store.rows(self._sql, (key,))]
        return (await self._grouped([key])).get(key, [])

    async def one(self, key: Any) -> R | None:
        """The only row with this key, or None. Raises StoreDown."""
        rows = await self.all(key)
        return rows[0] if rows else None

    async def many(self, keys: list[Any]) -> dict[Any, list[R]]:
        """The rows by key; keys without rows are missing. Raises StoreDown."""
        if isinstance(self._store, SqliteStore):
            if self._binary:
                return self._by_key(self._store.rows(_with_places(self._sql_of_many, len(keys)), tuple(keys)))
            return self._by_key(self._store.rows(self._sql_of_many, (json.dumps(keys),)))
        found = await self._grouped(keys)
        return {key: found[key] for key in keys if key in found}

    def _by_key(self, rows: Iterable[Any]) -> dict[Any, list[R]]:
        found: dict[Any, list[R]] = {}
        for *row, key in rows:
            found.setdefault(key, []).append(self._row(row))
        return found

    async def _grouped(self, keys: list[Any]) -> dict[Any, list[R]]:
        """The rows of at least these keys, from a query that other callers share (PostgreSQL)."""
        future: asyncio.Future[dict[Any, list[R]]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiter(keys, future))
        if self._drain is None:
            self._drain = asyncio.create_task(self._group_read())
        return await future

    async def _group_read(self) -> None:
        try:
            await asyncio.sleep(0)  # callers of this turn of the loop share the query
            while self._waiting:
                self.heartbeat.step()
                waiters, began = self._take(), time.monotonic()
                await self._answer(waiters)
                self._gathering.note(time.monotonic() - began)
                if len(waiters) < FEW:
                    await asyncio.sleep(self._gathering.seconds)
        finally:
            self.heartbeat.rest()
            self._drain = None
            _refuse(self._take(), StoreDown("the read was cancelled"))  # only when it was cancelled

    def _take(self) -> "list[_Waiter[R]]":
        waiting, self._waiting = self._waiting, []
        return waiting

    async def _answer(self, waiters: "list[_Waiter[R]]") -> None:
        """Answer all callers of a group, also after an error: no other task does it."""
        keys = list({key: None for waiter in waiters for key in waiter.keys})
        try:
            assert not isinstance(self._store, SqliteStore)
            found = self._by_key(await self._store.rows(self._sql_of_many, (keys,)))
        except BaseException as error:
            if not isinstance(error, StoreDown | asyncio.CancelledError):
                log.exception("unexpected error", keys=len(keys))
            waiters += self._take()  # later callers do not wait for the same error again
            _refuse(waiters, error)
            if not isinstance(error, Exception):
                raise
            return
        for waiter in waiters:
            if not waiter.future.done():
                waiter.future.set_result(found)


class _Waiter(NamedTuple, Generic[R]):
    """A caller of a group read."""

    keys: list[Any]
    future: "asyncio.Future[dict[Any, list[R]]]"


def _refuse(waiters: "Iterable[_Waiter[R]]", error: BaseException) -> None:
    for future in (waiter.future for waiter in waiters if not waiter.future.done()):
        future.set_exception(StoreDown(str(error) or type(error).__name__))


def _with_places(sql: str, count: int) -> str:
    """The query with a parameter list instead of its single key."""
    before, _, after = sql.rpartition("?")
    return f"{before}{','.join('?' * count)}{after}"


def _host_to_send(row: Iterable[Any]) -> tuple[rows.Host, bool, bool, int]:
    """The host, whether it has related names and is set aside, and its domain's generation, in one read."""
    *host, has_related, is_set_aside, generation = row
    return rows.Host._make(host), bool(has_related), bool(is_set_aside), generation


def _token_with_hash(row: Iterable[Any]) -> tuple[rows.Token, bytes]:
    """The token and its stored hash."""
    *token, hashed = row
    return rows.Token._make(token), hashed


def _only(row: Iterable[Any]) -> str:
    """The row's only column."""
    (value,) = row
    return str(value)


class Lookups:
    """All lookups of the hot path."""

    def __init__(self, store: "SqliteStore | PostgresStore") -> None:
        self.host = Lookup(store, queries.HOST, schema.hosts.c.fqdn, rows.Host._make)
        self.host_to_send = Lookup(store, queries.HOST_TO_SEND, schema.hosts.c.id, _host_to_send)
        self.host_by_id = Lookup(store, queries.HOST, schema.hosts.c.id, rows.Host._make)
        self.host_by_name = Lookup(store, queries.HOST, schema.hosts.c.name, rows.Host._make)
        self.host_by_secret = Lookup(store, queries.HOST, schema.hosts.c.secret_hash, rows.Host._make)
        self.related = Lookup(store, queries.RELATED, schema.related.c.host_id, rows.Related._make)
        self.rrsets = Lookup(store, records.RRSET, schema.rrsets.c.host_id, rows.RRset._make)
        self.key = Lookup(store, queries.KEY, schema.keys.c.login, rows.Key._make)
        self.key_by_secret = Lookup(store, queries.KEY, schema.keys.c.secret_hash, rows.Key._make)
        self.hosts_of_key = Lookup(store, queries.HOSTS_OF_KEY, schema.key_hosts.c.key_id, rows.Host._make)
        self.token = Lookup(store, queries.TOKEN, schema.tokens.c.hash, rows.Token._make)
        self.token_by_id = Lookup(store, queries.TOKEN_WITH_HASH, schema.tokens.c.id, _token_with_hash)
        self.dhcp_key = Lookup(store, dhcp_keys.DHCP_KEY, schema.dhcp_keys.c.name, rows.DhcpKey._make)
        self.fleet_keys = Lookup(store, fleets.KEY, schema.fleet_keys.c.fleet_id, fleets.FleetKey._make)
        self.fleet_device = Lookup(store, fleets.DEVICE, schema.fleet_devices.c.login, fleets.Device._make)
        self.tsig_secret = Lookup(store, tsig_secrets.SEALED, schema.tsig_secrets.c.hash, _only)
        self.enrolment = Lookup(store, enrolments.ENROLMENT, schema.enrolments.c.token_hash, enrolments.Enrolment._make)
        self.session = Lookup(store, queries.SESSION, schema.sessions.c.hash, rows.Session._make)

    @property
    def alive(self) -> bool:
        """Whether all lookups make progress."""
        return all(lookup.heartbeat.alive for lookup in vars(self).values())
