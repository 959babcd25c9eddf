# SPDX-License-Identifier: GPL-3.0-or-later
"""Free loopback ports, and waiting for a server to listen."""

import socket
import time
from collections.abc import Callable


def free_port() -> int:
    """A port that is free for TCP and UDP on 127.0.0.1."""
    for _ in range(64):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free for both TCP and UDP")


def wait_until(true: Callable[[], bool], seconds: float = 20.0, what: str = "condition") -> None:
    """Poll until `true()` holds; AssertionError when it does not within `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts TCP connections on `port`."""
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False
