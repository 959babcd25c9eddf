# SPDX-License-Identifier: GPL-3.0-or-later
"""Daily deletion of old rows, while the service runs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
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

PART = 500
"""Rows per transaction; the service's own transactions wait for it."""

PAUSE_SECONDS = 0.01

Step = Callable[[Connection], int]
Task = Callable[[Store], Awaitable[int]]


async def run(settings: Settings) -> dict[str, int]:
    """Delete old rows. Returns the number of rows by kind, without zeros.

    Raises StoreDown, AdminError.
    """
    await store_access.check_schema(settings.store_url)
    removed = {}
    async with store_access.opened(settings.store_url) as store:
        for kind, task in _tasks(settings, queries.now()):
            if count := await task(store):
                removed[kind] = count
        await store.tidy()
    return removed


def _tasks(settings: Settings, moment: int) -> Iterator[tuple[str, Task]]:
    def ago(days: int) -> int:
        return moment - days * DAY_MICROSECONDS

    yield "remembered removals", _parts(lambda c: retention.forget_removals(c, ago(REMOVAL_DAYS), PART))
    yield "answers to repeated calls", _parts(idempotency.forget_expired)
    yield "expired tokens", _parts(lambda c: credentials.delete_expired_tokens(c, ago(TOKEN_DAYS), PART))
    life = settings.session_lifetime
    idle, begun = moment - life.idle - SESSION_GRACE, moment - life.absolute
    yield "ended sessions", _parts(lambda c: sessions.forget_ended(c, idle, begun, PART))
    unseen = moment - one_time_secrets.LIFETIME
    yield "secrets that were not shown", _parts(lambda c: one_time_secrets.forget(c, unseen, PART))
    yield "write checks of ended processes", _parts(lambda c: write_checks.forget(c, ago(1), PART))
    yield "expired enrolments", _parts(lambda c: retention.forget_enrolments(c, moment, PART))
    yield "entries of long histories", _trim_long
    yield "histories of hosts that are gone", _forget_histories
    yield "contacts of hosts that are gone", _forget_contacts
    if settings.event_days:
        yield (
            "closed requests for domains",
            _parts(lambda c: retention.forget_requests(c, ago(settings.event_days), PART)),
        )
        yield "events", _parts(lambda c: retention.forget_events(c, ago(settings.event_days), PART))
        yield "old entries of histories", _parts(lambda c: history.forget(c, ago(settings.event_days), PART))


# These search a whole table, so they search once, outside of the write transactions.


async def _trim_long(store: Store) -> int:
    return await _trim(store, await store.read(history.crowded), history.KEPT)


async def _forget_histories(store: Store) -> int:
    return await _trim(store, await store.read(history.strangers), 0)


async def _forget_contacts(store: Store) -> int:
    gone = await store.read(last_seen.strangers)
    total = 0
    for start in range(0, len(gone), PART):
        total += await store.transact(lambda c, part=gone[start : start + PART]: last_seen.forget(c, part))  # type: ignore[misc]
        await asyncio.sleep(PAUSE_SECONDS)
    return total


async def _trim(store: Store, host_ids: list[int], kept: int) -> int:
    total = 0
    for host_id in host_ids:
        task = _parts(partial(history.trim, host_id=host_id, limit=PART, kept=kept))
        total += await task(store)
    return total


def _parts(step: Step) -> Task:
    """A task that repeats the step, in separate transactions, until nothing is left to delete."""

    async def task(store: Store) -> int:
        total = 0
        while count := await store.transact(step):
            total += count
            await asyncio.sleep(PAUSE_SECONDS)
        return total

    return task
