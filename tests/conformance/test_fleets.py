# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices without passwords: who signs in, which host they get, and what is refused."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.clients.devices import Device, FleetKey, add_fleet
from support.clients.rest_api import Api
from support.servers.service import Service, beside, dev

from ddnsd.dev import FACTOR_KEY_FILE

ADMIN = "admin"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    given = {"rules": "on", "changes_per_hour": "100"}
    if request.param == "postgres":
        given["database_url"] = request.getfixturevalue("new_database")()
    with dev(tmp_path_factory.mktemp("fleets"), **given) as running:
        yield running
    log = running.log.read_text()
    assert "Traceback" not in log
    assert "ddnsf_" not in log


@pytest.fixture(scope="module")
def made(service: Service) -> Callable[..., FleetKey]:
    numbers = itertools.count(1)
    return lambda *options, **given: add_fleet(service, f"cams{next(numbers)}", *options, **given)


@pytest.fixture
def fleet(made: Callable[..., FleetKey]) -> FleetKey:
    return made()


@pytest.fixture
def device(fleet: FleetKey) -> Device:
    return fleet.device("001122aabbcc")


@pytest.fixture
def api(service: Service) -> Api:
    return Api(service, service.admin_token)


def name_of(device: Device, fleet: FleetKey) -> str:
    return f"{fleet.name}-{device.mac}.{fleet.service.domain}"


def shown(fleet: FleetKey) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fleet.service.cli("fleet", "show", fleet.name, "--json").stdout)
    return found


def refusals(api: Api, fleet: FleetKey) -> list[str]:
    """What the owner of the fleet was told."""
    listed = api.get(f"/events?action=fleet.refuse&object={fleet.name}")
    return [event["detail"] for event in listed["items"]]


def test_the_first_contact_registers_the_host(api: Api, fleet: FleetKey, device: Device) -> None:
    name = name_of(device, fleet)
    assert device.update("192.0.2.1") == "good 192.0.2.1"
    assert device.service.dig(name) == ["192.0.2.1"]
    assert device.update("192.0.2.1", hostname=name) == "nochg 192.0.2.1"
    assert device.update("2001:db8::1") == "good 2001:db8::1"
    host = api.get(f"/hosts/{name}")
    assert (host["owner"], host["labels"], host["ipv4"]) == (ADMIN, {"fleet": fleet.name}, "192.0.2.1")
    entries = api.get(f"/hosts/{name}/history")["items"]
    assert {(entry["actor"], entry["via"], entry["via_name"]) for entry in entries} == {
        (device.login, "device", fleet.name)
    }
    assert shown(fleet)["devices"][0]["host"] == name
    assert device.get("/nic/delete", myip="192.0.2.1").text == "deleted A"


def test_user_names_are_folded(device: Device) -> None:
    auth = device.login.upper(), device.key
    assert device.service.get("/nic/update", auth=auth, params={"myip": "192.0.2.1"}).text == "good 192.0.2.1"


def test_a_device_has_only_its_own_host(service: Service, fleet: FleetKey, device: Device) -> None:
    service.register(other := f"other-{fleet.name}.{service.domain}", ip="192.0.2.9")
    second = fleet.device("001122aabbcd")
    assert second.update("192.0.2.2") == "good 192.0.2.2"
    assert device.update("192.0.2.1", hostname=other) == "nohost"
    assert device.update("192.0.2.1", hostname=name_of(second, fleet)) == "nohost"
    assert (service.dig(other), service.dig(name_of(second, fleet))) == (["192.0.2.9"], ["192.0.2.2"])
    assert service.get("/api/hosts", auth=(device.login, device.key)).status_code == 401
    assert service.get("/nic/hosts", auth=(device.login, device.key)).status_code in (401, 403)


def test_keys_of_others_are_refused(made: Callable[..., FleetKey], fleet: FleetKey, device: Device) -> None:
    """The key of another MAC, of another fleet, and the fleet key itself."""
    keys = fleet.device("001122aabbcd").key, made().device(device.mac).key, fleet.key, ""
    for key in keys:
        forged = Device(device.service, device.fleet, device.mac, key)
        answer = forged.get(myip="192.0.2.1")
        assert (answer.status_code, answer.text) == (401, "badauth"), key
        assert forged.send(forged.signed("192.0.2.1")) == "badauth"
    assert shown(fleet)["devices"] == []


