# SPDX-License-Identifier: GPL-3.0-or-later
"""How the service is: each zone's name servers, what waits, and how many requests come in."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ddnsd.db import queries
from ddnsd.db.base import Store, StoreDown
from ddnsd.dns.causes import causes
from ddnsd.dns.monitor import ZoneMonitor
from ddnsd.dns.secondaries import Secondaries
from ddnsd.dns.writer import Writer

SECONDS = 5.0
STORE_SECONDS = 2.0
MINUTE = 60.0


class NameServer(NamedTuple):
    """A name server of a zone: ADDRESS:PORT, the zone's serial there, and what is wrong, None while it answers."""

    name: str
    serial: int | None
    problem: str | None


class ZoneStatus(NamedTuple):
    """A zone; `waiting` hosts are to be sent by this process.

    `problem` is what else keeps the zone from following, although its primary answers.
    """

    name: str
    public: bool
    owner_id: int
    primary: NameServer
    secondaries: tuple[NameServer, ...]
    waiting: int
    problem: str | None


class Snapshot(NamedTuple):
    """What is known: `at` in microseconds; `store` what is wrong with the database, None while it answers.

    `pending` hosts of all processes are not known to be in DNS. `per_minute` says how many update requests this process
    answered with each word within the last minute, or since it began.
    """

    at: int
    store: str | None
    pending: int
    zones: tuple[ZoneStatus, ...]
    per_minute: Mapping[str, int]


class Status:
    """Looks every few seconds, so that whoever asks costs nothing; `answered` gives totals by word."""

    def __init__(
        self,
        store: Store,
        writer: Writer,
        watch: ZoneMonitor,
        secondaries: Secondaries,
        answered: Callable[[], Mapping[str, float]],
    ) -> None:
        self._store, self._writer, self._watch, self._secondaries = store, writer, watch, secondaries
        self._answered = answered
        self._totals: deque[Mapping[str, float]] = deque([{}], maxlen=round(MINUTE / SECONDS) + 1)
        self._problem: str | None = None
        self._pending = 0

    async def look(self) -> None:
        """Ask the database, and count what was answered."""
        self._totals.append(self._answered())
        try:
            async with asyncio.timeout(STORE_SECONDS):
                self._pending = await self._store.read(queries.pending_count)
            self._problem = None
        except TimeoutError:
            self._problem = "the database does not answer"
        except StoreDown as error:
            self._problem = str(error)

    def current(self) -> Snapshot:
        """What is known now."""
        zones = tuple(sorted((self._zone(domain_id) for domain_id in self._writer.senders), key=lambda z: z.name))
        before, now = self._totals[0], self._answered()
        words = {word: round(count - before.get(word, 0)) for word, count in now.items()}
        per_minute = {word: count for word, count in sorted(words.items()) if count}
        return Snapshot(queries.now(), self._problem, self._pending, zones, per_minute)

    def _zone(self, domain_id: int) -> ZoneStatus:
        sender = self._writer.senders[domain_id]
        domain, health = sender.domain, self._watch.health.get(sender.domain.name)
        problem = health.problem if health else "not asked yet"
        others = [cause.text for cause in causes(health, sender) if cause.text != problem]
        primary = NameServer(str(sender.primary.endpoint), health.serial or None if health else None, problem)
        followed = zip(self._secondaries.endpoints, self._secondaries.found.get(domain.name, ()), strict=False)
        secondaries = tuple(NameServer(str(endpoint), found.serial, found.problem) for endpoint, found in followed)
        return ZoneStatus(
            domain.name,
            bool(domain.public),
            domain.owner_id,
            primary,
            secondaries,
            sender.pending,
            "; ".join(others) or None,
        )
