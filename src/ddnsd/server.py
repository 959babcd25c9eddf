# SPDX-License-Identifier: GPL-3.0-or-later
"""uvicorn on our own or systemd's sockets, with a stop that loses no request.

SIGTERM ─► stop accepting: new connections wait in the backlog for the next process, if systemd keeps the socket
        ─► answer running requests, and those that still arrive on open connections, with `Connection: close`
        ─► close connections that stay idle, with nothing unread on them
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn

from ddnsd.dns.endpoint import Endpoint
from ddnsd.web.asgi import Application
from ddnsd.web.connection_limits import Sources
from ddnsd.web.http_protocol import OneSendProtocol, State

BACKLOG = 65535
"""As many as the kernel allows (net.core.somaxconn): connections wait here during a restart."""

IDLE_SECONDS = 0.25
"""How long an idle connection may still send a request after the stop has begun."""

SILENT_SECONDS = 3.0
"""How long a connection with an incomplete request may continue."""

STOP_SECONDS = 12.0
"""How long running requests may continue: no call waits longer for name servers."""

TURN_SECONDS = 0.01

EXPIRE_TICKS = 5
"""Ticks of a tenth of a second between two checks of time limits."""

# since Python 3.13 a server removes its Unix socket when it closes; those of systemd must stay
_LEAVE_SOCKET: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}


class Server(uvicorn.Server):
    """A server that calls `started` when it answers and `stopping` when it begins to stop; it raises no signal.

    It listens on the sockets given to `serve`, and closes them. `serve` raises OSError for one that cannot listen.
    """

    server_state: State

    def __init__(
        self, app: Application, sources: Sources, started: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=OneSendProtocol,
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                proxy_headers=False,
                server_header=False,
            )
        )
        self.server_state = State(sources)
        self._on_started, self._on_stopping = started, stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.server_state.tick(loop.time())
        self.servers = []
        for listener in sockets or ():
            _start_to_listen(listener)
            if listener.family == socket.AF_UNIX:
                server = await loop.create_unix_server(self._protocol, sock=listener, backlog=BACKLOG, **_LEAVE_SOCKET)
            else:
                server = await loop.create_server(self._protocol, sock=listener, backlog=BACKLOG)
            self.servers.append(server)
        self.started = True
        self._on_started()

    async def on_tick(self, counter: int) -> bool:
        self.server_state.tick(asyncio.get_running_loop().time())
        if counter % EXPIRE_TICKS == 0:
            self.server_state.expire()
        return await super().on_tick(counter)

    def _protocol(self) -> OneSendProtocol:
        return OneSendProtocol(self.config, self.server_state, {})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stopping()
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        await self._drain()
        for task in self.server_state.tasks:
            task.cancel()

    async def _drain(self) -> None:
        state, loop = self.server_state, asyncio.get_running_loop()
        state.stopping = True
        for connection in list(state.connections):
            connection.shutdown()
        began = loop.time()
        await asyncio.sleep(TURN_SECONDS)  # the loop creates a connection's protocol one turn after accepting it
        while (state.connections or state.tasks) and not self.force_exit:
            passed = loop.time() - began
            if passed > STOP_SECONDS:
                break
            for connection in list(state.connections):
                connection.close_if_idle(kept=passed > IDLE_SECONDS, silent=passed > SILENT_SECONDS)
            await asyncio.sleep(TURN_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        with contextlib.suppress(KeyboardInterrupt), super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()


def listen(endpoint: Endpoint) -> socket.socket:
    """A bound TCP socket; an IPv6 socket accepts only IPv6. Raises OSError."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        listener.bind((endpoint.host, endpoint.port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {endpoint}: {error.strerror}") from None
    listener.setblocking(False)
    return listener


def _start_to_listen(listener: socket.socket) -> None:
    """Accept connections. Raises OSError if another process has begun to since our `bind`."""
    try:
        listener.listen(BACKLOG)  # uvloop would close the socket, and report no error
    except OSError as error:
        raise OSError(f"cannot listen on {url(listener)}: {error.strerror}") from None


def url(listener: socket.socket) -> str:
    """The URL of a listening socket: `http://ADDRESS:PORT`, or `unix:PATH` (`unix:@NAME` when abstract)."""
    address = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return "unix:" + ("@" + address[1:].decode() if isinstance(address, bytes) else address)
    return f"http://{Endpoint(address[0], address[1])}"
