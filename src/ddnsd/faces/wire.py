# SPDX-License-Identifier: GPL-3.0-or-later
"""uvicorn's HTTP protocol with the head and the body of a reply in one `send`, and connections that end gently.

uvicorn writes them apart; for replies of a few octets the second system call is a sixth of the whole request. And it
closes a connection at once when it stops, although a request may be on its way.
"""

import asyncio
import select
import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ddnsd.faces.http import UNIX


class _Gathering:
    """A transport that passes on, at the end of the loop's turn, what was written during it."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def _flush(self) -> None:
        if self._parts:
            data, self._parts = b"".join(self._parts), []
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class State(ServerState):
    """What the connections of a server share; `stopping` once it accepts no more of them."""

    stopping = False
    connections: "set[OneSendProtocol]"  # type: ignore[assignment]


class OneSendProtocol(HttpToolsProtocol):
    """One connection. Its peer in ASGI's `client` is `UNIX` where it came over a Unix socket."""

    server_state: State
    _reading = False  # a request has begun and its head is not whole

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(_Gathering(transport, self.loop))  # type: ignore[arg-type]
        if transport.get_extra_info("socket").family == socket.AF_UNIX:
            self.client = UNIX, 0

    def on_message_begin(self) -> None:
        self._reading = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._reading = False
        super().on_headers_complete()
        if self.server_state.stopping:
            self.shutdown()

    def shutdown(self) -> None:
        """Have the answer to the request under way end the connection, unless its head has left already."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def close_if_idle(self, *, kept: bool, silent: bool) -> None:
        """Close a connection without a request under way and without anything unread.

        With `kept` those that have answered one, with `silent` also those whose first one, or next one, is not whole.
        """
        if self.cycle is not None and not self.cycle.response_complete:
            return
        waits = self._reading or self.cycle is None
        if (silent if waits else kept) and not self._unread():
            self.transport.close()

    def _unread(self) -> bool:
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))
