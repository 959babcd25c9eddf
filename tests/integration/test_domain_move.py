# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd domain move`: the new primary is filled before the switch, and the old one is kept up to date afterwards."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from random import Random
from threading import Event

import pytest
from support.load import Load
from support.ports import wait_until
from support.servers.faults import hung, in_store
from support.servers.second_bind import SecondBind
from support.servers.service import Service, beside
from support.servers.tcp_proxy import TcpProxy
from support.servers.two_primaries import ZONE, agrees, at, digs, serving, two_binds, unregister, update

from ddnsd.db import leases, queries

Settings = Callable[[], dict[str, str]]
Binds = tuple[SecondBind, SecondBind]

SECONDS = 60
LATE_SECONDS = 15.0


@pytest.fixture
def binds(tmp_path: Path) -> Iterator[Binds]:
    """The old primary and the new one; both have the zone."""
    with two_binds(tmp_path) as both:
        both[1].make_zone(ZONE)
        yield both


@pytest.fixture
def service(tmp_path: Path, store_settings: Settings, binds: Binds) -> Iterator[Service]:
    with serving(tmp_path / "service", binds[0], store_settings()) as running:
        yield running


def move(service: Service, *options: str) -> str:
    return service.cli("domain", "move", ZONE, *options).stdout


def refused(service: Service, *command: str) -> str:
    done = service.cli("domain", *command, check=False)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def is_at(service: Service, primary: SecondBind) -> bool:
    return primary.address in service.cli("domain", "list").stdout


def has_moved(service: Service, primary: SecondBind) -> None:
    wait_until(lambda: is_at(service, primary), SECONDS, "the domain has moved")


def register_all(service: Service, *names: str) -> dict[str, str]:
    return {name: service.register(f"{name}.{ZONE}", ip="192.0.2.1", wildcard="true") for name in names}


def put_text(service: Service, name: str, value: str) -> None:
    path = f"/api/hosts/{name}.{ZONE}/records/_x/TXT"
    assert service.request("PUT", path, service.admin_token, json={"values": [value]}).status_code == 200


def events(service: Service) -> list[tuple[str, str]]:
    found = service.get("/api/events", service.admin_token, params={"limit": "100"}).json()["items"]
    return [(one["action"], one["detail"]) for one in reversed(found) if one["action"].startswith("domain.move")]


def test_it_is_filled_under_load_and_the_old_one_is_kept_up_to_date(service: Service, binds: Binds) -> None:
    old, new = binds
    secrets = register_all(service, *(f"h{n}" for n in range(8)))
    quiet = register_all(service, *(f"q{n}" for n in range(20)))
    put_text(service, "q1", "kept")
    load = Load([service], {f"{name}.{ZONE}": secret for name, secret in secrets.items()})
    with load.running():
        assert move(service, *at(new)) == (
            f"{ZONE} moves to {new.address}: the service fills it, and switches when both are equal\n"
        )
        has_moved(service, new)
        load.all_good_again()
    assert load.words().keys() <= {"good", "nochg"}
    for primary in (new, old):
        wait_until(lambda p=primary: load.lost(p.dig) == {}, SECONDS, "it has what was answered good")  # type: ignore[misc]
        assert digs(primary, *quiet) == {name: ["192.0.2.1"] for name in quiet}
        assert primary.dig(f"_x.q1.{ZONE}", "TXT") == ['"kept"']
    wait_until(lambda: agrees(service), SECONDS, "store and zone agree")

    assert move(service, "--wait") == move(service, "--status"), "it has been switched"
    state = json.loads(move(service, "--status", "--json"))
    assert (state["domain"], state["primary"], state["role"], state["problem"]) == (ZONE, old.address, "old", None)

    def shown() -> tuple[str, str, str] | None:
        zones = service.get("/api/status", service.admin_token).json()["zones"]
        (found,) = (zone["move"] for zone in zones if zone["name"] == ZONE)
        return found and (found["primary"], found["role"], found["since"][:19])

    wait_until(lambda: shown() == (old.address, "old", state["since"][:19]), SECONDS, "the status tells it")
    assert not any("move" in zone for zone in service.get("/api/status").json()["zones"])
    series = f'ddnsd_zone_move_waiting{{role="old",zone="{ZONE}"}} 0.0'
    wait_until(lambda: series in service.get("/metrics").text, SECONDS, "the metric tells it")

    assert update(service, "q1", quiet["q1"], "192.0.2.9") == "good 192.0.2.9"
    assert new.dig(f"any.q1.{ZONE}") == ["192.0.2.9"]
    put_text(service, "q1", "changed")
    assert unregister(service, "q2") == 200
    wait_until(lambda: old.dig(f"any.q1.{ZONE}") == ["192.0.2.9"], SECONDS, "the old one follows")
    wait_until(lambda: old.dig(f"_x.q1.{ZONE}", "TXT") == ['"changed"'], SECONDS, "it follows with records")
    wait_until(lambda: digs(old, "q2") == {"q2": []}, SECONDS, "it follows with removals")
    wait_until(
        lambda: "still gets every change, 0 hosts to send" in move(service, "--status"), SECONDS, "it is up to date"
    )

    assert move(service, "--finish") == f"finished: {old.address} gets no more changes of {ZONE}\n"
    assert update(service, "q1", quiet["q1"], "192.0.2.10") == "good 192.0.2.10"
    assert digs(old, "q1") == {"q1": ["192.0.2.9"]}
    assert "is not being moved" in refused(service, "move", ZONE, "--status")
    assert events(service) == [
        ("domain.move", f"begun: to {new.address}"),
        ("domain.moved", f"from {old.address} to {new.address}"),
        ("domain.move", f"finished: {old.address} gets no more changes"),
    ]


