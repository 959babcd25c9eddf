# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is stored about a user, as a file; and the end of an account, by its user or an administrator."""

import hashlib
import json
from dataclasses import dataclass

import pytest
from support.clients.dyndns import GIVEN, Host, new_label, refused, register
from support.clients.rest_api import Api, Content, problem
from support.ports import wait_until
from support.servers.service import Service

from ddnsd.db.account_data import columns
from ddnsd.db.schema import metadata

NOT_EMPTY = "urn:ddns:not-empty"

EXPORTED = {
    "certificates": "certificates",
    "contacts": "last_request",
    "domain_requests": "domain_requests",
    "domains": "domains",
    "enrolments": "enrolments",
    "events": "events",
    "fleet_devices": "fleets",
    "fleets": "fleets",
    "history": "history",
    "hosts": "hosts",
    "identities": "identities",
    "key_hosts": "keys",
    "keys": "keys",
    "memberships": "user",
    "passwords": "passwords",
    "quotas": "quotas",
    "recovery_codes": "recovery_codes",
    "related": "related",
    "rrsets": "records",
    "sessions": "sessions",
    "stacks": "stacks",
    "tokens": "tokens",
    "totp": "totp",
    "passkeys": "passkeys",
    "users": "user",
    "webhooks": "webhooks",
}
"""Tables, and the member of the export that has their rows."""

LEFT_OUT = {
    "accepted_updates": "signatures of messages, for minutes",
    "abuse_reports": "they are about the reporter",
    "acme_challenges": "random values, for an hour, which are also records",
    "answers": "for a day, without values that are not in the hosts",
    "dhcp_key_domains": "they belong to domains",
    "dhcp_keys": "they belong to domains",
    "denials": "they are the operator's",
    "fleet_keys": "encrypted secrets",
    "flapping": "computed from the history",
    "logout_tokens": "identifiers of a provider",
    "mirror_places": "work on zones",
    "mirrors": "work on zones",
    "nodes": "work on zones",
    "one_time_secrets": "encrypted with a key that is not stored",
    "passkey_challenges": "hashes of random numbers, without a user",
    "pending": "work on zones",
    "pointer_marks": "work on zones",
    "pointer_pass": "work on zones",
    "pointers": "computed from the hosts",
    "removals": "names of deleted hosts, by domain",
    "resends": "work on zones",
    "set_aside": "work on zones",
    "tsig_secrets": "encrypted; follow from the secrets, which only their owners have",
    "webhook_cursors": "numbers of rows",
    "webhook_deliveries": "copies of histories, for a week",
    "webhook_sender": "work of processes",
    "write_checks": "work on zones",
    "zone_leases": "work on zones",
}
"""Tables that no export has, and why."""


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


@dataclass
class Person:
    """A user with a host, a key and a second token; `secrets` are all of theirs."""

    service: Service
    name: str
    api: Api
    host: Host
    secrets: list[str]

    def export(self) -> Content:
        return self.api.get("/users/me/export")

    def leave(self, name: str | None = None) -> int:
        """The status of the deletion of the own account."""
        return self.api.call("DELETE", "/users/me", params={"confirm": name or self.name}).status_code


@pytest.fixture
def person(service: Service) -> Person:
    name = new_label()
    api = Api(service, service.user(name))
    assert api.token
    host = register(service, api.token, wildcard="true")
    api.patch(f"/hosts/{host.fqdn}", {"comment": "at home", "labels": {"room": "bed"}})
    api.call("PUT", f"/hosts/{host.fqdn}/related/nas", {"interface_id": "::7"})
    api.call("PUT", f"/hosts/{host.fqdn}/records/@/TXT", {"values": ['"x"']})
    key = api.post("/keys", {"name": "router", "hosts": [host.fqdn]})
    token = api.post("/tokens", {"name": "pipeline", "scopes": ["read"], "hosts": [host.fqdn]})
    api.post("/domain-requests", {"name": f"{new_label()}.example.org", "reason": "For my project."})
    return Person(service, name, api, host, [api.token, host.secret, key["secret"], token["token"]])


# ---- the export


def test_every_table_is_exported_or_left_out_for_a_reason() -> None:
    assert sorted([*EXPORTED, *LEFT_OUT]) == sorted(metadata.tables)
    hashes = {"hash", "secret_hash", "token_hash", "sealed", "key_secret", "replaces", "lease", "former_sealed"}
    for name in EXPORTED:
        assert hashes.isdisjoint(column.name for column in columns(metadata.tables[name]))