@pytest.mark.parametrize(
    "login", ["f-0.001122aabbcc", "f-99999.001122aabbcc", "f-1.001122aabb", "f-1.00:11:22:aa:bb:cc"]
)
def test_unknown_fleets_and_bad_names_are_refused(device: Device, login: str) -> None:
    answer = device.service.get("/nic/update", auth=(login, device.key), params={"myip": "192.0.2.1"})
    assert (answer.status_code, answer.text) == (401, "badauth")


def test_a_right_key_is_accepted_during_guesses(device: Device) -> None:
    guesser = Device(device.service, device.fleet, device.mac, "wrong")
    assert {guesser.update("192.0.2.1") for _ in range(30)} == {"badauth"}
    assert device.update("192.0.2.1") == "good 192.0.2.1"
    assert device.send(device.signed("192.0.2.2")) == "good 192.0.2.2"


def test_a_full_fleet_takes_no_more(made: Callable[..., FleetKey], api: Api) -> None:
    fleet = made("--quota", "2")
    devices = [fleet.device(f"00112233445{n}") for n in range(4)]
    assert [device.update("192.0.2.1").partition(" ")[0] for device in devices[:3]] == ["good", "good", "numhost"]
    assert devices[2].update("192.0.2.1") == "numhost"
    assert devices[2].send(devices[2].signed("192.0.2.1")) == "numhost"
    assert refusals(api, fleet) == ["the fleet has 2 devices, which is its quota"]
    fleet.service.cli("fleet", "revoke", fleet.name, devices[0].mac)
    assert devices[2].update("192.0.2.1") == "good 192.0.2.1"
    assert devices[3].update("192.0.2.1") == "numhost"


def test_a_burst_of_new_devices_keeps_the_quota(made: Callable[..., FleetKey]) -> None:
    fleet = made("--quota", "3")
    devices = [fleet.device(f"00112233446{n}") for n in range(8)] * 2
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda device: device.update("192.0.2.1"), devices))
    assert set(answers) <= {"good 192.0.2.1", "nochg 192.0.2.1", "numhost"}
    assert len(shown(fleet)["devices"]) == 3


def test_the_quota_of_the_owner_counts(service: Service, made: Callable[..., FleetKey], api: Api) -> None:
    service.user("maker")
    service.cli("user", "set", "maker", "--hosts-per-user", "1")
    service.cli("domain", "set", service.domain, "--public")
    fleet = made("--owner", "maker")
    one, other = fleet.device("001122334471"), fleet.device("001122334472")
    assert one.update("192.0.2.1") == "good 192.0.2.1"
    assert other.update("192.0.2.1") == "numhost"
    assert "limit for hosts" in refusals(api, fleet)[0]
    assert api.get(f"/hosts/{name_of(one, fleet)}")["owner"] == "maker"
    service.cli("user", "suspend", "maker")
    assert (one.update("192.0.2.2"), other.update("192.0.2.1")) == ("nohost", "nohost")
    service.cli("user", "resume", "maker")
    service.cli("domain", "set", service.domain, "--private")
    assert (one.update("192.0.2.2"), other.update("192.0.2.1")) == ("good 192.0.2.2", "nohost")


def test_a_name_of_somebody_else_is_not_taken(service: Service, api: Api, fleet: FleetKey, device: Device) -> None:
    token = service.user(f"user-{fleet.name}")
    service.cli("domain", "set", service.domain, "--public")
    service.register(name_of(device, fleet), token, ip="192.0.2.9")
    service.cli("domain", "set", service.domain, "--private")
    assert (device.update("192.0.2.1"), device.send(device.signed("192.0.2.1"))) == ("nohost", "nohost")
    assert service.dig(name_of(device, fleet)) == ["192.0.2.9"]
    assert refusals(api, fleet) == [f"{name_of(device, fleet)}: another user has this name"]


