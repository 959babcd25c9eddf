# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL restarts, refuses, hangs or is away: nobody waits for ever, nobody notices a restart, and all recovers."""

import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import pytest
import requests
from support.ports import wait_until
from support.servers.faults import hung
from support.servers.postgres import Server, create_database, running
from support.servers.service import Service, dev
from support.servers.systemd import unit

HOSTS = 12
DATABASE = "away"


@dataclass
class Rig:
    """A service on a PostgreSQL of its own, with some hosts."""

    server: Server
    service: Service
    secrets: dict[str, str]
    number: int = 1

    def update(self, name: str, address: str) -> requests.Response:
        """One host's update, on a connection of its own."""
        auth = (f"{name}.{self.service.domain}", self.secrets[name])
        url = f"{self.service.url}/nic/update"
        return requests.get(url, auth=auth, params={"myip": address}, timeout=20)

    def bearer(self, path: str, method: str = "GET", **kwargs: object) -> requests.Response:
        """A call with the administrator's token, on a connection of its own."""
        headers = {"Authorization": f"Bearer {self.service.admin_token}"}
        return requests.request(method, self.service.url + path, headers=headers, timeout=40, **kwargs)  # type: ignore[arg-type]

    def update_all(self) -> list[str]:
        """Updates of all hosts at once, each with a new address: what they were answered."""
        self.number += 1
        with ThreadPoolExecutor(HOSTS) as pool:
            answers = pool.map(lambda name: self.update(name, f"192.0.2.{self.number}").text, self.secrets)
            return sorted(set(answers))

    def every_door(self) -> list[str]:
        """Calls of every kind at once: what is wrong with their answers."""
        self.number += 1
        address, name = f"192.0.2.{self.number}", f"{next(iter(self.secrets))}.{self.service.domain}"
        new = f"new{self.number}.{self.service.domain}"
        updates = [partial(self.update, host, address) for host in list(self.secrets)[1:]]
        calls: list[tuple[Callable[[], requests.Response], int, str]] = [
            *((update, 200, f"good {address}") for update in updates),
            (lambda: self.bearer("/nic/hosts"), 200, "ok"),
            (lambda: self.bearer(f"/api/hosts/{name}", "PATCH", json={"comment": address}), 200, address),
            (lambda: self.bearer("/api/hosts", "POST", json={"fqdn": new, "ipv4": address}), 201, address),
            (lambda: requests.get(f"{self.service.url}/login", timeout=20), 200, "<form"),
        ]
        with ThreadPoolExecutor(len(calls)) as pool:
            answers = list(pool.map(lambda call: call[0](), calls))
        return [
            f"{answer.status_code} {answer.text[:200]}"
            for answer, (_, status, text) in zip(answers, calls, strict=True)
            if answer.status_code != status or text not in answer.text
        ]

    def recovers(self) -> None:
        """Soon all updates are good again."""
        wait_until(lambda: self.update_all() == [f"good 192.0.2.{self.number}"], 20, "recovered")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running() as server:
        url = create_database(server.url, DATABASE)
        server.psql("CREATE ROLE worker LOGIN")
        server.psql(f'GRANT ALL ON DATABASE "{DATABASE}" TO worker')
        server.psql(f'ALTER DATABASE "{DATABASE}" OWNER TO worker')
        url = url.replace("ddnsd@", "worker@")
        with dev(tmp_path_factory.mktemp("away") / "service", database_url=url) as service:
            names = [f"h{n}" for n in range(HOSTS)]
            yield Rig(server, service, {name: service.register(name, ip="192.0.2.1") for name in names})


RESTARTS: dict[str, Callable[[Server], None]] = {
    "restart": lambda server: server.restart(),
    "crash": lambda server: server.restart(signal.SIGKILL),
    "terminated": lambda server: server.terminate_all(DATABASE),
}


