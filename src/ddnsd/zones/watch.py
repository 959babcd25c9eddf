# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches the primaries: whether each zone is answered, and whether a name server came back with an older zone.

A new connection, or a serial that went back, says that the name server may have restarted; then store and zone are
compared and what differs is sent again. So DNS converges after a crash or a restored journal with no client doing
anything.
"""

import asyncio
import contextlib
from dataclasses import dataclass

import structlog
from prometheus_client import Counter, Gauge

from ddnsd.store.database import Store, StoreDown
from ddnsd.zones import errors, reconcile
from ddnsd.zones.sender import ZoneSender
from ddnsd.zones.writer import Writer, survive

PERIOD_SECONDS = 1.5
RECONCILE_SECONDS = 3600.0

log = structlog.get_logger()

BEHIND = Gauge("ddnsd_zone_unreachable", "1 while the zone's primary does not answer", ["zone"])
REPAIRED = Counter("ddnsd_reconciled_names_total", "Names that DNS held otherwise than the store", ["zone"])


@dataclass
class Health:
    """What is known of a zone's primary; `problem` is None while it answers."""

    primary: str
    problem: str | None = "not asked yet"
    connections: int = 0
    serial: int = 0
    reconciled: float = 0.0


class Watch:
    """One task per process; `health` is by zone name."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store, self._writer = store, writer
        self.health: dict[str, Health] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Begin to watch."""
        self._tasks[""] = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    @property
    def alive(self) -> bool:
        """Whether the zones are still looked at."""
        return not self._tasks[""].done()

    async def _run(self) -> None:
        while True:
            senders = list(self._writer.senders.values())
            await asyncio.gather(*map(self._look, senders))
            for gone in self.health.keys() - {s.domain.name for s in senders}:
                del self.health[gone]
                with contextlib.suppress(KeyError):
                    BEHIND.remove(gone)
            await asyncio.sleep(PERIOD_SECONDS)

    async def _look(self, sender: ZoneSender) -> None:
        zone, primary = sender.domain.name, sender.primary
        health = self.health.setdefault(zone, Health(str(primary.endpoint)))
        health.primary = str(primary.endpoint)
        try:
            serial = await sender.serial()
            await sender.learn()
        except errors.DnsError as error:
            health.problem = str(error)
            BEHIND.labels(zone).set(1)
            return
        BEHIND.labels(zone).set(0)
        health.problem = None
        moment = asyncio.get_running_loop().time()
        restarted = health.connections != primary.connections or _went_back(health.serial, serial)
        health.connections, health.serial = primary.connections, serial
        if restarted or moment - health.reconciled > RECONCILE_SECONDS:
            self._reconcile(sender, health)

    def _reconcile(self, sender: ZoneSender, health: Health) -> None:
        zone = sender.domain.name
        if zone in self._tasks and not self._tasks[zone].done():
            health.connections = 0  # look again once the comparison under way has ended
            return
        health.reconciled = asyncio.get_running_loop().time()
        self._tasks[zone] = asyncio.create_task(survive(lambda: self._compare(sender), "reconcile"))

    async def _compare(self, sender: ZoneSender) -> None:
        zone = sender.domain.name
        try:
            found = await reconcile.differences(self._store, sender.domain, held=False)
            if found:
                await self._restore(sender, found)
        except errors.Refusal as error:
            log.warning("zone cannot be compared", zone=zone, reason=str(error))
            return
        except (errors.DnsError, StoreDown):
            self.health[zone].connections = 0
            raise

    async def _restore(self, sender: ZoneSender, found: list[reconcile.Difference]) -> None:
        zone = sender.domain.name
        log.warning("zone differs from the store", zone=zone, names=len(found), first=found[0].fqdn)
        left = await reconcile.restore(self._store, sender.domain, found, self._writer.follow)
        REPAIRED.labels(zone).inc(len(found) - len(left))
        if left:
            log.warning("zone still differs", zone=zone, names=len(left), first=left[0].fqdn, reason=left[0].reason)


def _went_back(before: int, after: int) -> bool:
    """RFC 1982 serial arithmetic."""
    return before != after and before != 0 and (before - after) % 2**32 < 2**31
