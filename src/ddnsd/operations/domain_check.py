# SPDX-License-Identifier: GPL-3.0-or-later
"""Check domains at their name servers: changes, DNSSEC, whose names a zone has, clocks, secondaries."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ddnsd.checks import clock
from ddnsd.checks.findings import Check, Finding
from ddnsd.checks.surroundings import Surroundings
from ddnsd.db import queries
from ddnsd.db.rows import Domain
from ddnsd.dns import (
    contents,
    delegations,
    dnssec,
    ds_records,
    errors,
    late_answers,
    primary_check,
    secondaries,
    zone_transfer,
)
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.causes import cause_of
from ddnsd.dns.connection import PrimaryConnection, ask, ask_serial
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore
    from ddnsd.db.sqlite import SqliteStore

LATE_MICROSECONDS = 60 * 1_000_000
"""Changes that have waited longer than this are stuck."""

FOLLOW_SECONDS = 10.0
"""A secondary may need so long for the last change: BIND notifies it within five seconds."""
PAUSE_SECONDS = 0.5
AT_ONCE = 16

Line = tuple[str, str | None]
"""A subject, and its problem or None."""


class _Served(NamedTuple):
    """A zone whose primary answers, with the serial that it had before the check changed it."""

    zone: str
    serial: int


class DomainCheck:
    """Checks domains one after the other; `lines` of each, and at the end those of all secondaries."""

    def __init__(
        self,
        store: "SqliteStore | PostgresStore",
        around: Surroundings,
        followers: Sequence[Endpoint],
        domains: Sequence[Domain],
    ) -> None:
        self._store, self._around, self._followers = store, around, followers
        self._parents = dnssec.Parents(around.resolver, domains)
        self._domains = {domain.name: domain for domain in domains}
        self._clocks: set[str] = set()  # primaries whose clock was compared
        self._served: list[_Served] = []

    async def lines(self, domain: Domain) -> list[Line]:
        """The findings of one domain."""
        subject = f"domain {domain.name} at {domain.primary}"
        if domain.frozen:
            return [(f"{subject}: not checked: {domain.frozen}", None)]
        connection = PrimaryConnection(Endpoint.from_text(domain.primary, 53))
        try:
            return await self._look(domain, subject, connection)
        finally:
            connection.close()

    async def _look(self, domain: Domain, subject: str, connection: PrimaryConnection) -> list[Line]:
        try:
            note = await self._change(domain, connection)
            found = await zone_transfer.fetch(domain)
            more = await self._of_zone(domain, connection, found)
        except (errors.DnsError, BindError) as error:
            text = cause_of(error).advice if isinstance(error, errors.DnsError) else str(error)
            return [(subject, await self._problem_of_files(domain, loaded=False) or text)]
        problem = await self._problem_of_files(domain, loaded=True) or await self._late_changes(domain)
        if problem is None:
            note += await _late_answers(domain)
        return [(f"{subject}{note}", problem), *more]

    async def _change(self, domain: Domain, connection: PrimaryConnection) -> str:
        """Change the zone, and change it back. Returns a note. Raises DnsError."""

        async def hosts() -> list[tuple[str, str]]:
            return await self._store.read(lambda c: queries.places(c, domain.id, primary_check.PROBED_HOSTS))

        await primary_check.probe(domain, hosts, connection, primary_check.SECONDS)
        serial = await ask_serial(connection, TsigKey.of(domain), domain.name, primary_check.SECONDS)
        if serial is not None:
            self._served.append(_Served(domain.name, serial))
        if await primary_check.write(domain, connection, primary_check.SECONDS):
            return ""
        return " (note: no test change, because its policy allows no new name)"

    async def _of_zone(
        self, domain: Domain, connection: PrimaryConnection, found: zone_transfer.Transfer
    ) -> list[Line]:
        """The lines about DNSSEC, names and the clock. Raises DnsError."""
        key = TsigKey.of(domain)
        servers = [name.lower().rstrip(".") for name in await ask(connection, key, domain.name, "NS", dnssec.SECONDS)]
        strange = None
        if domain.provisioned:
            strange = contents.problem(domain, await contents.of_transfer(self._store, domain, found, servers))
        trust = await dnssec.examine(domain, connection, self._parents)
        findings = []
        if strange is not None:
            findings.append(Finding(Check.CONTENTS, f"names in {domain.name}", strange))
        if trust != dnssec.Trust():
            findings.append(Finding(Check.DNSSEC, f"DNSSEC of {domain.name}", trust.problem, trust.note))
        findings += await self._delegation(domain)
        if domain.primary not in self._clocks:
            self._clocks.add(domain.primary)
            offset = await primary_check.clock_offset(domain, connection, primary_check.SECONDS)
            findings.append(clock.of_primary(offset, domain.primary))
        return lines(findings)

    async def _delegation(self, domain: Domain) -> list[Finding]:
        """What our domain around this one has of it, if it is not as it should be."""
        around = ds_records.closest(domain.name, self._domains)
        if around is None or (parent := self._domains[around]).frozen:
            return []
        try:
            plan = await delegations.of_domains(domain, parent)
        except errors.DnsError:
            return []  # a problem of one of the two domains
        if not (plan.obstacle or plan.note):
            return []
        return [Finding(Check.DNSSEC, f"delegation of {domain.name}", plan.obstacle, plan.note)]

    async def _problem_of_files(self, domain: Domain, *, loaded: bool) -> str | None:
        """The problem of the zone's files on our BIND, or None."""
        bind = self._around.bind
        if bind is None or not domain.provisioned:
            return None
        try:
            return await asyncio.to_thread(bind.problem, domain.name, loaded=loaded)
        except BindError:
            return None

    async def _late_changes(self, domain: Domain) -> str | None:
        before = queries.now() - LATE_MICROSECONDS
        late = await self._store.read(lambda c: queries.late_count(c, domain.id, before))
        if not late:
            return None
        return (
            f"{late} hosts and removals have waited for more than a minute; see `ddnsd queue list`, and the log of the "
            "service. `systemctl start ddnsd` if it does not run"
        )

    # ---- secondaries

    async def followers(self) -> list[Line]:
        """The findings of the secondaries: they must have what the primaries had before they were checked."""
        few = asyncio.Semaphore(AT_ONCE)

        async def one(served: _Served, endpoint: Endpoint) -> tuple[str | None, str | None]:
            async with few:
                return await _follows(served, endpoint)

        found: list[Line] = []
        for endpoint in self._followers:
            answers = await asyncio.gather(*(one(served, endpoint) for served in self._served))
            silent = [text for text, _ in answers if text is not None]
            behind = [text for _, text in answers if text is not None]
            problem = secondaries.unanswered(silent) if silent else secondaries.outdated(behind) if behind else None
            found.append((f"secondary {endpoint}", problem))
        return found


async def _follows(served: _Served, endpoint: Endpoint) -> tuple[str | None, str | None]:
    """The text if the secondary does not answer for the zone, and the text if it stays behind."""
    end = time.monotonic() + FOLLOW_SECONDS
    while True:
        found = await secondaries.ask_secondary(served.zone, endpoint)
        if found.serial is None:
            return f"{served.zone}: {found.problem}", None
        if not zone_transfer.is_newer(served.serial, found.serial):
            return None, None
        if time.monotonic() > end:
            return None, f"{served.zone} has serial {found.serial}, the primary {served.serial}"
        await asyncio.sleep(PAUSE_SECONDS)


async def _late_answers(domain: Domain) -> str:
    """A note if answers of the primary follow its acknowledgements late, else empty."""
    try:
        note = await late_answers.note(domain)
    except errors.DnsError:  # the update may be refused at a name that no host has
        return ""
    return f" (note: {note})" if note else ""


def lines(findings: Iterable[Finding]) -> list[Line]:
    """Findings as lines; a note follows its subject."""
    return [
        (f"{one.subject}: {one.note}" if one.note and not one.problem else one.subject, one.problem) for one in findings
    ]
