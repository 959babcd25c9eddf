# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent TCP connections to a primary name server, and signed queries over them.

Answers are matched by message id, so that many queries are under way at once (RFC 7766, section 6.2.1). BIND works on
the messages of one connection one after the other, so a busy name server gets a few connections.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

from dns.message import Message
from dns.rcode import Rcode

from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.errors import NoAnswer, Refusal, Unreachable
from ddnsd.dns.message import Signed
from ddnsd.dns.tsig import TsigKey


class Failure(NamedTuple):
    """A message without an answer: when (microseconds since the epoch), and why."""

    at: int
    reason: str


SILENT = "does not answer"

MOST_CONNECTIONS = 4
DEPTH = 8
"""With so many messages under way on each connection, another one is made."""

CONNECT_SECONDS = 3.0


class PrimaryConnection:
    """Connections to one name server, shared by all its zones; connects at first use and after a loss.

    One connection is used as long as few messages are under way.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.connections = 0
        """How often it connected while there was no connection; an increase means that the name server may have
        restarted."""
        self.messages = 0
        """Number of messages that were answered."""
        self.failure: Failure | None = None
        """The last failure."""
        self.answers = True
        """Whether the last message was answered."""
        self._open: list[_Exchange] = []
        self._connecting = asyncio.Lock()
        self._growing: asyncio.Task[None] | None = None
        self._trying = False

    async def exchange(self, wire: bytes, seconds: float) -> bytes:
        """Send a DNS message (id in its first two octets) and wait for the answer to it.

        Raises Unreachable without a connection, NoAnswer after sending. After a timeout all connections are closed; the
        name server may still apply what was sent. While it does not answer, one message at a time tries; others are
        not sent.
        """
        if self.answers or self.failure is None:
            return await self._exchange(wire, seconds)
        if self._trying:
            raise Unreachable(self.failure.reason)
        self._trying = True
        try:
            return await self._exchange(wire, seconds)
        finally:
            self._trying = False

    async def _exchange(self, wire: bytes, seconds: float) -> bytes:
        failure: type[Unreachable] = Unreachable
        try:
            async with asyncio.timeout(seconds):
                connection = self._with_room() or await self._first()
                failure = NoAnswer
                answer = await connection.ask(wire)
        except TimeoutError:
            self.close(SILENT)
            raise failure(self._failed(f"{self.endpoint} {SILENT}")) from None
        except OSError as error:
            # messages that wait on a connection fail together when one of them gets no answer
            reason = f" {SILENT}" if str(error) == SILENT else f": {error.strerror or error}"
            raise failure(self._failed(f"{self.endpoint}{reason}")) from None
        self.answers = True
        self.messages += 1
        return answer

    def _failed(self, reason: str) -> str:
        self.answers, self.failure = False, Failure(time.time_ns() // 1000, reason)
        return reason

    def _with_room(self) -> "_Exchange | None":
        """The first connection with room for a message, else the one with the fewest; None without a connection."""
        for connection in self._open:
            if connection.under_way < DEPTH:
                return connection
        if self._open and len(self._open) < MOST_CONNECTIONS and self._growing is None:
            self._growing = asyncio.create_task(self._grow())
        return min(self._open, key=lambda connection: connection.under_way, default=None)

    async def _first(self) -> "_Exchange":
        async with self._connecting:
            if not self._open:
                self._open.append(await self._connect())
                self.connections += 1
            return self._open[0]

    async def _connect(self) -> "_Exchange":
        loop = asyncio.get_running_loop()
        made = partial(_Exchange, self._forget)
        return (await loop.create_connection(made, self.endpoint.host, self.endpoint.port))[1]

    async def _grow(self) -> None:
        """Open one more connection. A name server may not want it; then wait before the next."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                self._open.append(await self._connect())
        except (OSError, TimeoutError):
            await asyncio.sleep(CONNECT_SECONDS)
        finally:
            self._growing = None

    def _forget(self, lost: "_Exchange") -> None:
        if lost in self._open:
            self._open.remove(lost)

    def close(self, reason: str = "closed") -> None:
        """Close all connections; waiting callers get Unreachable."""
        if self._growing is not None:
            self._growing.cancel()
        for connection in list(self._open):
            connection.abort(reason)