FRONT = "front.example.net."


def test_aliases_follow_to_both(service: Service, binds: Binds) -> None:
    old, new = binds

    def call(method: str, name: str, **values: object) -> None:
        path = f"/api/hosts/{name}.{ZONE}" if method != "POST" else "/api/hosts"
        content = values | ({"fqdn": f"{name}.{ZONE}"} if method == "POST" else {})
        answer = service.request(method, path, service.admin_token, json=content)
        assert answer.status_code in (200, 201, 204), answer.text

    def everywhere(**wanted: list[str]) -> None:
        def found(primary: SecondBind) -> dict[str, list[str]]:
            return {name: primary.dig(f"{name}.{ZONE}", "CNAME") or primary.dig(f"{name}.{ZONE}") for name in wanted}

        wait_until(lambda: found(old) == found(new) == wanted, SECONDS, "both have it")

    for name in ("shop", "late", "gone"):
        call("POST", name, alias=FRONT)
    call("POST", "mail", ipv4="192.0.2.1", records={"MX": ["10 mail.example.org."]})
    move(service, *at(new))
    has_moved(service, new)
    everywhere(shop=[FRONT], late=[FRONT], gone=[FRONT], mail=["192.0.2.1"])
    call("PATCH", "shop", alias=None, ipv4=["192.0.2.2", "192.0.2.3"])
    call("PATCH", "mail", alias=FRONT, ipv4=None, records={"MX": None})
    call("DELETE", "gone")
    everywhere(shop=["192.0.2.2", "192.0.2.3"], mail=[FRONT], gone=[])
    move(service, "--back")
    has_moved(service, old)
    call("PATCH", "late", alias=None, ipv4="192.0.2.4")
    everywhere(late=["192.0.2.4"], shop=["192.0.2.2", "192.0.2.3"], mail=[FRONT])
    wait_until(lambda: agrees(service), SECONDS, "store and zone agree")


def test_the_old_primary_hangs(service: Service, binds: Binds) -> None:
    """The new one gets what the old one never had."""
    old, new = binds
    secrets = register_all(service, "a", "b", "gone")
    with hung(old.pid):
        assert update(service, "a", secrets["a"], "192.0.2.2") == "911"
        unregister(service, "gone")
        move(service, *at(new))
        has_moved(service, new)
        wait_until(lambda: update(service, "a", secrets["a"], "192.0.2.2") == "nochg 192.0.2.2", SECONDS, "known")
        assert digs(new, "a", "b", "gone") == {"a": ["192.0.2.2"], "b": ["192.0.2.1"], "gone": []}
        for n in range(3, 9):
            assert update(service, "a", secrets["a"], f"192.0.2.{n}") == f"good 192.0.2.{n}"
        wait_until(lambda: "problem: " in move(service, "--status"), SECONDS, "the status tells it")
    wait_until(lambda: digs(old, "a", "gone") == {"a": ["192.0.2.8"], "gone": []}, SECONDS, "the old one follows again")