def test_the_export_has_everything(person: Person) -> None:
    person.host.update(myip="192.0.2.9", headers={"User-Agent": "Camera/1.0"})
    found: Content = {}

    def complete() -> bool:
        found.update(person.export())
        return found["hosts"][0]["last_request"] is not None

    wait_until(complete, 10, "the last request")
    assert set(found) >= {*EXPORTED.values(), "format", "exported"} - {
        "last_request",
        "history",
        "related",
        "records",
        "certificates",
    }
    assert found["format"] == 1
    assert (found["user"]["name"], found["user"]["admin"], found["user"]["groups"]) == (person.name, False, [])
    (host,) = found["hosts"]
    assert (host["fqdn"], host["ipv4"], host["comment"]) == (person.host.fqdn, "192.0.2.9", "at home")
    assert (host["wildcard"], host["labels"]) == (True, {"room": "bed"})
    assert (host["last_request"]["agent"], host["last_request"]["source"]) == ("Camera/1.0", "127.0.0.1")
    assert [name["fqdn"] for name in host["related"]] == [f"nas.{person.host.fqdn}"]
    assert [(one["rtype"], one["data"]) for one in host["records"]] == [("TXT", '"x"')]
    kinds = [entry["kind"] for entry in host["history"]]
    assert (kinds[0], kinds[-1]) == ("register", "update")
    assert host["history"][-1]["after"]["ipv4"] == "192.0.2.9"
    assert [(key["name"], key["hosts"]) for key in found["keys"]] == [("router", [person.host.fqdn])]
    pipeline = next(token for token in found["tokens"] if token["name"] == "pipeline")
    assert (pipeline["scopes"], pipeline["hosts"]) == (["read"], [person.host.fqdn])
    assert [request["reason"] for request in found["domain_requests"]] == ["For my project."]
    assert {"host.register", "token.add", "key.add"} <= {event["action"] for event in found["events"]}
    assert all(text.endswith("Z") for text in (found["exported"], host["created"], host["history"][0]["at"]))


def test_the_export_has_no_secrets_and_no_hashes(person: Person, admin: Api) -> None:
    answers = [
        person.api.call("GET", "/users/me/export"),
        admin.call("GET", f"/users/{person.name}/export"),
    ]
    texts = [answer.text for answer in answers] + [person.service.cli("user", "export", person.name).stdout]
    for text in texts:
        assert json.loads(text)["hosts"][0]["fqdn"] == person.host.fqdn
        for secret in person.secrets:
            digest = hashlib.sha256(secret.encode())
            for hidden in (secret, digest.hexdigest(), *(name + '"' for name in ("hash", "sealed", "secret"))):
                assert hidden not in text
    events = person.api.items("/events", action="user.export")
    assert [(event["actor"], event["object"]) for event in events] == [("ddnsd", person.name), ("admin", person.name)]
    assert answers[0].headers["content-disposition"] == 'attachment; filename="account.json"'


def test_nobody_exports_others(person: Person, service: Service, bob: str) -> None:
    other = Api(service, bob)
    problem(other.call("GET", f"/users/{person.name}/export"), 403)
    assert person.host.fqdn not in other.call("GET", "/users/me/export").text
    limited = service.cli("token", "add", person.name, "--name", "limited", "--host", person.host.fqdn)
    problem(Api(service, limited.stdout.strip()).call("GET", "/users/me/export"), 403)
    assert service.cli("user", "export", new_label(), check=False).returncode != 0


def test_many_hosts_and_entries(service: Service, person: Person) -> None:
    changes = [{"action": "create", "fqdn": f"{new_label()}.{service.domain}"} for _ in range(450)]
    person.api.call("POST", "/changes", {"changes": changes})
    found = person.export()["hosts"]
    assert {host["fqdn"] for host in found} == {change["fqdn"] for change in changes} | {person.host.fqdn}
    assert all(len(host["history"]) >= 1 for host in found)


# ---- the end of an account


def test_a_user_leaves(service: Service, person: Person, admin: Api) -> None:
    key = person.api.items("/keys")[0]["login"]
    second = [person.api.host(ipv4=GIVEN)["fqdn"] for _ in range(2)]
    assert person.leave() == 204
    problem(person.api.call("GET", "/users/me"), 401)
    problem(admin.call("GET", f"/users/{person.name}"), 404)
    refused(person.host.update(myip=GIVEN), 401, "badauth")
    assert service.get("/nic/update", auth=(key, person.secrets[2])).status_code == 401
    for fqdn in (person.host.fqdn, *second):
        problem(admin.call("GET", f"/hosts/{fqdn}"), 404)
    names = [*second, person.host.fqdn, f"any.{person.host.fqdn}"]
    wait_until(lambda: not any(service.dig(name) for name in names), 10, "addresses removed")
    wait_until(lambda: service.dig(person.host.fqdn, "TXT") == [], 10, "records removed")
    (event,) = admin.items("/events", object=person.name, action="user.delete")
    assert (event["actor"], event["source"]) == (person.name, "127.0.0.1")
    again = Api(service, service.user(person.name))
    assert [event["action"] for event in again.items("/events")] == ["token.add"]
    assert again.get("/users/me/export")["hosts"] == []


def test_more_hosts_than_one_transaction_deletes(service: Service, person: Person, admin: Api) -> None:
    changes = [{"action": "create", "fqdn": f"{new_label()}.{service.domain}"} for _ in range(700)]
    person.api.call("POST", "/changes", {"changes": changes})
    assert person.leave() == 204
    assert admin.items("/hosts", owner=person.name) == []


