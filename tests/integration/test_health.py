# SPDX-License-Identifier: GPL-3.0-or-later
"""What `/readyz`, `/healthz/dns`, `/metrics` and `ddnsd doctor` say of zones, disks and databases that fail."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.ports import wait_until
from support.servers.faults import fill, hung, refusing
from support.servers.postgres import programs
from support.servers.second_bind import SecondBind, second_bind
from support.servers.service import Service, dev

ZONE = "own.example.net"
PROMISED_SECONDS = 5
"""§4 promises it within so long."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with dev(tmp_path / "service") as running:
        yield running


@pytest.fixture
def bind(tmp_path: Path) -> Iterator[SecondBind]:
    """An operator's own primary, which the service does not control."""
    with second_bind(tmp_path / "second") as running:
        yield running


def add_domain(service: Service, bind: SecondBind, zone: str = ZONE) -> None:
    where = ["--primary", bind.address, "--key-file", str(bind.make_zone(zone))]
    service.cli("domain", "add", zone, "--owner", "admin", *where)
    wait_until(lambda: causes(service, zone) == "ok", 10, "the new zone is looked at")


def causes(service: Service, zone: str) -> Any:
    return service.get("/healthz/dns", service.admin_token).json()["zones"].get(zone)


def status(service: Service, path: str) -> tuple[int, str]:
    answer = service.get(path)
    return answer.status_code, answer.json()["status"]


def follows(service: Service) -> bool:
    return status(service, "/healthz/dns") == (200, "ok")


def doctor(service: Service) -> str:
    """What it says where something is wrong."""
    done = service.cli("doctor", check=False)
    assert done.returncode == 1, done.stdout
    return "".join(line for line in done.stdout.splitlines(keepends=True) if line.startswith("FAIL"))


def test_a_frozen_zone_is_told_and_the_node_still_serves(service: Service) -> None:
    service.register("a", ip="192.0.2.1")
    wait_until(lambda: follows(service), 10, "zones are followed")
    before = service.dig(service.domain, "SOA")
    with refusing(service, service.domain):
        wait_until(lambda: status(service, "/healthz/dns") == (503, "error"), PROMISED_SECONDS, "frozen")
        assert status(service, "/readyz") == (200, "degraded")
        for path in ("/readyz", "/healthz/dns"):
            assert service.domain not in service.get(path).text
            told = service.get(path, service.admin_token).json()["zones"][service.domain]
            assert "frozen" in told
            assert "rndc thaw" in told
        metrics = service.get("/metrics").text
        assert f'ddnsd_zone_problem{{cause="frozen",zone="{service.domain}"}} 1.0' in metrics
        assert 'ddnsd_zones_failing{cause="frozen"} 1.0' in metrics
        assert "rndc thaw" in doctor(service)
    wait_until(lambda: follows(service), PROMISED_SECONDS, "thawed")
    assert status(service, "/readyz") == (200, "ok")
    assert service.dig(service.domain, "SOA") == before  # probes move no serial
    assert service.cli("doctor").returncode == 0


def test_only_an_administrators_token_shows_names(service: Service) -> None:
    user = service.user("alice")
    limited = service.cli("token", "add", "admin", "--name", "limited", "--scope", "admin", "--domain", "other.*")
    wait_until(lambda: follows(service), 10, "zones are followed")
    with refusing(service, service.domain):
        wait_until(lambda: not follows(service), PROMISED_SECONDS, "frozen")
        for token in (None, user, "ddns_wrong", limited.stdout.strip()):
            for path in ("/readyz", "/healthz/dns"):
                answer = service.get(path, token)
                assert service.domain not in answer.text
                assert answer.json()["failing_zones"] == 1
                assert answer.status_code == (200 if path == "/readyz" else 503)


def test_a_primary_elsewhere_that_hangs_degrades(service: Service, bind: SecondBind) -> None:
    """A balancer that dropped the node would take what works with it."""
    add_domain(service, bind)
    with hung(bind.pid):
        wait_until(lambda: not follows(service), PROMISED_SECONDS, "it hangs")
        assert causes(service, ZONE).startswith("unreachable: ")
        assert causes(service, service.domain) == "ok"
        for _ in range(3):
            assert status(service, "/readyz") == (200, "degraded")
        # the zone whose name server answers is looked at as often as before
        with refusing(service, service.domain):
            wait_until(lambda: "frozen" in causes(service, service.domain), PROMISED_SECONDS, "frozen meanwhile")
    wait_until(lambda: follows(service), 10, "it answers again")


def test_a_policy_that_was_narrowed_is_told(service: Service, bind: SecondBind) -> None:
    add_domain(service, bind)
    service.register(f"a.{ZONE}", ip="192.0.2.1")
    bind.set_policy(ZONE, 'grant "{key}" name elsewhere.' + ZONE + " ANY")
    wait_until(lambda: not follows(service), PROMISED_SECONDS, "narrowed")
    assert causes(service, ZONE).startswith("refusing: ")
    assert "update-policy" in causes(service, ZONE)
    assert "update-policy" in doctor(service)
    bind.set_policy(ZONE, 'grant "{key}" zonesub ANY')
    wait_until(lambda: follows(service), PROMISED_SECONDS, "widened")


