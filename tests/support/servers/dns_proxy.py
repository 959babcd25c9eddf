# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP proxy before a real name server that answers as broken ones do."""

import contextlib
import socket
import struct
import threading
import time
from enum import Enum

import dns.flags
import dns.message
import dns.rcode


class Mode(Enum):
    """How the name server behaves towards UPDATE messages."""

    HONEST = "passes everything on"
    SERVFAIL = "answers SERVFAIL, unsigned"
    REFUSED = "answers REFUSED, unsigned"
    BAD_SIGNATURE = "carries it out, and breaks the answer's signature"
    GARBAGE = "answers octets that are no DNS message"
    LOST_ANSWER = "carries it out, and closes the connection before the answer"


class DnsProxy:
    """Listens on a free loopback port; `mode` and `delay` (seconds before an answer) may be changed at any time."""

    def __init__(self, upstream_port: int) -> None:
        self.mode = Mode.HONEST
        self.delay = 0.0
        self._upstream = upstream_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        here = "127.0.0.1", self._upstream
        with client, contextlib.suppress(OSError, EOFError), socket.create_connection(here) as server:
            while (answer := self._answer(_read(client), server)) is not None:
                time.sleep(self.delay)
                client.sendall(struct.pack("!H", len(answer)) + answer)

    def _answer(self, wire: bytes, server: socket.socket) -> bytes | None:
        update = (wire[2] >> 3) & 0xF == 5
        if update and self.mode in (Mode.SERVFAIL, Mode.REFUSED):
            answer = dns.message.Message(id=int.from_bytes(wire[:2]))
            answer.flags = (wire[2] << 8 | wire[3]) | dns.flags.QR
            answer.set_rcode(dns.rcode.from_text(self.mode.name))
            return answer.to_wire()
        if update and self.mode is Mode.GARBAGE:
            return wire[:2] + b"\xff" * 64
        server.sendall(struct.pack("!H", len(wire)) + wire)
        answer_wire = _read(server)
        if update and self.mode is Mode.LOST_ANSWER:
            return None
        if update and self.mode is Mode.BAD_SIGNATURE:
            # the signature ends 6 octets before the end: original id, error, other length
            return answer_wire[:-7] + bytes([answer_wire[-7] ^ 1]) + answer_wire[-6:]
        return answer_wire


def _read(connection: socket.socket) -> bytes:
    return _exactly(connection, int.from_bytes(_exactly(connection, 2)))


def _exactly(connection: socket.socket, octets: int) -> bytes:
    data = b""
    while len(data) < octets:
        part = connection.recv(octets - len(data))
        if not part:
            raise EOFError
        data += part
    return data
