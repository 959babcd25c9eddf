# SPDX-License-Identifier: GPL-3.0-or-later
"""Something breaks while many hosts are updated: what was answered `good` is in DNS, others go on, and all recovers."""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.load import Load
from support.ports import wait_until
from support.servers.dns_proxy import DnsProxy, Mode
from support.servers.faults import granting, halt, hung, make_due
from support.servers.postgres import Server, create_database, programs, running
from support.servers.service import Service, beside, dev
from support.servers.tcp_proxy import TcpProxy

pytestmark = pytest.mark.long

DATABASE = "chaos"
OURS, LAB, FAR = "dyn.example.org", "lab.example.org", "far.example.org"
FAULT_SECONDS = 4.0
"""Longer than the service waits for a name server (2.5 s)."""
TAKEOVER_SECONDS = 9.0
"""Leases end within 5 seconds; clients may notice for 8."""
LATE_SECONDS = 12.0


@dataclass
class Stage:
    """Two nodes with a database and a name server; the first node reaches the database through a proxy.

    The primary of the zone FAR is the same BIND behind two proxies.
    """

    server: Server
    database: TcpProxy
    line: TcpProxy
    primary: DnsProxy
    one: Service
    two: Service
    secrets: dict[str, str]

    def load(self, *nodes: Service) -> Load:
        """Load at these nodes, by default both; the last host of each zone sends the same address each time."""
        still = [fqdn for fqdn in self.secrets if fqdn.startswith("still.")]
        return Load(nodes or (self.one, self.two), self.secrets, still)

    def hosts(self, *zones: str) -> set[str]:
        """The hosts in these zones."""
        return {fqdn for fqdn in self.secrets if fqdn.partition(".")[2] in zones}

    def owners(self) -> list[str]:
        """The owner of each zone with a valid lease."""
        query = "SELECT node FROM zone_leases WHERE expires > extract(epoch FROM clock_timestamp()) * 1000000"
        return self.server.psql(query, DATABASE).splitlines()

    def owner_of(self, zone: str) -> int:
        """The process that owns the zone."""
        query = f"SELECT node FROM zone_leases JOIN domains ON domains.id = domain_id WHERE name = '{zone}'"
        return int(self.server.psql(query, DATABASE).split(":")[2])

    def is_spread(self) -> bool:
        """Whether every zone has an owner, and both nodes own some."""
        owners = self.owners()
        return len(owners) == 3 and len(set(owners)) == 2


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("chaos")
    with running() as server:
        url = create_database(server.url, DATABASE)
        database = TcpProxy(server.port)
        proxied = url.replace(f":{server.port}/", f":{database.port}/")
        with dev(folder / "one", database_url=proxied) as one, beside(one, folder / "two", url, rules="false") as two:
            for zone in (LAB, FAR):
                one.cli("domain", "add", zone, "--owner", "admin")
            primary = DnsProxy(one.dns_port)
            line = TcpProxy(primary.port)
            one.cli("domain", "set", FAR, "--primary", f"127.0.0.1:{line.port}")
            names = [f"{name}.{zone}" for zone in (OURS, LAB, FAR) for name in ("a", "b", "c", "still")]
            secrets = {fqdn: one.register(fqdn, ip="192.0.2.1") for fqdn in names}
            yield Stage(server, database, line, primary, one, two, secrets)
            primary.close()
        database.close()


@pytest.fixture(autouse=True)
def spread(request: pytest.FixtureRequest) -> None:
    """Both nodes own zones before each test on the stage."""
    if "stage" in request.fixturenames:
        wait_until(request.getfixturevalue("stage").is_spread, 25, "each node has its share")


def test_a_node_that_stands_still(stage: Stage) -> None:
    """The other takes its zones over; afterwards the stopped one overwrites nothing."""
    load = stage.load()
    at_one = {fqdn for fqdn in stage.secrets if load.node_of(fqdn) is stage.one}
    assert stage.two.process is not None
    with load.running():
        with hung(stage.two.process.pid):
            time.sleep(TAKEOVER_SECONDS)
            now = time.monotonic()
            wait_until(lambda: load.good_since(now) >= at_one, 5, "all zones are taken over")
            assert len(set(stage.owners())) == 1
            assert set(load.words(0, at_one)) <= {"good", "nochg"}, "callers of the other wait for it"
        load.all_good_again()
    load.nothing_is_lost()


