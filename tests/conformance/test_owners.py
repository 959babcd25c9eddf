# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners who are switched off, and hosts that get another owner: at every door, and on both stores."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.clients.dyndns import GIVEN, Host, new_label, refused, register, said
from support.clients.rest_api import Api, problem
from support.ports import wait_until
from support.servers.service import Service

RULE = "urn:ddns:rule"


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


@contextmanager
def uncounted(admin: Api, host: Host) -> Iterator[None]:
    """The host's fault counters do not move within the block."""

    def now() -> tuple[int, int]:
        shown = admin.get(f"/hosts/{host.fqdn}")
        return shown["client_faults"], shown["server_faults"]

    before = now()
    yield
    assert now() == before


class Owner:
    """A user of their own for a test, with two hosts and a key for both."""

    def __init__(self, service: Service) -> None:
        self.service, self.name = service, new_label()
        self.api = Api(service, service.user(self.name))
        assert self.api.token
        self.host = register(service, self.api.token, wildcard="true")
        self.second = register(service, self.api.token)
        self.api.call("PUT", f"/hosts/{self.host.fqdn}/records/@/TXT", {"values": ['"x"']})
        hosts = [self.host.fqdn, self.second.fqdn]
        made = self.api.post("/keys", {"name": "both", "hosts": hosts})
        self.key = made["login"], made["secret"]

    def by_key(self, **params: str) -> str:
        return self.service.get("/nic/update", auth=self.key, params=params).text

    def shown(self) -> list[list[str]]:
        """What DNS holds of the first host."""
        fqdn = self.host.fqdn
        return [self.host.addresses(), self.host.addresses("any"), self.service.dig(fqdn, "TXT")]


@pytest.fixture
def owner(service: Service) -> Owner:
    return Owner(service)


def rest(service: Service, name: str, **values: object) -> None:
    Api(service, service.admin_token).patch(f"/users/{name}", values)


def command(service: Service, name: str, **values: object) -> None:
    if values["active"]:
        service.cli("user", "resume", name)
    else:
        service.cli("user", "suspend", name, *(("--records", str(values["records"])) if "records" in values else ()))


DOORS = pytest.mark.parametrize("switch", [rest, command], ids=["api", "command"])
Switch = Callable[..., None]
THERE = [[GIVEN], [GIVEN], ['"x"']]


# ---- switched off


@DOORS
def test_everything_of_an_owner_who_is_off_is_refused(
    service: Service, owner: Owner, admin: Api, switch: Switch
) -> None:
    host, token = owner.host, owner.api.token
    enrolment = owner.api.call("POST", f"/hosts/{host.fqdn}/enrolments", {}).json()["token"]
    by_admin = admin.call("POST", f"/hosts/{owner.second.fqdn}/enrolments", {}).json()["token"]
    assert token
    switch(service, owner.name, active=False)
    updates: list[dict[str, Any]] = [
        {"myip": "192.0.2.9"},
        {"myip": GIVEN},
        {"offline": "YES"},
        {"myip": "no address"},
        {"hostname": "nodot"},
        {"hostname": f"{host.fqdn},{owner.second.fqdn}", "myip": "192.0.2.9"},
    ]
    with uncounted(admin, host):
        for params in updates:
            lines = host.update(**params).text.splitlines()
            assert set(lines) == {"nohost"}
            assert len(lines) == len(params.get("hostname", "x").split(","))
        refused(host.update(hostname=",".join(f"n{n}.example.org" for n in range(21))), 200, "\n".join(["nohost"] * 20))
        refused(host.delete(myip="0.0.0.0"), 200, "nohost")
        said(service.get("/update", params={"domains": host.fqdn, "token": host.secret, "ip": "192.0.2.9"}), 200, "KO")
    assert set(owner.by_key(myip="192.0.2.9").splitlines()) == {"nohost"}
    assert owner.by_key(hostname=host.fqdn, myip="192.0.2.9") == "nohost"
    said(service.get("/update", params={"domains": host.fqdn, "token": owner.key[1], "ip": "192.0.2.9"}), 200, "KO")
    refused(service.get("/nic/update", token, params={"hostname": host.fqdn, "myip": "192.0.2.9"}), 401, "badauth")
    assert service.get("/nic/hosts", token).status_code == 401
    problem(owner.api.call("GET", "/hosts"), 401)
    for used in (enrolment, by_admin):
        problem(Api(service, used).call("POST", "/enrol", {"secret": secrets.token_urlsafe(32)}), 401)
    refused(service.get("/nic/update", auth=(host.fqdn, "wrong")), 401, "badauth")
    assert owner.shown() == THERE  # records are kept unless the operator says otherwise
    switch(service, owner.name, active=True)
    said(host.update(myip="192.0.2.9"), 200, "good 192.0.2.9")
    assert owner.by_key(hostname=owner.second.fqdn, myip="192.0.2.9") == "good 192.0.2.9"
    assert owner.api.get(f"/hosts/{host.fqdn}")["ipv4"] == "192.0.2.9"
    assert Api(service, enrolment).call("POST", "/enrol", {"secret": secrets.token_urlsafe(32)}).status_code == 200


