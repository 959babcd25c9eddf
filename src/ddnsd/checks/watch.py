# SPDX-License-Identifier: GPL-3.0-or-later
"""Repeat the checks while the service runs, for `/healthz/dns` and `/metrics`; `ddnsd doctor` runs the same ones."""

import asyncio
import time
from collections.abc import Iterable, Sequence

from ddnsd.checks import backup, certificate, clock, disk
from ddnsd.checks.backup import Report
from ddnsd.checks.disk import Disk
from ddnsd.checks.findings import Check, Finding
from ddnsd.checks.surroundings import Surroundings, of_strangers
from ddnsd.db.base import Store, StoreDown
from ddnsd.dns import contents, dnssec, errors, primary_check
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.delegations import Delegations
from ddnsd.dns.monitor import ZoneMonitor
from ddnsd.dns.secondaries import Lag, Secondaries
from ddnsd.dns.writer import Writer
from ddnsd.dns.zone_sender import ZoneSender

SECONDS = 10.0
"""Disks, backups, clocks and the lists of zones: this costs a few system calls and one query."""

SLOW_SECONDS = 60.0
"""Certificate and DNSSEC, if the last look found a problem: it should vanish soon after its repair."""

CERTIFICATE_SECONDS = 600.0
DNSSEC_SECONDS = 3600.0

AT_ONCE = 8
QUERY_SECONDS = 2.5


class CheckWatch:
    """The results of the last looks. `reports` are those of jobs of backups, by name. `expires` is when the certificate
    ends, in seconds since the epoch.

    `offsets` are the seconds by which other clocks are ahead: `database`, and primaries. `signatures` are the times
    when the first signature of each zone ends.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        store: Store,
        writer: Writer,
        watch: ZoneMonitor,
        secondaries: Secondaries,
        delegations: Delegations,
    ) -> None:
        self._surroundings, self._store, self._writer = surroundings, store, writer
        self._watch, self._secondaries, self._delegations = watch, secondaries, delegations
        self._found: dict[Check, Sequence[Finding]] = {}
        self._strangers: set[str] = set()
        self._next_certificate = self._next_dnssec = 0.0
        self.disks: dict[str, Disk] = {}
        self.reports: dict[str, Report] = {}
        self.expires: float | None = None
        self.offsets: dict[str, float] = {}
        self.signatures: dict[str, int] = {}

    def problems(self) -> dict[Check, list[str]]:
        """The problems that are known now, each with its subject and the next step."""
        findings = {**self._found, Check.SECONDARY: self._of_secondaries()}
        findings[Check.CONTENTS] = (*self._found.get(Check.CONTENTS, ()), *self._of_contents())
        obstacles = self._delegations.obstacles.items()
        refused = [Finding(Check.DNSSEC, f"delegation of {zone}", reason) for zone, reason in sorted(obstacles)]
        findings[Check.DNSSEC] = (*self._found.get(Check.DNSSEC, ()), *refused)
        texts = {
            check: [f"{one.subject}: {one.problem}" for one in found if one.problem]
            for check, found in findings.items()
        }
        return {check: texts[check] for check in Check if texts.get(check)}

    def lags(self) -> list[Lag]:
        """The secondaries."""
        return list(self._secondaries.lags(asyncio.get_running_loop().time()))

    # ---- looking

    async def look(self) -> None:
        """Check what is cheap."""
        around = self._surroundings
        self.disks = await asyncio.to_thread(disk.examine, around.folders)
        self._found[Check.DISK] = [one.finding for one in self.disks.values()]
        backups = {job.name: await asyncio.to_thread(backup.examine, job, time.time()) for job in around.jobs}
        self._found[Check.BACKUP] = [one.finding for one in backups.values()]
        self.reports = {name: one.report for name, one in backups.items() if one.report is not None}
        await self._look_at_clocks()
        strangers = await around.strangers([sender.domain.name for sender in self._writer.senders.values()])
        twice, self._strangers = strangers & self._strangers, strangers  # a domain may just be added or removed
        self._found[Check.CONTENTS] = [of_strangers(twice)] if twice else []

    async def look_slowly(self) -> None:
        """Check what needs other servers, once it is due."""
        now = time.monotonic()
        if self._surroundings.front is not None and now >= self._next_certificate:
            found = await asyncio.to_thread(certificate.examine, self._surroundings.front)
            self._found[Check.CERTIFICATE] = found.findings
            self.expires = None if found.expires is None else found.expires.timestamp()
            self._next_certificate = now + _pause(found.findings, CERTIFICATE_SECONDS)
        if now >= self._next_dnssec:
            self._found[Check.DNSSEC] = findings = await self._dnssec()
            self._next_dnssec = now + _pause(findings, DNSSEC_SECONDS)

    async def _look_at_clocks(self) -> None:
        findings, offsets = [], {}
        try:
            offset, is_server = await self._store.read(
                lambda c: (clock.database_offset(c), c.dialect.name == "postgresql")
            )
        except StoreDown:
            pass  # reported by itself
        else:
            offsets["database"] = offset
            findings.append(clock.of_database(offset, is_server=is_server))
        for sender in _one_of_each_primary(self._writer.senders.values()):
            try:
                offset = await primary_check.clock_offset(sender.domain, sender.primary, QUERY_SECONDS)
            except errors.DnsError:
                continue  # a cause of its zones
            primary = str(sender.primary.endpoint)
            offsets[primary] = offset
            findings.append(clock.of_primary(offset, primary))
        self._found[Check.CLOCK], self.offsets = findings, offsets

    async def _dnssec(self) -> list[Finding]:
        domains = [sender.domain for sender in self._writer.senders.values()]
        parents, few = dnssec.Parents(self._surroundings.resolver, domains), asyncio.Semaphore(AT_ONCE)

        async def one(sender: ZoneSender) -> tuple[str, dnssec.Trust]:
            async with few:
                return sender.domain.name, await _trust(sender, sender.primary, parents)

        senders = [sender for sender in self._writer.senders.values() if not sender.domain.frozen]
        found = await asyncio.gather(*map(one, senders))
        self.signatures = {zone: trust.expires for zone, trust in found if trust.expires is not None}
        return [Finding(Check.DNSSEC, f"DNSSEC of {zone}", trust.problem) for zone, trust in found]

    # ---- what others have found

    def _of_contents(self) -> list[Finding]:
        found = [(zone.domain, zone.contents) for zone in self._watch.zones() if zone.contents is not None]
        return [
            Finding(Check.CONTENTS, f"zone {domain.name}", contents.problem(domain, of_zone))
            for domain, of_zone in found
        ]

    def _of_secondaries(self) -> list[Finding]:
        return [Finding(Check.SECONDARY, f"secondary {lag.endpoint}", lag.problem) for lag in self.lags()]


def _pause(findings: Iterable[Finding], seconds: float) -> float:
    return SLOW_SECONDS if any(one.problem for one in findings) else seconds


def _one_of_each_primary(senders: Iterable[ZoneSender]) -> list[ZoneSender]:
    """Zones of different primaries, of those that answer."""
    return list(
        {sender.primary: sender for sender in senders if not sender.domain.frozen and sender.primary.answers}.values()
    )


async def _trust(sender: ZoneSender, primary: PrimaryConnection, parents: dnssec.Parents) -> dnssec.Trust:
    try:
        return await dnssec.examine(sender.domain, primary, parents)
    except errors.DnsError:
        return dnssec.Trust()  # a cause of the zone
