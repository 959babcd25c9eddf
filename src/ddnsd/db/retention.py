# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete old rows, and trim histories while the service runs.

Functions that delete return the number of rows: at most `limit`, if they have that parameter.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, func, or_, select

from ddnsd.db import history, outbox
from ddnsd.db.abuse_reports import OPEN as OPEN_REPORT
from ddnsd.db.base import Store
from ddnsd.db.bulk_sql import delete_found, delete_keys
from ddnsd.db.domain_requests import OPEN
from ddnsd.db.flapping import FlappingDetector
from ddnsd.db.schema import abuse_reports, domain_requests, enrolments, events, removals


def last_removal(connection: Connection, before: int) -> int:
    """The last id of removals from before `before`, or 0. It reads the whole table: use it outside of writes."""
    return connection.scalar(select(func.max(removals.c.id)).where(removals.c.created < before)) or 0


def forget_removals(connection: Connection, last: int, before: int, limit: int) -> int:
    """Delete finished removals from before `before`, oldest first, up to the id `last` (see `last_removal`)."""
    done = removals.c.dirty_since.is_(None), removals.c.created < before
    found = select(removals.c.id).where(removals.c.id <= last, *done).order_by(removals.c.id).limit(limit)
    return delete_found(connection, removals.c.id, found)


class OldEvent(NamedTuple):
    """The position of an event in the order of time."""

    at: int
    id: int


def old_events(
    connection: Connection,
    after: OldEvent,
    before: int,
    limit: int,
    *,
    of: Collection[str] = (),
    not_of: Collection[str] = (),
) -> list[OldEvent]:
    """At most `limit` events before `before` and behind `after`, oldest first.

    Only those with an action in `of`, if it has any, and none with an action in `not_of`. It may read all old events:
    use it outside of writes.
    """
    behind = or_(events.c.at > after.at, events.c.id > after.id)
    query = select(events.c.at, events.c.id).where(events.c.at >= after.at, events.c.at < before, behind)
    if of:
        query = query.where(events.c.action.in_(of))
    if not_of:
        query = query.where(events.c.action.not_in(not_of))
    return [OldEvent._make(row) for row in connection.execute(query.order_by(events.c.at, events.c.id).limit(limit))]


def forget_events(connection: Connection, found: Sequence[OldEvent]) -> int:
    """Delete these events."""
    kept = outbox.kept_id(connection, "events")
    return delete_keys(connection, events.c.id, [event.id for event in found if event.id != kept])


def forget_requests(connection: Connection, before: int, limit: int) -> int:
    """Delete domain requests that were closed before `before`."""
    closed = domain_requests.c.state != OPEN
    return _remove(connection, domain_requests.c.id, limit, closed, domain_requests.c.decided < before)


def forget_abuse_reports(connection: Connection, before: int, limit: int) -> int:
    """Delete reports of abuse that were closed before `before`."""
    closed = abuse_reports.c.state != OPEN_REPORT
    return _remove(connection, abuse_reports.c.id, limit, closed, abuse_reports.c.decided < before)


def forget_enrolments(connection: Connection, before: int, limit: int) -> int:
    """Delete enrolment tokens that expired before `before`."""
    return _remove(connection, enrolments.c.expires, limit, enrolments.c.expires < before)


def _remove(connection: Connection, order: Column[int], limit: int, *conditions: ColumnElement[bool]) -> int:
    (key,) = order.table.primary_key
    return delete_found(connection, key, select(key).where(*conditions).order_by(order).limit(limit))


SECONDS = 60.0

PART = 200
"""Rows per transaction; changes wait for it."""

PAUSE_SECONDS = 0.02

LOOK_BACK = 50_000
"""How many of the newest entries of all histories count at the first check, since other processes may have ended."""


class Trimmer:
    """Trims histories that have grown, by any process, since the last check, and looks for flapping hosts in them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: int | None = None
        self._added: Counter[int] = Counter()
        self._flapping = FlappingDetector(store)

    async def run(self) -> None:
        """Check the entries since the last call, at first the newest ones, and trim. Raises StoreDown."""
        if self._last is None:
            self._last = max(await self._store.read(history.last_id) - LOOK_BACK, 0)
        last = self._last
        self._last, added = await self._store.read(lambda c: history.added_since(c, last))
        self._added.update(added)
        for host_id in [host_id for host_id, count in self._added.items() if count >= history.KEPT // 4]:
            await self._trim(host_id)
            del self._added[host_id]
        self._flapping.note(added)
        await self._flapping.run()

    async def _trim(self, host_id: int) -> None:
        while True:
            removed = await self._store.transact(lambda c: history.trim(c, host_id, PART))
            if removed < PART:
                return
            await asyncio.sleep(PAUSE_SECONDS)