def test_a_name_with_a_foreign_record_is_not_taken(service: Service, api: Api, fleet: FleetKey, device: Device) -> None:
    service.add_record(f"{fleet.name}-{device.mac}", "A", "192.0.2.77")
    assert device.update("192.0.2.1") == "nohost"
    assert service.dig(name_of(device, fleet)) == ["192.0.2.77"]
    assert "The name cannot be used" in refusals(api, fleet)[0]


def test_a_host_of_the_owner_is_taken_over(service: Service, fleet: FleetKey, device: Device) -> None:
    """So devices find their hosts again after their fleet was created again."""
    service.register(name_of(device, fleet), ip="192.0.2.9")
    assert device.update("192.0.2.1") == "good 192.0.2.1"
    assert service.dig(name_of(device, fleet)) == ["192.0.2.1"]


def test_a_renamed_host_keeps_its_device(service: Service, api: Api, fleet: FleetKey, device: Device) -> None:
    device.update("192.0.2.1")
    door = f"door-{fleet.name}.{service.domain}"
    api.patch(f"/hosts/{name_of(device, fleet)}", {"fqdn": door})
    assert device.update("192.0.2.2") == "good 192.0.2.2"
    assert (service.dig(door), service.dig(name_of(device, fleet))) == (["192.0.2.2"], [])


def test_a_host_of_a_new_owner_is_left_alone(service: Service, api: Api, fleet: FleetKey, device: Device) -> None:
    service.user(buyer := f"buyer-{fleet.name}")
    device.update("192.0.2.1")
    api.patch(f"/hosts/{name_of(device, fleet)}", {"owner": buyer})
    assert device.update("192.0.2.2") == "nohost"
    assert service.dig(name_of(device, fleet)) == ["192.0.2.1"]


def test_a_deleted_host_comes_back_unless_its_device_is_revoked(api: Api, fleet: FleetKey, device: Device) -> None:
    name = name_of(device, fleet)
    device.update("192.0.2.1")
    api.delete(f"/hosts/{name}")
    assert device.update("192.0.2.1") == "good 192.0.2.1"
    fleet.service.cli("fleet", "revoke", fleet.name, device.mac)
    api.delete(f"/hosts/{name}")
    assert device.update("192.0.2.1") == "badauth"
    assert fleet.service.dig(name) == []


def test_a_revoked_device_is_refused_until_it_is_restored(fleet: FleetKey, device: Device) -> None:
    cli, other = fleet.service.cli, fleet.device("001122aabbcd")
    device.update("192.0.2.1")
    for mac in ("00:11:22:AA:BB:CC", "00-11-22-aa-bb-cd"):
        cli("fleet", "revoke", fleet.name, mac)
    for revoked in (device, other):
        answer = revoked.get(myip="192.0.2.2")
        assert (answer.status_code, answer.text) == (401, "badauth")
        assert revoked.send(revoked.signed("192.0.2.2")) == "badauth"
    assert fleet.service.dig(name_of(device, fleet)) == ["192.0.2.1"]
    assert f"{other.mac}\t-\t-\trevoked" in cli("fleet", "show", fleet.name).stdout
    cli("fleet", "restore", fleet.name, device.mac)
    assert device.update("192.0.2.2") == "good 192.0.2.2"


def rotated(fleet: FleetKey, *options: str) -> FleetKey:
    fleet_id, _, key = fleet.service.cli("fleet", "rotate", fleet.name, *options).stdout.strip().partition(":")
    return FleetKey(fleet.service, fleet.name, fleet_id, key)


def test_old_keys_stop_when_the_fleet_is_rotated(fleet: FleetKey, device: Device) -> None:
    device.update("192.0.2.1")
    new = rotated(fleet).device(device.mac)
    assert (new.login, device.update("192.0.2.2")) == (device.login, "badauth")
    assert new.update("192.0.2.2") == "good 192.0.2.2"


