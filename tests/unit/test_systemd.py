# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd hands over and hears: the cases that a real unit does not come to."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ddnsd.app import Service
from ddnsd.db import migrate
from ddnsd.settings import Settings
from ddnsd.systemd import Unit, unit

READ = (
    "import os; from ddnsd.systemd import unit; print(len(unit().sockets), *(n for n in os.environ if 'LISTEN' in n))"
)


def test_without_systemd() -> None:
    environ = {"HOME": "/"}
    made = unit(environ)
    assert (made, environ) == (Unit(), {"HOME": "/"})
    made.notify("READY=1")


def test_what_another_process_was_given() -> None:
    environ = {
        "LISTEN_FDS": "1",
        "LISTEN_PID": str(os.getpid() + 1),
        "LISTEN_FDNAMES": "http",
        "NOTIFY_SOCKET": "@name",
        "WATCHDOG_USEC": "1000",
        "WATCHDOG_PID": str(os.getpid() + 1),
        "HOME": "/",
    }
    assert unit(environ) == Unit(address="@name")
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    ("microseconds", "seconds"), [("30000000", 30.0), ("500000", 0.5), ("0", None), ("", None), ("soon", None)]
)
def test_the_watchdog(microseconds: str, seconds: float | None) -> None:
    assert unit({"WATCHDOG_USEC": microseconds}).watchdog_seconds == seconds
    own = {"WATCHDOG_USEC": microseconds, "WATCHDOG_PID": str(os.getpid())}
    assert unit(own).watchdog_seconds == seconds


def handed(descriptor: int, count: str = "1") -> subprocess.CompletedProcess[str]:
    """A process that takes `descriptor` as its number 3."""
    launcher = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ |= {'LISTEN_FDS': sys.argv[2], "
        "'LISTEN_PID': str(os.getpid())}; os.execv(sys.executable, [sys.executable, '-c', sys.argv[3]])"
    )
    command = [sys.executable, "-c", launcher, str(descriptor), count, READ]
    return subprocess.run(command, pass_fds=[descriptor], capture_output=True, text=True, timeout=60)


def test_descriptors_that_do_not_listen(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert handed(listener.fileno()).stdout == "1\n"
        assert "'many' is not a number of sockets" in handed(listener.fileno(), "many").stderr
    with socket.socket() as idle, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for other in (idle, datagrams):
            assert "use ListenStream= and Accept=no" in handed(other.fileno()).stderr
    with (tmp_path / "file").open("w") as file:
        assert "LISTEN_FDS: descriptor 3: " in handed(file.fileno()).stderr


def test_a_path_that_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(10)
        made = unit({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        made.notify("READY=1")
        assert told.recv(100) == b"READY=1"
    (tmp_path / "notify").unlink()
    made.notify("STOPPING=1")  # nobody hears it; nothing else happens


async def test_the_watchdog_hears_of_a_service_that_lives(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.setblocking(False)
        steps: list[str | None] = [None, None, "writer", "writer", None]
        done = asyncio.Event()

        def trouble() -> str | None:
            if len(steps) == 1:
                done.set()
            return steps.pop(0) if steps else "writer"

        task = asyncio.create_task(Unit((), str(tmp_path / "notify"), 0.01).keep_alive(trouble))
        await done.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        assert [told.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        with pytest.raises(BlockingIOError):
            told.recv(100)
        await Unit((), str(tmp_path / "notify")).keep_alive(lambda: None)
        with pytest.raises(BlockingIOError):
            told.recv(100)


PARTS = {"commit": "writer", "sweep": "writer", "watch": "watch", "contacts": "contacts"}


@pytest.mark.parametrize("part", PARTS)
async def test_a_service_whose_part_has_ended_does_not_live(tmp_path: Path, part: str) -> None:
    settings = Settings(dir=tmp_path)
    await migrate.upgrade(settings.store_url)
    service = Service(settings)
    await service.start()
    try:
        await asyncio.sleep(0)
        assert service.trouble() is None
        tasks = {**service._tasks, **service.writer._tasks, "watch": service.watch._task}
        task = tasks[part]
        assert task is not None
        task.cancel()
        await asyncio.wait([task])
        assert service.trouble() == PARTS[part]
    finally:
        await service.stop()


async def test_a_service_whose_part_hangs_does_not_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(dir=tmp_path)
    await migrate.upgrade(settings.store_url)
    service = Service(settings)
    await service.start()
    try:
        await asyncio.sleep(0)
        parts = {
            "writer": service.writer._commits,
            "watch": service.watch._heartbeat,
            "lookups": service.lookups.host.heartbeat,
            "contacts": service._heartbeats["contacts"],
        }
        for name, heartbeat in parts.items():
            assert service.trouble() is None
            heartbeat.step()
            monkeypatch.setattr(heartbeat, "_seconds", 0.0)
            assert service.trouble() == name
            heartbeat.rest()
    finally:
        await service.stop()
