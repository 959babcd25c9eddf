# SPDX-License-Identifier: GPL-3.0-or-later
"""A zone of our BIND whose journal is damaged or lost: what is said of it, and the command that repairs it."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.ports import wait_until
from support.servers.faults import halt, rndc
from support.servers.service import Service, dev

from ddnsd.dns.bind.journal import journal_of
from ddnsd.dns.bind.rndc import Rndc

pytestmark = pytest.mark.long

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "no journal": lambda journal: b"\xff" * len(journal),
    "half": lambda journal: journal[: len(journal) // 2] + b"\xff" * (len(journal) // 2),
}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with dev(tmp_path / "service") as running:
        yield running


def zone_file(service: Service, zone: str) -> Path:
    return service.dir / "bind" / "zones" / f"{zone}.zone"


def restart_named(service: Service, change: Callable[[], object]) -> None:
    """End named, call `change` before the service starts it again, and wait until it runs."""
    file = service.dir / "bind" / "named.pid"
    pid = service.named_pid()
    halt(pid)
    change()
    file.unlink()
    os.kill(pid, signal.SIGKILL)
    wait_until(file.exists, 20, "another named")
    wait_until(Rndc(service.dir / "bind" / "rndc.conf").is_running, 20, "named runs")


def digs(service: Service, *names: str) -> dict[str, list[str]]:
    return {name: service.dig(f"{name}.{service.domain}") for name in names}


def serial(service: Service, zone: str) -> int:
    return int(service.dig(zone, "SOA")[0].split()[2])


def zone_state(service: Service, zone: str) -> str:
    state: str = service.get("/healthz/dns", service.admin_token).json()["zones"][zone]
    return state


def fill(service: Service) -> dict[str, list[str]]:
    """Hosts in the zone file, and changes of them that are only in the journal; what DNS must have."""
    secrets = {name: service.register(name, ip="192.0.2.1") for name in ("a", "b", "gone")}
    rndc(service, "sync", "-clean", service.domain)
    for n in range(2, 12):
        answer = service.get("/nic/update", auth=(f"a.{service.domain}", secrets["a"]), params={"myip": f"192.0.2.{n}"})
        assert answer.text == f"good 192.0.2.{n}"
    service.register("later", ip="192.0.2.60")
    gone = {"fqdn": f"gone.{service.domain}"}
    assert service.get("/nic/unregister", service.admin_token, params=gone).status_code == 200
    return {"a": ["192.0.2.11"], "b": ["192.0.2.1"], "later": ["192.0.2.60"], "gone": []}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_journal_is_named_and_set_aside(service: Service, how: str) -> None:
    zone, expected = service.domain, fill(service)
    journal = journal_of(zone_file(service, zone))
    before, damaged = serial(service, zone), DAMAGES[how](journal.read_bytes())
    restart_named(service, lambda: journal.write_bytes(damaged))
    assert digs(service, "a") == {"a": []}
    wait_until(lambda: zone_state(service, zone).startswith("not loaded: "), 10, "the cause")
    assert f"`ddnsd domain provision {zone}` repairs a damaged journal" in zone_state(service, zone)
    examined = service.cli("doctor", check=False)
    assert examined.returncode == 1
    assert f"the journal of the zone is damaged: {journal}. Run `ddnsd domain provision {zone}`" in examined.stdout

    assert service.cli("domain", "provision", "--check").stdout == f"provisioned {zone}: zone, journal\n"
    assert journal.read_bytes() == damaged
    said = service.cli("domain", "provision").stdout
    [kept] = journal.parent.glob("*.damaged-*")
    told = f"the damaged journal is now {kept}; all hosts are sent again"
    assert said == f"provisioned {zone}: zone, journal; {told}\n"
    assert kept.read_bytes() == damaged
    wait_until(lambda: digs(service, *expected) == expected, 20, "DNS has what the database has")
    wait_until(lambda: zone_state(service, zone) == "ok", 10, "well again")
    assert serial(service, zone) > before
    assert service.cli("reconcile", "--check").stdout == ""
    assert service.cli("domain", "provision").stdout == ""
    assert service.cli("doctor").returncode == 0


def test_a_removed_journal_needs_no_command_and_secondaries_follow(service: Service) -> None:
    """The serial goes on rising, as secondaries ignore a lower one."""
    zone, expected = service.domain, fill(service)
    wait_until(lambda: zone_state(service, zone) == "ok", 10, "asked")
    before, journal = serial(service, zone), journal_of(zone_file(service, zone))
    wait_until(lambda: str(before) in json.dumps(service.get("/api/status", service.admin_token).json()), 10, "seen")
    restart_named(service, journal.unlink)
    wait_until(lambda: digs(service, *expected) == expected, 20, "DNS has what the database has")
    wait_until(lambda: serial(service, zone) > before, 10, "a higher serial")
    assert service.cli("reconcile", "--check").stdout == ""
    assert service.cli("domain", "provision").stdout == ""


def test_a_journal_that_breaks_while_the_zone_is_loaded(service: Service) -> None:
    """Every change is refused then, although an empty one is accepted."""
    zone, expected = service.domain, fill(service)
    journal = journal_of(zone_file(service, zone))
    journal.write_bytes(b"\xff" * len(journal.read_bytes()))
    assert f"{journal}. Run `ddnsd domain provision {zone}`" in service.cli("doctor", check=False).stdout
    assert service.cli("domain", "provision").stdout.startswith(f"provisioned {zone}: journal; the damaged journal is")
    service.register("new", ip="192.0.2.61")
    assert digs(service, *expected, "new") == expected | {"new": ["192.0.2.61"]}
    restart_named(service, lambda: None)
    assert digs(service, *expected, "new") == expected | {"new": ["192.0.2.61"]}
    assert service.cli("domain", "provision").stdout == ""


def test_a_zone_that_is_signed(service: Service) -> None:
    zone = service.domain
    service.cli("domain", "set", zone, "--dnssec-policy", "default")
    wait_until(lambda: service.dig(zone, "DNSKEY") != [], 20, "the zone is signed")
    expected, journal = fill(service), journal_of(zone_file(service, zone))
    before = serial(service, zone)
    restart_named(service, lambda: journal.write_bytes(b""))
    service.cli("domain", "provision")
    wait_until(lambda: digs(service, *expected) == expected, 20, "DNS has what the database has")
    assert service.dig(zone, "DNSKEY") != []
    assert serial(service, zone) > before


def test_the_service_starts_with_a_damaged_journal(service: Service) -> None:
    """`ddnsd dev` repairs its own domain."""
    expected, journal = fill(service), journal_of(zone_file(service, service.domain))
    service.stop()
    journal.write_bytes(b"\xff" * 999)
    service.start()
    wait_until(lambda: digs(service, *expected) == expected, 20, "DNS has what the database has")
    assert "zone restored" in service.log.read_text()


def test_a_damaged_zone_file_is_not_taken_for_a_damaged_journal(service: Service) -> None:
    zone, expected = service.domain, fill(service)
    file = zone_file(service, zone)
    restart_named(service, lambda: file.write_text("no zone\n"))
    for said in (service.cli("doctor", check=False).stdout, service.cli("domain", "provision", check=False).stderr):
        assert f"the zone file {file} is damaged: " in said
        assert f"Move it away, and run `ddnsd domain provision {zone}` to create a new one" in said
    file.rename(file.with_suffix(".old"))
    assert f"provisioned {zone}: zone; " in service.cli("domain", "provision").stdout
    assert list(file.parent.glob("*.damaged-*")) != []  # the journal of the lost file
    wait_until(lambda: digs(service, *expected) == expected, 20, "DNS has what the database has")


def test_a_damaged_journal_of_the_catalog_zone(tmp_path: Path) -> None:
    with dev(tmp_path / "service", catalog_zone="catalog.invalid") as service:
        service.cli("domain", "provision")
        journal = journal_of(zone_file(service, "catalog.invalid"))
        restart_named(service, lambda: journal.write_bytes(b""))
        assert service.cli("domain", "provision").stdout == (
            f"provisioned catalog.invalid: zone, journal\nprovisioned {service.domain}: catalog\n"
        )
        assert service.cli("domain", "provision").stdout == ""
