# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd db copy` moves a running service to another database, and no update that was `good` is lost."""

import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from support import programs
from support.ports import free_port, wait_until
from support.servers.postgres import create_database
from support.servers.postgres import programs as postgres_programs
from support.servers.service import Service, dev, migrated_file

HOSTS = 6
ROWS = 240_000
"""Rows of the audit trail of a large database: a copy of them takes a moment."""


@dataclass
class Client:
    """A host whose address changes all the time, and what its updates were answered."""

    service: Service
    name: str
    secret: str
    answers: list[tuple[float, str, str]] = field(default_factory=list)

    @property
    def fqdn(self) -> str:
        return f"{self.name}.{self.service.domain}"

    def update(self, address: str) -> str:
        auth, url = (self.fqdn, self.secret), f"{self.service.url}/nic/update"
        began = time.monotonic()
        text = requests.get(url, auth=auth, params={"myip": address}, timeout=20).text
        self.answers.append((began, text.partition(" ")[0], address))
        return text

    def expected(self) -> set[str]:
        """The last address that was good, and later ones, which may be stored."""
        last = max(n for n, (_, word, _) in enumerate(self.answers) if word == "good")
        return {address for _, _, address in self.answers[last:]}


@contextmanager
def busy(clients: list[Client]) -> Iterator[None]:
    """All clients send one update after the other."""
    end = threading.Event()

    def run(client: Client) -> None:
        number = 0
        while not end.is_set():
            number += 1
            client.update(f"10.0.{number // 250}.{number % 250 + 1}")

    threads = [threading.Thread(target=run, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()


def copy(service: Service, source: str, target: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return programs.run(["ddnsd", "db", "copy", source, target], service.env, stdin, timeout=120)


def copied(service: Service, source: str, target: str, stdin: str = "") -> str:
    """Run the command; it succeeds. Its output."""
    done = copy(service, source, target, stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(service: Service, source: str, target: str) -> str:
    """Run the command; it fails with this message."""
    done = copy(service, source, target)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A database of one kind with a schema, and one of the other kind that is empty."""
    server: str = request.getfixturevalue("postgres_server")
    (tmp_path / "file").mkdir()
    if request.param == "sqlite":
        file = f"sqlite:///{migrated_file(tmp_path / 'file')}"
        return file, create_database(server, f"to_{tmp_path.name[-40:]}")
    new_database: Callable[[], str] = request.getfixturevalue("new_database")
    return new_database(), f"sqlite:///{tmp_path / 'file' / 'ddnsd.db'}"


@pytest.fixture
def service(urls: tuple[str, str], tmp_path: Path) -> Iterator[Service]:
    """A service on the first database."""
    with dev(tmp_path / "service", database_url=urls[0]) as running:
        yield running


def new_clients(service: Service) -> list[Client]:
    return [Client(service, f"h{n}", service.register(f"h{n}", ip="192.0.2.1")) for n in range(HOSTS)]


def restart(service: Service, url: str) -> None:
    service.stop()
    service.settings["DDNSD_DATABASE_URL"] = url
    service.start()


def test_no_good_update_is_lost(service: Service, urls: tuple[str, str], tmp_path: Path) -> None:
    source, target = urls
    clients = new_clients(service)
    with busy(clients):
        time.sleep(1)
        assert "rows were copied and compared" in copied(service, source, target)
        end = time.monotonic()
        time.sleep(1)
    late = {word for client in clients for began, word, _ in client.answers if began > end}
    assert late == {"911"}
    for client in clients:  # not even the address that it has
        assert client.update(client.expected().pop()) == "911"
    assert service.get("/nic/hosts", service.admin_token).status_code == 200
    assert service.get("/readyz").status_code == 503
    assert "was moved to" in service.cli("doctor", check=False).stdout

    restart(service, target)
    rows = {row["fqdn"]: row["ipv4"] for row in service.get("/nic/hosts", service.admin_token).json()["hosts"]}
    for client in clients:
        assert rows[client.fqdn] in client.expected()
    wait_until(lambda: all(service.dig(c.fqdn) == [rows[c.fqdn]] for c in clients), 10, "DNS has them")
    assert service.cli("reconcile", "--check").returncode == 0
    assert [client.update("192.0.2.9") for client in clients] == ["good 192.0.2.9"] * HOSTS
    wait_until(lambda: {client.update("192.0.2.9") for client in clients} == {"nochg 192.0.2.9"}, 10, "settled")
    assert service.register("new", ip="192.0.2.10")  # ids continue

    # back to the old one, which nobody else uses any more
    old = Service(tmp_path / "old", free_port(), service.dns_port, ("serve",), {"DDNSD_DATABASE_URL": source})
    old.start()
    try:
        assert Client(old, "h0", clients[0].secret).update("192.0.2.11") == "911"
        assert "db unfreeze" in old.cli("domain", "list", check=False).stderr
    finally:
        old.stop()
    assert "accepts changes again" in old.cli("db", "unfreeze").stdout
    assert old.cli("db", "unfreeze").stdout == ""
    restart(service, source)
    wait_until(lambda: clients[0].update("192.0.2.11") == "good 192.0.2.11", 20, "in use again")
    wait_until(lambda: all(service.dig(c.fqdn) == [rows[c.fqdn]] for c in clients[1:]), 10, "all were sent again")


def test_there_and_back(service: Service, urls: tuple[str, str], tmp_path: Path) -> None:
    source, target = urls
    (client, *_) = new_clients(service)
    service.cli("domain", "add", "2.0.192.in-addr.arpa", "--owner", "admin", "--reverse", "all")
    path = f"/api/hosts/{client.fqdn}"
    service.request("PATCH", path, service.admin_token, json={"ptr": True}).raise_for_status()
    copied(service, "service", "-", stdin=f"{target}\n")
    restart(service, target)
    assert client.update("192.0.2.20") == "good 192.0.2.20"
    wait_until(lambda: service.dig("20.2.0.192.in-addr.arpa", "PTR") == [f"{client.fqdn}."], 30, "reverse name")
    back = f"sqlite:///{tmp_path / 'back.db'}"
    assert "the earlier" not in copied(service, target, back)
    restart(service, back)
    wait_until(lambda: client.update("192.0.2.20") == "nochg 192.0.2.20", 10, "settled")
    assert client.update("192.0.2.21") == "good 192.0.2.21"
    wait_until(lambda: service.dig("21.2.0.192.in-addr.arpa", "PTR") == [f"{client.fqdn}."], 30, "it follows")
    wait_until(lambda: service.dig("20.2.0.192.in-addr.arpa", "PTR") == [], 30, "the former one is removed")
    assert f"moved to {target.replace('ddnsd@', '')}" in refusal(service, source, back)


@pytest.mark.long
def test_unfrozen_while_the_service_runs(service: Service, urls: tuple[str, str]) -> None:
    (client, *_) = new_clients(service)
    copied(service, *urls)
    assert client.update("192.0.2.30") == "911"
    service.cli("db", "unfreeze")
    wait_until(lambda: client.update("192.0.2.30") == "good 192.0.2.30", 10, "in use again")
    wait_until(lambda: client.update("192.0.2.30") == "nochg 192.0.2.30", 10, "settled")
    assert "is not empty: there are" in refusal(service, *urls)


def fill(url: str, server: str) -> None:
    """Make the database large."""
    columns = "INSERT INTO events (at, actor, action, object)"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20)) as file:
            numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})"
            file.execute(f"{columns} {numbers} SELECT i, 'me', 'fill', 'x' FROM n")
            file.commit()
        return
    statement = f"{columns} SELECT i, 'me', 'fill', 'x' FROM generate_series(1, {ROWS}) i"
    subprocess.run([postgres_programs() / "psql", url, "-Xqc", statement], check=True)


@contextmanager
def killed(service: Service, urls: tuple[str, str], after: str, pause: float = 0) -> Iterator[None]:
    """`kill -9` the command a moment after it has printed this."""
    folder = programs.FOLDER
    command = [str(folder / "ddnsd"), "db", "copy", *urls]
    with subprocess.Popen(
        command, env=service.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if after in line:
                break
        time.sleep(pause)
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    yield


@pytest.mark.long
@pytest.mark.parametrize("pause", [0.0, 0.3, 0.8])
def test_killed_in_the_middle(service: Service, urls: tuple[str, str], postgres_server: str, pause: float) -> None:
    (client, *_) = new_clients(service)
    fill(urls[0], postgres_server)
    with killed(service, urls, "updates get 911 from now on", pause):
        wait_until(lambda: client.update("192.0.2.40") in ("good 192.0.2.40", "nochg 192.0.2.40"), 10, "as before")
    other = Service(service.dir, 1, 1, settings={"DDNSD_DATABASE_URL": urls[1]})
    assert "repeat `ddnsd db copy`" in other.cli("domain", "list", check=False).stderr
    assert "rows were copied" in copied(service, *urls)
    restart(service, urls[1])
    wait_until(lambda: client.update("192.0.2.40") == "nochg 192.0.2.40", 10, "settled")


@pytest.mark.long
def test_killed_at_the_end(service: Service, urls: tuple[str, str]) -> None:
    (client, *_) = new_clients(service)
    with killed(service, urls, "waiting until no service uses"):
        assert client.update("192.0.2.50") == "911"
    assert "the earlier copy is finished" in copied(service, *urls)
    restart(service, urls[1])
    assert client.update("192.0.2.50") == "good 192.0.2.50"


@pytest.mark.long
def test_wrong_databases(
    service: Service, urls: tuple[str, str], new_database: Callable[[], str], tmp_path: Path
) -> None:
    source, target = urls
    (client, *_) = new_clients(service)
    assert "same database" in refusal(service, source, source)
    assert "there is no database" in refusal(service, f"sqlite:///{tmp_path}/none.db", target)
    assert not (tmp_path / "none.db").exists()
    old = f"sqlite:///{tmp_path}/old.db"
    sqlite3.connect(tmp_path / "old.db").execute("CREATE TABLE t (a)").connection.close()
    assert "ddnsd db upgrade" in refusal(service, old, target)
    for url in ("postgresql://u:canary@127.0.0.1:1/x", "postgresql://u@127.0.0.1:1/x?password=canary"):
        assert "canary" not in refusal(service, source, url)
        assert "canary" not in refusal(service, url, target)
    wrong = copy(service, source, "mysql://u:canary@x/y")
    assert wrong.returncode == 2
    assert "canary" not in wrong.stderr
    full = new_database()
    other = Service(tmp_path / "other", 1, 1, settings={"DDNSD_DATABASE_URL": full})
    other.cli("user", "add", "somebody")
    assert "not empty" in refusal(service, source, full)
    assert "somebody" in other.cli("export").stdout
    assert client.update("192.0.2.60") == "good 192.0.2.60"
