# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface to systemd: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)."""

import asyncio
import os
import socket
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

import structlog

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START"""

SEND_SECONDS = 1.0

VARIABLES = (
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
)

log = structlog.get_logger()


@dataclass(frozen=True)
class Unit:
    """The unit that runs this process; without systemd it has no sockets and ignores notifications.

    `sockets` are listening; `address` is a path, or `@NAME` in the abstract namespace; the watchdog restarts the
    service if it gets no notification for `watchdog_seconds`.
    """

    sockets: tuple[socket.socket, ...] = ()
    address: str = ""
    watchdog_seconds: float | None = None

    def notify(self, state: str) -> None:
        """Notify systemd of a state such as `READY=1`; a failure is logged."""
        if not self.address:
            return
        where = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.settimeout(SEND_SECONDS)
                channel.sendto(state.encode(), where)
        except OSError as error:
            log.warning("systemd not notified", state=state, reason=str(error))

    async def keep_alive(self, trouble: Callable[[], str | None]) -> None:
        """Notify the watchdog until cancelled, except while `trouble()` names a part that has ended or hangs.

        It runs in the event loop, so a loop that hangs sends nothing either.
        """
        if self.watchdog_seconds is None:
            return
        while True:
            if part := trouble():
                log.error("part of the service has ended or hangs, watchdog not notified", part=part)
            else:
                self.notify("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_seconds / 4)


def unit(environ: MutableMapping[str, str] = os.environ) -> Unit:
    """The unit from systemd's variables, which are removed from the environment, so that no child process uses them.

    Raises OSError for a descriptor that does not listen for connections.
    """
    given = {name: environ.pop(name, "") for name in VARIABLES}
    return Unit(_sockets(given), given["NOTIFY_SOCKET"], _watchdog_seconds(given))


def _sockets(given: dict[str, str]) -> tuple[socket.socket, ...]:
    if given["LISTEN_PID"] != str(os.getpid()):
        return ()
    if not given["LISTEN_FDS"].isdecimal():
        raise OSError(f"LISTEN_FDS: {given['LISTEN_FDS']!r} is not a number of sockets")
    return tuple(_listener(FIRST_DESCRIPTOR + n) for n in range(int(given["LISTEN_FDS"])))


def _listener(descriptor: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=descriptor)
        listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise OSError(f"LISTEN_FDS: descriptor {descriptor}: {error.strerror}") from None
    if not listens or listener.type != socket.SOCK_STREAM:
        raise OSError(f"LISTEN_FDS: descriptor {descriptor} does not listen: use ListenStream= and Accept=no")
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def _watchdog_seconds(given: dict[str, str]) -> float | None:
    if given["WATCHDOG_PID"] not in ("", str(os.getpid())) or not given["WATCHDOG_USEC"].isdecimal():
        return None
    return int(given["WATCHDOG_USEC"]) / 1_000_000 or None
