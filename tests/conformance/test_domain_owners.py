# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner of a domain and the hosts of others in it: what they see, stop and remove, and what they must not."""

from dataclasses import dataclass
from typing import Any

import pytest
from support.clients.dyndns import GIVEN, Host, new_label, register
from support.clients.rest_api import Api, Content, problem
from support.ports import wait_until
from support.servers.service import Service

AGENT = {"User-Agent": "Camera/1.0"}
NOTES: Content = {"comment": None, "stack": None, "labels": {}, "records": {}, "rrsets": 0}
HOST_ONLY = ("warnings", "flapping_since", "pointers", "records", "related")
SECRETS: Content = {"comment": "bedroom", "stack": "home", "labels": {"room": "bed"}}


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


@dataclass
class Estate:
    """A public domain, its owner, and a tenant with a host in it, which has notes, records and a last request."""

    service: Service
    domain: str
    name: str
    owner: Api
    tenant_name: str
    tenant: Api
    host: Host

    @property
    def path(self) -> str:
        return f"/hosts/{self.host.fqdn}"

    def token(self, *arguments: str) -> Api:
        """Another token of the owner's."""
        added = self.service.cli("token", "add", self.name, "--name", new_label(), *arguments)
        return Api(self.service, added.stdout.strip())

    def names(self, api: Api, **filters: Any) -> list[str]:
        """The names in the list of the caller."""
        return [item["fqdn"] for item in api.items("/hosts", **filters)]

    def another(self) -> Host:
        """Another host of the tenant's."""
        assert self.tenant.token
        return register(self.service, self.tenant.token, self.domain)


@pytest.fixture
def estate(service: Service) -> Estate:
    name, tenant_name, domain = new_label(), new_label(), f"{new_label()}.example.org"
    owner, tenant = Api(service, service.user(name)), Api(service, service.user(tenant_name))
    service.cli("domain", "add", domain, "--owner", name)
    assert tenant.token
    host = register(service, tenant.token, domain)
    tenant.patch(f"/hosts/{host.fqdn}", SECRETS)
    tenant.call("PUT", f"/hosts/{host.fqdn}/records/@/TXT", {"values": ['"x"']})
    return Estate(service, domain, name, owner, tenant_name, tenant, host)


# ---- what they see


def test_the_owner_of_the_domain_sees_its_hosts_without_the_notes(estate: Estate) -> None:
    whole, seen = estate.tenant.get(estate.path), estate.owner.get(estate.path)
    assert seen == whole | NOTES
    assert (seen["owner"], seen["ipv4"], seen["dns"]) == (estate.tenant_name, GIVEN, "current")
    assert estate.owner.get(f"{estate.path}/ipv4") == {"ipv4": GIVEN}
    (listed,) = estate.owner.items("/hosts", domain=estate.domain)
    assert listed == {name: value for name, value in seen.items() if name not in HOST_ONLY}
    assert estate.owner.items("/hosts", fqdn=estate.host.fqdn) == [listed]
    assert estate.owner.items("/hosts", domain=estate.domain, owner=estate.tenant_name) == [listed]


def test_lists_have_hosts_of_others_only_on_demand(estate: Estate) -> None:
    assert estate.names(estate.owner) == []
    assert estate.names(estate.owner, owner=estate.tenant_name) == []
    assert estate.host.fqdn.encode() not in estate.service.get("/nic/hosts", estate.owner.token).content
    mine = estate.owner.post("/hosts", {"fqdn": f"{new_label()}.{estate.domain}", "comment": "mine"})
    assert estate.names(estate.owner) == [mine["fqdn"]]
    assert estate.names(estate.owner, domain=estate.domain) == [estate.host.fqdn, mine["fqdn"]]
    assert estate.owner.items("/hosts", domain=estate.domain)[1]["comment"] == "mine"
    assert estate.names(estate.tenant, domain=estate.domain) == [estate.host.fqdn]


def test_the_last_request_is_shown_without_its_origin(estate: Estate) -> None:
    estate.host.update(myip=GIVEN, headers=AGENT)
    wait_until(lambda: estate.tenant.get(f"{estate.path}/contact")["agent"] == "Camera/1.0", 10, "contact")
    whole = estate.tenant.get(f"{estate.path}/contact")
    assert whole["source"] == "127.0.0.1"
    assert estate.owner.get(f"{estate.path}/contact") == whole | {"source": None, "agent": None}


# ---- attacks: what they do not see, and cannot change


