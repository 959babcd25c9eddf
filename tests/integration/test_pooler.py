# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL behind PgBouncer: with sessions of its own the service works; without, it says why it does not start."""

from collections.abc import Callable
from pathlib import Path

from support.ports import free_port
from support.servers.pgbouncer import pgbouncer
from support.servers.service import Service, dev


def test_a_pooler_that_shares_sessions_is_refused(tmp_path: Path, new_database: Callable[[], str]) -> None:
    with pgbouncer(new_database(), "transaction") as url:
        service = Service(tmp_path / "service", free_port(), free_port(), ("serve",), {"DDNSD_DATABASE_URL": url})
        for command in ("serve", "doctor"):
            done = service.cli(command, check=False)
            assert done.returncode == 1
            assert "pool_mode = session" in done.stdout + done.stderr
            assert "Traceback" not in done.stderr


def test_a_pooler_that_keeps_sessions_apart_is_fine(tmp_path: Path, new_database: Callable[[], str]) -> None:
    with pgbouncer(new_database(), "session") as url, dev(tmp_path / "service", database_url=url) as service:
        secret = service.register("a", ip="192.0.2.1")
        auth = (f"a.{service.domain}", secret)
        for n in range(2, 6):
            answer = service.get("/nic/update", auth=auth, params={"myip": f"192.0.2.{n}"})
            assert answer.text == f"good 192.0.2.{n}"
