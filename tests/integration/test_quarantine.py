# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts in quarantine: their names have the operator's addresses, until they are released."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.clients.dyndns import Host, new_label, register
from support.clients.rest_api import Api, problem
from support.ports import wait_until
from support.servers.service import Service, dev

IPV4, IPV6 = "192.0.2.66", "2001:db8:66::1"
OWN_IPV4, OWN_IPV6 = "192.0.2.1", "2001:db8:1:1::5"
RULE = "urn:ddns:rule"
TEXT = '"v=spf1 -all"'


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"quarantine_addresses": f"{IPV4},{IPV6}"}
    if request.param == "postgres":
        settings["database_url"] = request.getfixturevalue("new_database")()
    with dev(tmp_path_factory.mktemp(request.param), **settings) as running:
        yield running


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


@pytest.fixture
def owner(service: Service) -> Api:
    return Api(service, service.user(new_label()))


@pytest.fixture
def host(service: Service, owner: Api) -> Host:
    """A host with all that a host can have."""
    assert owner.token is not None
    made = register(service, owner.token, wildcard="true")
    assert made.update(myip=f"{OWN_IPV4},2001:db8:1:1::5/64").text.startswith("good")
    assert owner.call("PUT", f"/hosts/{made.fqdn}/related/nas", {"interface_id": "::7"}).ok
    assert owner.call("PUT", f"/hosts/{made.fqdn}/records/@/TXT", {"values": [TEXT]}).ok
    return made


def found(service: Service, fqdn: str) -> dict[str, list[str]]:
    """What DNS has at the names of the host."""
    names = {"host": fqdn, "wildcard": f"any.{fqdn}", "related": f"nas.{fqdn}"}
    shown = {name: service.dig(at, "A") + service.dig(at, "AAAA") for name, at in names.items()}
    return shown | {"text": service.dig(fqdn, "TXT")}


OWN = {
    "host": [OWN_IPV4, OWN_IPV6],
    "wildcard": [OWN_IPV4, OWN_IPV6],
    "related": ["2001:db8:1:1::7"],
    "text": [TEXT],
}
QUARANTINE = {"host": [IPV4, IPV6], "wildcard": [IPV4, IPV6], "related": [IPV4, IPV6], "text": []}


def agrees(service: Service) -> bool:
    return service.cli("reconcile", "--check", check=False).returncode == 0


def test_quarantine_and_release(service: Service, admin: Api, owner: Api, host: Host) -> None:
    path = f"/hosts/{host.fqdn}"
    assert found(service, host.fqdn) == OWN
    changed = admin.patch(path, {"quarantined": True, "block_reason": "Phishing"})
    assert (changed["quarantined"], changed["abuse_blocked"], changed["dns"]) == (True, True, "current")
    assert (changed["ipv4"], changed["ipv6"]) == (OWN_IPV4, OWN_IPV6)
    assert found(service, host.fqdn) == QUARANTINE
    assert agrees(service)
    shown = owner.get(path)
    assert (shown["quarantined"], shown["block_reason"]) == (True, "Phishing")

    assert host.update(myip="192.0.2.77").text == "abuse"
    problem(owner.call("PATCH", path, {"ipv4": "192.0.2.77"}), 403)
    problem(owner.call("DELETE", path), 403)
    problem(owner.call("PUT", f"{path}/records/@/TXT", {"values": ['"x"']}), 403)
    assert found(service, host.fqdn) == QUARANTINE

    assert not admin.patch(path, {"abuse_blocked": False})["quarantined"]
    assert found(service, host.fqdn) == OWN
    assert agrees(service)
    assert host.update(myip="192.0.2.78").text == "good 192.0.2.78"
    assert [event["action"] for event in reversed(owner.items("/events", object=host.fqdn))][-2:] == [
        "host.quarantine",
        "host.unblock",
    ]
    kinds = [entry["kind"] for entry in owner.items(f"{path}/history")]
    assert {"block", "unblock"} <= set(kinds)


def test_from_a_block_and_back_to_it(service: Service, admin: Api, host: Host) -> None:
    path = f"/hosts/{host.fqdn}"
    admin.patch(path, {"abuse_blocked": True, "block_reason": "Spam"})
    assert host.addresses() == []
    assert admin.patch(path, {"quarantined": True})["block_reason"] == "Spam"
    assert found(service, host.fqdn) == QUARANTINE
    changed = admin.patch(path, {"quarantined": False})
    assert (changed["quarantined"], changed["abuse_blocked"]) == (False, True)
    assert found(service, host.fqdn) == {"host": [], "wildcard": [], "related": [], "text": []}
    assert agrees(service)


def test_commands(service: Service, admin: Api, host: Host) -> None:
    service.cli("host", "quarantine", host.fqdn, "--reason", "Phishing")
    wait_until(lambda: found(service, host.fqdn) == QUARANTINE, 10, "quarantine in DNS")
    assert admin.get(f"/hosts/{host.fqdn}")["block_reason"] == "Phishing"
    assert agrees(service)
    service.cli("host", "unblock", host.fqdn)
    wait_until(lambda: found(service, host.fqdn) == OWN, 10, "own records in DNS")
    assert agrees(service)


def test_records_of_a_quarantine_are_repaired(service: Service, host: Host) -> None:
    service.cli("host", "quarantine", host.fqdn)
    wait_until(lambda: found(service, host.fqdn) == QUARANTINE, 10, "quarantine in DNS")
    service.remove_records(host.fqdn, "A")
    wait_until(lambda: found(service, host.fqdn) == QUARANTINE, 30, "the record is back")


def test_from_a_report(service: Service, admin: Api, host: Host) -> None:
    form = {"name": host.fqdn, "kind": "phishing", "text": "x"}
    for act in (
        lambda number: admin.call("POST", f"/abuse-reports/{number}/quarantine", {"reason": "Phishing"}),
        lambda number: service.cli("abuse", "quarantine", number),
    ):
        assert service.request("POST", "/report-abuse", data=form).status_code == 303
        number = admin.items("/abuse-reports", state="open")[-1]["id"]
        act(number)
        assert admin.get(f"/abuse-reports/{number}")["state"] == "quarantined"
        wait_until(lambda: found(service, host.fqdn) == QUARANTINE, 10, "quarantine in DNS")
        admin.patch(f"/hosts/{host.fqdn}", {"abuse_blocked": False})


def test_what_is_refused(admin: Api, owner: Api, host: Host) -> None:
    path = f"/hosts/{host.fqdn}"
    problem(owner.call("PATCH", path, {"quarantined": True}), 403)
    problem(admin.call("PATCH", path, {"quarantined": True, "abuse_blocked": False}), 422, RULE, {"quarantined"})
    assert admin.call("PATCH", path, {"quarantined": None}).status_code == 422
    assert not admin.get(path)["abuse_blocked"]


def test_without_addresses(tmp_path: Path, store_settings: Callable[[], dict[str, str]]) -> None:
    with dev(tmp_path, **store_settings()) as service:
        host, admin = register(service, service.user("alice")), Api(service, service.admin_token)
        problem(admin.call("PATCH", f"/hosts/{host.fqdn}", {"quarantined": True}), 422, RULE, {"quarantined"})
        refused = service.cli("host", "quarantine", host.fqdn, check=False)
        assert refused.returncode == 1
        assert "DDNSD_QUARANTINE_ADDRESSES" in refused.stderr
        assert host.addresses() == [OWN_IPV4]