@pytest.mark.parametrize("field", SECRETS)
def test_no_filter_condition_or_tag_tells_the_notes(estate: Estate, field: str) -> None:
    assert estate.names(estate.owner, domain=estate.domain, stack="home") == []
    assert estate.names(estate.owner, fqdn=estate.host.fqdn, stack="home") == []
    change = {"action": "delete", "fqdn": estate.host.fqdn, "if": {field: "x" if field != "labels" else {"a": "b"}}}
    answer = estate.owner.call("POST", "/changes", {"changes": [change]})
    assert answer.json()["results"][0]["status"] == "failed"
    assert "bed" not in answer.text
    assert "home" not in answer.text
    guessed = {"action": "delete", "fqdn": estate.host.fqdn, "if": {field: SECRETS[field]}}
    answer = estate.owner.call("POST", "/changes", {"changes": [guessed]})
    assert answer.json()["results"][0]["status"] == "failed"
    before, whole = (api.call("GET", estate.path).headers["etag"] for api in (estate.owner, estate.tenant))
    estate.tenant.patch(estate.path, {field: None})
    assert estate.owner.call("GET", estate.path).headers["etag"] == before
    assert estate.tenant.call("GET", estate.path).headers["etag"] != whole


CHANGES: list[tuple[str, str, Content | None]] = [
    ("PATCH", "", {"ipv4": "192.0.2.66"}),
    ("PATCH", "", {"comment": "mine"}),
    ("PATCH", "", {"comment": "mine", "abuse_blocked": True}),
    ("PATCH", "", {"quarantined": True}),
    ("PATCH", "", {"available": False}),
    ("PATCH", "", {"owner": "admin"}),
    ("PATCH", "", {}),
    ("POST", "/secret", None),
    ("POST", "/verify-secret", {"secret": "x"}),
    ("GET", "/history", None),
    ("GET", "/history/days", None),
    ("GET", "/records", None),
    ("PUT", "/records/@/TXT", {"values": ['"y"']}),
    ("DELETE", "/records/@/TXT", None),
    ("GET", "/related", None),
    ("PUT", "/related/r", {"interface_id": "::7"}),
]


@pytest.mark.parametrize(("method", "below", "content"), CHANGES)
def test_the_rest_of_the_host_is_its_owners(estate: Estate, method: str, below: str, content: Content | None) -> None:
    before = estate.tenant.get(estate.path)
    answer = estate.owner.call(method, f"{estate.path}{below}", content)
    problem(answer, 403)
    assert "Another user owns this host" in answer.json()["detail"]
    assert estate.tenant.get(estate.path) == before


def test_neither_updates_nor_keys_nor_enrolments_take_the_host(estate: Estate) -> None:
    fqdn = estate.host.fqdn
    answer = estate.service.get("/nic/update", estate.owner.token, params={"hostname": fqdn, "myip": "192.0.2.66"})
    assert (answer.status_code, answer.text) == (404, "nohost")
    assert estate.service.get("/nic/generate_secret", estate.owner.token, params={"fqdn": fqdn}).status_code == 404
    problem(estate.owner.call("POST", f"{estate.path}/enrolments", {}), 404)
    assert estate.owner.call("POST", "/keys", {"name": "k", "hosts": [fqdn]}).status_code == 422
    changes = [
        {"action": "update", "fqdn": fqdn, "set": {"ipv4": "192.0.2.66"}},
        {"action": "rotate", "fqdn": fqdn},
        {"action": "update", "fqdn": fqdn, "set": {"abuse_blocked": True, "comment": "x"}},
        {"action": "update", "fqdn": fqdn, "set": {"quarantined": True}},
    ]
    results = estate.owner.call("POST", "/changes", {"changes": changes}).json()["results"]
    assert [result["status"] for result in results] == ["failed"] * 4
    assert estate.host.update(myip=GIVEN).text == f"nochg {GIVEN}"


def test_other_users_have_no_rights(estate: Estate, service: Service, admin: Api) -> None:
    """Of another domain's owner, of the tenant in their own host's domain, and of a token that may only read."""
    name = new_label()
    other = Api(service, service.user(name))
    service.cli("domain", "add", f"{new_label()}.example.org", "--owner", name)
    for method, content in (("GET", None), ("PATCH", {"abuse_blocked": True}), ("DELETE", None)):
        problem(other.call(method, estate.path, content), 404)
    assert estate.names(other, domain=estate.domain) == estate.names(other, fqdn=estate.host.fqdn) == []
    problem(estate.tenant.call("PATCH", estate.path, {"abuse_blocked": True}), 403)
    bulk = {"changes": [{"action": "update", "fqdn": estate.host.fqdn, "set": {"abuse_blocked": True}}]}
    assert estate.tenant.call("POST", "/changes", bulk).json()["results"][0]["error"]["status"] == 422
    assert other.call("POST", "/changes", bulk).json()["results"][0]["error"]["status"] == 404
    reader = estate.token("--scope", "read")
    assert reader.get(estate.path)["fqdn"] == estate.host.fqdn
    problem(reader.call("PATCH", estate.path, {"abuse_blocked": True}), 403)
    problem(reader.call("DELETE", estate.path), 403)