@pytest.mark.long
def test_the_new_primary_and_the_service_die_midway(service: Service, binds: Binds) -> None:
    """A record of somebody else holds the switch back until everything has happened."""
    old, new = binds
    secrets = register_all(service, "a", "b", "taken", "gone", "kept")
    put_text(service, "a", "first")
    new.add(ZONE, f"taken.{ZONE}", "A", "198.51.100.1")
    new.add(ZONE, f"operator.{ZONE}", "A", "198.51.100.2")
    assert f"these hosts are in conflict with other records there: taken.{ZONE}" in move(service, *at(new))
    told = f"1 refused: taken.{ZONE}: other records have its name"
    wait_until(lambda: told in move(service, "--status"), SECONDS, "the status tells it")
    assert digs(new, "a", "gone") == {"a": ["192.0.2.1"], "gone": ["192.0.2.1"]}
    with hung(new.pid):
        for n in range(2, 9):
            assert update(service, "a", secrets["a"], f"192.0.2.{n}") == f"good 192.0.2.{n}"
        assert update(service, "a", secrets["a"], "192.0.2.8") == "nochg 192.0.2.8"
        put_text(service, "a", "second")
        assert unregister(service, "gone") == 200
        secrets |= register_all(service, "late")
        wait_until(lambda: "does not answer" in move(service, "--status"), SECONDS, "the status tells it")
        health = service.get("/healthz/dns", service.admin_token)
        assert health.status_code == 200, health.text
        wait_until(
            lambda: (
                "does not answer"
                in service.get("/healthz/dns", service.admin_token).json().get("moves", {}).get(ZONE, "")
            ),
            SECONDS,
            "health tells it",
        )
        doctor = service.cli("doctor", check=False)
        assert f"second primary {new.address} of {ZONE}" in doctor.stdout + doctor.stderr
        assert doctor.returncode != 0
        service.kill()
    service.start()
    wait_until(lambda: digs(new, "a", "late") == {"a": ["192.0.2.8"], "late": ["192.0.2.1"]}, SECONDS, "it follows")
    assert is_at(service, old)
    assert update(service, "b", secrets["b"], "192.0.2.20") == "good 192.0.2.20"
    assert digs(old, "b") == {"b": ["192.0.2.20"]}
    new.remove(ZONE, f"taken.{ZONE}", "A")
    has_moved(service, new)
    wanted = {"a": ["192.0.2.8"], "b": ["192.0.2.20"], "taken": ["192.0.2.1"], "gone": [], "late": ["192.0.2.1"]}
    wait_until(lambda: digs(new, *wanted) == wanted, SECONDS, "it is complete")
    assert new.dig(f"_x.a.{ZONE}", "TXT") == ['"second"']
    assert digs(new, "operator") == {"operator": ["198.51.100.2"]}
    for name, secret in secrets.items():
        if name != "gone":
            wait_until(lambda n=name, s=secret: update(service, n, s, "192.0.2.30").startswith("nochg"), SECONDS, name)  # type: ignore[misc]
            assert digs(new, name) == {name: ["192.0.2.30"]}
    wait_until(lambda: agrees(service), SECONDS, "store and zone agree")


@pytest.mark.long
def test_a_move_is_cancelled(service: Service, binds: Binds) -> None:
    old, new = binds
    secrets = register_all(service, "a", "taken")
    new.add(ZONE, f"taken.{ZONE}", "A", "198.51.100.1")
    assert f"{ZONE} moves to {new.address}" in move(service, *at(new), "--check")
    assert "is not being moved" in refused(service, "move", ZONE, "--cancel")
    move(service, *at(new))
    wait_until(lambda: digs(new, "a") == {"a": ["192.0.2.1"]}, SECONDS, "it is filled")
    for command in (["move", ZONE, *at(new)], ["set", ZONE, *at(new)], ["move", ZONE, "--finish"]):
        assert "--cancel" in refused(service, *command)
    body = {"primary": old.address.replace("127.0.0.1", "localhost")}
    answer = service.request("PATCH", f"/api/domains/{ZONE}", service.admin_token, json=body)
    assert (answer.status_code, "being moved" in answer.text) == (409, True)
    for options in (["--json"], ["--cancel", "--wait"], [*at(new), "--check", "--wait"]):
        assert service.cli("domain", "move", ZONE, *options, check=False).returncode == 2
    assert move(service, "--cancel") == f"cancelled: {new.address} gets no more changes of {ZONE}\n"
    assert update(service, "a", secrets["a"], "192.0.2.2") == "good 192.0.2.2"
    assert digs(old, "a") == {"a": ["192.0.2.2"]}
    assert digs(new, "a", "taken") == {"a": ["192.0.2.1"], "taken": ["198.51.100.1"]}
    assert "already" in refused(service, "move", ZONE, *at(old))
    assert "is not being moved" in refused(service, "move", ZONE, "--wait")


