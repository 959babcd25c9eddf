# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that the write path survives: nothing acknowledged is lost, nothing is acknowledged that is not durable."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from support.ports import free_port, in_time, wait_until
from support.servers.dns_proxy import DnsProxy, Mode
from support.servers.faults import halt, hung
from support.servers.service import Service, dev, migrated_file

Settings = Callable[[], dict[str, str]]


@pytest.fixture
def service(tmp_path: Path, store_settings: Settings) -> Iterator[Service]:
    with dev(tmp_path / "service", **store_settings()) as running:
        yield running


def update(service: Service, host: str, secret: str, address: str) -> requests.Response:
    fqdn = f"{host}.{service.domain}"
    return service.get("/nic/update", auth=(fqdn, secret), params={"myip": address})


def test_a_hung_name_server_delays_nothing_but_changes(service: Service) -> None:
    secret = service.register("a", ip="192.0.2.1")
    other = service.register("b", ip="192.0.2.1")
    assert update(service, "b", other, "192.0.2.2").text == "good 192.0.2.2"
    with hung(service.named_pid()):
        with in_time():
            answer = update(service, "a", secret, "192.0.2.7")
        assert (answer.status_code, answer.text) == (503, "911")
        assert update(service, "b", other, "192.0.2.2").text == "nochg 192.0.2.2"
        assert update(service, "b", "wrong", "192.0.2.2").status_code == 401
        listed = service.get("/nic/hosts", service.admin_token).json()["hosts"]
        assert [host["ipv4"] for host in listed] == ["192.0.2.7", "192.0.2.2"]
        wait_until(lambda: service.get("/readyz").status_code == 503, 20, "not ready")
    wait_until(lambda: service.dig(f"a.{service.domain}") == ["192.0.2.7"], 10, "DNS follows")
    wait_until(lambda: update(service, "a", secret, "192.0.2.7").text == "nochg 192.0.2.7", 20, "known")
    wait_until(lambda: service.get("/readyz").status_code == 200, 20, "ready")


def test_a_message_given_up_never_wins_over_a_newer_one(service: Service) -> None:
    """What a hung name server still runs later is overtaken by what the store holds."""
    secrets = {f"h{i}": service.register(f"h{i}", ip="192.0.2.1") for i in range(6)}
    with hung(service.named_pid()), ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda item: update(service, item[0], item[1], "192.0.2.7"), secrets.items()))
        assert {a.text for a in answers} == {"911"}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda item: update(service, item[0], item[1], "192.0.2.8"), secrets.items()))
    assert {a.text for a in answers} == {"good 192.0.2.8"}
    time.sleep(2.5)
    assert {h: service.dig(f"{h}.{service.domain}") for h in secrets} == {h: ["192.0.2.8"] for h in secrets}
    assert service.cli("reconcile", "--check").returncode == 0


def test_a_registration_that_the_name_server_missed_leaves_nothing(service: Service) -> None:
    with hung(service.named_pid()):
        answer = service.get(
            "/nic/register", service.admin_token, params={"fqdn": f"new.{service.domain}", "ip": "192.0.2.5"}
        )
        assert answer.status_code == 502
        assert service.get("/nic/hosts", service.admin_token).json()["hosts"] == []
    time.sleep(2.5)
    wait_until(lambda: service.dig(f"new.{service.domain}") == [], 20, "no record is left")
    service.register("new", ip="192.0.2.6")
    assert service.dig(f"new.{service.domain}") == ["192.0.2.6"]


def test_a_killed_name_server_comes_back_and_is_caught_up(service: Service) -> None:
    secret = service.register("a", ip="192.0.2.1")
    os.kill(service.named_pid(), signal.SIGKILL)
    answer = update(service, "a", secret, "192.0.2.9")
    assert answer.text in ("good 192.0.2.9", "911")
    wait_until(lambda: _digs(service, "a") == ["192.0.2.9"], 15, "DNS follows")