@pytest.mark.parametrize("how", RESTARTS)
def test_no_client_notices_a_restart_while_the_service_is_idle(rig: Rig, how: str) -> None:
    for _ in range(3):
        assert rig.update_all() == [f"good 192.0.2.{rig.number}"]  # every kept connection is in use
        RESTARTS[how](rig.server)
        assert rig.update_all() == [f"good 192.0.2.{rig.number}"]
        RESTARTS[how](rig.server)
        assert rig.every_door() == []
    assert rig.service.cli("reconcile", "--check").returncode == 0


def test_connections_that_are_refused(rig: Rig) -> None:
    """Nobody waits for ever: each gets 911, and when the database accepts again all is well."""
    assert rig.update_all() == [f"good 192.0.2.{rig.number}"]
    rig.server.psql(f'REVOKE CONNECT ON DATABASE "{DATABASE}" FROM PUBLIC, worker')
    rig.server.psql(f'ALTER DATABASE "{DATABASE}" OWNER TO ddnsd')
    rig.server.terminate_all(DATABASE)
    begin = rig.service.log.stat().st_size
    for _ in range(4):
        assert rig.update_all() == ["911"]
        assert rig.bearer("/nic/hosts").status_code == 503
    ready = requests.get(f"{rig.service.url}/readyz", timeout=20)
    assert ready.status_code == 503
    log = rig.service.log.read_text()[begin:]
    assert f"PostgreSQL at 127.0.0.1:{rig.server.port}: permission denied for database" in log
    assert "Traceback" not in log
    rig.server.psql(f'GRANT CONNECT ON DATABASE "{DATABASE}" TO worker')
    rig.server.psql(f'ALTER DATABASE "{DATABASE}" OWNER TO worker')
    rig.recovers()


def test_a_table_that_we_may_not_read(rig: Rig) -> None:
    rig.server.psql("REVOKE ALL ON hosts FROM worker", DATABASE)
    assert rig.update_all() == ["911"]
    rig.server.psql("GRANT ALL ON hosts TO worker", DATABASE)
    rig.recovers()


def test_a_database_that_hangs(rig: Rig) -> None:
    assert rig.update_all() == [f"good 192.0.2.{rig.number}"]
    workers = rig.server.psql(f"SELECT pid FROM pg_stat_activity WHERE datname = '{DATABASE}'").split()
    assert rig.server.process is not None
    with hung(rig.server.process.pid):
        for worker in workers:
            os.kill(int(worker), signal.SIGSTOP)
        try:
            assert rig.update_all() == ["911"]
            assert rig.update_all() == ["911"]
        finally:
            for worker in workers:
                os.kill(int(worker), signal.SIGCONT)
    rig.recovers()


def test_what_each_part_of_the_web_says_while_it_is_away(rig: Rig) -> None:
    rig.server.stop()
    try:
        answer = rig.bearer("/api/hosts")
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
        assert answer.json()["type"] == "urn:ddns:store"
        page = requests.get(f"{rig.service.url}/hosts", cookies={"__Host-ddns": "a" * 43}, timeout=20)
        assert page.status_code == 503
        assert "The database is not available" in page.text
        assert rig.update_all() == ["911"]
        params = {"domains": "h1", "token": rig.secrets["h1"]}
        assert requests.get(f"{rig.service.url}/update", params=params, timeout=20).text == "KO"
        assert requests.get(f"{rig.service.url}/healthz", timeout=20).status_code == 200
        ready = requests.get(f"{rig.service.url}/readyz", timeout=20)
        assert ready.status_code == 503
        wait_until(
            lambda: f"PostgreSQL at 127.0.0.1:{rig.server.port} does not answer" in rig.service.log.read_text(),
            what="the log names the database",
        )
    finally:
        rig.server.start()
    rig.recovers()