@pytest.mark.long
def test_a_domain_moves_back(service: Service, binds: Binds) -> None:
    old, new = binds
    secrets = register_all(service, "a", "gone")
    state = json.loads(move(service, *at(new), "--wait", "--json"))
    assert (state["domain"], state["primary"], state["role"]) == (ZONE, old.address, "old")
    assert is_at(service, new)
    assert update(service, "a", secrets["a"], "192.0.2.2") == "good 192.0.2.2"
    assert unregister(service, "gone") == 200
    assert "--back" in refused(service, "move", ZONE, "--cancel")
    first, last = move(service, "--back", "--wait").splitlines()
    assert first.startswith(f"{ZONE} moves back to {old.address}")
    assert last.startswith(f"{ZONE} has moved; its former primary {new.address}")
    assert is_at(service, old)
    wait_until(lambda: digs(old, "a", "gone") == {"a": ["192.0.2.2"], "gone": []}, SECONDS, "it is up to date")
    assert update(service, "a", secrets["a"], "192.0.2.3") == "good 192.0.2.3"
    assert digs(old, "a") == {"a": ["192.0.2.3"]}
    wait_until(lambda: digs(new, "a") == {"a": ["192.0.2.3"]}, SECONDS, "the other one follows")


@pytest.mark.long
def test_both_are_equal_at_the_end_whatever_happens(service: Service, binds: Binds) -> None:
    """Hosts and records come, change and go while the name servers hang in turn, before and after the switch."""
    old, new = binds
    names = [f"q{n}" for n in range(20)]
    register_all(service, *names, "taken")
    loaded = register_all(service, "h0", "h1", "h2", "h3")
    new.add(ZONE, f"taken.{ZONE}", "A", "198.51.100.1")
    load = Load([service], {f"{name}.{ZONE}": secret for name, secret in loaded.items()})
    stop = Event()
    with ThreadPoolExecutor(1) as pool, load.running():
        changing = pool.submit(change_at_random, service, names, stop)
        move(service, *at(new))
        for bind in (new, old, new):
            with hung(bind.pid):
                load.good_or_late()
        assert is_at(service, old)
        new.remove(ZONE, f"taken.{ZONE}", "A")
        has_moved(service, new)
        for bind in (old, new):
            with hung(bind.pid):
                load.good_or_late()
        stop.set()
        changing.result()
        load.all_good_again()
    wait_until(
        lambda: "every change, 0 hosts to send\n" in move(service, "--status"), SECONDS, "the old one is current"
    )
    wait_until(lambda: agrees(service), SECONDS, "store and zone agree")
    wait_until(lambda: new.records(ZONE) == old.records(ZONE), SECONDS, "both are equal")


def change_at_random(service: Service, names: list[str], stop: Event) -> None:
    """Register, change and remove hosts and their records; each call may be refused."""
    chance = Random(1)
    while not stop.wait(0.01):
        fqdn, number, flag = f"{chance.choice(names)}.{ZONE}", chance.randrange(250), chance.choice(["true", "false"])
        match chance.randrange(5):
            case 0:
                service.get("/nic/unregister", service.admin_token, params={"fqdn": fqdn})
            case 1:
                given = {"fqdn": fqdn, "ip": f"192.0.2.{number}", "wildcard": flag}
                service.get("/nic/register", service.admin_token, params=given)
            case 2:
                given = {"ipv4": f"198.51.100.{number}"}
                service.request("PATCH", f"/api/hosts/{fqdn}", service.admin_token, json=given)
            case 3:
                values = {"values": [f"v{number}"]}
                service.request("PUT", f"/api/hosts/{fqdn}/records/_x/TXT", service.admin_token, json=values)
            case 4:
                service.request("DELETE", f"/api/hosts/{fqdn}/records/_x/TXT", service.admin_token)


def test_no_key_is_shown(service: Service, binds: Binds) -> None:
    _, new = binds
    said = move(service, *at(new))
    has_moved(service, new)
    said += move(service, "--status") + move(service, "--back") + service.log.read_text() + str(events(service))
    said += service.get("/healthz/dns", service.admin_token).text
    for primary in binds:
        assert primary.key(ZONE).secret not in said