@DOORS
def test_records_that_are_removed_come_back(service: Service, owner: Owner, admin: Api, switch: Switch) -> None:
    assert owner.shown() == THERE
    switch(service, owner.name, active=False, records="remove")
    assert admin.get(f"/users/{owner.name}")["records"] == "remove"
    wait_until(lambda: owner.shown() == [[], [], []], 15, "records removed")
    assert owner.second.addresses() == []
    refused(owner.host.update(myip="192.0.2.9"), 200, "nohost")
    assert admin.get(f"/hosts/{owner.host.fqdn}")["ipv4"] == GIVEN
    wait_until(lambda: admin.get(f"/hosts/{owner.host.fqdn}")["dns"] == "current", 15, "DNS follows")
    admin.patch(f"/hosts/{owner.host.fqdn}", {"comment": "seen"})
    admin.patch(f"/hosts/{owner.second.fqdn}", {"ipv4": "192.0.2.8"})
    assert owner.second.addresses() == []
    switch(service, owner.name, active=True)
    wait_until(lambda: owner.shown() == THERE, 15, "records back")
    wait_until(lambda: owner.second.addresses() == ["192.0.2.8"], 15, "records back")
    assert admin.get(f"/users/{owner.name}")["records"] == "keep"
    said(owner.host.update(myip="192.0.2.9"), 200, "good 192.0.2.9")
    details = [event["detail"] for event in admin.items("/events", object=owner.name, action="user.set")]
    assert details == ["active on, records back in DNS", "active off, records removed from DNS"]


def test_records_are_chosen_while_the_user_is_off(service: Service, owner: Owner, admin: Api) -> None:
    path = f"/users/{owner.name}"
    problem(admin.call("PATCH", path, {"records": "remove"}), 422, RULE, {"records"})
    problem(admin.call("PATCH", path, {"active": True, "records": "remove"}), 422, RULE, {"records"})
    assert owner.shown() == THERE
    admin.patch(path, {"active": False})
    admin.patch(path, {"records": "remove"})
    wait_until(lambda: owner.shown() == [[], [], []], 15, "records removed")
    admin.patch(path, {"records": "keep"})
    wait_until(lambda: owner.shown() == THERE, 15, "records back")
    assert admin.get(path)["active"] is False


def test_the_reason_of_a_suspension(service: Service, owner: Owner, admin: Api) -> None:
    path = f"/users/{owner.name}"
    problem(admin.call("PATCH", path, {"reason": "Spam"}), 422, RULE, {"reason"})
    assert admin.patch(path, {"active": False, "reason": "Spam"})["reason"] == "Spam"
    assert admin.patch(path, {"reason": "Spam, ticket 7"})["reason"] == "Spam, ticket 7"
    assert admin.items("/events", object=owner.name, action="user.set")[0]["detail"] == "reason: Spam, ticket 7"
    assert admin.patch(path, {"active": True})["reason"] is None
    service.cli("user", "suspend", owner.name, "--reason", "Phishing")
    assert admin.get(path)["reason"] == "Phishing"
    for former, active in (("enable", True), ("disable", False)):
        service.cli("user", former, owner.name)
        assert admin.get(path)["active"] is active


