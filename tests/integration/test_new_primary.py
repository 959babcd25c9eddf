# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain moves to another primary: nothing is called current that the new one does not hold."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.ports import free_port, wait_until
from support.servers.faults import hung
from support.servers.second_bind import SecondBind
from support.servers.service import Service, beside, dev
from support.servers.two_primaries import ZONE, agrees, at, digs, serving, two_binds, unregister, update

from ddnsd.dns.tsig import TsigKey

pytestmark = pytest.mark.long

Settings = Callable[[], dict[str, str]]


@pytest.fixture
def binds(tmp_path: Path) -> Iterator[tuple[SecondBind, SecondBind]]:
    """The old primary and the new one, which serves the zone with a key of its own."""
    with two_binds(tmp_path) as both:
        yield both


@pytest.fixture
def old(binds: tuple[SecondBind, SecondBind]) -> SecondBind:
    return binds[0]


@pytest.fixture
def new(binds: tuple[SecondBind, SecondBind]) -> SecondBind:
    binds[1].make_zone(ZONE)
    return binds[1]


@pytest.fixture
def service(tmp_path: Path, store_settings: Settings, old: SecondBind) -> Iterator[Service]:
    """Serves the zone, which is at the old primary."""
    with serving(tmp_path / "service", old, store_settings()) as running:
        yield running


def move(service: Service, primary: SecondBind) -> str:
    return service.cli("domain", "set", ZONE, *at(primary)).stdout


def host(service: Service, name: str) -> dict[str, object]:
    found: dict[str, object] = service.get(f"/api/hosts/{name}.{ZONE}", service.admin_token).json()
    return found


def test_an_empty_primary_is_filled_and_nothing_is_nochg_before(
    service: Service, old: SecondBind, new: SecondBind
) -> None:
    secrets = {f"h{n}": service.register(f"h{n}.{ZONE}", ip=f"192.0.2.{n}", wildcard="true") for n in range(8)}
    path = f"/api/hosts/h1.{ZONE}/records/_x/TXT"
    assert service.request("PUT", path, service.admin_token, json={"values": ["kept"]}).status_code == 200
    assert update(service, "h0", secrets["h0"], "192.0.2.0") == "nochg 192.0.2.0"
    assert move(service, new) == f"changed {ZONE}: key, primary\n"
    for n, (name, secret) in enumerate(secrets.items()):
        answer = update(service, name, secret, f"192.0.2.{n}")
        assert answer in (f"good 192.0.2.{n}", f"nochg 192.0.2.{n}")
        assert new.dig(f"{name}.{ZONE}") == new.dig(f"any.{name}.{ZONE}") == [f"192.0.2.{n}"], answer
    wait_until(lambda: new.dig(f"_x.h1.{ZONE}", "TXT") == ['"kept"'], 10, "the record is there")
    wait_until(lambda: agrees(service), 10, "store and zone agree")
    assert host(service, "h1")["dns"] == "current"
    before = digs(old, "h0")
    assert update(service, "h0", secrets["h0"], "192.0.2.200") == "good 192.0.2.200"
    assert digs(new, "h0") == {"h0": ["192.0.2.200"]}
    assert digs(old, "h0") == before


def test_hosts_without_a_client_are_sent_too(service: Service, new: SecondBind) -> None:
    for n in range(20):
        service.register(f"h{n}.{ZONE}", ip=f"192.0.2.{n}")
    move(service, new)
    names = [f"h{n}" for n in range(20)]
    wait_until(lambda: digs(new, *names) == {f"h{n}": [f"192.0.2.{n}"] for n in range(20)}, 10, "all are there")


