# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitor the primaries: whether they answer for each zone and accept updates, and whether an older zone came back.

After a new connection, or a lower serial, the name server may have restarted. Then database and zone are compared,
and differences are sent again. So DNS converges after a crash or a restored journal without any client.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from ddnsd.db import queries
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.rows import Domain
from ddnsd.dns import errors, primary_check, reconcile
from ddnsd.dns.causes import UNREACHABLE, Cause, Health, cause_of, causes
from ddnsd.dns.writer import Writer, run_safely
from ddnsd.dns.zone_sender import ZoneSender
from ddnsd.heartbeat import Heartbeat

PERIOD_SECONDS = 1.5
RECONCILE_SECONDS = 3600.0

STUCK_SECONDS = 300.0
"""No query takes this long, because each has a deadline."""
PROBES_PER_PERIOD = 75
"""At most this many zones are probed in one period, in turn; the others are asked for their serial."""

log = structlog.get_logger()


class ZoneHealth(NamedTuple):
    """A zone, its primary, the causes of problems, and the number of pending hosts."""

    domain: Domain
    primary: str
    causes: Sequence[Cause]
    waiting: int
    repaired: int


class ZoneMonitor:
    """One task per process, and one per zone under check; `health` is by zone name."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store, self._writer = store, writer
        self.health: dict[str, Health] = {}
        self._task: asyncio.Task[None] | None = None
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._comparisons: dict[str, asyncio.Task[None]] = {}
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
        return ZoneHealth(sender.domain, str(sender.primary.endpoint), found, sender.pending, repaired)

    async def _run(self) -> None:
        while True:
            self._heartbeat.step()
            senders = list(self._writer.senders.values())
            every = max(2, -(-len(senders) // PROBES_PER_PERIOD))
            for number, sender in enumerate(senders):
                self._begin(sender, probe=(number + self._periods) % every == 0)
            self._periods += 1
            for gone in self.health.keys() - {s.domain.name for s in senders}:
                del self.health[gone]
            await asyncio.sleep(PERIOD_SECONDS)

    def _begin(self, sender: ZoneSender, *, probe: bool) -> None:
        """Check a zone unless its last check still runs, so that no primary delays the others."""
        zone = sender.domain.name
        if zone in self._looks:
            return
        self._looks[zone] = asyncio.create_task(run_safely(lambda: self._look(sender, probe=probe), f"look at {zone}"))
        self._looks[zone].add_done_callback(lambda _: self._looks.pop(zone, None))

    async def _look(self, sender: ZoneSender, *, probe: bool) -> None:
        """Probe the zone or ask for its serial; at first both."""
        zone, primary = sender.domain.name, sender.primary
        health = self.health.setdefault(zone, Health(str(primary.endpoint)))
        health.primary = str(primary.endpoint)
        before, first = health.serial, not health.asked
        try:
            if probe or first:
                await self._probe(sender, health)
                if health.answer is not None and health.answer.kind == UNREACHABLE:
                    health.answer = None
            if first or not probe:
                health.serial = await sender.serial()
                await sender.learn()
                health.answer = None
        except errors.DnsError as error:
            health.answer = cause_of(error)
            return
        restarted = health.connections != primary.connections or _went_back(before, health.serial)
        # a new primary is being filled: compare it afterwards
        moved = health.generation != sender.domain.generation and not sender.pending
        late = asyncio.get_running_loop().time() - health.reconciled > RECONCILE_SECONDS
        health.connections = primary.connections
        if moved:
            health.generation = sender.domain.generation
        if restarted or moved or late:
            self._reconcile(sender, health)

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

    def _reconcile(self, sender: ZoneSender, health: Health) -> None:
        zone = sender.domain.name
        if zone in self._comparisons and not self._comparisons[zone].done():
            health.connections = 0  # check again after the running comparison
            return
        health.reconciled = asyncio.get_running_loop().time()
        self._comparisons[zone] = asyncio.create_task(run_safely(lambda: self._compare(sender, health), "reconcile"))

    async def _compare(self, sender: ZoneSender, health: Health) -> None:
        zone = sender.domain.name
        try:
            found = await reconcile.differences(self._store, sender.domain, held=False)
            if found:
                await self._restore(sender, health, found)
        except errors.Refusal as error:
            log.warning("zone not compared", zone=zone, reason=str(error))
            return
        except (errors.DnsError, StoreDown):
            health.connections = 0
            raise

    async def _restore(self, sender: ZoneSender, health: Health, found: list[reconcile.Difference]) -> None:
        zone = sender.domain.name
        log.warning("zone differs from the database", zone=zone, names=len(found), first=found[0].fqdn)
        left = await reconcile.restore(self._store, sender.domain, found, self._writer.push_bulk)
        health.repaired += len(found) - len(left)
        if left:
            log.warning(
                "zone still differs from the database",
                zone=zone,
                names=len(left),
                first=left[0].fqdn,
                reason=left[0].reason,
            )


def _went_back(before: int, after: int) -> bool:
    """RFC 1982 serial arithmetic."""
    return before != after and before != 0 and (before - after) % 2**32 < 2**31