def _digs(service: Service, host: str) -> list[str]:
    try:
        return service.dig(f"{host}.{service.domain}")
    except Exception:  # the name server is not up
        return ["?"]


def test_a_name_server_restored_from_an_older_state_converges(service: Service) -> None:
    secret = service.register("a", ip="192.0.2.1")
    gone = service.register("gone", ip="192.0.2.50")
    assert gone
    bind = service.dir / "bind"
    rndc = (
        ["rndc", "-c", str(bind / "rndc.key")]
        if "options" in (bind / "rndc.key").read_text()
        else ["rndc", "-k", str(bind / "rndc.key")]
    )
    os.spawnvp(os.P_WAIT, "rndc", [*rndc, "sync", "-clean"])
    zone_files = {f: f.read_bytes() for f in (bind / "zones").iterdir()}
    assert update(service, "a", secret, "192.0.2.2").text == "good 192.0.2.2"
    service.register("later", ip="192.0.2.60")
    assert (
        service.get("/nic/unregister", service.admin_token, params={"fqdn": f"gone.{service.domain}"}).status_code
        == 200
    )
    pid = service.named_pid()
    halt(pid)  # so that the supervisor does not see it go before its files are old
    for file in (bind / "zones").iterdir():
        file.unlink()
    for file, content in zone_files.items():
        file.write_bytes(content)
    os.kill(pid, signal.SIGKILL)
    expected = {"a": ["192.0.2.2"], "later": ["192.0.2.60"], "gone": []}
    wait_until(lambda: {h: _digs(service, h) for h in expected} == expected, 25, "the zone is as the store has it")
    assert service.cli("reconcile", "--check").returncode == 0


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory, store_settings: Settings) -> Iterator[tuple[Service, DnsProxy]]:
    """The domain's primary is a proxy that can misbehave."""
    with dev(tmp_path_factory.mktemp("proxied") / "service", **store_settings()) as service:
        proxy = DnsProxy(service.dns_port)
        service.cli("domain", "set", service.domain, "--primary", f"127.0.0.1:{proxy.port}")
        time.sleep(1.5)  # the running service takes it up within a second
        yield service, proxy
        proxy.close()


@pytest.mark.parametrize("mode", [m for m in Mode if m is not Mode.HONEST])
def test_a_broken_answer_is_never_good(proxied: tuple[Service, DnsProxy], mode: Mode) -> None:
    service, proxy = proxied
    name = mode.name.lower().replace("_", "-")
    secret = service.register(name, ip="192.0.2.1")
    proxy.mode = mode
    answer = update(service, name, secret, "192.0.2.4")
    assert (answer.status_code, answer.text) == (503, "911")
    proxy.mode = Mode.HONEST
    wait_until(lambda: service.dig(f"{name}.{service.domain}") == ["192.0.2.4"], 10, "DNS follows")
    wait_until(lambda: update(service, name, secret, "192.0.2.4").text == "nochg 192.0.2.4", 20, "known")
    hosts = service.get("/nic/hosts", service.admin_token).json()["hosts"]
    (host,) = (host for host in hosts if host["fqdn"] == f"{name}.{service.domain}")
    assert (host["client_faults"], host["server_faults"]) == (0, 1)