def test_a_message_that_comes_after_the_next_owner(stage: Stage) -> None:
    """It waits on the line while another node takes over and sends a newer address: the name server refuses it."""
    fqdn = f"a.{FAR}"
    nodes = {node.process.pid: node for node in (stage.one, stage.two) if node.process is not None}
    owner = nodes.pop(stage.owner_of(FAR))
    (other,) = nodes.values()

    def update(node: Service, address: str) -> str:
        return node.get("/nic/update", auth=(fqdn, stage.secrets[fqdn]), params={"myip": address}).text

    assert update(owner, "192.0.2.1").split()[0] in ("good", "nochg")
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        stage.line.delay = LATE_SECONDS
        late = pool.submit(update, owner, "192.0.2.10")
        time.sleep(0.5)
        stage.line.delay = 0
        assert owner.process is not None
        with hung(owner.process.pid):
            wait_until(lambda: update(other, "192.0.2.20") == "good 192.0.2.20", 10, "the next owner sends")
            assert time.monotonic() - began < LATE_SECONDS
            while time.monotonic() - began < LATE_SECONDS + 1:
                assert stage.one.dig(fqdn) == ["192.0.2.20"]
        assert late.result() in ("911", "good 192.0.2.10")
    assert stage.one.dig(fqdn) == ["192.0.2.20"]


def test_a_name_server_that_stands_still(stage: Stage) -> None:
    load = stage.load()
    with load.running():
        with hung(stage.one.named_pid()):
            time.sleep(FAULT_SECONDS)
            now = time.monotonic()
            wait_until(lambda: load.good_since(now) >= set(load.still), 5, "unchanged hosts are answered")
            assert set(load.words(now - 1, set(stage.secrets) - set(load.still))) <= {"911"}
        load.all_good_again()
    load.nothing_is_lost()


def test_database_backends_that_stand_still(stage: Stage) -> None:
    load = stage.load()
    with load.running():
        workers = stage.server.psql(f"SELECT pid FROM pg_stat_activity WHERE datname = '{DATABASE}'").split()
        try:
            for worker in workers:
                os.kill(int(worker), signal.SIGSTOP)
            time.sleep(FAULT_SECONDS)  # the service may replace these connections meanwhile
        finally:
            for worker in workers:
                os.kill(int(worker), signal.SIGCONT)
        load.all_good_again()
    load.nothing_is_lost()


def test_a_locked_row(stage: Stage) -> None:
    load, locked = stage.load(), f"a.{OURS}"
    command = [str(programs() / "psql"), f"{stage.server.url}/{DATABASE}", "-XAtq"]
    with load.running():
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:
            assert psql.stdin is not None
            assert psql.stdout is not None
            psql.stdin.write(f"BEGIN; SELECT 'locked' FROM hosts WHERE fqdn = '{locked}' FOR UPDATE;\n")
            psql.stdin.flush()
            assert psql.stdout.readline() == "locked\n"
            began = time.monotonic()
            time.sleep(FAULT_SECONDS)
            assert load.good_since(began) >= set(stage.secrets) - {locked}
            assert set(load.words(began, set(stage.secrets) - {locked})) <= {"good", "nochg"}
            wait_until(lambda: bool(load.words(began, {locked})), what="the locked host is answered")
            assert set(load.words(began, {locked})) == {"911"}
            psql.stdin.write("ROLLBACK;\n")
            psql.stdin.close()
        load.all_good_again()
    load.nothing_is_lost()


@pytest.mark.parametrize("seconds", [0.02, 0.5])
def test_a_slow_way_to_the_database(stage: Stage, seconds: float) -> None:
    """Each statement of the first node comes late; the other node is not delayed."""
    load = stage.load()
    at_two = {fqdn for fqdn in stage.secrets if load.node_of(fqdn) is stage.two}
    with load.running():
        began = time.monotonic()
        stage.database.delay = seconds
        try:
            time.sleep(FAULT_SECONDS + 2)
            assert load.words(began, at_two)["good"] > 0
            assert load.words(began)["good"] > 0
        finally:
            stage.database.delay = 0.0
        load.all_good_again()
    load.nothing_is_lost()


