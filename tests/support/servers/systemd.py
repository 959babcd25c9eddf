# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd does for a service: it holds the listening socket, starts processes on it, and hears what they tell."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from support.servers.service import Service

# the socket is descriptor 3, and LISTEN_PID is the number of the process that takes it
LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.executable, [sys.executable, "-m", "ddnsd", "serve"])
"""


@dataclass
class Unit:
    """`ddnsd serve` on `listener`, beside a running service of which it uses the store and the name server."""

    beside: Service
    listener: socket.socket
    told: socket.socket
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    states: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start a process, and wait until it says that it is ready."""
        env = self.beside.env | self.settings
        with (self.beside.dir / "unit.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, str(self.listener.fileno())],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[self.listener.fileno()],
            )
        self.hear("READY=1")

    def hear(self, state: str, seconds: float = 20.0) -> None:
        """Wait until the process tells that state; all that it tells is in `states`."""
        end = time.monotonic() + seconds
        while state not in self.states:
            self.told.settimeout(max(end - time.monotonic(), 0.001))
            try:
                self.states.append(self.told.recv(4096).decode())
            except TimeoutError:
                raise AssertionError(f"not told {state} within {seconds} s, but {self.states}") from None

    def stop(self) -> int:
        """SIGTERM, and wait; answers the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def restart(self) -> None:
        """Stop the process and start the next one; the socket stays."""
        assert self.stop() == 0
        self.states.clear()
        self.start()

    @property
    def log(self) -> str:
        """Everything that the processes printed."""
        return (self.beside.dir / "unit.log").read_text()


@contextmanager
def unit(beside: Service, listener: socket.socket, **environment: str) -> Iterator[Unit]:
    """A started unit; it is told of by a socket in the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind("")  # the kernel chooses an abstract name
        address = told.getsockname().decode()
        running = Unit(beside, listener, told, {"NOTIFY_SOCKET": "@" + address[1:], **environment})
        try:
            running.start()
            yield running
        finally:
            if running.process is not None and running.process.poll() is None:
                running.process.kill()
                running.process.wait()
