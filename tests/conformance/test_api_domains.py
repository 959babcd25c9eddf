# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, domains: who sees and changes them, and their zones on BIND."""

from typing import Any

import pytest
from support.clients import dyndns
from support.clients.dyndns import new_label
from support.clients.rest_api import Api, Content, problem
from support.ports import free_port, wait_until
from support.servers.service import Service

from ddnsd.dns.tsig import TsigKey

RULE, TAKEN, NOT_EMPTY = "urn:ddns:rule", "urn:ddns:taken", "urn:ddns:not-empty"
NOTHING: Content = {
    "public": False,
    "available": True,
    "dns_updates": True,
    "comment": None,
    "ttl": None,
    "group": None,
    "stack": None,
    "frozen": None,
    "key": None,
    "dnssec_policy": None,
    "gss_realm": None,
    "gss_hosts": False,
    "network": None,
    "reverse": "off",
    "inline_signing": False,
    "hosts": 0,
}
LONGEST = ".".join(("x" * 63, "x" * 63, "x" * 61))
"""A domain, so that a host of one label of 63 characters has a name of 253."""


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def other(service: Service, bob: str) -> Api:
    return Api(service, bob)


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


def new_domain() -> str:
    return f"{new_label()}.example.org"


@pytest.fixture
def mine(admin: Api, alice: str) -> str:
    """A new private domain of alice's."""
    name: str = admin.post("/domains", {"name": new_domain(), "owner": "alice"})["name"]
    return name


def test_a_domain_is_provisioned_and_its_hosts_are_in_dns(service: Service, admin: Api) -> None:
    name = new_domain()
    made = admin.post("/domains", {"name": name.upper()})
    assert made.pop("created").endswith("Z")
    assert made == NOTHING | {"name": name, "owner": "admin", "primary": f"127.0.0.1:{service.dns_port}"}
    problem(admin.call("POST", "/domains", {"name": name}), 409, TAKEN, {"name"})
    host = admin.host(fqdn=f"a.{name}", ipv4="192.0.2.1")
    assert service.dig(host["fqdn"]) == ["192.0.2.1"]
    assert admin.get(f"/domains/{name}") == made | {"hosts": 1, "created": admin.get(f"/domains/{name}")["created"]}


def test_the_longest_names(service: Service, admin: Api) -> None:
    admin.post("/domains", {"name": LONGEST})
    host = admin.host(fqdn=f"{'y' * 63}.{LONGEST}", ipv4="192.0.2.1")
    assert service.dig(host["fqdn"]) == ["192.0.2.1"]
    problem(admin.call("POST", "/hosts", {"fqdn": f"y.{host['fqdn']}"}), 422, fields={"fqdn"})


def test_a_domain_with_everything(service: Service, admin: Api, alice: str) -> None:
    fields = {"public": True, "comment": "Für alle", "ttl": 300, "group": "urn:mace:egi.eu:group:vo#x", "stack": "s"}
    made = admin.post("/domains", {"name": new_domain(), "owner": "alice", "available": True, **fields})
    assert made | fields == made
    assert made["owner"] == "alice"
    host = admin.host(fqdn=f"a.{made['name']}", ipv4="192.0.2.1")
    assert dyndns.ttl(service, host["fqdn"]) == 300