def test_updates_go_on_over_restarts(rig: Rig) -> None:
    """Under load nothing but good, nochg and 911 is answered, and DNS follows the store in the end."""
    end = threading.Event()

    def hammer(name: str) -> set[str]:
        words, n = set(), 0
        while not end.is_set():
            n += 1
            words.add(rig.update(name, f"198.51.100.{n % 250}").text.split()[0])
        return words

    with ThreadPoolExecutor(HOSTS) as pool:
        running_now = [pool.submit(hammer, name) for name in rig.secrets]
        try:
            for _ in range(3):
                rig.server.terminate_all(DATABASE)
                rig.server.restart()
        finally:
            end.set()
        words = set().union(*(future.result() for future in running_now))
    assert words <= {"good", "nochg", "911"}
    rig.recovers()
    wait_until(lambda: rig.service.cli("reconcile", "--check", check=False).returncode == 0, 10, "DNS follows")


# ---- a start without the database


def ask(listener: socket.socket, path: str, **headers: str) -> tuple[int, str]:
    """A GET at the unit's socket: status and body."""
    address, port = listener.getsockname()
    with closing(http.client.HTTPConnection(address, port, timeout=20)) as connection:
        connection.request("GET", path, headers={"User-Agent": "test"} | headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_the_service_starts_without_its_database(rig: Rig) -> None:
    """It is ready for systemd, answers 911, says what it waits for, and serves when the database is there."""
    update = f"/nic/update?myip=192.0.2.{200 + rig.number % 50}"
    basic = requests.models.PreparedRequest()
    basic.prepare("GET", "http://x/", auth=(f"h1.{rig.service.domain}", rig.secrets["h1"]))
    credentials = {"Authorization": basic.headers["Authorization"]}
    url = rig.service.settings["DDNSD_DATABASE_URL"].replace("worker@", "worker:hunter2@")
    rig.server.stop()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        unit(rig.service, listener, DDNSD_DATABASE_URL=url, WATCHDOG_USEC="8000000") as running_unit,
    ):
        try:
            place = f"PostgreSQL at 127.0.0.1:{rig.server.port} does not answer: Connection refused"
            assert f"STATUS={place}" in running_unit.states
            for _ in range(2):
                assert ask(listener, update, **credentials) == (503, "911")
            assert ask(listener, "/healthz") == (200, "ok")
            status, text = ask(listener, "/readyz")
            shown = json.loads(text)["store"], place in text
            assert (status, *shown) == (503, "error", False)  # nobody can sign in now
            status, text = ask(listener, "/api/hosts", Authorization=f"Bearer {rig.service.admin_token}")
            assert (status, "urn:ddns:store" in text) == (503, True)
            assert ask(listener, "/hosts", Cookie="__Host-ddns=" + "a" * 43)[0] == 503
            running_unit.states.clear()
            running_unit.hear("WATCHDOG=1")
        finally:
            rig.server.start()
        wait_until(lambda: ask(listener, update, **credentials)[0] == 200, what="it serves")
        wait_until(lambda: ask(listener, "/readyz")[0] == 200, what="it says so: what it knows may be a second old")
        running_unit.hear("STATUS=")
        assert place in running_unit.log
        assert "hunter2" not in running_unit.log
        assert running_unit.stop() == 0


def test_it_can_be_stopped_while_it_waits(rig: Rig) -> None:
    rig.server.stop()
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener, unit(rig.service, listener) as running_unit:
            assert running_unit.stop() == 0
            assert "Traceback" not in running_unit.log
    finally:
        rig.server.start()


def test_an_upgrade_waits_for_the_database(rig: Rig) -> None:
    rig.server.stop()
    try:
        once = rig.service.cli("db", "upgrade", "--wait", "0", check=False)
        assert (once.returncode, once.stdout) == (1, "")
        assert f"PostgreSQL at 127.0.0.1:{rig.server.port} does not answer" in once.stderr
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(rig.service.cli, "db", "upgrade", "--wait", "50", check=False)
            rig.server.start()
            assert waiting.result().returncode == 0
    finally:
        if rig.server.process is None or rig.server.process.poll() is not None:
            rig.server.start()