def test_only_with_the_name_and_a_whole_token(service: Service, person: Person) -> None:
    for confirm in ("", "admin", person.name.upper() + "x"):
        answer = person.api.call("DELETE", "/users/me", params={"confirm": confirm})
        problem(answer, 422, "urn:ddns:rule", {"confirm"})
    for number, limits in enumerate((["--scope", "read"], ["--host", person.host.fqdn], ["--domain", "*"])):
        token = service.cli("token", "add", person.name, "--name", f"l{number}", *limits).stdout.strip()
        answer = Api(service, token).call("DELETE", "/users/me", params={"confirm": person.name})
        problem(answer, 403)
    basic = service.request("DELETE", "/api/users/me", params={"confirm": person.name}, auth=person.host.auth)
    assert basic.status_code == 401
    assert person.host.update(myip=GIVEN).text == f"nochg {GIVEN}"


def test_owners_of_domains_stay(service: Service, person: Person, admin: Api) -> None:
    names = sorted(f"{new_label()}.example.org" for _ in range(2))
    for name in names:
        service.cli("domain", "add", name, "--owner", person.name)
    answer = person.api.call("DELETE", "/users/me", params={"confirm": person.name})
    problem(answer, 409, NOT_EMPTY)
    assert ", ".join(names) in answer.json()["detail"]
    problem(admin.call("DELETE", f"/users/{person.name}", params={"hosts": "remove"}), 409, NOT_EMPTY)
    assert person.host.update(myip=GIVEN).text == f"nochg {GIVEN}"
    person.api.delete(f"/domains/{names[0]}")
    service.cli("domain", "give", names[1], "--to", "admin")
    assert person.leave() == 204
    admin.delete(f"/domains/{names[1]}")


def test_nobody_leaves_a_block_behind(service: Service, person: Person, admin: Api) -> None:
    """The name would be free, and the same person could register it again."""
    admin.patch(f"/hosts/{person.host.fqdn}", {"abuse_blocked": True})
    answer = person.api.call("DELETE", "/users/me", params={"confirm": person.name})
    problem(answer, 409, NOT_EMPTY)
    assert person.host.fqdn in answer.json()["detail"]
    assert admin.get(f"/hosts/{person.host.fqdn}")["abuse_blocked"]
    admin.call("DELETE", f"/users/{person.name}", params={"hosts": "remove"})
    problem(admin.call("GET", f"/users/{person.name}"), 404)
    problem(admin.call("GET", f"/hosts/{person.host.fqdn}"), 404)


def test_suspended_users_do_not_leave(service: Service, person: Person, admin: Api) -> None:
    service.cli("user", "suspend", person.name)
    assert person.leave() == 401
    assert admin.get(f"/users/{person.name}")["active"] is False


def test_the_last_administrator_stays(service: Service, admin: Api) -> None:
    for user in admin.items("/users"):
        if user["admin"] and user["name"] != "admin":
            admin.patch(f"/users/{user['name']}", {"admin": False})
    domains = [one["name"] for one in admin.items("/domains") if one["owner"] == "admin"]
    assert service.domain in domains
    other = new_label()
    service.cli("user", "add", other, "--admin")
    two = Api(service, service.user(other))
    assert two.call("DELETE", "/users/me", params={"confirm": other}).status_code == 204
    third = new_label()
    last = Api(service, service.user(third))
    service.cli("user", "add", third, "--admin")
    service.cli("user", "suspend", "admin")
    answer = last.call("DELETE", "/users/me", params={"confirm": third})
    service.cli("user", "resume", "admin")
    problem(answer, 409, NOT_EMPTY)
    assert "last active administrator" in answer.json()["detail"]
    assert last.call("DELETE", "/users/me", params={"confirm": third}).status_code == 204


def test_administrators_delete_a_user_with_hosts(service: Service, person: Person, admin: Api) -> None:
    problem(admin.call("DELETE", f"/users/{person.name}"), 409, NOT_EMPTY)
    problem(admin.call("DELETE", f"/users/{person.name}", params={"hosts": "all"}), 422, fields={"hosts"})
    answer = admin.call("DELETE", f"/users/{person.name}", params={"hosts": "remove"})
    assert answer.status_code == 204
    problem(admin.call("GET", f"/hosts/{person.host.fqdn}"), 404)
    wait_until(lambda: person.host.addresses() == [], 10, "records removed")


def test_the_command(service: Service, person: Person, admin: Api) -> None:
    assert service.cli("user", "delete", person.name, "--yes", check=False).returncode != 0
    assert service.cli("user", "delete", person.name, "--hosts", "remove", check=False, stdin="n\n").returncode != 0
    service.cli("user", "delete", person.name, "--hosts", "remove", "--yes")
    problem(admin.call("GET", f"/users/{person.name}"), 404)
    wait_until(lambda: person.host.addresses() == [], 10, "records removed")