def test_a_copy_of_the_zone_is_taken_as_ours_and_brought_up_to_date(
    service: Service, old: SecondBind, new: SecondBind
) -> None:
    """The copy is older than what the store holds, since the old primary hangs meanwhile."""
    secrets = {
        n: service.register(f"{n}.{ZONE}", ip="192.0.2.1", wildcard="true") for n in ("same", "late", "gone", "off")
    }
    service.register(f"early.{ZONE}", ip="192.0.2.9")
    path = f"/api/hosts/same.{ZONE}/records/_x/TXT"
    assert service.request("PUT", path, service.admin_token, json={"values": ["kept"]}).status_code == 200
    assert unregister(service, "early") == 200
    for name in (*secrets, *(f"*.{name}" for name in secrets)):
        new.add(ZONE, f"{name}.{ZONE}", "A", "192.0.2.1")
    new.add(ZONE, f"early.{ZONE}", "A", "192.0.2.9")  # and it was made before that left
    new.add(ZONE, f"_x.same.{ZONE}", "TXT", '"kept"')
    new.add(ZONE, f"operator.{ZONE}", "A", "192.0.2.77")
    with hung(old.pid):
        assert update(service, "late", secrets["late"], "192.0.2.2") == "911"
        assert unregister(service, "gone") != 404
        service.cli("host", "block", f"off.{ZONE}")
        assert move(service, new) == f"changed {ZONE}: key, primary\n"
        wanted = {"same": ["192.0.2.1"], "late": ["192.0.2.2"], "gone": [], "early": [], "off": []}
        operators = {"operator": ["192.0.2.77"]}
        wait_until(lambda: digs(new, *wanted, "operator") == wanted | operators, 10, "it is brought up to date")
        wait_until(lambda: update(service, "late", secrets["late"], "192.0.2.2") == "nochg 192.0.2.2", 10, "known")
        assert update(service, "same", secrets["same"], "192.0.2.5") == "good 192.0.2.5"
        assert new.dig(f"any.same.{ZONE}") == ["192.0.2.5"]
        wait_until(lambda: agrees(service), 10, "store and zone agree")
    # what the old primary carries out now says nothing about the new one
    wait_until(lambda: old.dig(f"same.{ZONE}") == ["192.0.2.1"], 10, "it answers again")
    assert digs(new, *wanted) == wanted | {"same": ["192.0.2.5"]}
    assert update(service, "late", secrets["late"], "192.0.2.2") == "nochg 192.0.2.2"


def test_records_of_somebody_else_stay(service: Service, old: SecondBind, new: SecondBind) -> None:
    taken = service.register(f"taken.{ZONE}", ip="192.0.2.1")
    service.register(f"leaves.{ZONE}", ip="192.0.2.3")
    service.register(f"text.{ZONE}", ip="192.0.2.4")
    path = f"/api/hosts/text.{ZONE}/records/_x/TXT"
    assert service.request("PUT", path, service.admin_token, json={"values": ["ours"]}).status_code == 200
    free = service.register(f"free.{ZONE}", ip="192.0.2.2")
    new.add(ZONE, f"taken.{ZONE}", "A", "198.51.100.1")
    new.add(ZONE, f"leaves.{ZONE}", "A", "198.51.100.3")
    new.add(ZONE, f"_x.text.{ZONE}", "TXT", '"theirs"')
    with hung(old.pid):
        unregister(service, "leaves")
        checked = service.cli("domain", "set", ZONE, *at(new), "--check").stdout
        assert (
            checked
            == f"changed {ZONE}: key, primary; these hosts are in conflict with other records there: taken.{ZONE}\n"
        )
        assert update(service, "free", free, "192.0.2.2") == "nochg 192.0.2.2"  # it was only a check
        assert move(service, new) == checked
        wait_until(lambda: digs(new, "free", "text") == {"free": ["192.0.2.2"], "text": ["192.0.2.4"]}, 10, "filled")
        wait_until(lambda: host(service, "taken")["dns"] == "conflict", 10, "the conflict is told")
        assert update(service, "taken", taken, "192.0.2.1") == "911"
        wait_until(
            lambda: service.get("/healthz/dns", service.admin_token).json()["zones"][ZONE] == "ok", 10, "follows"
        )
    assert digs(new, "taken", "leaves") == {"taken": ["198.51.100.1"], "leaves": ["198.51.100.3"]}
    assert new.dig(f"_x.text.{ZONE}", "TXT") == ['"theirs"']