class _Exchange(asyncio.Protocol):
    """Length-prefixed DNS messages over TCP (RFC 1035, 4.2.2). Calls `closed` with itself when it has ended."""

    def __init__(self, closed: Callable[["_Exchange"], None]) -> None:
        self._closed: Callable[[_Exchange], None] | None = closed
        self._buffer = bytearray()
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    @property
    def under_way(self) -> int:
        """Number of messages that wait for their answers."""
        return len(self._waiting)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # the transport of uvloop has another type

    async def ask(self, wire: bytes) -> bytes:
        message_id = wire[:2]
        while earlier := self._waiting.get(message_id):  # ids are random, so two may be equal
            await asyncio.wait([earlier])
        if self._closed is None or self._transport is None:
            raise ConnectionResetError("connection lost")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[message_id] = answer
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send)
        self._unsent += struct.pack("!H", len(wire)), wire
        try:
            return await answer
        finally:
            self._waiting.pop(message_id, None)

    def _send(self) -> None:
        """Send the messages of one turn of the loop together: each write costs a system call, here and there."""
        unsent, self._unsent = self._unsent, []
        if self._closed is None or self._transport is None:
            return
        self._transport.write(b"".join(unsent))
        if len(self._waiting) > 1:
            _acknowledge_at_once(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 2:
            end = 2 + int.from_bytes(self._buffer[:2])
            if len(self._buffer) < end:
                return
            message = bytes(self._buffer[2:end])
            del self._buffer[:end]
            waiting = self._waiting.get(message[:2])
            if waiting is None:  # not an answer to any query: the other end does not speak DNS
                self.abort("the answer belongs to no query")
                return
            if not waiting.done():
                waiting.set_result(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self.abort(str(exc) if exc else "closed by the name server")

    def abort(self, reason: str) -> None:
        """Close the connection and end all waiting queries."""
        if self._closed is None:
            return
        self._closed(self)
        self._closed = None
        if self._transport is not None:
            self._transport.abort()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError(reason))


def _acknowledge_at_once(transport: asyncio.Transport) -> None:
    """Acknowledge at once: a name server that waits for the ACK before its next answer (Nagle) would lose 40 ms."""
    if hasattr(socket, "TCP_QUICKACK"):
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


async def ask(primary: PrimaryConnection, key: TsigKey, name: str, rtype: str, seconds: float) -> list[str]:
    """The records of this name and type, as texts; none if the name is redirected. Raises DnsError."""
    question = Signed.query(name, rtype, key)
    answer = question.read(await primary.exchange(question.wire, seconds))
    asked = [(one.name, one.rdtype) for one in answer.question]
    return [rdata.to_text() for rrset in answer.answer if (rrset.name, rrset.rdtype) in asked for rdata in rrset]


async def ask_all(primary: PrimaryConnection, key: TsigKey, name: str, rtype: str, seconds: float) -> Message:
    """The whole answer, also if the name does not exist. Raises DnsError."""
    question = Signed.query(name, rtype, key)
    return question.read(await primary.exchange(question.wire, seconds), (Rcode.NXDOMAIN,))


async def addresses(primary: PrimaryConnection, key: TsigKey, name: str, seconds: float) -> list[str]:
    """The IPv4 addresses of the name, as texts; none if it does not exist. Raises DnsError."""
    try:
        return await ask(primary, key, name, "A", seconds)
    except Refusal as error:
        if error.rcode != "NXDOMAIN":
            raise
        return []


async def ask_serial(primary: PrimaryConnection, key: TsigKey, zone: str, seconds: float) -> int | None:
    """The serial of the zone; None if the answer has no SOA record. Raises DnsError."""
    question = Signed.query(zone, "SOA", key)
    return question.serial(await primary.exchange(question.wire, seconds))