def test_a_limited_token_stays_limited(estate: Estate) -> None:
    second = estate.another()
    limited = estate.token("--host", second.fqdn)
    assert estate.names(limited, domain=estate.domain) == [second.fqdn]
    problem(limited.call("GET", estate.path), 404)
    problem(limited.call("PATCH", estate.path, {"abuse_blocked": True}), 404)
    problem(limited.call("DELETE", estate.path), 404)
    assert limited.patch(f"/hosts/{second.fqdn}", {"abuse_blocked": True})["abuse_blocked"]
    elsewhere = estate.token("--domain", "other.example.org")
    assert estate.names(elsewhere, domain=estate.domain) == []
    problem(elsewhere.call("DELETE", estate.path), 404)


def test_a_suspended_owner_of_the_domain_is_refused(estate: Estate) -> None:
    estate.service.cli("user", "suspend", estate.name)
    problem(estate.owner.call("GET", estate.path), 401)
    problem(estate.owner.call("DELETE", estate.path), 401)
    assert estate.host.update(myip=GIVEN).text == f"nochg {GIVEN}"


# ---- blocks


def test_a_block_with_a_reason_and_its_end(estate: Estate) -> None:
    shown = estate.owner.patch(estate.path, {"abuse_blocked": True, "block_reason": "It sends spam."})
    assert (shown["abuse_blocked"], shown["blocked_by_domain"], shown["comment"]) == (True, True, None)
    assert estate.host.addresses() == []
    assert estate.host.update(myip="192.0.2.9").text == "abuse"
    told = estate.tenant.get(estate.path)
    assert (told["block_reason"], told["blocked_by_domain"]) == ("It sends spam.", True)
    problem(estate.tenant.call("PATCH", estate.path, {"comment": "x"}), 403)
    problem(estate.tenant.call("DELETE", estate.path), 403)
    shown = estate.owner.patch(estate.path, {"abuse_blocked": False})
    assert (shown["abuse_blocked"], shown["blocked_by_domain"], shown["block_reason"]) == (False, False, None)
    assert estate.host.addresses() == [GIVEN]
    assert estate.host.update(myip="192.0.2.9").text == "good 192.0.2.9"


def test_it_is_told_with_the_name_but_not_the_address_of_the_actor(estate: Estate, admin: Api) -> None:
    estate.owner.patch(estate.path, {"abuse_blocked": True, "block_reason": "Spam."})
    estate.owner.delete(estate.path)
    by = f"by the owner of {estate.domain}"
    for reader, source in ((estate.tenant, None), (estate.owner, "127.0.0.1")):
        found = [e for e in reader.items("/events", object=estate.host.fqdn) if e["actor"] == estate.name]
        assert [(e["action"], e["source"], e["detail"]) for e in reversed(found)] == [
            ("host.block", source, f"{by}: Spam."),
            ("host.unregister", source, by),
        ]
    assert len(admin.items("/events", object=estate.host.fqdn, actor=estate.name)) == 4


def test_the_history_has_the_name_but_not_the_origin_of_the_actor(estate: Estate) -> None:
    estate.owner.patch(estate.path, {"abuse_blocked": True, "block_reason": "Spam."})
    entry = estate.tenant.items(f"{estate.path}/history")[0]
    assert (entry["kind"], entry["actor"]) == ("block", estate.name)
    assert entry["after"] == {"abuse_blocked": True, "block_reason": "Spam.", "blocked_by_domain": True}
    assert [entry[name] for name in ("source", "agent", "via_name")] == [None, None, None]


def test_the_block_of_an_administrator_stays(estate: Estate, admin: Api) -> None:
    admin.patch(estate.path, {"abuse_blocked": True, "block_reason": "Phishing."})
    for content in ({"abuse_blocked": False}, {"block_reason": "All is well."}):
        problem(estate.owner.call("PATCH", estate.path, content), 403)
    problem(estate.owner.call("DELETE", estate.path), 403)
    bulk = {"changes": [{"action": "delete", "fqdn": estate.host.fqdn}]}
    assert estate.owner.call("POST", "/changes", bulk).json()["results"][0]["error"]["status"] == 403
    shown = admin.get(estate.path)
    assert (shown["abuse_blocked"], shown["block_reason"]) == (True, "Phishing.")


