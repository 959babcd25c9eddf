# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, hosts: registering, changing in place, deleting, secrets, entity tags."""

from typing import Any

import pytest
from support.clients import dyndns
from support.clients.dyndns import new_label
from support.clients.rest_api import Api, new_name, problem
from support.servers.service import Service

RULE, TAKEN = "urn:ddns:rule", "urn:ddns:taken"
NOTHING: dict[str, object] = {
    "ipv4": None,
    "ipv6": None,
    "alias": None,
    "wildcard": False,
    "comment": None,
    "ttl": None,
    "stack": None,
    "protect": False,
    "records": {},
    "related": {},
    "rrsets": 0,
    "labels": {},
    "available": True,
    "abuse": False,
    "abuse_blocked": False,
    "blocked_by_domain": False,
    "quarantined": False,
    "block_reason": None,
    "client_faults": 0,
    "server_faults": 0,
    "updated_ipv4": None,
    "tls_ipv4": False,
    "updated_ipv6": None,
    "tls_ipv6": False,
    "dns": "current",
    "conflict": None,
    "ptr": False,
    "pointers": [],
}


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def other(service: Service, bob: str) -> Api:
    return Api(service, bob)


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


def update(service: Service, host: dict[str, Any], **params: str) -> str:
    """What the host's own updater is answered."""
    return service.get("/nic/update", auth=(host["fqdn"], host["secret"]), params=params).text


def test_a_host_without_anything_has_no_record(service: Service, api: Api) -> None:
    fqdn = new_name(service)
    made = api.post("/hosts", {"fqdn": fqdn})
    assert made.pop("created").endswith("Z")
    assert len(made.pop("secret")) >= 22
    name, _, domain = fqdn.partition(".")
    assert (made.pop("warnings"), made.pop("flapping_since")) == ([], None)
    assert made == NOTHING | {"fqdn": fqdn, "name": name, "domain": domain, "owner": "alice"}
    assert service.dig(fqdn) == service.dig(fqdn, "AAAA") == []


def test_a_host_with_everything(service: Service, api: Api) -> None:
    fields = {
        "ipv4": "192.0.2.9",
        "ipv6": "2001:db8::9",
        "wildcard": True,
        "comment": "Über alles: ☃",
        "ttl": 300,
        "stack": "web-prod",
        "labels": {"env": "prod", "ünï": "✓"},
    }
    made = api.host(**fields)
    assert made | fields | {"dns": "current"} == made
    for name in (made["fqdn"], f"any.{made['fqdn']}"):
        assert (service.dig(name), service.dig(name, "AAAA")) == (["192.0.2.9"], ["2001:db8::9"])
        assert dyndns.ttl(service, name) == 300
    assert made["updated_ipv4"] is not None
    assert update(service, made, myip="192.0.2.9,2001:db8::9") == "nochg 192.0.2.9,2001:db8::9"


def test_names_are_folded_and_addresses_canonical(service: Service, api: Api) -> None:
    fqdn = new_name(service)
    made = api.post("/hosts", {"fqdn": fqdn.upper() + ".", "ipv6": "2001:DB8:0::0001"})
    assert (made["fqdn"], made["ipv6"]) == (fqdn, "2001:db8::1")
    assert api.get(f"/hosts/{fqdn.upper()}.")["fqdn"] == fqdn


