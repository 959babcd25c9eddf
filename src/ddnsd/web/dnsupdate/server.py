# SPDX-License-Identifier: GPL-3.0-or-later
"""Listen for DNS messages over UDP and TCP.

Each message is answered by a task of its own. There are limits of messages under way, of connections per source, and
of the time that a silent connection stays open.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine, Sequence
from typing import cast

import structlog

from ddnsd.dns.endpoint import Endpoint
from ddnsd.web.connection_limits import Sources, plain_address
from ddnsd.web.dnsupdate.door import UpdateDoor

UNDER_WAY = 2048
"""Maximum number of messages under way; further ones over UDP are dropped, and over TCP wait."""

PER_CONNECTION = 64

SILENT_SECONDS = 10.0
"""How long a connection may stay open without a message."""

STOP_SECONDS = 12.0
"""How long messages under way may continue at the end: no call waits longer for name servers."""

log = structlog.get_logger()


class DnsServer:
    """The listeners of one process."""

    def __init__(self, door: UpdateDoor, sources: Sources) -> None:
        self._door, self._sources = door, sources
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._transports: list[asyncio.DatagramTransport] = []
        self._servers: list[asyncio.Server] = []
        self._room = asyncio.Semaphore(UNDER_WAY)
        self._stopping = False

    async def start(self, endpoints: Sequence[Endpoint]) -> None:
        """Listen on these addresses. Raises OSError."""
        loop = asyncio.get_running_loop()
        try:
            for endpoint in endpoints:
                family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
                server = await asyncio.start_server(self._connected, endpoint.host, endpoint.port, family=family)
                self._servers.append(server)
                address = server.sockets[0].getsockname()[:2]
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=address, family=family
                )
                self._transports.append(transport)
        except OSError as error:
            await self.stop()
            raise OSError(f"cannot listen for DNS messages: {error.strerror or error}") from None

    async def stop(self) -> None:
        """Stop listening, and answer the messages under way."""
        for server in self._servers:
            server.close()
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        for transport in self._transports:
            transport.close()
        for task in (*self._tasks, *self._connections):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._connections, return_exceptions=True)

    def received(self, wire: bytes, address: tuple[str, int], transport: asyncio.DatagramTransport) -> None:
        """A message over UDP."""
        if not (self._stopping or self._room.locked()):
            self._start(self._answer_datagram(wire, address, transport))

    async def _answer_datagram(
        self, wire: bytes, address: tuple[str, int], transport: asyncio.DatagramTransport
    ) -> None:
        async with self._room:
            answer = await self._door.answer(wire, str(plain_address(address[0])), tcp=False)
            if isinstance(answer, bytes) and not transport.is_closing():
                transport.sendto(answer, address)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        peer = writer.get_extra_info("peername")[0]
        try:
            if self._sources.enter(peer):
                try:
                    await self._serve(reader, writer, str(plain_address(peer)))
                finally:
                    self._sources.leave(peer)
        except OSError:
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        mine = asyncio.Semaphore(PER_CONNECTION)
        with contextlib.suppress(asyncio.IncompleteReadError, TimeoutError):
            while True:
                async with asyncio.timeout(SILENT_SECONDS):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    wire = await reader.readexactly(length)
                await mine.acquire()
                self._start(self._answer_on(writer, wire, peer, mine))
        for _ in range(PER_CONNECTION):  # who sends no more gets the answers
            await mine.acquire()

    async def _answer_on(self, writer: asyncio.StreamWriter, wire: bytes, peer: str, mine: asyncio.Semaphore) -> None:
        try:
            async with self._room:
                answer = await self._door.answer(wire, peer, tcp=True)
            if isinstance(answer, bytes):
                await _send(writer, answer)
            elif answer is not None:
                async with contextlib.aclosing(answer):
                    async for part in answer:
                        await _send(writer, part)
        except OSError:  # nobody reads, or the answer cannot be completed
            writer.transport.abort()
        finally:
            mine.release()

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("unexpected error", exc_info=error)


async def _send(writer: asyncio.StreamWriter, wire: bytes) -> None:
    """Send a message, as soon as there is room for it. Raises OSError."""
    if writer.is_closing():
        raise ConnectionResetError
    writer.write(struct.pack("!H", len(wire)) + wire)
    async with asyncio.timeout(SILENT_SECONDS):
        await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    """Gives each datagram to the server."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.received(data, addr, self._transport)