def test_one_name_that_is_refused_does_not_stop_the_others(service: Service) -> None:
    """A name that DHCP has taken fails alone, in a batch with others."""
    secrets = {f"h{i}": service.register(f"h{i}", ip="192.0.2.1") for i in range(8)}
    service.add_record("h3", "DHCID", "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda item: update(service, item[0], item[1], "192.0.2.9").text, secrets.items()))
    assert answers == ["911" if h == "h3" else "good 192.0.2.9" for h in secrets]
    assert service.dig(f"h3.{service.domain}") == ["192.0.2.1"]


def test_an_unmanaged_name_is_never_taken(service: Service) -> None:
    service.add_record("printer", "A", "192.0.2.200")
    asked = {"fqdn": f"printer.{service.domain}", "ip": "192.0.2.1"}
    for _ in range(2):
        answer = service.get("/nic/register", service.admin_token, params=asked)
        assert (answer.status_code, answer.json()["message"]) == (400, "formerr")
    assert service.dig(f"printer.{service.domain}") == ["192.0.2.200"]
    assert service.get("/nic/hosts", service.admin_token).json()["hosts"] == []


def test_twenty_at_once_for_one_host(service: Service) -> None:
    secret = service.register("a", ip="192.0.2.1")
    addresses = [f"192.0.2.{n}" for n in range(100, 120)]
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda a: update(service, "a", secret, a).text, addresses))
    assert all(text.startswith(("good ", "nochg ")) for text in answers)
    (stored,) = service.get("/nic/hosts", service.admin_token).json()["hosts"]
    assert service.dig(f"a.{service.domain}") == [stored["ipv4"]]
    assert service.cli("reconcile", "--check").returncode == 0


def test_a_replaced_secret_is_void_at_once(service: Service) -> None:
    old = service.register("a", ip="192.0.2.1")
    stop = threading.Event()
    wrong: list[str] = []
    replaced = threading.Event()

    def hammer(n: int) -> None:
        i = 0
        while not stop.is_set():
            i += 1
            began_after = replaced.is_set()
            answer = update(service, "a", old, f"192.0.2.{100 + (i * 4 + n) % 100}")
            if began_after and answer.status_code != 401:
                wrong.append(answer.text)

    with ThreadPoolExecutor(4) as pool:
        for n in range(4):
            pool.submit(hammer, n)
        time.sleep(0.5)
        answer = service.get("/nic/generate_secret", service.admin_token, params={"fqdn": f"a.{service.domain}"})
        replaced.set()
        time.sleep(0.5)
        stop.set()
    assert wrong == []
    assert update(service, "a", answer.json()["secret"], "192.0.2.1").text == "good 192.0.2.1"


def test_every_good_survives_kill_9(tmp_path: Path, store_settings: Settings) -> None:
    """The service is killed at some point of the write path, again and again."""
    with dev(tmp_path / "service", **store_settings()) as service:
        secrets = {f"h{i}": service.register(f"h{i}", ip="192.0.2.1") for i in range(8)}
        acknowledged: dict[str, int] = dict.fromkeys(secrets, 0)
        for round_number in range(1, 6):
            stop = threading.Event()

            def hammer(
                host: str, n: int = round_number, stop: threading.Event = stop, before: dict[str, int] = acknowledged
            ) -> int:
                """The number of the last acknowledged change; the next one may or may not have been made."""
                last = before[host]
                session = requests.Session()
                for i in range(n * 10_000, n * 10_000 + 10_000):
                    if stop.is_set():
                        break
                    try:
                        answer = session.get(
                            f"{service.url}/nic/update",
                            auth=(f"{host}.{service.domain}", secrets[host]),
                            params={"myip": _numbered(i)},
                            timeout=10,
                        )
                    except requests.RequestException:
                        break
                    if answer.text == f"good {_numbered(i)}":
                        last = i
                return last

            with ThreadPoolExecutor(8) as pool:
                running = {host: pool.submit(hammer, host) for host in secrets}
                time.sleep(0.3 + 0.13 * round_number)
                service.kill()
                stop.set()
            acknowledged = {host: future.result() for host, future in running.items()}
            service.start()
            for host, last in acknowledged.items():
                expected = [[_numbered(last)], [_numbered(last + 1)]]
                wait_until(lambda h=host, e=expected: service.dig(f"{h}.{service.domain}") in e, 10, f"{host} in DNS")  # type: ignore[misc]
        assert min(acknowledged.values()) > 0
        time.sleep(2)
        assert service.cli("reconcile", "--check").returncode == 0


def _numbered(i: int) -> str:
    return f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"


