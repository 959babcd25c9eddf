# SPDX-License-Identifier: GPL-3.0-or-later
"""A server whose answer drips, octet by octet, holds the updater no longer than one that says nothing."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from support.clients.updater import HOST, IPV4, Machine

PAUSE = 0.2
ANSWER = f"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\ngood {IPV4}".ljust(80).encode()
PARTS = {"head": (0, ANSWER), "body": (ANSWER.index(b"good"), ANSWER), "DNS": (0, b"\0\x20" + bytes(32))}


@contextmanager
def dripping(at_once: int, answer: bytes) -> Iterator[int]:
    """A server on a loopback port: the answer is complete after several seconds, and never rests for one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer[:at_once])
                    for place in range(at_once, len(answer)):
                        time.sleep(PAUSE)
                        connection.sendall(answer[place : place + 1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("part", ["head", "body"])
def test_http(machine: Machine, part: str) -> None:
    machine.addresses = [IPV4]
    with dripping(*PARTS[part]) as port:
        machine.configure(f"http://127.0.0.1:{port}", timeout=1)
        ran = machine.run()
    assert (ran.status, ran.out) == (1, ran.out)
    assert f"{HOST}: failed: 127.0.0.1 port {port}: no answer in time" in ran.out


def test_dns(machine: Machine) -> None:
    with dripping(*PARTS["DNS"]) as port:
        machine.configure(
            provider="rfc2136", endpoint=f"127.0.0.1:{port}", zone="example.org", timeout=1, algorithm="hmac-sha256"
        )
        (machine.folder / "secrets" / HOST).write_text("c2VjcmV0\n")
        ran = machine.run()
    assert ran.status == 1
    assert f"127.0.0.1:{port}: no answer in time" in ran.out
