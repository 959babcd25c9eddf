# SPDX-License-Identifier: GPL-3.0-or-later
"""Free loopback ports, and waiting for a server to listen."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ESTABLISHED = "01"

LOWEST = 10240
"""Below the ports that connections get as their own: a server that starts again must not find its port taken by one."""

ENDS_SECONDS = 20.0
"""Far above each deadline of the service (3 s), and below what waits for no deadline."""


_given: set[int] = set()
"""Ports that this process has chosen: the server that gets one may not listen yet."""


def free_port() -> int:
    """A port that is free for TCP and UDP on 127.0.0.1, and that no connection or other worker takes by chance."""
    above = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for _ in range(256):
        port = LOWEST + secrets.randbelow((above - LOWEST) // workers) * workers + worker
        if port in _given:
            continue
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise OSError("no port is free for both TCP and UDP")


def wait_until(true: Callable[[], bool], seconds: float = 20.0, what: str = "condition") -> None:
    """Poll until `true()` holds; AssertionError when it does not within `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)


async def until(holds: Callable[[], Awaitable[bool]], what: str, seconds: float = 20.0) -> None:
    """As `wait_until`, in a test that is asynchronous itself."""
    end = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.05)


@contextmanager
def in_time() -> Iterator[None]:
    """Check that the block ends by itself, with much room for a busy machine."""
    begin = time.monotonic()
    yield
    took = time.monotonic() - begin
    assert took < ENDS_SECONDS, f"took {took:.1f} s"


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts TCP connections on `port`."""
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


def unread(port: int) -> int:
    """Octets that clients have sent to 127.0.0.1:`port` and that the server has not read."""
    found = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if int(local.rpartition(":")[2], 16) == port and state == ESTABLISHED:
            found += int(queues.rpartition(":")[2], 16)
    return found