def test_old_keys_may_be_kept_for_a_while(fleet: FleetKey, device: Device) -> None:
    second = rotated(fleet, "--keep-days", "30")
    assert device.update("192.0.2.1") == "good 192.0.2.1"
    assert second.device(device.mac).update("192.0.2.2") == "good 192.0.2.2"
    third = rotated(fleet)
    assert (device.update("192.0.2.3"), second.device(device.mac).update("192.0.2.3")) == ("badauth", "badauth")
    assert third.device(device.mac).update("192.0.2.3") == "good 192.0.2.3"


def test_a_removed_fleet_leaves_its_hosts(service: Service, fleet: FleetKey, device: Device) -> None:
    device.update("192.0.2.1")
    service.cli("fleet", "remove", fleet.name)
    assert device.update("192.0.2.2") == "badauth"
    assert service.dig(name_of(device, fleet)) == ["192.0.2.1"]
    assert fleet.name not in service.cli("fleet", "list").stdout


def test_a_signed_request_registers_and_updates(service: Service, fleet: FleetKey, device: Device) -> None:
    at = int(time.time())
    assert device.send(device.signed("192.0.2.1", at)) == "good 192.0.2.1"
    assert device.send(device.signed("192.0.2.2", at + 1)) == "good 192.0.2.2"
    assert service.dig(name_of(device, fleet)) == ["192.0.2.2"]
    assert device.send(device.signed("", at + 2)) == "good 127.0.0.1"


def test_a_signed_request_works_once_and_only_in_order(service: Service, fleet: FleetKey, device: Device) -> None:
    at = int(time.time())
    first, second = device.signed("192.0.2.1", at), device.signed("192.0.2.2", at + 1)
    assert device.send(first) == "good 192.0.2.1"
    answer = service.get("/nic/update", params=first)
    assert (answer.status_code, answer.text) == (401, "badauth")
    assert device.send(second) == "good 192.0.2.2"
    for repeated in (first, second, device.signed("192.0.2.3", at)):
        assert device.send(repeated) == "badauth"
    assert service.dig(name_of(device, fleet)) == ["192.0.2.2"]


def test_the_same_signed_request_at_the_same_time_works_once(device: Device) -> None:
    params = device.signed("192.0.2.1")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: device.send(params), range(8)))
    assert sorted(answers) == ["badauth"] * 7 + ["good 192.0.2.1"]


@pytest.mark.parametrize(("off", "accepted"), [(-290, True), (290, True), (-310, False), (310, False), (10**9, False)])
def test_the_clock_may_be_off_by_five_minutes(fleet: FleetKey, device: Device, off: int, accepted: bool) -> None:
    answer = device.service.get("/nic/update", params=device.signed("192.0.2.1", int(time.time()) + off))
    assert answer.text == ("good 192.0.2.1" if accepted else "badauth")
    assert bool(shown(fleet)["devices"]) is accepted
    assert "Date" in answer.headers, "a device can set its clock by it"


CHANGED: dict[str, dict[str, str]] = {
    "another address": {"myip": "192.0.2.66"},
    "no address": {"myip": ""},
    "a later time": {"time": str(int(time.time()) + 60)},
    "no time": {"time": ""},
    "a time with a sign": {"time": "+1"},
    "no signature": {"sig": ""},
    "another signature": {"sig": "0" * 64},
    "no text": {"sig": "\N{KELVIN SIGN}"},
    "another device": {"device": "f-1.001122aabbcd"},
    "a host": {"device": "www.dyn.example.org"},
    "a long text": {"myip": "1" * 600},
}


@pytest.mark.parametrize("change", CHANGED)
def test_a_changed_signed_request_is_refused(fleet: FleetKey, device: Device, change: str) -> None:
    answer = device.service.get("/nic/update", params=device.signed("192.0.2.1") | CHANGED[change])
    assert (answer.status_code, answer.text) == (401, "badauth")
    assert shown(fleet)["devices"] == []


def test_what_the_signature_does_not_cover_is_ignored(service: Service, fleet: FleetKey, device: Device) -> None:
    more = {"myipv6": "2001:db8::66", "hostname": f"www.{service.domain}", "offline": "YES"}
    assert device.send(device.signed("192.0.2.1") | more) == "good 192.0.2.1"
    assert service.dig(name_of(device, fleet), "AAAA") == []
    assert device.send(device.signed("192.0.2.1", int(time.time()) + 9), "/nic/delete") == "badauth"
    assert service.dig(name_of(device, fleet)) == ["192.0.2.1"]