def test_a_primary_that_will_not_do_changes_nothing(service: Service, new: SecondBind) -> None:
    secret = service.register(f"a.{ZONE}", ip="192.0.2.1")

    def refused(*options: str) -> str:
        before = service.cli("domain", "list", "--json").stdout
        done = service.cli("domain", "set", ZONE, *options, check=False)
        assert done.returncode == 1, done.stdout
        assert "Traceback" not in done.stderr
        assert service.cli("domain", "list", "--json").stdout == before
        assert update(service, "a", secret, "192.0.2.1") == "nochg 192.0.2.1"
        return done.stderr

    assert "Connect" in refused("--primary", f"127.0.0.1:{free_port()}")
    assert "BADSIG" in refused("--primary", new.address)  # the old one's key has the same name
    new.rndc("freeze", ZONE)
    assert "frozen" in refused(*at(new))
    new.rndc("thaw", ZONE)
    new.set_policy(ZONE, 'grant "{key}" name elsewhere.' + ZONE + " ANY")
    assert "update-policy" in refused(*at(new))
    new.set_policy(ZONE, 'grant "{key}" zonesub ANY')
    new.forbid_transfers(ZONE)
    assert "allow-transfer" in refused(*at(new))
    other = new.make_zone("other.example.net")
    assert "update-policy" in refused("--primary", new.address, "--key-file", str(other))
    new.rndc("delzone", ZONE)
    assert f"127.0.0.1:{new.server.endpoint.port}: " in refused(*at(new))


def test_nothing_is_good_that_only_the_old_primary_holds(service: Service, new: SecondBind) -> None:
    """The service has not heard of the change when the first update comes in."""
    secret = service.register(f"a.{ZONE}", ip="192.0.2.1")
    assert update(service, "a", secret, "192.0.2.2") == "good 192.0.2.2"
    move(service, new)
    for n in range(3, 60):
        assert update(service, "a", secret, f"192.0.2.{n}") == f"good 192.0.2.{n}"
        assert digs(new, "a") == {"a": [f"192.0.2.{n}"]}


def test_a_zone_comes_back_to_our_own_name_server(service: Service, new: SecondBind) -> None:
    """It is made anew where it was lost, and filled."""
    zone, here = service.domain, f"127.0.0.1:{service.dns_port}"
    new.make_zone(zone, TsigKey.from_text((service.dir / "bind" / "keys" / f"{zone}.key").read_text()))
    secret = service.register("a", ip="192.0.2.1")
    service.cli("domain", "set", zone, "--primary", new.address)
    wait_until(lambda: new.dig(f"a.{zone}") == ["192.0.2.1"], 10, "it has moved")
    rndc = ["rndc", "-c", str(service.dir / "bind" / "rndc.conf")]
    subprocess.run([*rndc, "delzone", "-clean", zone], check=True, capture_output=True)
    said = service.cli("domain", "set", zone, "--primary", here).stdout
    assert said == f"changed {zone}: primary; BIND does not serve the zone yet: run `ddnsd domain provision`\n"
    answer = service.get("/nic/update", auth=(f"a.{zone}", secret), params={"myip": "192.0.2.1"})
    assert answer.text == "911"
    assert service.cli("domain", "provision").stdout != ""
    wait_until(lambda: service.dig(f"a.{zone}") == ["192.0.2.1"], 10, "it is back")


def test_no_process_answers_for_the_old_primary(
    tmp_path: Path, new_database: Callable[[], str], binds: tuple[SecondBind, SecondBind]
) -> None:
    old, new = binds
    url = new_database()
    for bind in binds:
        bind.make_zone(ZONE)
    with dev(tmp_path / "one", database_url=url) as one, beside(one, tmp_path / "two", url) as two:
        one.cli("domain", "add", ZONE, "--owner", "admin", *at(old))
        secrets = {name: one.register(f"{name}.{ZONE}", ip="192.0.2.1") for name in ("a", "b")}
        for service in (one, two):
            wait_until(lambda s=service: update(s, "a", secrets["a"], "192.0.2.1").startswith("nochg"), 10, "known")  # type: ignore[misc]
        move(one, new)
        for n in range(2, 40):
            for service, name in ((two, "a"), (one, "b"), (two, "b")):
                answer = update(service, name, secrets[name], f"192.0.2.{n}")
                assert answer in (f"good 192.0.2.{n}", f"nochg 192.0.2.{n}")
                assert new.dig(f"{name}.{ZONE}") == [f"192.0.2.{n}"]
        assert agrees(one)
