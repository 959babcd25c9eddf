# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitor the primaries: whether they answer for each zone and accept updates, and whether an older zone came back.

In each period the monitor asks zones for their serials. A zone is not asked if BIND's statistics channel says that its
serial is still the one that the primary reported. A changed serial means that the zone has changed: `ZoneWatch` looks
whether others changed our names. After a new connection, or a lower serial, the name server may have restarted. Then
the whole zone is compared. So DNS converges after a crash, a restored journal or a foreign change without any client.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import structlog

from ddnsd.db import queries
from ddnsd.db.base import StoreDown
from ddnsd.db.rows import Domain
from ddnsd.db.watched import WatchedRows
from ddnsd.dns import errors, primary_check, serials
from ddnsd.dns.bind.statistics import StatisticsChannel
from ddnsd.dns.causes import Cause, Health, cause_of, cause_of_query, causes
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.contents import Contents
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.serials import went_back
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.writer import Writer, run_safely
from ddnsd.dns.zone_sender import ZoneSender
from ddnsd.dns.zone_watch import Budgets, ZoneWatch
from ddnsd.heartbeat import Heartbeat

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore
    from ddnsd.db.sqlite import SqliteStore

PERIOD_SECONDS = 1.5
RECONCILE_SECONDS = 3600.0

QUERY_SECONDS = 2.5
STUCK_SECONDS = 300.0
"""No query takes this long, because each has a deadline."""
PROBES_PER_PERIOD = 15
"""At most this many zones are probed in one period, in turn."""
QUESTIONS_PER_PERIOD = 500
"""At most this many zones are asked for their serials in one period, those first that were not asked for longest."""
CHANNEL_ZONES = 10
"""A primary with fewer zones is asked for each serial: that costs less than an answer of its statistics channel."""

Serials = Mapping[str, int]

log = structlog.get_logger()


class ZoneHealth(NamedTuple):
    """A zone, its primary, the causes of problems, and the number of pending hosts.

    `contents` says whose names it has; None if this process has not compared all of it.
    """

    domain: Domain
    primary: str
    causes: Sequence[Cause]
    waiting: int
    repaired: int
    contents: Contents | None = None


