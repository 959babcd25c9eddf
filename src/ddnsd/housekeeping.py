# SPDX-License-Identifier: GPL-3.0-or-later
"""What should be done once a day, beside the running service: what nobody needs any more leaves the store."""

import asyncio
from collections.abc import Callable, Iterator

from sqlalchemy import Connection

from ddnsd import admin
from ddnsd.registry import accounts
from ddnsd.settings import Settings
from ddnsd.store import answers, contacts, history, queries, sessions, upkeep
from ddnsd.store.database import Store

DAY_MICROSECONDS = 86_400 * 1_000_000

REMOVAL_DAYS = 30
"""So long may a name server be restored from a journal that still has the name."""

TOKEN_DAYS = 30
"""So long an expired token is still shown to its user."""

SESSION_GRACE = 5 * 60 * 1_000_000
"""So long may a process wait before it writes that a session was used."""

PART = 500
"""Rows of one transaction: the service waits for it with its own."""

PAUSE_SECONDS = 0.01

Step = Callable[[Connection], int]


async def run(settings: Settings) -> dict[str, int]:
    """Do it; answers how many rows of each kind were removed, without those of which there was none.

    Raises StoreDown, AdminError.
    """
    await admin.check_schema(settings.store_url)
    removed = {}
    async with admin.opened(settings.store_url) as store:
        for kind, step in _steps(settings, queries.now()):
            if count := await _all(store, step):
                removed[kind] = count
        await store.tidy()
    return removed


def _steps(settings: Settings, moment: int) -> Iterator[tuple[str, Step]]:
    def ago(days: int) -> int:
        return moment - days * DAY_MICROSECONDS

    yield "remembered removals", lambda c: upkeep.forget_removals(c, ago(REMOVAL_DAYS), PART)
    yield "answers to repeated calls", answers.forget_expired
    yield "expired tokens", lambda c: accounts.delete_expired_tokens(c, ago(TOKEN_DAYS), PART)
    life = settings.session_lifetime
    idle, begun = moment - life.idle - SESSION_GRACE, moment - life.absolute
    yield "ended sessions", lambda c: sessions.forget_ended(c, idle, begun, PART)
    yield "expired enrolments", lambda c: upkeep.forget_enrolments(c, moment, PART)
    yield "entries of long histories", _trim
    yield "histories of hosts that are gone", lambda c: history.forget_strangers(c, PART)
    yield "contacts of hosts that are gone", lambda c: contacts.forget_strangers(c, PART)
    if settings.event_days:
        yield "events", lambda c: upkeep.forget_events(c, ago(settings.event_days), PART)
        yield "old entries of histories", lambda c: history.forget(c, ago(settings.event_days), PART)


def _trim(connection: Connection) -> int:
    crowded = history.crowded(connection)[:1]
    return sum(history.trim(connection, host_id, PART) for host_id in crowded)


async def _all(store: Store, step: Step) -> int:
    total = 0
    while count := await store.transact(step):
        total += count
        await asyncio.sleep(PAUSE_SECONDS)
    return total