def test_a_name_is_taken_once(service: Service, api: Api, other: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    for caller in (api, other, api):
        problem(caller.call("POST", "/hosts", {"fqdn": made["fqdn"], "ipv4": "192.0.2.2"}), 409, TAKEN)
    assert api.get(f"/hosts/{made['fqdn']}")["ipv4"] == "192.0.2.1"
    assert service.dig(made["fqdn"]) == ["192.0.2.1"]


def test_a_name_that_stands_in_the_zone_is_taken(service: Service, api: Api) -> None:
    fqdn = new_name(service)
    service.add_record(fqdn + ".", "TXT", "somebody's")
    for _ in range(2):
        problem(api.call("POST", "/hosts", {"fqdn": fqdn, "ipv4": "192.0.2.2"}), 409, TAKEN, {"fqdn"})
        problem(api.call("GET", f"/hosts/{fqdn}"), 404)
    assert (service.dig(fqdn), service.dig(fqdn, "TXT")) == ([], ['"somebody\'s"'])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"fqdn": "nodots"}, "fqdn"),
        ({"fqdn": "-a.dyn.example.org"}, "fqdn"),
        ({"fqdn": None}, "fqdn"),
        ({"ipv4": "192.0.2.300"}, "ipv4"),
        ({"ipv4": "2001:db8::1"}, "ipv4"),
        ({"ipv4": "127.0.0.1"}, "ipv4"),
        ({"ipv4": "192.0.2.1/24"}, "ipv4"),
        ({"ipv4": 3221225985}, "ipv4"),
        ({"ipv6": "192.0.2.1"}, "ipv6"),
        ({"ipv6": "::ffff:192.0.2.1"}, "ipv6"),
        ({"ipv6": "fe80::1%eth0"}, "ipv6"),
        ({"wildcard": "yes"}, "wildcard"),
        ({"wildcard": None}, "wildcard"),
        ({"comment": "x" * 256}, "comment"),
        ({"comment": "two\nlines"}, "comment"),
        ({"comment": "nul\0"}, "comment"),
        ({"ttl": 0}, "ttl"),
        ({"ttl": 86401}, "ttl"),
        ({"ttl": "60"}, "ttl"),
        ({"ttl": 1.5}, "ttl"),
        ({"ttl": True}, "ttl"),
        ({"stack": ""}, "stack"),
        ({"stack": "-a"}, "stack"),
        ({"stack": "a" * 64}, "stack"),
        ({"labels": {f"k{n}": "" for n in range(17)}}, "labels"),
        ({"labels": ["a"]}, "labels"),
        ({"secret": "mine"}, "secret"),
        ({"available": False}, "available"),
    ],
)
def test_fields_that_are_not_acceptable_at_registration(
    service: Service, api: Api, fields: dict[str, Any], field: str
) -> None:
    fqdn = new_name(service)
    for _ in range(2):
        answer = api.call("POST", "/hosts", {"fqdn": fqdn} | fields)
        assert answer.json()["type"] in ("about:blank", RULE)
        problem(answer, 422, answer.json()["type"], {field})
    problem(api.call("GET", f"/hosts/{fqdn}"), 404)


@pytest.mark.parametrize("labels", [{"": "v"}, {"k" * 64: "v"}, {"k": "v" * 256}, {"k": 1}, {"k": None}])
def test_labels_that_are_not_acceptable(service: Service, api: Api, labels: dict[str, Any]) -> None:
    made = api.host(labels={"kept": "yes"})
    for _ in range(2):
        answer = api.call("PATCH", f"/hosts/{made['fqdn']}", {"labels": labels})
        assert answer.status_code == 422
        assert all(field.startswith("labels") for field in answer.json()["errors"])
    assert api.get(f"/hosts/{made['fqdn']}")["labels"] == {"kept": "yes"}


def test_all_wrong_fields_are_named_at_once(api: Api) -> None:
    answer = api.call("POST", "/hosts", {"fqdn": "x", "ttl": "5", "colour": "red"})
    problem(answer, 422, fields={"fqdn", "ttl", "colour"})


@pytest.mark.parametrize("name", ["unknown.example.net", "{den}", "dyn.example.org", "localhost.org"])
def test_a_name_in_no_domain_of_the_caller(service: Service, api: Api, den: str, name: str) -> None:
    fqdn = f"{new_label()}.{den}" if name == "{den}" else name
    for _ in range(2):
        problem(api.call("POST", "/hosts", {"fqdn": fqdn}), 422, RULE, {"fqdn"})


# ---- in place


