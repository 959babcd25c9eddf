# SPDX-License-Identifier: GPL-3.0-or-later
"""Three in the morning: each fault has a cause and a next step in `ddnsd doctor`, `/healthz/dns` and `/metrics`.

Damaged journals are in `test_journals.py`, refused hosts in `test_set_aside.py`, full databases in `test_health.py`.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import programs
from support.ports import free_port, wait_until
from support.servers.faults import fill, granting, rndc
from support.servers.postgres import create_database, running
from support.servers.second_bind import SecondBind, second_bind
from support.servers.service import FILE, Service, beside, dev
from support.servers.tls import DAY, issue, serving

ZONE = "own.example.net"
SOON = 40
"""Checks run every ten seconds."""


@dataclass
class Said:
    """What a service says of itself."""

    service: Service

    def doctor(self, **environment: str) -> str:
        """The problems that it finds."""
        run = programs.run if environment else programs.invoke
        done = run(["ddnsd", "doctor"], {**self.service.env, **environment})
        assert done.returncode == (1 if "FAIL" in done.stdout else 0), done.stdout + done.stderr
        return "".join(line for line in done.stdout.splitlines(keepends=True) if line.startswith("FAIL"))

    def health(self, token: str | None = None) -> tuple[int, dict[str, Any]]:
        """The status and the content of /healthz/dns."""
        answer = self.service.get("/healthz/dns", token)
        return answer.status_code, answer.json()

    def problem(self, check: str) -> str:
        """What /healthz/dns tells an administrator of this check; empty if nothing."""
        return str(self.health(self.service.admin_token)[1].get("problems", {}).get(check, ""))

    def metric(self, series: str) -> float | None:
        """The value of a series, with its labels; None if it is not there."""
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.service.get("/metrics").text, re.MULTILINE)
        return None if found is None else float(found[1])

    def checked(self, check: str) -> float | None:
        return self.metric(f'ddnsd_check_problems{{check="{check}"}}')


def add_domain(service: Service, bind: SecondBind, zone: str = ZONE) -> None:
    where = ["--primary", bind.address, "--key-file", str(bind.make_zone(zone))]
    service.cli("domain", "add", zone, "--owner", "admin", *where)
    wait_until(lambda: Said(service).health(service.admin_token)[1]["zones"].get(zone) == "ok", 20, "the new zone")


def test_postgresql_is_away(tmp_path: Path) -> None:
    with running() as server:
        url = create_database(server.url, "doctor")
        with dev(tmp_path / "service", database_url=url) as service:
            said = Said(service)
            wait_until(lambda: said.health()[0] == 200, 20, "all is well")
            assert (said.metric("ddnsd_store_up"), said.doctor()) == (1, "")
            server.stop()
            found = said.doctor()
            assert (
                f"database: PostgreSQL at 127.0.0.1:{server.port} does not answer: Connection refused. Start it"
                in found
            )
            wait_until(lambda: said.health()[0] == 503, 20, "it is noticed")
            content = said.health()[1]  # no token can be checked now
            assert content["status"] == "error"
            assert content["problems"]["database"].endswith("Start it, or free its disk.")
            assert (said.metric("ddnsd_store_up"), said.checked("database")) == (0, 1)
            server.start()
            wait_until(lambda: said.health()[0] == 200, 20, "it recovers")
            assert (said.metric("ddnsd_store_up"), said.checked("database")) == (1, 0)


def test_named_is_stopped(tmp_path: Path) -> None:
    with second_bind(tmp_path / "bind") as bind, dev(tmp_path / "service") as service:
        said = Said(service)
        add_domain(service, bind)
        assert said.metric(f'ddnsd_primary_up{{primary="{bind.address}"}}') == 1
        bind.runner.run(bind.server.stop())
        wait_until(lambda: said.health()[0] == 503, 20, "it is noticed")
        told = said.health(service.admin_token)[1]["zones"][ZONE]
        for text in (told, said.doctor()):
            assert "Connect" in text
            assert "Start the name server (`systemctl status named`)" in text
        assert said.metric(f'ddnsd_primary_up{{primary="{bind.address}"}}') == 0
        assert said.metric('ddnsd_zones_failing{cause="unreachable"}') == 1
        bind.runner.run(bind.server.start())
        wait_until(lambda: said.health()[0] == 200, 20, "it is back")


@contextmanager
def mounted(*options: str, where: Path) -> Iterator[None]:
    """A file system on top of a folder."""
    subprocess.run(["mount", *options, where], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", where], check=True)


def test_the_disk_of_the_zones_is_read_only(tmp_path: Path) -> None:
    with dev(tmp_path / "service") as service:
        said, zones = Said(service), service.dir / "bind" / "zones"
        secret = service.register("a", ip="192.0.2.1")
        rndc(service, "sync", "-clean")  # named opens a new journal for the next change
        with mounted("--bind", str(zones), where=zones):
            subprocess.run(["mount", "-o", "remount,bind,ro", zones], check=True)
            assert (
                service.get("/nic/update", auth=(f"a.{service.domain}", secret), params={"myip": "192.0.2.2"}).text
                == "911"
            )
            found = said.doctor()
            assert f"domain {service.domain} at 127.0.0.1:{service.dns_port}: " in found
            assert f"disk of zones ({zones}): it is read-only" in found
            assert "mount -o remount,rw" in found
            wait_until(lambda: said.checked("disk") == 1, SOON, "the check")
            assert "it is read-only" in said.problem("disk")
            status, content = said.health(service.admin_token)
            assert status == 503
            assert "Often its disk is full or read-only" in content["zones"][service.domain]
            assert said.metric('ddnsd_zones_failing{cause="behind"}') == 1
        wait_until(lambda: said.health()[0] == 200, SOON, "it can be written again")
        assert service.dig(f"a.{service.domain}") == ["192.0.2.2"]
        assert said.doctor() == ""


def test_the_disk_of_the_zones_is_full(tmp_path: Path) -> None:
    zones = tmp_path / "service" / "bind" / "zones"
    zones.mkdir(parents=True)
    with mounted("-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", where=zones), dev(tmp_path / "service") as service:
        said = Said(service)
        assert said.doctor() == ""
        rndc(service, "sync", "-clean")  # named opens a new journal for the next change
        fill(zones / "ballast")
        found = said.doctor()
        assert f"disk of zones ({zones}): only 0.0 MiB of 3.0 MiB are free" in found
        assert f"domain {service.domain} at" in found, "a change that is really written fails"
        wait_until(lambda: said.checked("disk") == 1, SOON, "the check")
        assert said.metric('ddnsd_disk_free_bytes{use="zones"}') == 0
        assert "Free some space" in said.problem("disk")
        assert "/" not in said.health()[1]["problems"]["disk"], "others do not read where"
        (zones / "ballast").unlink()
        wait_until(lambda: (said.checked("disk"), said.health()[0]) == (0, 200), SOON, "there is room again")
        assert said.doctor() == ""


def test_a_journal_that_is_damaged_shows_in_the_metrics(tmp_path: Path) -> None:
    with second_bind(tmp_path / "bind") as bind, dev(tmp_path / "service") as service:
        said = Said(service)
        add_domain(service, bind)
        service.register(f"a.{ZONE}", ip="192.0.2.1")
        bind.runner.run(bind.server.stop())
        (journal,) = bind.server.folder.rglob(f"{ZONE}.zone.jnl")
        journal.write_bytes(b"\xff" * 999)
        bind.runner.run(bind.server.start())
        wait_until(lambda: said.metric('ddnsd_zones_failing{cause="not loaded"}') == 1, 20, "it is not loaded")
        assert (
            "it has not loaded the zone; its log shows the reason" in said.health(service.admin_token)[1]["zones"][ZONE]
        )
        assert f"domain {ZONE} at {bind.address}: " in said.doctor()


def test_a_certificate_that_expired(tmp_path: Path) -> None:
    root = issue("Root", authority=True)
    pair = issue("ddns.example.org", root, begin=-90 * DAY, end=-DAY)
    (tmp_path / "root").mkdir()
    authority, _ = root.write(tmp_path / "root")
    with serving(*pair.write(tmp_path)) as port:
        settings = {
            "public_url": "https://ddns.example.org",
            "tls_front": f"127.0.0.1:{port}",
            "tls_ca": str(authority),
        }
        with dev(tmp_path / "service", **settings) as service:
            said = Said(service)
            found = said.doctor()
            assert f"certificate of ddns.example.org at 127.0.0.1:{port}: it expired on " in found
            assert "Renew it" in found
            wait_until(lambda: said.checked("certificate") == 1, SOON, "the check")
            expires = said.metric("ddnsd_certificate_expiry_timestamp_seconds")
            assert expires == pair.certificate.not_valid_after_utc.timestamp()
            status, content = said.health()
            assert (status, content["status"]) == (200, "degraded")
            assert content["problems"].keys() == {"certificate"}
            assert content["problems"]["certificate"].endswith("Renew it, and reload the front.")
            assert "it expired on" in said.problem("certificate")


def test_a_certificate_and_a_key_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    file, _ = issue("ddns.example.org").write(tmp_path)
    _, key = issue("ddns.example.org").write(tmp_path / "other")
    settings = {"public_url": "https://ddns.example.org", "tls_certificate": str(file), "tls_key": str(key)}
    with dev(tmp_path / "service", **settings) as service:
        said = Said(service)
        assert f"certificate in {file}: the key {key} does not belong to the certificate" in said.doctor()
        wait_until(lambda: said.checked("certificate") == 1, SOON, "the check")


SIZE, FAILED, LAST = (
    f'ddnsd_backup_{name}{{kind="backup"}}' for name in ("size_bytes", "failed", "last_success_timestamp_seconds")
)


def test_backups_that_fail_or_are_old(tmp_path: Path) -> None:
    report = tmp_path / "report.json"

    def write(problem: str, age: int) -> None:
        moment = int(time.time()) - age
        report.write_text(json.dumps({"finished": moment, "problem": problem, "succeeded": moment, "size": 4711}))

    write("", 60)
    with dev(tmp_path / "service", backup_report=str(report), backup_hours="2") as service:
        said = Said(service)
        assert said.doctor() == ""
        wait_until(lambda: said.metric(SIZE) == 4711, SOON, "the check")
        assert (said.metric(FAILED), said.checked("backup")) == (0, 0)
        write("exit-code", 60)
        assert "exit-code. See `journalctl -u ddnsd-backup" in said.doctor()
        wait_until(lambda: said.metric(FAILED) == 1, SOON, "it failed")
        write("", 3 * 3600)
        assert "backup: the last one is older than 2 hours" in said.doctor()
        wait_until(lambda: (said.metric(FAILED), said.checked("backup")) == (0, 1), SOON, "it is old")
        assert "Check that its timer runs" in said.problem("backup")
        age = time.time() - (said.metric(LAST) or 0)
        assert 3 * 3600 <= age < 3 * 3600 + 600
        report.write_text(json.dumps({"since": int(time.time()) - 3 * 3600}))
        assert "backup: the last one is older than 2 hours: never" in said.doctor()
        wait_until(lambda: (said.metric(LAST), said.checked("backup")) == (None, 1), SOON, "it never ran")


def test_a_secondary_that_is_down_and_one_that_is_behind(tmp_path: Path) -> None:
    with second_bind(tmp_path / "bind") as bind:
        down = f"127.0.0.1:{free_port()}"
        with dev(tmp_path / "service", secondaries=f"{bind.address},{down}") as service:
            said = Said(service)
            bind.make_zone(service.domain)
            words = service.dig(service.domain, "SOA")[0].split()
            serial = int(bind.dig(service.domain, "SOA")[0].split()[2]) + 1000
            service.add_record(f"{service.domain}.", "SOA", " ".join((*words[:2], str(serial), *words[3:])))
            found = said.doctor()
            assert f"secondary {bind.address}: it is behind: {service.domain} has serial " in found
            assert f"the primary {serial}" in found
            assert "`rndc retransfer ZONE`" in found
            assert f"secondary {down}: {service.domain}: it does not answer. Start its name server" in found
            lag = f'ddnsd_secondary_lag_seconds{{secondary="{bind.address}"}}'
            wait_until(lambda: (said.metric(lag) or 0) > 0, SOON, "it is behind")
            assert said.metric(f'ddnsd_secondary_up{{secondary="{down}"}}') == 0
            assert said.metric(f'ddnsd_secondary_up{{secondary="{bind.address}"}}') == 1
            assert "it does not answer" in said.problem("secondary")
            assert said.checked("secondary") == 1


def faked(offset: str) -> dict[str, str]:
    """The environment of a process whose clock is wrong by this."""
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": offset,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


@pytest.mark.long
def test_a_clock_that_is_wrong(tmp_path: Path) -> None:
    with second_bind(tmp_path / "bind") as bind, dev(tmp_path / "service") as service:
        said = Said(service)
        add_domain(service, bind)
        assert said.doctor() == ""
        found = said.doctor(**faked("+150s"))
        assert f"clock, compared with {bind.address}: this clock is 1" in found
        assert f"s ahead of that of {bind.address}: name servers refuse every update if it is more than 300 s" in found
        assert "timedatectl" in found
        found = said.doctor(**faked("-900s"))
        assert "(BADTIME). Set the wrong one by NTP" in found
        assert "the database has entries of the future" in found


def test_a_service_with_a_wrong_clock(tmp_path: Path, new_database: Callable[[], str]) -> None:
    url = new_database()
    with (
        dev(tmp_path / "service", database_url=url) as first,
        beside(first, tmp_path / "skewed", url, faked("+150s")) as skewed,
    ):
        said = Said(skewed)
        wait_until(lambda: said.checked("clock") == 2, SOON, "both other clocks differ")
        for clock in ("database", f"127.0.0.1:{first.dns_port}"):
            assert -155 < (said.metric(f'ddnsd_clock_offset_seconds{{clock="{clock}"}}') or 0) < -145
        told = skewed.get("/healthz/dns", first.admin_token).json()["problems"]["clock"]
        assert "this clock is 1" in told
        assert "Set the wrong one by NTP" in told


def test_an_empty_database_beside_a_zone_full_of_hosts(tmp_path: Path) -> None:
    with dev(tmp_path / "service") as service:
        said = Said(service)
        for name in ("a", "b", "c", "d"):
            service.register(name, ip="192.0.2.1")
        service.cli("domain", "add", "lab.example.org", "--owner", "admin")
        wait_until(lambda: said.health()[0] == 200, 20, "all is well")
        assert said.doctor() == ""
        service.stop()
        for file in service.dir.glob(f"{FILE}*"):
            file.unlink()
        (service.dir / "admin.token").unlink()
        service.start()
        found = said.doctor()
        assert f"names in {service.domain}: the zone has 4 names that the database does not have (" in found
        assert "is this the right database? Compare DDNSD_DATABASE_URL" in found
        assert "database and BIND: BIND has the zones lab.example.org, which the database does not have" in found
        wait_until(lambda: said.checked("contents") == 2, SOON, "the check")
        assert said.metric(f'ddnsd_zone_unknown_names{{zone="{service.domain}"}}') == 4
        assert said.health()[1]["status"] == "degraded"
        assert "lab.example.org" in said.problem("contents")
        assert service.dig(f"a.{service.domain}") == ["192.0.2.1"], "nothing is removed"


def test_hosts_that_are_held_back(tmp_path: Path) -> None:
    with dev(tmp_path / "service", dns_deadline="1") as service:
        said, name = Said(service), f"a.{service.domain}"
        secret = service.register("a", ip="192.0.2.1")
        service.register("b", ip="192.0.2.1")
        with granting(service, service.domain, f"deny {{key}} name {name} ANY", "grant {key} zonesub ANY"):
            assert service.get("/nic/update", auth=(name, secret), params={"myip": "192.0.2.2"}).text == "911"
            wait_until(lambda: said.metric('ddnsd_zones_failing{cause="held back"}') == 1, 20, "it is held back")
            wait_until(lambda: said.metric('ddnsd_queue_items{state="refused"}') == 1, 20, "it is counted")
            assert f"records of {service.domain}: 1 refused since" in said.doctor()
            assert "`ddnsd queue list` shows them" in said.health(service.admin_token)[1]["zones"][service.domain]


def test_a_change_that_waits_is_seen_by_its_age(tmp_path: Path) -> None:
    with second_bind(tmp_path / "bind") as bind, dev(tmp_path / "service", dns_deadline="1") as service:
        said = Said(service)
        add_domain(service, bind)
        secret = service.register(f"a.{ZONE}", ip="192.0.2.1")
        wait_until(lambda: said.metric("ddnsd_hosts") == 1, SOON, "it is counted")
        assert said.metric("ddnsd_queue_oldest_age_seconds") == 0
        bind.runner.run(bind.server.stop())
        assert service.get("/nic/update", auth=(f"a.{ZONE}", secret), params={"myip": "192.0.2.2"}).text == "911"
        wait_until(lambda: (said.metric("ddnsd_queue_oldest_age_seconds") or 0) > 1, 20, "it waits")
        assert said.metric('ddnsd_queue_items{state="waiting"}') == 1
        bind.runner.run(bind.server.start())
        wait_until(lambda: said.metric("ddnsd_queue_oldest_age_seconds") == 0, 30, "it was sent")


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[SecondBind]:
    """A name server of the parent zone, which is asked as the resolver."""
    with second_bind(tmp_path / "parent") as bind:
        bind.make_zone("example.org")
        bind.add("example.org", "dyn.example.org", "NS", "ns.example.net.")
        yield bind


def test_ds_records_that_do_not_fit(tmp_path: Path, parent: SecondBind) -> None:
    wrong = f"4711 13 2 {'ab' * 32}"
    parent.add("example.org", "dyn.example.org", "DS", wrong)
    with dev(tmp_path / "service", resolver=parent.address) as service:
        said = Said(service)
        found = said.doctor()
        assert f"DNSSEC of {service.domain}: the zone is not signed, but its parent has a DS record" in found
        assert "Let the registrar remove the DS record" in found
        wait_until(lambda: said.checked("dnssec") == 1, SOON, "the check")
        assert "not signed" in said.problem("dnssec")

        service.cli("domain", "set", service.domain, "--dnssec-policy", "default")
        wait_until(lambda: service.dig(service.domain, "DNSKEY") != [], 20, "the zone is signed")
        wait_until(lambda: service.dig(service.domain, "RRSIG") != [], 20, "with signatures")
        found = said.doctor()
        assert "no key of the zone fits the DS record in its parent (key tag 4711)" in found
        right = re.search(r"DS record: dyn\.example\.org\. DS (\d+ \d+ \d+ [0-9a-f]+)", found)
        assert right is not None, found
        parent.remove("example.org", "dyn.example.org", "DS")
        assert f"DNSSEC of {service.domain}: its parent has no DS record" in service.cli("doctor").stdout
        parent.add("example.org", "dyn.example.org", "DS", right[1])
        assert said.doctor() == ""


def test_doctor_leaves_the_zone_as_it_was(tmp_path: Path, new_database: Callable[[], str]) -> None:
    """It adds a name, which nobody keeps, on either database."""
    for url in (None, new_database()):
        settings = {} if url is None else {"database_url": url}
        with dev(tmp_path / f"service-{url is None}", **settings) as service:
            service.register("a", ip="192.0.2.1")
            before, serial = service.addresses(), service.dig(service.domain, "SOA")
            assert Said(service).doctor() == ""
            assert service.addresses() == before
            assert service.dig(service.domain, "SOA") != serial, "it was really written"