def test_a_key_of_an_owner_who_is_off_updates_no_host_of_somebody_else(
    service: Service, owner: Owner, admin: Api, bob: str
) -> None:
    admin.patch(f"/hosts/{owner.host.fqdn}", {"owner": "bob", "secrets": "keep"})
    assert owner.by_key(hostname=owner.host.fqdn, myip="192.0.2.8") == "good 192.0.2.8"
    admin.patch(f"/users/{owner.name}", {"active": False})
    assert owner.by_key(hostname=owner.host.fqdn, myip="192.0.2.9") == "nohost"
    said(owner.host.update(myip="192.0.2.9"), 200, "good 192.0.2.9")


# ---- another owner


def one(admin: Api, fqdn: str, owner: str, **fields: Any) -> None:
    admin.patch(f"/hosts/{fqdn}", {"owner": owner} | fields)


def bulk(admin: Api, fqdn: str, owner: str, **fields: Any) -> None:
    change = {"action": "update", "fqdn": fqdn, "set": {"owner": owner} | fields}
    answer = admin.call("POST", "/changes", {"changes": [change]})
    assert [result["status"] for result in answer.json()["results"]] == ["applied"], answer.text


def by_command(admin: Api, fqdn: str, owner: str, **fields: Any) -> None:
    what = ("--secrets", str(fields["secrets"])) if "secrets" in fields else ()
    admin.service.cli("host", "give", fqdn, "--to", owner, "--yes", *what)


GIVING = pytest.mark.parametrize("give", [one, bulk, by_command], ids=["api", "bulk", "command"])
Give = Callable[..., None]


@GIVING
@pytest.mark.parametrize("fields", [{}, {"secrets": "replace"}], ids=["default", "replace"])
def test_the_former_owner_is_out(
    service: Service, owner: Owner, admin: Api, bob: str, give: Give, fields: dict[str, str]
) -> None:
    host = owner.host
    give(admin, host.fqdn, "bob", **fields)
    refused(host.update(myip="192.0.2.9"), 401, "badauth")
    said(service.get("/update", params={"domains": host.fqdn, "token": host.secret, "ip": "192.0.2.9"}), 200, "KO")
    assert owner.by_key(hostname=host.fqdn, myip="192.0.2.9") == "nohost"
    assert owner.api.get(f"/keys/{owner.key[0]}")["hosts"] == [owner.second.fqdn]
    assert host.addresses() == [GIVEN]
    theirs = Api(service, bob)
    secret = theirs.call("POST", f"/hosts/{host.fqdn}/secret").json()["secret"]
    said(service.get("/nic/update", auth=(host.fqdn, secret), params={"myip": "192.0.2.9"}), 200, "good 192.0.2.9")
    given = theirs.items("/events", object=host.fqdn, action="host.transfer")
    assert [event["detail"] for event in given] == [f"from {owner.name}, secrets replaced"]
    taken = owner.api.items("/events", object=host.fqdn, action="host.transfer")
    assert [event["detail"] for event in taken] == ["to bob, secrets replaced"]
    assert not admin.items("/events", object=host.fqdn, action="host.set")
    (entry,) = [e for e in admin.items(f"/hosts/{host.fqdn}/history") if "owner" in (e["after"] or {})]
    assert (entry["before"]["owner"], entry["after"]["owner"], entry["note"]) == (owner.name, "bob", "secrets replaced")


@GIVING
def test_secrets_are_kept_on_demand(service: Service, owner: Owner, admin: Api, bob: str, give: Give) -> None:
    host, theirs = owner.host, Api(service, bob)
    give(admin, host.fqdn, "bob", secrets="keep")
    said(host.update(myip="192.0.2.9"), 200, "good 192.0.2.9")
    assert owner.by_key(hostname=host.fqdn, myip="192.0.2.8") == "good 192.0.2.8"
    assert set(owner.api.get(f"/keys/{owner.key[0]}")["hosts"]) == {host.fqdn, owner.second.fqdn}
    problem(owner.api.call("GET", f"/hosts/{host.fqdn}"), 404)
    assert theirs.items("/events", object=host.fqdn)[0]["detail"] == f"from {owner.name}, secrets kept"
    theirs.call("POST", f"/hosts/{host.fqdn}/secret")  # a new secret ends all of it
    refused(host.update(myip="192.0.2.9"), 401, "badauth")
    assert owner.by_key(hostname=host.fqdn, myip="192.0.2.9") == "nohost"
    owner.api.delete(f"/keys/{owner.key[0]}")


