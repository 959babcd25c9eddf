# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures were measured on; nothing of it says where on the machine."""

import os
import platform
import re
import sqlite3
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from support.servers.postgres import programs
from support.servers.service import Service

LIBRARIES = ("uvicorn", "uvloop", "httptools", "dnspython", "SQLAlchemy", "asyncpg")


def describe(directory: Path) -> list[tuple[str, str]]:
    """(what, value) of the machine and of every program that takes part; `directory` lies on the disk that is used."""
    return [
        ("processor", f"{_cpu()}, {len(os.sched_getaffinity(0))} cores"),
        ("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"),
        ("disk", f"append and fdatasync of 4 KiB: {1000 * _sync_seconds(directory):.2f} ms"),
        ("load before", " ".join(f"{load:.1f}" for load in os.getloadavg())),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("BIND", _said("named", "-v")),
        ("SQLite", sqlite3.sqlite_version),
        ("PostgreSQL", _said(str(programs() / "postgres"), "--version").removeprefix("postgres (PostgreSQL) ")),
        ("libraries", ", ".join(f"{name} {version(name)}" for name in LIBRARIES)),
        ("upstream", ", ".join(_upstream())),
    ]


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("<")[0].strip()


def _sync_seconds(directory: Path) -> float:
    """The median of 50 appends."""
    taken = []
    with (directory / "sync").open("wb", buffering=0) as file:
        for _ in range(50):
            begin = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def _upstream() -> list[str]:
    lock = (Path(__file__).resolve().parent.parent / "requirements" / "upstream.txt").read_text()
    found = re.findall(r"^(nsupdate|django|gunicorn|dnspython)==(\S+)", lock, re.MULTILINE)
    return [f"{name} {number}" for name, number in found]


def processor_seconds(service: Service) -> float:
    """Processor time that the service's process has used, without its children."""
    assert service.process is not None
    return process_seconds(service.process.pid)


def process_seconds(pid: int) -> float:
    """Processor time that the process has used, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
