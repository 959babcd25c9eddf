# SPDX-License-Identifier: GPL-3.0-or-later
"""How current secondaries are: ask each for the serial of each zone, unsigned."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.writer import Writer
from ddnsd.dns.zone_transfer import is_newer

SECONDS = 10.0
TRIES = 2
"""A single datagram may be lost."""
ANSWER_SECONDS = 1.0
AT_ONCE = 16

POLL_SECONDS = 0.25
"""Pause between questions about a serial that somebody waits for."""

LAG_SECONDS = 60.0
"""A secondary that makes no progress for so long does not follow any more."""

SHOWN = 3


class Followed(NamedTuple):
    """The answer of a secondary for a zone: its serial, or the problem.

    `behind_since` is when it was first seen with this serial while the primary had a newer one, in seconds of the event
    loop's clock; None if it is not behind.
    """

    serial: int | None
    problem: str | None
    behind_since: float | None = None


class Lag(NamedTuple):
    """A secondary: whether it answers for all zones, the longest time that one makes no progress, and the problem."""

    endpoint: Endpoint
    answers: bool
    seconds: float
    problem: str | None


class Secondaries:
    """The states of the secondaries: `found` is by zone name, in the order of `endpoints`; at first empty.

    `serial` returns the serial of a zone at its primary, 0 if it is unknown.
    """

    def __init__(self, writer: Writer, endpoints: Sequence[Endpoint], serial: Callable[[str], int]) -> None:
        self._writer, self.endpoints, self._serial = writer, tuple(endpoints), serial
        self.found: dict[str, list[Followed]] = {}

    async def look(self) -> None:
        """Ask all secondaries for all zones."""
        senders = self._writer.senders.values() if self.endpoints else ()
        zones = [sender.domain.name for sender in senders]
        few = asyncio.Semaphore(AT_ONCE)

        async def one(zone: str, endpoint: Endpoint) -> Followed:
            async with few:
                primary = self._serial(zone)
                answer = await ask_secondary(zone, endpoint)
            before = dict(zip(self.endpoints, self.found.get(zone, ()), strict=False)).get(endpoint)
            return _compared(answer, before, primary, asyncio.get_running_loop().time())

        answers = await asyncio.gather(*(one(zone, endpoint) for zone in zones for endpoint in self.endpoints))
        width = len(self.endpoints)
        self.found = {zone: answers[n * width : (n + 1) * width] for n, zone in enumerate(zones)}

    async def lagging(self, zone: str, serial: int, seconds: float) -> list[Endpoint]:
        """Wait until all secondaries have this serial of the zone. Returns those that do not, after that time."""

        async def wait_for(endpoint: Endpoint) -> None:
            while True:
                found = (await ask_secondary(zone, endpoint)).serial
                if found is not None and not is_newer(serial, found):
                    return
                await asyncio.sleep(POLL_SECONDS)

        if not self.endpoints:
            return []
        waiting = {asyncio.create_task(wait_for(endpoint)): endpoint for endpoint in self.endpoints}
        try:
            _, late = await asyncio.wait(waiting, timeout=seconds)
            return [waiting[task] for task in late]
        finally:
            for task in waiting:
                task.cancel()

    def lags(self, now: float) -> Iterator[Lag]:
        """Each secondary, at this time of the event loop's clock. Frozen zones do not count."""
        zones = sorted(sender.domain.name for sender in self._writer.senders.values() if not sender.domain.frozen)
        for number, endpoint in enumerate(self.endpoints):
            found = {zone: self.found[zone][number] for zone in zones if zone in self.found}
            silent = [f"{zone}: {one.problem}" for zone, one in found.items() if one.problem is not None]
            behind = {zone: now - one.behind_since for zone, one in found.items() if one.behind_since is not None}
            late = [f"{zone} for {s:.0f} s" for zone, s in behind.items() if s > LAG_SECONDS]
            problem = unanswered(silent) if silent else outdated(late) if late else None
            yield Lag(endpoint, not silent, max(behind.values(), default=0.0), problem)


def _compared(found: Followed, before: Followed | None, primary: int, now: float) -> Followed:
    if found.serial is None or not primary or not is_newer(primary, found.serial):
        return found
    stands = before is not None and before.serial == found.serial and before.behind_since is not None
    return found._replace(behind_since=before.behind_since if stands and before else now)


def unanswered(zones: Sequence[str]) -> str:
    """The text for zones that a secondary does not have, with the next step."""
    return (
        f"{_few(zones)}. Start its name server; check the network, and its key for transfers (its log says why a zone "
        "is missing)"
    )


def outdated(zones: Sequence[str]) -> str:
    """The text for zones that a secondary has in an older version, with the next step."""
    return (
        f"it is behind: {_few(zones)}. Check that the primary notifies it (`also-notify`), and its log; `rndc "
        "retransfer ZONE` on the secondary tries at once"
    )


def _few(texts: Sequence[str]) -> str:
    return "; ".join(texts[:SHOWN]) + (f"; and {len(texts) - SHOWN} more zones" if len(texts) > SHOWN else "")


async def ask_secondary(zone: str, endpoint: Endpoint) -> Followed:
    """Ask a secondary for the serial of a zone."""
    import dns.asyncquery  # here: the import is slow, and only services with secondaries need it
    import dns.exception
    import dns.message
    import dns.rcode
    import dns.rdatatype

    query = dns.message.make_query(f"{zone}.", "SOA")
    for number in range(TRIES):
        try:
            address = await _address(endpoint)
            answer = await dns.asyncquery.udp(query, address, timeout=ANSWER_SECONDS, port=endpoint.port)
        except (dns.exception.DNSException, OSError):
            if number == TRIES - 1:
                return Followed(None, "it does not answer")
        else:
            break
    for rrset in answer.answer:
        if rrset.rdtype == dns.rdatatype.SOA:
            return Followed(rrset[0].serial, None)
    rcode = dns.rcode.to_text(answer.rcode())
    return Followed(None, "it does not have the zone" if rcode == "NOERROR" else f"it answers {rcode}")


async def _address(endpoint: Endpoint) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(endpoint.host, endpoint.port)
    return str(found[0][4][0])
