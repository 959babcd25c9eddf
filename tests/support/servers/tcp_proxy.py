# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy on loopback that delays what clients send, or is away like a machine whose service has ended."""

import contextlib
import socket
import threading
import time


class TcpProxy:
    """Listens on a free loopback port; `delay` (seconds before each part of a client's data) may change at any time."""

    def __init__(self, upstream_port: int) -> None:
        self.delay = 0.0
        self._upstream = upstream_port
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accept_in_background()

    def close(self) -> None:
        """End all connections, and refuse new ones."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def reopen(self) -> None:
        """Accept connections again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._accept_in_background()

    def _accept_in_background(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._upstream))
        except OSError:
            client.close()
            return
        for connection in (client, server):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open |= {client, server}
        answers = threading.Thread(target=self._copy, args=(server, client), daemon=True)
        answers.start()
        self._copy(client, server, delayed=True)
        answers.join()
        self._open -= {client, server}
        client.close()
        server.close()

    def _copy(self, source: socket.socket, target: socket.socket, *, delayed: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if delayed and self.delay:
                    time.sleep(self.delay)
                target.sendall(data)
        for connection in (source, target):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
