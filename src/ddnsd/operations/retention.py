# SPDX-License-Identifier: GPL-3.0-or-later
"""Daily deletion of old rows, while the service runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from ddnsd.db import (
    certificates,
    history,
    idempotency,
    last_seen,
    one_time_secrets,
    queries,
    retention,
    sessions,
    tsig_secrets,
    webhooks,
    write_checks,
)
from ddnsd.db.base import Store
from ddnsd.db.retention import OldEvent
from ddnsd.operations import store_access
from ddnsd.registry import credentials
from ddnsd.registry.certificates import RETENTION as CERTIFICATES
from ddnsd.registry.events import SECURITY
from ddnsd.settings import Settings

DAY_MICROSECONDS = 86_400 * 1_000_000

REMOVAL_DAYS = 30
"""A name server may be restored from a journal that is this old and still has the name."""

TOKEN_DAYS = 30
"""How long an expired token is still shown to its user."""

DELIVERY_DAYS = 7
"""How long messages of webhooks are shown after their end."""

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

FOUND = 5000
"""Old rows that are searched for at a time."""

NO_HOST = -(2**62)
"""An id below those of all hosts, and below the negative ones that `db copy` gives to deleted ones."""

Step = Callable[[Connection, int], int]
"""Deletes at most that many rows. Returns the number."""

T = TypeVar("T")

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
        return max(moment - days * DAY_MICROSECONDS, 0)

    def ago_or_never(days: int | None) -> int:
        """The time, or 0, before which there is nothing."""
        days = settings.event_days if days is None else days
        return ago(days) if days else 0

    old = ago_or_never(settings.event_days)
    old_log, old_entry = ago_or_never(settings.security_log_days), ago_or_never(settings.history_days)
    old_report, old_request = ago_or_never(settings.abuse_report_days), ago_or_never(settings.last_request_days)
    life = settings.session_lifetime
    idle, begun = moment - life.idle - SESSION_GRACE, moment - life.absolute
    unseen = moment - one_time_secrets.LIFETIME
    yield "remembered removals", partial(_forget_removals, before=ago(REMOVAL_DAYS))
    yield "answers to repeated calls", _all(idempotency.forget_expired)
    yield "expired tokens", _all(lambda c, n: credentials.delete_expired_tokens(c, ago(TOKEN_DAYS), n))
    yield "ended sessions", _all(lambda c, n: sessions.forget_ended(c, idle, begun, n))
    yield "secrets that were not shown", _all(lambda c, n: one_time_secrets.forget(c, unseen, n))
    yield "TSIG secrets of nothing that exists", partial(_forget_tsig_secrets, before=ago(1))
    yield "write checks of ended processes", _all(lambda c, n: write_checks.forget(c, ago(1), n))
    yield "expired enrolments", _all(lambda c, n: retention.forget_enrolments(c, moment, n))
    yield "old orders of certificates", partial(_forget_orders, before=moment - CERTIFICATES)
    yield "old messages of webhooks", partial(_forget_deliveries, before=ago(DELIVERY_DAYS))
    yield "entries of long histories", _trim_long
    yield "histories of hosts that are gone", _forget_histories
    yield "contacts of hosts that are gone", _forget_contacts
    if old_request:
        yield "old contacts", partial(_forget_old_contacts, before=old_request)
    if old_report:
        yield "closed reports of abuse", _all(lambda c, n: retention.forget_abuse_reports(c, old_report, n))
    if old:
        yield "closed requests for domains", _all(lambda c, n: retention.forget_requests(c, old, n))
        yield "events", partial(_forget_events, before=old, not_of=SECURITY)
    if old_log:
        yield "events of security logs", partial(_forget_events, before=old_log, of=SECURITY)
    if old_entry:
        yield "old entries of histories", _all(lambda c, n: history.forget(c, old_entry, n))


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
            count = await self._timed(lambda c, n=limit: step(c, n))  # type: ignore[misc]
            total += count
            if count < limit:
                return total

    async def each(self, found: Sequence[T], forget: Callable[[Connection, Sequence[T]], int]) -> int:
        """Delete the rows that were found. Returns the number."""
        total = 0
        while found:
            part, found = found[: self._rows], found[self._rows :]
            total += await self._timed(lambda c, p=part: forget(c, p))  # type: ignore[misc]
        return total

    async def _timed(self, work: Callable[[Connection], int]) -> int:
        begin = time.monotonic()
        count = await self.store.transact(work)
        taken = time.monotonic() - begin
        self._adapt(taken)
        if count:
            await asyncio.sleep(max(PAUSE_SECONDS, PAUSES * taken))
        return count

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


async def _forget_old_contacts(remover: _Remover, before: int) -> int:
    total, after = 0, NO_HOST
    while ids := await remover.store.read(lambda c, a=after: last_seen.old(c, a, before, FOUND)):  # type: ignore[misc]
        total += await remover.each(ids, lambda c, part: last_seen.forget_old(c, part, before))
        after = ids[-1]
    return total


async def _forget_tsig_secrets(remover: _Remover, before: int) -> int:
    total, after = 0, b""
    while found := await remover.store.read(lambda c, a=after: tsig_secrets.unused(c, a, before, FOUND)):  # type: ignore[misc]
        total += await remover.each(found, tsig_secrets.forget)
        after = found[-1]
    return total


async def _forget_orders(remover: _Remover, before: int) -> int:
    total, after = 0, 0
    while found := await remover.store.read(lambda c, a=after: certificates.outdated(c, a, before, FOUND)):  # type: ignore[misc]
        total += await remover.each(found, certificates.forget)
        after = found[-1]
    return total


async def _forget_deliveries(remover: _Remover, before: int) -> int:
    total, after = 0, 0
    while found := await remover.store.read(lambda c, a=after: webhooks.old_deliveries(c, a, before, FOUND)):  # type: ignore[misc]
        total += await remover.each(found, webhooks.forget)
        after = found[-1]
    return total


async def _forget_events(remover: _Remover, before: int, of: Collection[str] = (), not_of: Collection[str] = ()) -> int:
    total, after = 0, OldEvent(0, 0)
    while found := await remover.store.read(
        lambda c, a=after: retention.old_events(c, a, before, FOUND, of=of, not_of=not_of)  # type: ignore[misc]
    ):
        total += await remover.each(found, retention.forget_events)
        after = found[-1]
    return total


async def _strangers(store: Store, find: Callable[[Connection, int, int], list[int]]) -> AsyncIterator[list[int]]:
    """Yield the ids of deleted hosts, some at a time."""
    after = NO_HOST
    while ids := await store.read(lambda c, a=after: find(c, a, HOSTS)):  # type: ignore[misc]
        yield ids
        if len(ids) < HOSTS:
            return
        after = ids[-1]