def test_a_refused_address_is_told(device: Device) -> None:
    assert (device.update("rubbish"), device.update("192.0.2.1")) == ("dnserr", "good 192.0.2.1")


REFUSED: dict[str, tuple[list[str], str]] = {
    "a pattern without a MAC": (["--pattern", "cam"], "contains {mac} once"),
    "a pattern with two": (["--pattern", "{mac}-{mac}"], "contains {mac} once"),
    "a pattern that is no name": (["--pattern", "cam_{mac}"], "contains {mac} once"),
    "an unknown domain": (["--domain", "none.example"], "There is no domain none.example."),
    "an unknown owner": (["--owner", "nobody"], "There is no user nobody."),
    "no room": (["--quota", "0"], "0 is not in the range"),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_creates_no_fleet(service: Service, mistake: str) -> None:
    options, message = REFUSED[mistake]
    given = ["--domain", service.domain, "--pattern", "cam-{mac}", *options]
    done = service.cli("fleet", "add", "mistake", *given, check=False)
    assert (done.returncode != 0, message in done.stderr) == (True, True), done.stderr
    assert "mistake" not in service.cli("fleet", "list").stdout


def test_commands_tell_what_there_is_not(service: Service, fleet: FleetKey) -> None:
    again = ["--domain", service.domain, "--pattern", "cam-{mac}"]
    for arguments, message in (
        (["add", fleet.name, *again], f"There is a fleet named {fleet.name}."),
        (["add", "a_b", *again], "A name has 1 to 63"),
        (["revoke", fleet.name, "001122"], "'001122' is not a MAC address"),
        (["rotate", "none"], "no"),
    ):
        done = service.cli("fleet", *arguments, check=False)
        assert (done.returncode, message in done.stderr) == (1, True), done.stderr


def test_fleets_are_listed(service: Service, fleet: FleetKey, device: Device) -> None:
    device.update("192.0.2.1")
    line = f"{fleet.name}\t{fleet.id}\t{ADMIN}\t{fleet.name}-{{mac}}.{service.domain}\t1/1000"
    assert line in service.cli("fleet", "list").stdout.splitlines()
    (listed,) = (one for one in json.loads(service.cli("fleet", "list", "--json").stdout) if one["name"] == fleet.name)
    assert listed.keys() == {"name", "id", "owner", "domain", "pattern", "quota", "devices", "created"}


def test_keys_are_encrypted_and_exported_only_on_demand(service: Service, fleet: FleetKey) -> None:
    plain, full = (json.loads(service.cli("export", *options).stdout) for options in ((), ("--fleet-keys",)))
    assert plain["tables"]["fleet_keys"] == []
    assert [row["fleet_id"] for row in full["tables"]["fleet_keys"]].count(int(fleet.id.removeprefix("f-"))) == 1
    assert fleet.key not in json.dumps(full)
    assert fleet.name in {row["name"] for row in plain["tables"]["fleets"]}


def test_times_are_rising_on_all_nodes(service: Service, fleet: FleetKey, device: Device, tmp_path: Any) -> None:
    url = service.settings.get("DDNSD_DATABASE_URL")
    if url is None:
        url = f"sqlite:///{service.dir}/ddnsd.db"
    environment = {"DDNSD_SECOND_FACTOR_KEY": str(service.dir / FACTOR_KEY_FILE)}
    with beside(service, tmp_path / "second", url, environment) as other:
        there = Device(other, device.fleet, device.mac, device.key)
        params = device.signed("192.0.2.1")
        assert device.send(params) == "good 192.0.2.1"
        assert there.send(params) == "badauth"
        assert there.update("192.0.2.2") == "good 192.0.2.2"
        service.cli("fleet", "revoke", fleet.name, device.mac)
        assert (device.update("192.0.2.3"), there.update("192.0.2.3")) == ("badauth", "badauth")