def test_an_administrator_takes_a_block_over(estate: Estate, admin: Api) -> None:
    estate.owner.patch(estate.path, {"abuse_blocked": True})
    assert not admin.patch(estate.path, {"abuse_blocked": True})["blocked_by_domain"]
    problem(estate.owner.call("PATCH", estate.path, {"abuse_blocked": False}), 403)
    assert admin.items(f"{estate.path}/history")[0]["actor"] == "admin"
    second = estate.another()
    estate.owner.patch(f"/hosts/{second.fqdn}", {"abuse_blocked": True})
    assert not admin.patch(f"/hosts/{second.fqdn}", {"quarantined": True})["blocked_by_domain"]
    problem(estate.owner.call("PATCH", f"/hosts/{second.fqdn}", {"abuse_blocked": False}), 403)


def test_owners_do_not_lift_blocks_of_their_own_hosts(estate: Estate, admin: Api) -> None:
    mine = estate.owner.post("/hosts", {"fqdn": f"{new_label()}.{estate.domain}"})["fqdn"]
    admin.patch(f"/hosts/{mine}", {"abuse_blocked": True})
    problem(estate.owner.call("PATCH", f"/hosts/{mine}", {"abuse_blocked": False}), 403)
    problem(estate.owner.call("DELETE", f"/hosts/{mine}"), 403)


def test_a_change_meanwhile_is_not_overwritten(estate: Estate) -> None:
    tag = estate.owner.call("GET", estate.path).headers["etag"]
    estate.tenant.patch(estate.path, {"ipv4": "192.0.2.77"})
    for method, content in (("PATCH", {"abuse_blocked": True}), ("DELETE", None)):
        problem(estate.owner.call(method, estate.path, content, headers={"If-Match": tag}), 412)


# ---- removal


def test_removal_at_each_door(estate: Estate) -> None:
    second, third = estate.another(), estate.another()
    estate.owner.delete(estate.path)
    answer = estate.service.get("/nic/unregister", estate.owner.token, params={"fqdn": second.fqdn})
    assert answer.json()["message"] == "Host unregistered."
    changes = [{"action": "delete", "fqdn": third.fqdn, "if": {"owner": estate.tenant_name}}]
    results = estate.owner.call("POST", "/changes", {"changes": changes}).json()["results"]
    assert [result["status"] for result in results] == ["applied"]
    assert estate.names(estate.tenant) == []
    assert [host.addresses() for host in (estate.host, second, third)] == [[], [], []]
    assert "comment" not in answer.json()["host"] or answer.json()["host"]["comment"] is None
    for host in (estate.host, second, third):
        event = estate.tenant.items("/events", object=host.fqdn)[0]
        assert (event["actor"], event["action"], event["source"]) == (estate.name, "host.unregister", None)


def test_blocks_in_one_call(estate: Estate) -> None:
    second = estate.another()
    for wanted in (True, False):
        changes = [
            {"action": "update", "fqdn": fqdn, "set": {"abuse_blocked": wanted}}
            for fqdn in (estate.host.fqdn, second.fqdn)
        ]
        results = estate.owner.call("POST", "/changes", {"changes": changes}).json()["results"]
        assert [result["status"] for result in results] == ["applied", "applied"]
        assert estate.tenant.get(estate.path)["blocked_by_domain"] is wanted


# ---- another owner of the domain


def test_rights_go_to_the_new_owner(estate: Estate, service: Service, admin: Api) -> None:
    name = new_label()
    new = Api(service, service.user(name))
    estate.owner.patch(estate.path, {"abuse_blocked": True})
    problem(estate.owner.call("PATCH", f"/domains/{estate.domain}", {"owner": name}), 403)
    assert admin.patch(f"/domains/{estate.domain}", {"owner": name})["owner"] == name
    for method, content in (("GET", None), ("PATCH", {"abuse_blocked": False}), ("DELETE", None)):
        problem(estate.owner.call(method, estate.path, content), 404)
    assert estate.names(estate.owner, domain=estate.domain) == []
    assert not new.patch(estate.path, {"abuse_blocked": False})["abuse_blocked"]
    new.delete(estate.path)
    for reader, detail in ((estate.owner, f"to {name}"), (new, f"from {estate.name}")):
        (event,) = reader.items("/events", object=estate.domain, action="domain.transfer")
        assert (event["actor"], event["detail"]) == ("admin", detail)


def test_the_command_gives_a_domain(estate: Estate, service: Service) -> None:
    name = new_label()
    new = Api(service, service.user(name))
    service.cli("domain", "give", estate.domain, "--to", name)
    assert new.get(estate.path)["owner"] == estate.tenant_name
    assert service.cli("domain", "give", estate.domain, "--to", new_label(), check=False).returncode != 0
    service.cli("user", "suspend", estate.name)
    assert service.cli("domain", "give", estate.domain, "--to", estate.name, check=False).returncode != 0
    assert new.get(f"/domains/{estate.domain}")["owner"] == name
