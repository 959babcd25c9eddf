# SPDX-License-Identifier: GPL-3.0-or-later
"""How current secondaries are: ask each for the serial of each zone, unsigned."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.writer import Writer

SECONDS = 10.0
ANSWER_SECONDS = 2.0
AT_ONCE = 16


class Followed(NamedTuple):
    """The answer of a secondary for a zone: its serial, or the problem."""

    serial: int | None
    problem: str | None


class Secondaries:
    """The states of the secondaries: `found` is by zone name, in the order of `endpoints`; at first empty."""

    def __init__(self, writer: Writer, endpoints: Sequence[Endpoint]) -> None:
        self._writer, self.endpoints = writer, tuple(endpoints)
        self.found: dict[str, list[Followed]] = {}

    async def look(self) -> None:
        """Ask all secondaries for all zones."""
        zones = [sender.domain.name for sender in self._writer.senders.values()] if self.endpoints else []
        few = asyncio.Semaphore(AT_ONCE)

        async def one(zone: str, endpoint: Endpoint) -> Followed:
            async with few:
                return await _ask(zone, endpoint)

        answers = await asyncio.gather(*(one(zone, endpoint) for zone in zones for endpoint in self.endpoints))
        width = len(self.endpoints)
        self.found = {zone: answers[n * width : (n + 1) * width] for n, zone in enumerate(zones)}


async def _ask(zone: str, endpoint: Endpoint) -> Followed:
    import dns.asyncquery  # here: the import is slow, and only services with secondaries need it
    import dns.exception
    import dns.message
    import dns.rcode
    import dns.rdatatype

    query = dns.message.make_query(f"{zone}.", "SOA")
    try:
        address = await _address(endpoint)
        answer = await dns.asyncquery.udp(query, address, timeout=ANSWER_SECONDS, port=endpoint.port)
    except (dns.exception.DNSException, OSError):
        return Followed(None, "it does not answer")
    for rrset in answer.answer:
        if rrset.rdtype == dns.rdatatype.SOA:
            return Followed(rrset[0].serial, None)
    rcode = dns.rcode.to_text(answer.rcode())
    return Followed(None, "it does not have the zone" if rcode == "NOERROR" else f"it answers {rcode}")


async def _address(endpoint: Endpoint) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(endpoint.host, endpoint.port)
    return str(found[0][4][0])
