# SPDX-License-Identifier: GPL-3.0-or-later
"""A persistent TCP connection to a primary name server, shared by all its zones.

Answers are matched by message id, so that many queries are under way at once (RFC 7766, section 6.2.1).
"""

import asyncio
import socket
import struct
from typing import cast

from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.errors import NoAnswer, Unreachable


class PrimaryConnection:
    """The connection to one name server; connects at first use and after a loss."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.connections = 0
        """Number of connections made; an increase means that the name server may have restarted."""
        self._protocol: _Exchange | None = None
        self._connecting = asyncio.Lock()

    async def exchange(self, wire: bytes, seconds: float) -> bytes:
        """Send a DNS message (id in its first two octets) and wait for the answer to it.

        Raises Unreachable without a connection, NoAnswer after sending. After a timeout the connection is closed; the
        name server may still apply what was sent.
        """
        failure: type[Unreachable] = Unreachable
        try:
            async with asyncio.timeout(seconds):
                connection = await self._connected()
                failure = NoAnswer
                return await connection.ask(wire)
        except TimeoutError:
            self.close("no answer in time")
            raise failure(f"{self.endpoint} does not answer") from None
        except OSError as error:
            raise failure(f"{self.endpoint}: {error.strerror or error}") from None

    async def _connected(self) -> "_Exchange":
        async with self._connecting:
            if self._protocol is None or self._protocol.closed:
                loop = asyncio.get_running_loop()
                _, self._protocol = await loop.create_connection(_Exchange, self.endpoint.host, self.endpoint.port)
                self.connections += 1
            return self._protocol

    def close(self, reason: str = "closed") -> None:
        """Close the connection; waiting callers get Unreachable."""
        if self._protocol is not None:
            self._protocol.abort(reason)
            self._protocol = None


class _Exchange(asyncio.Protocol):
    """Length-prefixed DNS messages over TCP (RFC 1035, 4.2.2)."""

    def __init__(self) -> None:
        self.closed = False
        self._buffer = bytearray()
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # the transport of uvloop has another type

    async def ask(self, wire: bytes) -> bytes:
        message_id = wire[:2]
        while earlier := self._waiting.get(message_id):  # ids are random, so two may be equal
            await asyncio.wait([earlier])
        if self.closed or self._transport is None:
            raise ConnectionResetError("connection lost")
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[message_id] = answer
        self._transport.write(struct.pack("!H", len(wire)) + wire)
        if len(self._waiting) > 1:
            _acknowledge_at_once(self._transport)
        try:
            return await answer
        finally:
            self._waiting.pop(message_id, None)

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
                self.abort("an answer that nobody asked for")
                return
            if not waiting.done():
                waiting.set_result(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self.abort(str(exc) if exc else "closed by the name server")

    def abort(self, reason: str) -> None:
        """Close the connection and end all waiting queries."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError(reason))


def _acknowledge_at_once(transport: asyncio.Transport) -> None:
    """Acknowledge at once: a name server that waits for the ACK before its next answer (Nagle) would lose 40 ms."""
    if hasattr(socket, "TCP_QUICKACK"):
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
