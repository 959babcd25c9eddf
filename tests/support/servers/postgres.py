# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's PostgreSQL on a free port in a temporary folder."""

import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.ports import free_port, listens, wait_until


def programs() -> Path:
    """The newest installed PostgreSQL's folder of programs."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    assert versions, "PostgreSQL is not installed (apt-get install postgresql)"
    return versions[-1]


@dataclass
class Server:
    """A PostgreSQL with a folder of its own, which may be stopped and started again on the same port."""

    directory: Path
    port: int
    durable: bool = False
    """Whether a commit waits for the disk. Without, a power cut loses data, and the end of a process does not."""
    process: "subprocess.Popen[bytes] | None" = None
    options: dict[str, str] = field(default_factory=dict)
    """More options of the server."""

    @property
    def url(self) -> str:
        """`postgresql://ddnsd@127.0.0.1:PORT` without a database name."""
        return f"postgresql://ddnsd@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it accepts connections."""
        durable = "on" if self.durable else "off"
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory),
            "max_connections": "300",
            "fsync": durable,
            "full_page_writes": durable,
            **self.options,
        }
        with (self.directory / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(programs() / "postgres", "-D", self.directory / "data", "-p", str(self.port)),
                    *(word for name, value in options.items() for word in ("-c", f"{name}={value}")),
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                **as_owner(),
            )
        wait_until(lambda: listens(self.port), what="PostgreSQL")
        wait_until(lambda: _ready(self.port), what="PostgreSQL accepts")

    def stop(self, number: int = signal.SIGQUIT) -> None:
        """End it, by default at once, whoever is still connected; with SIGKILL its children end by themselves."""
        if self.process is None or self.process.poll() is not None:
            return
        children = _children(self.process.pid)
        self.process.send_signal(number)
        self.process.wait(20)
        wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), what="no child is left")

    def restart(self, number: int = signal.SIGINT) -> None:
        """Stop and start it; SIGINT is what `pg_ctl restart` and systemd do."""
        self.stop(number)
        self.start()

    def psql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement as the superuser; answers its rows."""
        command: list[str | Path] = [programs() / "psql", f"{self.url}/{database}", "-XAtqc", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def terminate_all(self, database: str) -> None:
        """End every connection to the database, and wait for that."""
        of_database = f"FROM pg_stat_activity WHERE datname = '{database}'"
        pids = ",".join(self.psql(f"SELECT pid {of_database}").split())
        self.psql(f"SELECT pg_terminate_backend(pid) FROM unnest(ARRAY[{pids}]::int[]) pid")
        gone = f"SELECT count(*) {of_database} AND pid = ANY (ARRAY[{pids}]::int[])"
        wait_until(lambda: self.psql(gone) == "0", what="connections are ended")


@contextmanager
def running(durable: bool = False) -> Iterator[Server]:
    """A server with a folder of its own."""
    # not in pytest's folder: each run of pytest closes that to other users, such as the one who owns the server
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        directory = Path(folder)
        if owner := as_owner():
            shutil.chown(directory, owner["user"], owner["group"])
        subprocess.run(
            [
                programs() / "initdb",
                "-D",
                directory / "data",
                "-U",
                "ddnsd",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            **as_owner(),
        )
        server = Server(directory, free_port(), durable)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def postgres(durable: bool = False) -> Iterator[str]:
    """A server with a folder of its own; yields `postgresql://ddnsd@127.0.0.1:PORT` without a database name."""
    with running(durable) as server:
        yield server.url


def as_owner() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    owner = pwd.getpwnam("postgres")  # PostgreSQL refuses to run as root
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [owner.pw_gid]}


def _children(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


def _ready(port: int) -> bool:
    return (
        subprocess.run([programs() / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True).returncode
        == 0
    )


def create_database(server: str, name: str, template: str = "template1") -> str:
    """Create a database as a copy of another; answers the URL that `DDNSD_DATABASE_URL` takes."""
    statement = f'CREATE DATABASE "{name}" TEMPLATE "{template}"'
    subprocess.run([programs() / "psql", f"{server}/postgres", "-Xqc", statement], check=True)
    return f"{server}/{name}"


def stop(server: str) -> None:
    """End a server at once, with its connections, and wait for that."""
    show: list[str | Path] = [programs() / "psql", f"{server}/postgres", "-Atqc", "SHOW data_directory"]
    data = Path(subprocess.check_output(show, text=True).strip())
    pid = int((data / "postmaster.pid").read_text().split()[0])
    ended = os.pidfd_open(pid)
    os.kill(pid, signal.SIGQUIT)
    assert select.select([ended], [], [], 20)[0]
    os.close(ended)