def test_every_field_changes_in_place(service: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1", comment="before")
    path = f"/hosts/{made['fqdn']}"
    fields = {
        "ipv4": "192.0.2.2",
        "ipv6": "2001:db8::2",
        "wildcard": True,
        "comment": "after",
        "ttl": 120,
        "stack": "s",
        "labels": {"a": "b"},
    }
    first = api.patch(path, fields)
    assert first | fields | {"dns": "current"} == first
    serial = dyndns.serial(service, service.domain)
    assert api.patch(path, fields) == first == api.get(path)
    assert dyndns.serial(service, service.domain) == serial
    for name in (made["fqdn"], f"any.{made['fqdn']}"):
        assert (service.dig(name), service.dig(name, "AAAA")) == (["192.0.2.2"], ["2001:db8::2"])
        assert dyndns.ttl(service, name) == 120
    assert update(service, made, myip="192.0.2.2") == "nochg 192.0.2.2"


def test_null_clears_and_what_is_absent_stays(service: Service, api: Api) -> None:
    made = api.host(
        ipv4="192.0.2.1", ipv6="2001:db8::1", wildcard=True, comment="c", ttl=90, stack="s", labels={"a": "b"}
    )
    path = f"/hosts/{made['fqdn']}"
    for _ in range(2):
        left = api.patch(path, {"ipv4": None})
        assert (left["ipv4"], left["ipv6"], left["comment"]) == (None, "2001:db8::1", "c")
        assert (service.dig(made["fqdn"]), service.dig(f"x.{made['fqdn']}", "AAAA")) == ([], ["2001:db8::1"])
    cleared = dict.fromkeys(("ipv6", "comment", "ttl", "stack", "labels")) | {"wildcard": False}
    for _ in range(2):
        left = api.patch(path, cleared)
        assert left | cleared | {"labels": {}} == left
        assert service.dig(f"x.{made['fqdn']}", "AAAA") == service.dig(made["fqdn"], "AAAA") == []
    assert api.patch(path, {}) == left


def test_what_the_updater_sets_is_not_touched_by_other_fields(service: Service, api: Api) -> None:
    made = api.host()
    assert update(service, made, myip="192.0.2.5") == "good 192.0.2.5"
    for comment in ("one", "two"):
        assert api.patch(f"/hosts/{made['fqdn']}", {"comment": comment})["ipv4"] == "192.0.2.5"
    assert service.dig(made["fqdn"]) == ["192.0.2.5"]
    assert update(service, made, myip="192.0.2.5") == "nochg 192.0.2.5"


def test_an_address_from_the_caller_is_not_dropped_by_a_change_of_the_other_family(
    service: Service, alice: str, api: Api
) -> None:
    host = dyndns.register(service, alice, ip="")
    assert api.patch(f"/hosts/{host.fqdn}", {"ipv6": "2001:db8::1"})["ipv4"] == "127.0.0.1"
    assert host.addresses() == ["127.0.0.1", "2001:db8::1"]


def test_a_wildcard_over_somebody_elses_record_is_refused(service: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    service.add_record(f"*.{made['fqdn']}.", "TXT", "somebody's")
    for _ in range(2):
        answer = api.call("PATCH", f"/hosts/{made['fqdn']}", {"wildcard": True, "comment": "new"})
        problem(answer, 409, TAKEN, {"wildcard"})
    shown = api.get(f"/hosts/{made['fqdn']}")
    assert (shown["wildcard"], shown["comment"], shown["dns"]) == (False, None, "current")
    assert service.dig(f"x.{made['fqdn']}") == []


# ---- who may


def test_foreign_hosts_look_like_absent_ones(service: Service, api: Api, other: Api) -> None:
    made = other.host(ipv4="192.0.2.1")
    for fqdn in (made["fqdn"], new_name(service)):
        for method, path, content in (
            ("GET", "", None),
            ("PATCH", "", {"comment": "x"}),
            ("DELETE", "", None),
            ("POST", "/secret", None),
            ("POST", "/verify-secret", {"secret": made["secret"]}),
            ("GET", "/ipv4", None),
            ("GET", "/ipv6", None),
        ):
            answer = problem(api.call(method, f"/hosts/{fqdn}{path}", content), 404)
            assert fqdn not in answer["detail"]
    assert other.get(f"/hosts/{made['fqdn']}") == {k: v for k, v in made.items() if k != "secret"}


def test_an_administrator_acts_on_everybodys_hosts(service: Service, admin: Api, other: Api) -> None:
    made = other.host(ipv4="192.0.2.1")
    for _ in range(2):
        changed = admin.patch(f"/hosts/{made['fqdn']}", {"comment": "seen", "available": False})
        assert (changed["owner"], changed["comment"], changed["available"]) == ("bob", "seen", False)
        assert update(service, made, myip="192.0.2.2") == "nohost"
    admin.delete(f"/hosts/{made['fqdn']}")
    problem(other.call("GET", f"/hosts/{made['fqdn']}"), 404)


@pytest.mark.parametrize(
    "fields", [{"available": False}, {"abuse_blocked": True}, {"block_reason": "x"}, {"owner": "alice"}]
)
def test_only_an_administrator_changes_some_fields(api: Api, fields: dict[str, Any]) -> None:
    made = api.host(ipv4="192.0.2.1")
    for _ in range(2):
        problem(api.call("PATCH", f"/hosts/{made['fqdn']}", fields | {"comment": "x"}), 403)
    assert api.get(f"/hosts/{made['fqdn']}") == {k: v for k, v in made.items() if k != "secret"}


def test_a_block_takes_the_records_and_keeps_the_owner_out(service: Service, api: Api, admin: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    path = f"/hosts/{made['fqdn']}"
    for _ in range(2):
        assert admin.patch(path, {"abuse_blocked": True})["abuse_blocked"] is True
        assert service.dig(made["fqdn"]) == []
        problem(api.call("PATCH", path, {"ipv4": "192.0.2.2"}), 403)
        problem(api.call("DELETE", path), 403)
        assert update(service, made, myip="192.0.2.3") == "abuse"
    for _ in range(2):
        assert admin.patch(path, {"abuse_blocked": False})["abuse_blocked"] is False
        assert service.dig(made["fqdn"]) == ["192.0.2.1"]
    assert api.patch(path, {"ipv4": "192.0.2.2"})["ipv4"] == "192.0.2.2"


def test_the_owner_reads_the_reason_of_a_block(service: Service, api: Api, admin: Api) -> None:
    fqdn = api.host(ipv4="192.0.2.1")["fqdn"]
    path = f"/hosts/{fqdn}"
    problem(admin.call("PATCH", path, {"block_reason": "Spam"}), 422, RULE, {"block_reason"})
    admin.patch(path, {"abuse_blocked": True, "block_reason": "Spam since Monday"})
    assert api.get(path)["block_reason"] == "Spam since Monday"
    assert [host["block_reason"] for host in api.items("/hosts", fqdn=fqdn)] == ["Spam since Monday"]
    admin.patch(path, {"block_reason": "Spam, ticket 7"})
    assert api.items("/events", object=fqdn, action="host.block")[0]["detail"] == "Spam, ticket 7"
    (newest, first) = (e for e in api.items(f"{path}/history") if e["kind"] == "block")
    assert newest["after"] == {"block_reason": "Spam, ticket 7"}
    assert first["after"]["block_reason"] == "Spam since Monday"
    admin.patch(path, {"abuse_blocked": False})
    assert api.get(path)["block_reason"] is None
    service.cli("host", "block", fqdn, "--reason", "Phishing")
    assert api.get(path)["block_reason"] == "Phishing"
    service.cli("host", "unblock", fqdn)
    assert api.get(path)["block_reason"] is None


def test_a_new_owner(service: Service, api: Api, other: Api, admin: Api) -> None:
    made, kept = api.host(ipv4="192.0.2.1"), api.host(ipv4="192.0.2.1")
    key = api.post("/keys", {"name": "both", "hosts": [made["fqdn"], kept["fqdn"]]})
    problem(admin.call("PATCH", f"/hosts/{made['fqdn']}", {"owner": "nobody"}), 422, RULE, {"owner"})
    for _ in range(2):
        assert admin.patch(f"/hosts/{made['fqdn']}", {"owner": "bob"})["owner"] == "bob"
    problem(api.call("GET", f"/hosts/{made['fqdn']}"), 404)
    assert other.get(f"/hosts/{made['fqdn']}")["ipv4"] == "192.0.2.1"
    assert api.get(f"/keys/{key['login']}")["hosts"] == [kept["fqdn"]]


# ---- deleting


def test_deleting(service: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1", ipv6="2001:db8::1", wildcard=True)
    api.delete(f"/hosts/{made['fqdn']}")
    for name in (made["fqdn"], f"any.{made['fqdn']}"):
        assert service.dig(name) == service.dig(name, "AAAA") == []
    problem(api.call("DELETE", f"/hosts/{made['fqdn']}"), 404)
    assert update(service, made, myip="192.0.2.2") == "badauth"
    assert api.host(fqdn=made["fqdn"])["secret"] != made["secret"]


# ---- secrets


def test_a_secret_is_shown_once(service: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    path = f"/hosts/{made['fqdn']}"
    for text in (
        api.call("GET", path).text,
        api.call("PATCH", path, {"comment": "x"}).text,
        api.call("GET", "/hosts").text,
    ):
        assert made["secret"] not in text
        assert '"secret"' not in text


def test_a_new_secret_makes_the_old_one_void(service: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    old = made["secret"]
    for _ in range(2):
        new = api.call("POST", f"/hosts/{made['fqdn']}/secret").json()["secret"]
        assert new != old
        assert update(service, made | {"secret": old}, myip="192.0.2.1") == "badauth"
        assert update(service, made | {"secret": new}, myip="192.0.2.1") == "nochg 192.0.2.1"
        old = new


def test_verifying_a_secret_changes_nothing(service: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    before = api.get(f"/hosts/{made['fqdn']}")
    for secret, valid in ((made["secret"], True), ("wrong", False), ("", False), (made["secret"], True)):
        answer = api.call("POST", f"/hosts/{made['fqdn']}/verify-secret", {"secret": secret})
        assert (answer.status_code, answer.json()) == (200, {"valid": valid})
    assert api.get(f"/hosts/{made['fqdn']}") == before


def test_one_address_alone(api: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    for _ in range(2):
        assert api.get(f"/hosts/{made['fqdn']}/ipv4") == {"ipv4": "192.0.2.1"}
        assert api.get(f"/hosts/{made['fqdn']}/ipv6") == {"ipv6": None}


# ---- entity tags


def test_a_change_is_made_only_where_the_tag_fits(service: Service, api: Api) -> None:
    created = api.call("POST", "/hosts", {"fqdn": new_name(service), "ipv4": "192.0.2.1"})
    path = f"/hosts/{created.json()['fqdn']}"
    tag = created.headers["etag"]
    assert api.call("GET", path).headers["etag"] == tag
    changed = api.call("PATCH", path, {"comment": "one"}, headers={"If-Match": f'"other", {tag}'})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    for stale in (tag, f"W/{changed.headers['etag']}", '"x"', "x"):
        problem(api.call("PATCH", path, {"ipv4": "192.0.2.2"}, headers={"If-Match": stale}), 412)
        problem(api.call("DELETE", path, headers={"If-Match": stale}), 412)
    assert api.get(path) | {"comment": "one", "ipv4": "192.0.2.1"} == api.get(path)
    assert api.call("PATCH", path, {"comment": "two"}, headers={"If-Match": "*"}).status_code == 200
    tag = api.call("GET", path).headers["etag"]
    assert api.call("DELETE", path, headers={"If-Match": tag}).status_code == 204


def test_an_update_makes_the_tag_stale_and_a_fault_does_not(service: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    path = f"/hosts/{made['fqdn']}"
    tag = api.call("GET", path).headers["etag"]
    assert update(service, made, myip="zzz") == "dnserr"
    assert api.get(path)["client_faults"] == 1
    assert api.call("GET", path).headers["etag"] == tag
    assert update(service, made, myip="192.0.2.2") == "good 192.0.2.2"
    problem(api.call("PATCH", path, {"comment": "x"}, headers={"If-Match": tag}), 412)