@pytest.mark.long
def test_another_node_continues(tmp_path: Path, new_database: Callable[[], str], binds: Binds) -> None:
    """The node that owns the zone is killed midway; nothing is called current that the new primary does not hold."""
    old, new = binds
    url = new_database()
    with serving(tmp_path / "one", old, {"database_url": url}) as one, beside(one, tmp_path / "two", url) as two:
        secrets = register_all(one, "a", "b", "taken")
        new.add(ZONE, f"taken.{ZONE}", "A", "198.51.100.1")
        move(one, *at(new))
        wait_until(lambda: digs(new, "a") == {"a": ["192.0.2.1"]}, SECONDS, "it is filled")
        for n, node in enumerate((one, two), 2):
            assert update(node, "a", secrets["a"], f"192.0.2.{n}") == f"good 192.0.2.{n}"
            wait_until(lambda n=n: digs(new, "a") == {"a": [f"192.0.2.{n}"]}, SECONDS, "it follows all nodes")  # type: ignore[misc]
        owner, other = (one, two) if owns(one) else (two, one)
        owner.kill()
        new.remove(ZONE, f"taken.{ZONE}", "A")
        numbers = count(4)
        while not is_at(one, new):
            n = next(numbers) % 250
            assert update(other, "b", secrets["b"], f"192.0.2.{n}") in (f"good 192.0.2.{n}", "911")
        for n in range(3, 40):
            for name in ("a", "b"):
                answer = update(other, name, secrets[name], f"192.0.2.{n}")
                assert answer in (f"good 192.0.2.{n}", f"nochg 192.0.2.{n}")
                assert digs(new, name) == {name: [f"192.0.2.{n}"]}
        wait_until(lambda: agrees(one), SECONDS, "store and zone agree")
        owner.start()  # so that it stops its BIND at the end


@pytest.mark.long
def test_a_message_to_the_new_primary_that_comes_after_the_next_owner(
    tmp_path: Path, new_database: Callable[[], str], binds: Binds
) -> None:
    """It waits on the line while another node takes over and sends a newer address: the new primary refuses it."""
    old, new = binds
    url, line = new_database(), TcpProxy(new.server.endpoint.port)
    with serving(tmp_path / "one", old, {"database_url": url}) as one, beside(one, tmp_path / "two", url) as two:
        secrets = register_all(one, "a", "taken")
        new.add(ZONE, f"taken.{ZONE}", "A", "198.51.100.1")  # so it is filled, and not switched
        move(one, "--primary", f"127.0.0.1:{line.port}", *at(new)[2:])
        wait_until(lambda: digs(new, "a") == {"a": ["192.0.2.1"]}, SECONDS, "it is filled")
        assert new.dig(f"_ddnsd.{ZONE}", "TXT") != []
        owner, other = (one, two) if owns(one) else (two, one)
        assert owner.process is not None
        began, line.delay = time.monotonic(), LATE_SECONDS
        assert update(owner, "a", secrets["a"], "192.0.2.10") == "good 192.0.2.10"
        time.sleep(0.5)
        line.delay = 0
        with hung(owner.process.pid):
            wait_until(lambda: update(other, "a", secrets["a"], "192.0.2.20") == "good 192.0.2.20", 10, "it takes over")
            wait_until(lambda: digs(new, "a") == {"a": ["192.0.2.20"]}, 10, "the next owner sends")
            assert time.monotonic() - began < LATE_SECONDS
            while time.monotonic() - began < LATE_SECONDS + 1:
                assert digs(new, "a") == {"a": ["192.0.2.20"]}
        assert digs(new, "a") == {"a": ["192.0.2.20"]}
    line.close()


def test_two_services_on_one_file_fill_it(tmp_path: Path, binds: Binds) -> None:
    old, new = binds
    with (
        serving(tmp_path / "one", old, {}) as one,
        beside(one, tmp_path / "two", f"sqlite:///{one.dir}/ddnsd.db") as two,
    ):
        secrets = register_all(one, "a", "b")
        move(one, *at(new))
        for n in range(10, 40):
            for node, name in zip((one, two) if n % 2 else (two, one), secrets, strict=True):
                assert update(node, name, secrets[name], f"192.0.2.{n}") == f"good 192.0.2.{n}"
            if n == 30:
                has_moved(one, new)
        for primary in (new, old):
            wait_until(
                lambda p=primary: digs(p, *secrets) == {name: ["192.0.2.39"] for name in secrets},  # type: ignore[misc]
                SECONDS,
                "it has what was answered good",
            )
        wait_until(lambda: agrees(one), SECONDS, "store and zone agree")


def owns(service: Service) -> bool:
    """Whether this node owns the zone: the third part of its name is its process id."""
    assert service.process is not None
    domain = in_store(service, lambda c: queries.domain(c, ZONE))
    assert domain is not None
    return in_store(service, leases.owners)[domain.id].node.split(":")[2] == str(service.process.pid)