class ZoneMonitor:
    """One task per process, and one per zone under check; `health` is by zone name.

    `channels` are the statistics channels by primary.
    """

    def __init__(
        self,
        store: "SqliteStore | PostgresStore",
        writer: Writer,
        channels: Mapping[Endpoint, StatisticsChannel] | None = None,
    ) -> None:
        self._store, self._writer, self._channels = store, writer, channels or {}
        self.health: dict[str, Health] = {}
        self._task: asyncio.Task[None] | None = None
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._comparisons: dict[str, asyncio.Task[None]] = {}
        self._watches: dict[str, ZoneWatch] = {}
        self._rows, self._budgets = WatchedRows(store), Budgets()
        self._periods = 0
        self._heartbeat = Heartbeat(STUCK_SECONDS)

    async def start(self) -> None:
        """Start the task."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop all tasks."""
        tasks = [*self._looks.values(), *self._comparisons.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def alive(self) -> bool:
        """Whether the task still makes progress."""
        return self._task is not None and not self._task.done() and self._heartbeat.alive

    def zones(self) -> list[ZoneHealth]:
        """All zones by name, with their current state in this process."""
        senders = sorted(self._writer.senders.values(), key=lambda s: s.domain.name)
        return [self._zone(sender, self.health.get(sender.domain.name)) for sender in senders]

    def _zone(self, sender: ZoneSender, health: Health | None) -> ZoneHealth:
        found, repaired = causes(health, sender), health.repaired if health else 0
        watch = self._watches.get(sender.domain.name)
        of_zone = watch.contents if watch is not None else None
        return ZoneHealth(sender.domain, str(sender.primary.endpoint), found, sender.pending, repaired, of_zone)

    def serial(self, zone: str) -> int:
        """The last known serial of the zone at its primary; 0 if it is unknown."""
        health = self.health.get(zone)
        return health.serial if health else 0

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._heartbeat.step()
            began = loop.time()
            senders = list(self._writer.senders.values())
            await self._check_all(senders)
            self._periods += 1
            zones = {s.domain.name for s in senders}
            for gone in self.health.keys() - zones:
                del self.health[gone]
            for gone in self._watches.keys() - zones:
                del self._watches[gone]
            await asyncio.sleep(max(0.0, began + PERIOD_SECONDS - loop.time()))

    async def _check_all(self, senders: Sequence[ZoneSender]) -> None:
        """Probe some zones in turn, and ask zones that may have changed. Each check is a task of its own."""
        every = max(2, -(-len(senders) // PROBES_PER_PERIOD))
        turn = {s for number, s in enumerate(senders) if (number + self._periods) % every == 0}
        asked = sum(self._begin(sender, probe=True) for sender in turn)
        numbers = Counter(s.primary for s in senders)
        primaries = [p for p, n in numbers.items() if n >= CHANNEL_ZONES and p.endpoint in self._channels]
        others = [s for s in senders if s not in turn]
        for primary in set(primaries).difference(s.primary for s in turn):  # is it still there, on this connection?
            asked += any(self._begin(s, probe=False) for s in others if s.primary is primary)
        answers = await asyncio.gather(*(self._channels[p.endpoint].serials(numbers[p]) for p in primaries))
        serials = dict(zip(primaries, answers, strict=True))
        due = []
        for sender in others:
            if self._is_unchanged(sender, serials.get(sender.primary)):
                self._compare_if_needed(sender, self.health[sender.domain.name], restarted=False)
            else:
                due.append(sender)
        for sender in sorted(due, key=self._asked_at):
            if asked < QUESTIONS_PER_PERIOD:
                asked += self._begin(sender, probe=False)

    def _asked_at(self, sender: ZoneSender) -> float:
        health = self.health.get(sender.domain.name)
        return 0.0 if health is None else health.asked_at

    def _is_unchanged(self, sender: ZoneSender, serials: Serials | None) -> bool:
        """Whether the statistics channel confirms what the primary itself has said on its present connection."""
        zone, primary = sender.domain.name, sender.primary
        if not serials or zone in self._looks or sender.domain.frozen or not primary.answers:
            return False
        health = self.health.get(zone)
        return (
            health is not None
            and health.answer is None
            and health.primary == str(primary.endpoint)
            and health.connections == primary.connections
            and health.generation == sender.domain.generation
            and health.serial == serials.get(zone)
        )

    def _begin(self, sender: ZoneSender, *, probe: bool) -> bool:
        """Check a zone unless its last check still runs, so that no primary delays the others. Returns whether it does.

        A frozen domain is not checked; after the thaw its zone is compared with the database.
        """
        zone = sender.domain.name
        if sender.domain.frozen:
            if health := self.health.get(zone):
                health.answer, health.updates, health.generation = None, None, 0
            return False
        if zone in self._looks:
            return False
        self._looks[zone] = asyncio.create_task(run_safely(lambda: self._look(sender, probe=probe), f"check of {zone}"))
        self._looks[zone].add_done_callback(lambda _: self._looks.pop(zone, None))
        return True

    async def _look(self, sender: ZoneSender, *, probe: bool) -> None:
        """Ask for the zone's serial, in turn also probe it, and compare it if the serial has moved."""
        zone, primary = sender.domain.name, sender.primary
        health = self.health.setdefault(zone, Health(str(primary.endpoint)))
        health.primary, health.asked_at = str(primary.endpoint), asyncio.get_running_loop().time()
        before, first = health.serial, not health.asked
        try:
            if probe or first:
                await self._probe(sender, health)
            health.serial = await sender.serial()
            await sender.learn()
            health.answer = None
        except errors.DnsError as error:
            health.answer = cause_of_query(error, sender.domain)
            if not primary.answers:
                self._note_silence(primary, health.answer)
            return
        restarted = health.connections != primary.connections or went_back(before, health.serial)
        health.connections = primary.connections
        if sender.owned and sender.domain.provisioned and went_back(before, health.serial):
            await self._raise_serial(sender, before)
        self._compare_if_needed(sender, health, restarted=restarted)

    def _note_silence(self, primary: PrimaryConnection, cause: Cause) -> None:
        """Note for all zones of a primary that it does not answer: those that seemed unchanged were not asked."""
        for sender in self._writer.senders.values():
            health = self.health.get(sender.domain.name)
            if sender.primary is primary and health is not None and health.answer is None:
                health.answer = cause

    def _compare_if_needed(self, sender: ZoneSender, health: Health, *, restarted: bool) -> None:
        """Compare the zone if its serial has moved, its primary has restarted or is a new one, or after an hour."""
        # a new primary is being filled: compare it afterwards
        moved = health.generation != sender.domain.generation and not sender.pending
        late = asyncio.get_running_loop().time() - health.reconciled > RECONCILE_SECONDS
        if moved:
            health.generation = sender.domain.generation
        if not sender.owned:
            self._watches.pop(sender.domain.name, None)
            return
        watch = self._watches.get(sender.domain.name)
        if watch is None or watch.sender is not sender:
            watch = self._watches[sender.domain.name] = ZoneWatch(self._store, self._rows, sender, self._budgets)
        if restarted or moved or late or watch.is_due(health.serial):
            self._compare_later(watch, health, whole=restarted or moved or late)

    async def _raise_serial(self, sender: ZoneSender, known: int) -> None:
        """Our zone came back older: raise its serial, or secondaries would keep what they have."""
        zone, key = sender.domain.name, TsigKey.of(sender.domain)
        try:
            serial = await serials.raise_beyond(zone, key, sender.primary, QUERY_SECONDS, known)
        except errors.DnsError as error:
            log.warning("serial not raised, secondaries may keep old records", zone=zone, reason=str(error))
        else:
            log.warning("older version of the zone restored, serial raised", zone=zone, serial=serial)

    async def _probe(self, sender: ZoneSender, health: Health) -> None:
        """Probe the zone and store the outcome. Raises Unreachable."""

        async def hosts() -> list[tuple[str, str]]:
            try:
                return await self._store.read(lambda c: queries.places(c, sender.domain.id, primary_check.PROBED_HOSTS))
            except StoreDown:
                return []

        try:
            await sender.probe(hosts)
        except errors.Refusal as error:
            health.refused(cause_of(error), sender.acknowledged)
        else:
            health.accepted()

    def _compare_later(self, watch: ZoneWatch, health: Health, *, whole: bool) -> None:
        zone = watch.sender.domain.name
        if zone in self._comparisons and not self._comparisons[zone].done():
            if whole:
                health.connections = 0  # check again after the running comparison
            return
        if whole:
            health.reconciled = asyncio.get_running_loop().time()
        work = run_safely(lambda: _compare(watch, health, whole=whole), f"comparison of {zone}")
        self._comparisons[zone] = asyncio.create_task(work)


async def _compare(watch: ZoneWatch, health: Health, *, whole: bool) -> None:
    try:
        await watch.look(whole=whole)
    except (errors.DnsError, StoreDown):
        if whole:
            health.connections = 0
        raise
    finally:
        health.repaired += watch.take_repaired()
