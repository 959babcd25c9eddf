# SPDX-License-Identifier: GPL-3.0-or-later
"""Report fronts (reverse proxies) that do not send their clients' addresses: log, metric, and `ddnsd doctor`.

An address that cannot be read is the fault of the front, not of its clients. `doctor` is another process. It reads the
events in the audit log: one per front in five minutes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from prometheus_client import Counter
from sqlalchemy import Connection, func, select

from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.db.schema import events

log = structlog.get_logger()

SECONDS = 2.0
"""How often due events are written."""

REPEAT_SECONDS = 5 * 60.0
"""Shortest time between two events of the same front."""

LOG_SECONDS = 60.0
"""Shortest time between two log lines about the same front."""

SHOWN_MICROSECONDS = 15 * 60 * 1_000_000
"""Age of the oldest events that `doctor` shows. A front that still fails has a newer event."""

FRONTS = 100
ACTION = "front.unreadable"
ACTOR = "ddnsd"

REQUESTS = Counter("ddnsd_unknown_client_addresses_total", "Requests whose front did not tell the client's address")


@dataclass
class _Front:
    number: int = 0
    text: str = ""
    logged: float | None = None
    written: float | None = None
    due: bool = field(default=False)


class Seen(NamedTuple):
    """A front that did not send an address; `at` in microseconds."""

    front: str
    text: str
    at: int


class Fronts:
    """The fronts of this process that did not send addresses."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._fronts: dict[str, _Front] = {}

    def note(self, name: str, hop: str | None) -> None:
        """Count a request; `hop` is the client as the front sent it, or None if it sent nothing."""
        REQUESTS.inc()
        front = self._fronts.get(name)
        if front is None:
            if len(self._fronts) >= FRONTS:
                return
            front = self._fronts[name] = _Front()
        front.number, front.text, front.due = front.number + 1, _in_words(hop), True
        moment = self._clock()
        if front.logged is None or moment - front.logged >= LOG_SECONDS:
            front.logged = moment
            log.warning("client address not known", front=name, reason=front.text, requests=front.number)

    async def write(self) -> None:
        """Write the due events. Raises StoreDown; the events then stay due."""
        moment = self._clock()
        due = {
            name: front
            for name, front in self._fronts.items()
            if front.due and (front.written is None or moment - front.written >= REPEAT_SECONDS)
        }
        if not due:
            return
        texts = {name: f"{front.text}; {front.number} requests" for name, front in due.items()}
        await self._store.transact(lambda c: _write(c, texts))
        for front in due.values():
            front.number, front.written, front.due = 0, moment, False


def seen(connection: Connection) -> list[Seen]:
    """The fronts with recent events, each with its last event."""
    since = queries.now() - SHOWN_MICROSECONDS
    last = (
        select(func.max(events.c.id)).where(events.c.at >= since, events.c.action == ACTION).group_by(events.c.object)
    )
    query = select(events.c.object, events.c.detail, events.c.at).where(events.c.id.in_(last)).order_by(events.c.object)
    return [Seen._make(row) for row in connection.execute(query)]


def advice(front: Seen) -> str:
    """The problem of the front, and how to solve it."""
    at = datetime.fromtimestamp(front.at // 1_000_000, UTC).strftime("%H:%M:%S")
    return (
        f"{front.text} (last seen at {at} UTC). Clients that send no address get 911. Configure the proxy to send "
        "`X-Forwarded-For` with the client's address only. This message ends 15 minutes after the last such request"
    )


def _in_words(hop: str | None) -> str:
    if hop is None:
        return "it sends no X-Forwarded-For, or is not in DDNSD_TRUSTED_PROXIES"
    return f"the address in X-Forwarded-For cannot be read: {hop[:60]!r}"


def _write(connection: Connection, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        queries.add_event(connection, ACTOR, ACTION, name, None, text)