def test_an_enrolment_token_of_the_former_owner_ends(service: Service, owner: Owner, admin: Api, bob: str) -> None:
    for secrets_, host in (("keep", owner.host), ("replace", owner.second)):
        token = owner.api.call("POST", f"/hosts/{host.fqdn}/enrolments", {}).json()["token"]
        admin.patch(f"/hosts/{host.fqdn}", {"owner": "bob", "secrets": secrets_})
        problem(Api(service, token).call("POST", "/enrol", {"secret": secrets.token_urlsafe(32)}), 401)


@GIVING
def test_a_new_owner_brings_removed_records_back(
    service: Service, owner: Owner, admin: Api, bob: str, give: Give
) -> None:
    admin.patch(f"/users/{owner.name}", {"active": False, "records": "remove"})
    wait_until(lambda: owner.shown() == [[], [], []], 15, "records removed")
    give(admin, owner.host.fqdn, "bob", secrets="keep")
    wait_until(lambda: owner.shown() == THERE, 15, "records back")
    said(owner.host.update(myip="192.0.2.9"), 200, "good 192.0.2.9")


def test_what_cannot_be_given_changes_nothing(service: Service, owner: Owner, admin: Api, bob: str) -> None:
    path, off = f"/hosts/{owner.host.fqdn}", Owner(service)
    admin.patch(f"/users/{off.name}", {"active": False})
    for fields, field in (
        ({"owner": off.name}, "owner"),
        ({"owner": "nobody"}, "owner"),
        ({"secrets": "keep"}, "secrets"),
    ):
        problem(admin.call("PATCH", path, fields), 422, RULE, {field})
        change = {"action": "update", "fqdn": owner.host.fqdn, "set": fields}
        (result,) = admin.call("POST", "/changes", {"changes": [change]}).json()["results"]
        assert (result["status"], list(result["error"]["errors"])) == ("failed", [field])
    problem(admin.call("PATCH", path, {"owner": "bob", "secrets": "maybe"}), 422, fields={"secrets"})
    problem(owner.api.call("PATCH", path, {"owner": "bob", "secrets": "keep"}), 403)
    for arguments in ((off.name,), ("nobody",)):
        assert service.cli("host", "give", owner.host.fqdn, "--to", *arguments, "--yes", check=False).returncode == 1
    admin.patch(path, {"owner": owner.name})  # it is theirs already
    said(owner.host.update(myip="192.0.2.9"), 200, "good 192.0.2.9")


def test_an_owner_that_nobody_can_be_is_a_bad_value(owner: Owner, admin: Api) -> None:
    """Also one that a database cannot take."""
    for bad in ("nul\0", "", "x" * 151):
        change = {"action": "update", "fqdn": owner.host.fqdn, "set": {"comment": "x"}, "if": {"owner": bad}}
        (result,) = admin.call("POST", "/changes", {"changes": [change]}).json()["results"]
        assert (result["error"]["status"], list(result["error"]["errors"])) == (422, ["owner"])


def test_the_command_counts_the_machines_that_stop(service: Service, owner: Owner, bob: str) -> None:
    names = (owner.host.fqdn, owner.second.fqdn)

    def asked(answer: str, *options: str) -> str:
        done = service.cli("host", "give", *names, "--to", "bob", *options, check=False, stdin=answer)
        assert done.returncode == (0 if answer == "y\n" else 1)
        return done.stdout + done.stderr

    assert "No machine has updated them so far" in asked("n\n")
    assert owner.host.update(myip="192.0.2.9").text == "good 192.0.2.9"
    wait_until(
        lambda: "1 machine stops updating, until bob creates a new secret" in asked("n\n"), 30, "machine counted"
    )
    assert owner.host.update(myip="192.0.2.8").text == "good 192.0.2.8"
    assert "still work" in asked("n\n", "--secrets", "keep")
    assert "1 machine stops" in asked("y\n")
    refused(owner.host.update(myip="192.0.2.9"), 401, "badauth")