def test_domains_are_created_by_administrators_alone(api: Api) -> None:
    name = new_domain()
    for _ in range(2):
        problem(api.call("POST", "/domains", {"name": name}), 403)
    problem(api.call("GET", f"/domains/{name}"), 404)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "org"}, "name"),
        ({"name": "-x.org"}, "name"),
        ({"name": f"x{LONGEST}"}, "name"),
        ({"owner": "nobody"}, "owner"),
        ({"ttl": 0}, "ttl"),
        ({"comment": "x" * 256}, "comment"),
        ({"group": ""}, "group"),
        ({"public": "yes"}, "public"),
        ({"key_secret": "x"}, "key_secret"),
        ({"primary": "192.0.2.1"}, "key"),
        ({"key": {"name": "k", "secret": "aGVsbG8="}}, "primary"),
        ({"provisioned": True}, "provisioned"),
    ],
)
def test_fields_that_are_not_acceptable(service: Service, admin: Api, fields: dict[str, Any], field: str) -> None:
    name = new_domain()
    for _ in range(2):
        answer = admin.call("POST", "/domains", {"name": name} | fields)
        problem(answer, 422, answer.json()["type"], {field})
    problem(admin.call("GET", f"/domains/{name}"), 404)
    assert not (service.dir / "bind" / "keys" / f"{name}.key").exists()


def test_an_existing_zone_is_tried_first(service: Service, admin: Api) -> None:
    name = new_domain()
    admin.post("/domains", {"name": name})
    key = TsigKey.from_text((service.dir / "bind" / "keys" / f"{name}.key").read_text())
    admin.delete(f"/domains/{name}")
    zone = service.domain
    own = TsigKey.from_text((service.dir / "bind" / "keys" / f"{zone}.key").read_text())
    at = f"127.0.0.1:{service.dns_port}"
    nowhere = f"127.0.0.1:{free_port()}"
    for primary, given in ((at, key), (at, own), (nowhere, own)):
        content = {"name": name, "primary": primary, "key": {"name": given.name, "secret": given.secret}}
        answer = admin.call("POST", "/domains", content)
        problem(answer, 422, RULE, {"primary"})
        assert given.secret not in answer.text
    problem(
        admin.call("POST", "/domains", {"name": name, "primary": at, "key": {"name": "k", "secret": "!"}}),
        422,
        RULE,
        {"key"},
    )
    problem(admin.call("GET", f"/domains/{name}"), 404)


def test_keys_of_zones_are_never_shown(service: Service, admin: Api) -> None:
    name = new_domain()
    admin.post("/domains", {"name": name})
    key = TsigKey.from_text((service.dir / "bind" / "keys" / f"{name}.key").read_text())
    assert key.secret in service.cli("export").stdout  # it is the zone's
    changed = admin.call("PATCH", f"/domains/{name}", {"comment": "c"}).text
    for text in (changed, *(admin.call("GET", path).text for path in ("/domains", f"/domains/{name}", "/events"))):
        assert key.secret not in text


def test_every_field_changes_in_place(service: Service, api: Api, mine: str) -> None:
    host = api.host(fqdn=f"a.{mine}", ipv4="192.0.2.1")
    fields = {"public": True, "available": True, "comment": "c", "ttl": 240, "group": "g", "stack": "s"}
    first = api.patch(f"/domains/{mine}", fields)
    assert first | fields | {"hosts": 1} == first
    wait_until(lambda: dyndns.ttl(service, host["fqdn"]) == 240, 10, "records with the new TTL")
    assert api.patch(f"/domains/{mine}", fields) == first == api.get(f"/domains/{mine}")
    cleared = dict.fromkeys(("comment", "ttl", "group", "stack")) | {"public": False}
    for _ in range(2):
        left = api.patch(f"/domains/{mine}", cleared)
        assert left | cleared == left
    problem(api.call("PATCH", f"/domains/{mine}", {"owner": "bob"}), 403)
    problem(api.call("PATCH", f"/domains/{mine}", {"public": None}), 422, fields={"public"})


def test_a_change_is_made_only_where_the_tag_fits(api: Api, mine: str) -> None:
    tag = api.call("GET", f"/domains/{mine}").headers["etag"]
    changed = api.call("PATCH", f"/domains/{mine}", {"comment": "one"}, headers={"If-Match": tag})
    assert changed.headers["etag"] not in (tag, None)
    for _ in range(2):
        problem(api.call("PATCH", f"/domains/{mine}", {"comment": "two"}, headers={"If-Match": tag}), 412)
        problem(api.call("DELETE", f"/domains/{mine}", headers={"If-Match": tag}), 412)
    assert api.get(f"/domains/{mine}") == changed.json()