@pytest.mark.parametrize("mode", [*Mode])
def test_a_primary_that_misbehaves(stage: Stage, mode: Mode) -> None:
    """HONEST is slow here. Its zone waits, the others do not."""
    load = stage.load()
    with load.running():
        stage.primary.mode, stage.primary.delay = mode, 1.0 if mode is Mode.HONEST else 0.0
        began = time.monotonic()
        try:
            time.sleep(FAULT_SECONDS)
            others = stage.hosts(OURS, LAB)
            assert load.good_since(began) >= others
            assert set(load.words(began, others)) <= {"good", "nochg"}
            if mode is not Mode.HONEST:
                assert load.words(began + 1, stage.hosts(FAR) - set(load.still))["good"] == 0
        finally:
            stage.primary.mode, stage.primary.delay = Mode.HONEST, 0.0
        load.all_good_again()
    load.nothing_is_lost()


def test_one_primary_of_two_is_dead(stage: Stage) -> None:
    load = stage.load()
    with load.running():
        stage.line.close()
        began = time.monotonic()
        try:
            time.sleep(FAULT_SECONDS)
            others = stage.hosts(OURS, LAB)
            assert load.good_since(began) >= others
            assert set(load.words(began, others)) <= {"good", "nochg"}
            assert load.words(began + 1, stage.hosts(FAR) - set(load.still))["good"] == 0
        finally:
            stage.line.reopen()
        load.all_good_again()
    load.nothing_is_lost()


def test_an_update_policy_that_changes(stage: Stage) -> None:
    load, denied = stage.load(), f"a.{OURS}"
    with load.running():
        with granting(stage.one, OURS, f"deny {{key}} name {denied} ANY", "grant {key} zonesub ANY"):
            time.sleep(1)
            began = time.monotonic()
            time.sleep(FAULT_SECONDS)
            assert load.good_since(began) >= set(stage.secrets) - {denied}
            wait_until(lambda: bool(load.words(began, {denied})), what="the denied host is answered")
            assert set(load.words(began, {denied})) == {"911"}
        make_due(stage.one)
        load.all_good_again()
    load.nothing_is_lost()


def test_a_name_server_that_loses_its_journals(stage: Stage) -> None:
    load = stage.load()
    with load.running():
        pid = stage.one.named_pid()
        halt(pid)
        journals = list((stage.one.dir / "bind" / "zones").glob("*.jnl"))
        assert journals
        for journal in journals:
            journal.unlink()
        os.kill(pid, signal.SIGKILL)
        time.sleep(1)
        load.all_good_again()
    load.nothing_is_lost()


@contextmanager
def full_disk(process: int) -> Iterator[None]:
    """The process cannot make a file longer."""
    before = resource.prlimit(process, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("part", ["service", "name server"])
def test_a_full_disk(tmp_path: Path, part: str) -> None:
    with dev(tmp_path / "service") as service:
        secrets = {f"h{n}.{OURS}": service.register(f"h{n}", ip="192.0.2.1") for n in range(6)}
        load = Load([service], secrets, still=["h5." + OURS])
        assert service.process is not None
        with load.running():
            with full_disk(service.process.pid if part == "service" else service.named_pid()):
                time.sleep(1)
                began = time.monotonic()
                time.sleep(FAULT_SECONDS)
                assert load.words(began)["good"] == 0
                assert load.good_since(began) == {"h5." + OURS}
            load.all_good_again()
        load.nothing_is_lost()


def test_a_clock_that_jumps_an_hour_ahead_and_back(stage: Stage, tmp_path: Path) -> None:
    """The name server refuses the signatures of that node; each zone keeps exactly one owner."""
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    fake = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    url = f"{stage.server.url}/{DATABASE}"
    with beside(stage.one, tmp_path / "skewed", url, fake, rules="false") as skewed:
        wait_until(lambda: len(set(stage.owners())) == 3, 25, "each node owns a zone")
        load = stage.load(stage.one, skewed)
        with load.running():
            clock.write_text("+3600\n")
            time.sleep(1)
            began = time.monotonic()
            time.sleep(FAULT_SECONDS)
            assert len(stage.owners()) == len(set(stage.owners())) == 3
            refused = {a.fqdn for a in load.answers if a.sent > began and a.word == "911"}
            assert len({fqdn.partition(".")[2] for fqdn in refused}) == 1, "the zone of one node"
            assert load.good_since(began) >= set(stage.secrets) - refused
            told = "the clocks of service and name server differ too much (BADTIME)"
            assert told in skewed.log.read_text()
            assert told in skewed.get("/healthz/dns", stage.one.admin_token).text
            clock.write_text("+0\n")
            load.all_good_again()
            assert len(stage.owners()) == len(set(stage.owners())) == 3
        load.nothing_is_lost()
