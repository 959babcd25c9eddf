# SPDX-License-Identifier: GPL-3.0-or-later
"""Daily deletion of old rows, while the service runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial

from sqlalchemy import Connection

from ddnsd.db import history, idempotency, last_seen, one_time_secrets, queries, retention, sessions, write_checks
from ddnsd.db.base import Store
from ddnsd.operations import store_access
from ddnsd.registry import credentials
from ddnsd.settings import Settings

DAY_MICROSECONDS = 86_400 * 1_000_000

REMOVAL_DAYS = 30
"""A name server may be restored from a journal that is this old and still has the name."""

TOKEN_DAYS = 30
"""How long an expired token is still shown to its user."""

SESSION_GRACE = 5 * 60 * 1_000_000
"""A process may write the last use of a session this late."""

PARTS = 100, 5000
"""Fewest and most rows per transaction; the service's own transactions wait for it."""

PART_SECONDS = 0.015
"""Time of a transaction above which the next one has fewer rows."""

PAUSE_SECONDS = 0.01
PAUSES = 2
"""Pause after a transaction, as a multiple of its time."""

HOSTS = 500
"""Deleted hosts that are searched for at a time."""

NO_HOST = -1
"""An id below those of all hosts."""

Step = Callable[[Connection, int], int]
"""Deletes at most that many rows. Returns the number."""

Task = Callable[["_Remover"], Awaitable[int]]


async def run(settings: Settings) -> dict[str, int]:
    """Delete old rows. Returns the number of rows by kind, without zeros.

    Raises StoreDown, AdminError.
    """
    await store_access.check_schema(settings.store_url)
    removed = {}
    async with store_access.opened(settings.store_url) as store:
        for kind, task in _tasks(settings, queries.now()):
            if count := await task(_Remover(store)):
                removed[kind] = count
        await store.tidy()
    return removed


def _tasks(settings: Settings, moment: int) -> Iterator[tuple[str, Task]]:
    def ago(days: int) -> int:
        return moment - days * DAY_MICROSECONDS

    old = ago(settings.event_days)
    life = settings.session_lifetime
    idle, begun = moment - life.idle - SESSION_GRACE, moment - life.absolute
    unseen = moment - one_time_secrets.LIFETIME
    yield "remembered removals", partial(_forget_removals, before=ago(REMOVAL_DAYS))
    yield "answers to repeated calls", _all(idempotency.forget_expired)
    yield "expired tokens", _all(lambda c, n: credentials.delete_expired_tokens(c, ago(TOKEN_DAYS), n))
    yield "ended sessions", _all(lambda c, n: sessions.forget_ended(c, idle, begun, n))
    yield "secrets that were not shown", _all(lambda c, n: one_time_secrets.forget(c, unseen, n))
    yield "write checks of ended processes", _all(lambda c, n: write_checks.forget(c, ago(1), n))
    yield "expired enrolments", _all(lambda c, n: retention.forget_enrolments(c, moment, n))
    yield "entries of long histories", _trim_long
    yield "histories of hosts that are gone", _forget_histories
    yield "contacts of hosts that are gone", _forget_contacts
    if settings.abuse_report_days:
        reports = ago(settings.abuse_report_days)
        yield "closed reports of abuse", _all(lambda c, n: retention.forget_abuse_reports(c, reports, n))
    if settings.event_days:
        yield "closed requests for domains", _all(lambda c, n: retention.forget_requests(c, old, n))
        yield "events", _all(lambda c, n: retention.forget_events(c, old, n))
        yield "old entries of histories", _all(lambda c, n: history.forget(c, old, n))


class _Remover:
    """Deletes many rows in short transactions, with pauses for others between them.

    The number of rows follows the time that the last transaction took, so that a slow disk delays nobody for longer.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._rows = PARTS[0]

    async def all(self, step: Step) -> int:
        """Repeat the step until nothing is left to delete. Returns the number of rows."""
        total = 0
        while True:
            limit = self._rows
            begin = time.monotonic()
            count = await self.store.transact(lambda c, n=limit: step(c, n))  # type: ignore[misc]
            taken = time.monotonic() - begin
            self._adapt(taken)
            total += count
            if count:
                await asyncio.sleep(max(PAUSE_SECONDS, PAUSES * taken))
            if count < limit:
                return total

    def _adapt(self, taken: float) -> None:
        least, most = PARTS
        if taken > PART_SECONDS:
            self._rows = max(self._rows // 2, least)
        elif taken < PART_SECONDS / 2:
            self._rows = min(self._rows * 2, most)


def _all(step: Step) -> Task:
    return lambda remover: remover.all(step)


# These search a whole table, so they search once, outside of the write transactions.


async def _forget_removals(remover: _Remover, before: int) -> int:
    last = await remover.store.read(lambda c: retention.last_removal(c, before))
    return await remover.all(lambda c, n: retention.forget_removals(c, last, before, n)) if last else 0


async def _trim_long(remover: _Remover) -> int:
    total = 0
    for host_id in await remover.store.read(history.crowded):
        total += await remover.all(lambda c, n, h=host_id: history.trim(c, h, n))  # type: ignore[misc]
    return total


async def _forget_histories(remover: _Remover) -> int:
    total = 0
    async for ids in _strangers(remover.store, history.strangers):
        total += await remover.all(lambda c, n, ids=ids: history.forget_hosts(c, ids, n))  # type: ignore[misc]
    return total


async def _forget_contacts(remover: _Remover) -> int:
    total = 0
    async for ids in _strangers(remover.store, last_seen.strangers):
        total += await remover.store.transact(lambda c, ids=ids: last_seen.forget(c, ids))  # type: ignore[misc]
        await asyncio.sleep(PAUSE_SECONDS)
    return total


async def _strangers(store: Store, find: Callable[[Connection, int, int], list[int]]) -> AsyncIterator[list[int]]:
    """Yield the ids of deleted hosts, some at a time."""
    after = NO_HOST
    while ids := await store.read(lambda c, a=after: find(c, a, HOSTS)):  # type: ignore[misc]
        yield ids
        if len(ids) < HOSTS:
            return
        after = ids[-1]