def test_what_is_not_available_takes_no_host(api: Api, mine: str) -> None:
    for _ in range(2):
        api.patch(f"/domains/{mine}", {"available": False})
        problem(api.call("POST", "/hosts", {"fqdn": f"a.{mine}"}), 422, RULE, {"fqdn"})
    api.patch(f"/domains/{mine}", {"available": True})
    api.host(fqdn=f"a.{mine}")


def test_private_domains_are_their_owners_and_the_administrators(api: Api, other: Api, admin: Api, mine: str) -> None:
    for _ in range(2):
        problem(other.call("GET", f"/domains/{mine}"), 404)
        problem(other.call("PATCH", f"/domains/{mine}", {"public": True}), 404)
        problem(other.call("DELETE", f"/domains/{mine}"), 404)
        problem(other.call("POST", "/hosts", {"fqdn": f"a.{mine}"}), 422, RULE, {"fqdn"})
        assert mine not in [d["name"] for d in other.items("/domains", limit=3)]
        for seeing in (api, admin):
            assert mine in [d["name"] for d in seeing.items("/domains", limit=3)]
    assert admin.host(fqdn=f"a.{mine}")["owner"] == "admin"


def test_a_group_opens_a_private_domain_to_its_members_alone(api: Api, other: Api, mine: str) -> None:
    assert api.patch(f"/domains/{mine}", {"group": "vo.example.org"})["group"] == "vo.example.org"
    problem(other.call("GET", f"/domains/{mine}"), 404)
    problem(other.call("POST", "/hosts", {"fqdn": f"a.{mine}"}), 422, RULE, {"fqdn"})
    assert api.host(fqdn=f"a.{mine}")["domain"] == mine


def test_public_domains_are_seen_and_not_changed_by_others(service: Service, other: Api, api: Api, mine: str) -> None:
    api.patch(f"/domains/{mine}", {"public": True})
    assert other.get(f"/domains/{mine}")["owner"] == "alice"
    for _ in range(2):
        problem(other.call("PATCH", f"/domains/{mine}", {"comment": "x"}), 403)
        problem(other.call("DELETE", f"/domains/{mine}"), 403)
    assert other.host(fqdn=f"a.{mine}")["owner"] == "bob"


def test_a_domain_with_hosts_stays(service: Service, api: Api, mine: str) -> None:
    host = api.host(fqdn=f"a.{mine}", ipv4="192.0.2.1")
    for _ in range(2):
        problem(api.call("DELETE", f"/domains/{mine}"), 409, NOT_EMPTY)
    assert api.get(f"/domains/{mine}")["available"] is True
    assert api.patch(f"/hosts/{host['fqdn']}", {"ipv4": "192.0.2.2"})["dns"] == "current"


def watched(service: Service) -> dict[str, str]:
    """The zones that the service looks at, and what is wrong with each."""
    zones: dict[str, str] = service.get("/healthz/dns", service.admin_token).json()["zones"]
    return zones


def test_a_removed_domain_leaves_bind_and_can_come_back(service: Service, api: Api, admin: Api, mine: str) -> None:
    for address in ("192.0.2.1", "192.0.2.2"):
        host = admin.host(fqdn=f"a.{mine}", ipv4=address)
        assert service.dig(host["fqdn"]) == [address]
        admin.delete(f"/hosts/{host['fqdn']}")
        assert service.dig(mine, "SOA") != []
        admin.delete(f"/domains/{mine}")
        assert service.dig(mine, "SOA") == []
        problem(admin.call("DELETE", f"/domains/{mine}"), 404)
        wait_until(lambda: mine not in watched(service), 10, "zone no longer watched")
        assert service.get("/readyz").status_code == 200
        admin.post("/domains", {"name": mine, "owner": "alice"})
