# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of the service and of each host's DNS: name servers, pending changes, requests per minute."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from ddnsd.db import mirrors, queries, queue
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.queue import Counts, Item
from ddnsd.db.rows import Host, Mirror
from ddnsd.dns.causes import causes
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.monitor import ZoneMonitor
from ddnsd.dns.secondaries import Secondaries
from ddnsd.dns.writer import Writer
from ddnsd.registry.moves import Move


class DnsState:
    """The DNS state of rows that are read after this object was created."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._before = writer, writer.confirmed_versions()

    def of(self, host: Host) -> str:
        """`current`: DNS has this row. `pending`: not yet. `conflict`: a foreign record has the name."""
        if host.conflict is not None:
            return "conflict"
        published = self._before.get(host.id) == host.version or self._writer.is_published(host)
        return "current" if published else "pending"


SECONDS = 5.0
STORE_SECONDS = 2.0
MINUTE = 60.0

HOSTS_SECONDS = 30.0
"""How often the hosts are counted: of a million this takes a tenth of a second."""

REFUSED_SHOWN = 20
"""Maximum number of refused items in a snapshot."""


class NameServer(NamedTuple):
    """A name server of a zone: ADDRESS:PORT, the zone's serial there, and its problem, or None while it answers."""

    name: str
    serial: int | None
    problem: str | None


class PrimaryStatus(NamedTuple):
    """A primary, as this process sees it. `problem` is None while it answers.

    `error` is the last message without an answer, at the time `error_at` (microseconds); None if there was none.
    `messages` were answered since the start of this process.
    """

    name: str
    problem: str | None
    error: str | None
    error_at: int | None
    zones: int
    messages: int


class ZoneStatus(NamedTuple):
    """A zone. `waiting` is the number of hosts that this process must still send.

    `problem` says why the zone is not up to date although its primary answers. `queue` has the numbers of all
    processes. `frozen` says that the domain is frozen for maintenance, and why; then there is no problem. `move` is the
    move to another primary, or None.
    """

    name: str
    public: bool
    owner_id: int
    primary: NameServer
    secondaries: tuple[NameServer, ...]
    waiting: int
    problem: str | None
    queue: Counts
    frozen: str | None
    move: Move | None


class Snapshot(NamedTuple):
    """The status at the time `at` (microseconds). `store` is the problem of the database, or None while it answers.

    `pending` is the number of hosts, of all processes, that are not known to be in DNS. `per_minute` is the number of
    update requests by answer word, in the last minute (or since the start) of this process. `refused` are the first
    items that name servers refuse.
    """

    at: int
    store: str | None
    pending: int
    zones: tuple[ZoneStatus, ...]
    per_minute: Mapping[str, int]
    primaries: tuple[PrimaryStatus, ...]
    refused: tuple[Item, ...]


class Status:
    """Collects the status every few seconds, so that reading it is cheap. `answered` returns totals by answer word."""

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
        self._refused: tuple[Item, ...] = ()
        self.queue: Mapping[str, Counts] = {}
        """Numbers of items in the queue by zone."""
        self._mirrors: Mapping[str, Mirror] = {}
        self.hosts: int | None = None
        """The number of all hosts, at the last count."""

    async def count_hosts(self) -> None:
        """Count the hosts of the database. Raises StoreDown."""
        self.hosts = await self._store.read(queries.host_count)

    async def look(self) -> None:
        """Query the database, and store the totals of answers."""
        self._totals.append(self._answered())
        try:
            async with asyncio.timeout(STORE_SECONDS):
                self._pending, self.queue, self._refused = await self._store.read(_numbers)
                self._mirrors = await self._store.read(mirrors.all_mirrors)
            self._problem = None
        except TimeoutError:
            self._problem = "the database does not answer"
        except StoreDown as error:
            self._problem = str(error)

    def current(self) -> Snapshot:
        """The current status."""
        zones = tuple(sorted((self._zone(domain_id) for domain_id in self._writer.senders), key=lambda z: z.name))
        before, now = self._totals[0], self._answered()
        words = {word: round(count - before.get(word, 0)) for word, count in now.items()}
        per_minute = {word: count for word, count in sorted(words.items()) if count}
        primaries = tuple(self.primaries())
        return Snapshot(queries.now(), self._problem, self._pending, zones, per_minute, primaries, self._refused)

    def moves(self) -> dict[str, Move]:
        """Moves to other primaries, by zone."""
        return {zone: Move.of(mirror, queries.now()) for zone, mirror in self._mirrors.items()}

    def primaries(self) -> list[PrimaryStatus]:
        """All primaries by name, with their current state in this process."""
        zones = Counter(sender.primary for sender in self._writer.senders.values())
        return sorted(_primary(connection, number) for connection, number in zones.items())

    def _zone(self, domain_id: int) -> ZoneStatus:
        sender = self._writer.senders[domain_id]
        domain, health = sender.domain, self._watch.health.get(sender.domain.name)
        problem = None if domain.frozen else health.problem if health else "not asked yet"
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
            self.queue.get(domain.name, Counts()),
            domain.frozen,
            Move.of(mirror, queries.now()) if (mirror := self._mirrors.get(domain.name)) else None,
        )


def _numbers(connection: Connection) -> tuple[int, Mapping[str, Counts], tuple[Item, ...]]:
    numbers = queue.counts(connection)
    refused = queue.refused(connection, REFUSED_SHOWN) if any(zone.refused for zone in numbers.values()) else []
    return queries.pending_count(connection), numbers, tuple(refused)


def _primary(connection: PrimaryConnection, zones: int) -> PrimaryStatus:
    failure = connection.failure
    error, at = (failure.reason, failure.at) if failure is not None else (None, None)
    problem = None if connection.answers else error
    return PrimaryStatus(str(connection.endpoint), problem, error, at, zones, connection.messages)
