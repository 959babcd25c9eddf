# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends many queries to one name server, over one UDP socket."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from ddnsctl.sync.errors import SyncError

IN_FLIGHT = 100
TRIES = 3
SILENT = "no answer"
TIMEOUT = 1.0
"""Seconds to wait for an answer before the query is sent again."""


class Question(NamedTuple):
    """A name and a record type."""

    name: str
    rtype: str


class ServerAddress(NamedTuple):
    """The name and address of a name server."""

    name: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        address = host if self.port == 53 else f"{host}:{self.port}"
        return address if self.name in (self.host, "") else f"{self.name} ({address})"


def server_address(text: str) -> ServerAddress:
    """Parse `HOST`, `HOST:PORT` or `[IPv6]:PORT`. Raises SyncError."""
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise SyncError(f"--dns {text!r} is not HOST:PORT, such as 192.0.2.53:53")
    return ServerAddress(host, _resolved(host, int(port)), int(port))


def _resolved(host: str, port: int) -> str:
    try:
        return str(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4][0])
    except OSError as error:
        raise SyncError(f"the name server {host} has no address: {error.strerror}. Check its name") from None


def name_servers(zone: str) -> list[ServerAddress]:
    """The servers in a zone's NS records, each with its first address. Raises DNSException, SyncError."""
    found = dns.resolver.resolve(zone, "NS")
    names = sorted(str(record.target).rstrip(".") for record in found)
    return [ServerAddress(name, _resolved(name, 53), 53) for name in names]


class UdpClient(asyncio.DatagramProtocol):
    """Queries one server. Use it as an async context manager."""

    def __init__(self, at: ServerAddress) -> None:
        self.at = at
        self.pending: dict[int, asyncio.Future[dns.message.Message]] = {}
        self.slots = asyncio.Semaphore(IN_FLIGHT)

    async def __aenter__(self) -> UdpClient:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=(self.at.host, self.at.port))
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, _addr: object) -> None:
        """Pass an answer to its query. Anything else is ignored."""
        try:
            message = dns.message.from_wire(data, ignore_trailing=True)
        except dns.exception.DNSException:
            return
        future = self.pending.get(message.id)
        if future is not None and not future.done():
            future.set_result(message)

    def error_received(self, _exc: Exception) -> None:
        """Ignore that nothing listens there: the query is sent again after a second."""

    async def ask(self, questions: Sequence[Question]) -> list[frozenset[str] | str]:
        """The records for each question, or the reason why there are none. A silent server gets only one question."""
        first = await self.one(questions[0])
        if first == SILENT:
            return [first] * len(questions)
        return [first, *await asyncio.gather(*map(self.one, questions[1:]))]

    async def one(self, question: Question) -> frozenset[str] | str:
        """The records for one question, or the reason why there are none."""
        async with self.slots:
            for _ in range(TRIES):
                answer = await self.attempt(question)
                if answer is not None:
                    return _records(answer, question)
        return SILENT

    async def attempt(self, question: Question) -> dns.message.Message | None:
        """Send one query; None if no answer comes in time."""
        query = dns.message.make_query(question.name, question.rtype)
        query.flags &= ~dns.flags.RD
        while query.id in self.pending:
            query.id = random.randrange(65536)
        future = self.pending[query.id] = asyncio.get_running_loop().create_future()
        self.transport.sendto(query.to_wire())
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await future
        except TimeoutError:
            return None
        finally:
            del self.pending[query.id]
        return answer if query.is_response(answer) else None


def _records(answer: dns.message.Message, question: Question) -> frozenset[str] | str:
    rcode = answer.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return dns.rcode.to_text(rcode)
    if not answer.flags & dns.flags.AA:
        return "a non-authoritative answer"
    rtype = dns.rdatatype.from_text(question.rtype)
    name = dns.name.from_text(question.name)
    return frozenset(
        record.to_text() for rrset in answer.answer if rrset.rdtype == rtype and rrset.name == name for record in rrset
    )