def test_a_policy_that_refuses_only_the_probe_is_no_fault(service: Service, bind: SecondBind) -> None:
    add_domain(service, bind)
    secret = service.register(f"b.{ZONE}", ip="192.0.2.1")
    bind.set_policy(ZONE, 'grant "{key}" name b.' + ZONE + " A AAAA")
    auth = (f"b.{ZONE}", secret)
    assert service.get("/nic/update", auth=auth, params={"myip": "192.0.2.2"}).text == "good 192.0.2.2"
    soa = bind.dig(ZONE, "SOA")
    before = bind.rejected_updates()
    wait_until(lambda: bind.rejected_updates() >= before + 3, 30, "three refused probes")
    assert causes(service, ZONE) == "ok"
    assert service.cli("doctor").returncode == 0
    assert bind.dig(ZONE, "SOA") == soa


def test_a_journal_that_cannot_be_written_is_told(service: Service, bind: SecondBind) -> None:
    """The name server takes what changes nothing, and fails at everything else."""
    add_domain(service, bind)
    secret = service.register(f"a.{ZONE}", ip="192.0.2.1")
    bind.rndc("sync", "-clean", ZONE)
    (journal,) = (Path(f"{file}.jnl") for file in bind.server.folder.rglob(f"{ZONE}.zone"))
    wait_until(lambda: not journal.exists(), 10, "the journal is gone")
    journal.mkdir()
    auth = (f"a.{ZONE}", secret)
    assert service.get("/nic/update", auth=auth, params={"myip": "192.0.2.2"}).text == "911"
    assert not follows(service)
    assert causes(service, ZONE).startswith("behind: ")
    assert "SERVFAIL" in causes(service, ZONE)
    journal.rmdir()
    wait_until(lambda: follows(service), 10, "it can be written again")
    assert bind.dig(f"a.{ZONE}") == ["192.0.2.2"]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_no_place_to_serve_from(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, dev(tmp_path / "s", database_url=f"sqlite:///{disk}/d.db") as service:
        secret = service.register("a", ip="192.0.2.1")
        assert status(service, "/readyz")[0] == 200
        fill(disk / "ballast")
        wait_until(lambda: status(service, "/readyz") == (503, "error"), PROMISED_SECONDS, "the disk is full")
        assert "full" not in service.get("/readyz").text
        told = service.get("/readyz", service.admin_token).json()
        assert "full" in told["store"]
        assert told["workers"] == "ok"
        assert service.get("/healthz").status_code == 200
        auth = (f"a.{service.domain}", secret)
        assert service.get("/nic/update", auth=auth, params={"myip": "192.0.2.2"}).text == "911"
        assert "database: it does not accept writes" in doctor(service)
        (disk / "ballast").unlink()
        wait_until(lambda: status(service, "/readyz")[0] == 200, PROMISED_SECONDS, "there is room again")
        wait_until(
            lambda: service.get("/nic/update", auth=auth, params={"myip": "192.0.2.2"}).text.endswith("192.0.2.2"),
            10,
            "updates are taken again",
        )
        assert service.cli("doctor").returncode == 0


def test_a_database_that_turned_read_only_is_no_place_to_serve_from(
    tmp_path: Path, new_database: Callable[[], str]
) -> None:
    url = new_database()
    server, _, name = url.rpartition("/")

    def sql(statement: str) -> None:
        subprocess.run([programs() / "psql", f"{server}/postgres", "-Xqc", statement], check=True, capture_output=True)

    def read_only(*, on: bool) -> None:
        sql(f"ALTER DATABASE {name} SET default_transaction_read_only = {'on' if on else 'off'}")
        sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    with dev(tmp_path / "service", database_url=url) as service:
        wait_until(lambda: status(service, "/readyz")[0] == 200, PROMISED_SECONDS, "ready")
        read_only(on=True)
        try:
            wait_until(lambda: status(service, "/readyz") == (503, "error"), PROMISED_SECONDS, "read-only")
            wait_until(
                lambda: "read-only" in service.get("/readyz", service.admin_token).json()["store"], 5, "the cause"
            )
            assert "read-only" in doctor(service)
        finally:
            read_only(on=False)
        wait_until(lambda: status(service, "/readyz")[0] == 200, PROMISED_SECONDS, "ready again")


def test_series_of_zones_are_capped_and_those_with_a_problem_come_first(tmp_path: Path) -> None:
    with dev(tmp_path / "service", metrics_zones="1") as service:
        service.cli("domain", "add", "zz.example.net", "--owner", "admin")
        wait_until(lambda: causes(service, "zz.example.net") == "ok", 10, "the new zone is looked at")

        def named() -> set[str]:
            lines = [line for line in service.get("/metrics").text.splitlines() if 'zone="' in line]
            return {line.partition('zone="')[2].partition('"')[0] for line in lines}

        assert named() == {service.domain}
        assert "ddnsd_zones 2.0" in service.get("/metrics").text
        with refusing(service, "zz.example.net"):
            wait_until(lambda: named() == {"zz.example.net"}, 10, "the zone with a problem is shown")