def test_a_full_disk_acknowledges_nothing(tmp_path: Path) -> None:
    with dev(tmp_path / "service") as service:
        secret = service.register("a", ip="192.0.2.1")
        assert service.process is not None
        before = resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        try:
            answer = update(service, "a", secret, "192.0.2.2")
            assert (answer.status_code, answer.text) == (503, "911")
            assert update(service, "a", secret, "192.0.2.1").text == "nochg 192.0.2.1"
            answer = service.get(
                "/nic/register", service.admin_token, params={"fqdn": f"b.{service.domain}", "ip": "192.0.2.1"}
            )
            assert answer.status_code == 503
        finally:
            resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, before)
        assert service.dig(f"a.{service.domain}") == ["192.0.2.1"]
        wait_until(lambda: update(service, "a", secret, "192.0.2.2").text == "good 192.0.2.2", 20, "recovered")


FULL_DISK = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
os.execv(sys.executable, [sys.executable, "-m", "ddnsd", "serve"])
"""
"""Start the service where no file can become longer."""


def test_it_starts_on_a_full_disk_and_without_its_name_server(tmp_path: Path) -> None:
    """It says what it waits for, and serves when there is room: systemd never has to give up."""
    here = Service(tmp_path, free_port(), free_port(), settings={"DDNSD_PRIMARY": f"127.0.0.1:{free_port()}"})
    file = migrated_file(tmp_path)
    with (
        here.log.open("ab") as log,
        subprocess.Popen([sys.executable, "-c", FULL_DISK], env=here.env, stdout=log, stderr=log) as process,
    ):
        try:
            wait_until(lambda: "ready: " in here.log.read_text(), 40, "ready")
            assert here.get("/nic/update", auth=("a.example.org", "x")).text == "911"
            assert here.get("/readyz").status_code == 503
            assert f"SQLite at {file}: disk I/O error" in here.log.read_text()
            assert process.poll() is None
            no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, no_limit)
            wait_until(lambda: here.get("/readyz").status_code == 200, 40, "it serves")
        finally:
            process.terminate()


def test_a_locked_database_acknowledges_nothing(tmp_path: Path) -> None:
    with dev(tmp_path / "service") as service:
        secret = service.register("a", ip="192.0.2.1")
        with sqlite3.connect(service.dir / "ddnsd.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = update(service, "a", secret, "192.0.2.2")
            assert (answer.status_code, answer.text) == (503, "911")
            assert update(service, "a", secret, "192.0.2.1").text == "nochg 192.0.2.1"
            other.execute("ROLLBACK")
        assert service.dig(f"a.{service.domain}") == ["192.0.2.1"]
        wait_until(lambda: update(service, "a", secret, "192.0.2.2").text == "good 192.0.2.2", 20, "recovered")


def test_two_processes_on_one_database_agree(tmp_path: Path, new_database: Callable[[], str]) -> None:
    url = new_database()
    with dev(tmp_path / "one", database_url=url) as one:
        two = Service(tmp_path / "two", one.http_port, one.dns_port, ("serve",), {"DDNSD_DATABASE_URL": url})
        from support.ports import free_port

        two.http_port = free_port()
        two.start()
        try:
            secrets = {f"h{i}": one.register(f"h{i}", ip="192.0.2.1") for i in range(4)}

            def hammer(n: int) -> set[str]:
                words = set()
                for i in range(60):
                    host = f"h{(n + i) % 4}"
                    answer = update((one, two)[n % 2], host, secrets[host], f"10.0.{n}.{i + 1}")
                    words.add(answer.text.split()[0])
                return words

            with ThreadPoolExecutor(8) as pool:
                words = set().union(*pool.map(hammer, range(8)))
            assert words <= {"good", "nochg"}
            time.sleep(1)
            for host in one.get("/nic/hosts", one.admin_token).json()["hosts"]:
                assert one.dig(host["fqdn"]) == [host["ipv4"]]
            assert one.cli("reconcile", "--check").returncode == 0
        finally:
            two.stop()
