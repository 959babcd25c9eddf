# SPDX-License-Identifier: GPL-3.0-or-later
"""Many questions to one name server, over one UDP socket."""

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
PATIENCE = 1.0
"""Seconds for an answer before the question is sent again."""


class Question(NamedTuple):
    """A name and a type."""

    name: str
    rtype: str


class ServerAddress(NamedTuple):
    """Where a name server is."""

    name: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = host if self.port == 53 else f"{host}:{self.port}"
        return place if self.name in (self.host, "") else f"{self.name} ({place})"


def address(text: str) -> ServerAddress:
    """`HOST`, `HOST:PORT`, `[v6]:PORT`. Raises SyncError."""
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise SyncError(f"--dns {text!r} is not HOST:PORT")
    return ServerAddress(host, _resolved(host, int(port)), int(port))


def _resolved(host: str, port: int) -> str:
    try:
        return str(socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][4][0])
    except OSError as error:
        raise SyncError(f"the name server {host} has no address: {error.strerror}") from None


def name_servers(zone: str) -> list[ServerAddress]:
    """The servers of a zone's NS records, each by its first address. Raises DNSException, SyncError."""
    found = dns.resolver.resolve(zone, "NS")
    names = sorted(str(record.target).rstrip(".") for record in found)
    return [ServerAddress(name, _resolved(name, 53), 53) for name in names]


class Asker(asyncio.DatagramProtocol):
    """Asks one server; an async context."""

    def __init__(self, at: ServerAddress) -> None:
        self.at = at
        self.waiting: dict[int, asyncio.Future[dns.message.Message]] = {}
        self.room = asyncio.Semaphore(IN_FLIGHT)

    async def __aenter__(self) -> Asker:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=(self.at.host, self.at.port))
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, _addr: object) -> None:
        """An answer, or something that is none."""
        try:
            message = dns.message.from_wire(data, ignore_trailing=True)
        except dns.exception.DNSException:
            return
        future = self.waiting.get(message.id)
        if future is not None and not future.done():
            future.set_result(message)

    def error_received(self, _exc: Exception) -> None:
        """Nobody listens there, perhaps for now: the question is sent again."""

    async def ask(self, questions: Sequence[Question]) -> list[frozenset[str] | str]:
        """For each question its records as texts, or why there is no answer. A silent server is asked but one."""
        first = await self.one(questions[0])
        if first == SILENT:
            return [first] * len(questions)
        return [first, *await asyncio.gather(*map(self.one, questions[1:]))]

    async def one(self, question: Question) -> frozenset[str] | str:
        """The answer to one question."""
        async with self.room:
            for _ in range(TRIES):
                answer = await self.attempt(question)
                if answer is not None:
                    return _records(answer, question)
        return SILENT

    async def attempt(self, question: Question) -> dns.message.Message | None:
        """One message there and one back; None when it takes too long."""
        query = dns.message.make_query(question.name, question.rtype)
        query.flags &= ~dns.flags.RD
        while query.id in self.waiting:
            query.id = random.randrange(65536)
        future = self.waiting[query.id] = asyncio.get_running_loop().create_future()
        self.transport.sendto(query.to_wire())
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await future
        except TimeoutError:
            return None
        finally:
            del self.waiting[query.id]
        return answer if query.is_response(answer) else None


def _records(answer: dns.message.Message, question: Question) -> frozenset[str] | str:
    rcode = answer.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return dns.rcode.to_text(rcode)
    if not answer.flags & dns.flags.AA:
        return "an answer without authority"
    rtype = dns.rdatatype.from_text(question.rtype)
    name = dns.name.from_text(question.name)
    return frozenset(
        record.to_text() for rrset in answer.answer if rrset.rdtype == rtype and rrset.name == name for record in rrset
    )
