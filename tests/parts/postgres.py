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
from pathlib import Path

from parts.ports import free_port, listens, wait_until


def programs() -> Path:
    """The newest installed PostgreSQL's folder of programs."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    assert versions, "PostgreSQL is not installed (apt-get install postgresql)"
    return versions[-1]


@contextmanager
def postgres() -> Iterator[str]:
    """A server with durable settings; yields `postgresql://ddnsd@127.0.0.1:PORT` without a database name."""
    # not in pytest's folder: each run of pytest closes that to other users, such as the one who owns the server
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        yield from _server(Path(folder))


def _server(directory: Path) -> Iterator[str]:
    data, port = directory / "data", free_port()
    as_user: dict[str, object] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        owner = pwd.getpwnam("postgres")
        shutil.chown(directory, owner.pw_uid, owner.pw_gid)
        as_user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [owner.pw_gid]}
    subprocess.run(
        [programs() / "initdb", "-D", data, "-U", "ddnsd", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True, capture_output=True, **as_user,
    )  # fmt: skip
    with (directory / "postgres.log").open("wb") as log:
        server = subprocess.Popen(
            [programs() / "postgres", "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
             "-c", f"unix_socket_directories={directory}", "-c", "max_connections=300"],
            stdout=log, stderr=subprocess.STDOUT, **as_user,
        )  # fmt: skip
    try:
        wait_until(lambda: listens(port), what="PostgreSQL")
        wait_until(lambda: _ready(port), what="PostgreSQL accepts")
        yield f"postgresql://ddnsd@127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGQUIT)  # at once, whoever is still connected: what it holds is thrown away
        server.wait(20)


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
    show = [programs() / "psql", f"{server}/postgres", "-Atqc", "SHOW data_directory"]
    data = Path(subprocess.check_output(show, text=True).strip())
    pid = int((data / "postmaster.pid").read_text().split()[0])
    ended = os.pidfd_open(pid)
    os.kill(pid, signal.SIGQUIT)
    assert select.select([ended], [], [], 20)[0]
    os.close(ended)
