# SPDX-License-Identifier: GPL-3.0-or-later
"""The API of reverse names: `ptr` of hosts, `network` and `reverse` of domains, and what is refused."""

import json
from itertools import count

import pytest
from support.clients.dyndns import register
from support.clients.rest_api import Api, problem
from support.ports import wait_until
from support.servers.service import Service

RULE, NOT_EMPTY = "urn:ddns:rule", "urn:ddns:not-empty"
numbers = count(20)


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


@pytest.fixture
def zone(admin: Api) -> str:
    """A reverse zone that takes all hosts."""
    name = f"{next(numbers)}.172.in-addr.arpa"
    admin.post("/domains", {"name": name, "reverse": "all"})
    return name


def address_in(zone: str, number: int = 1) -> str:
    second, first = zone.split(".")[:2]
    return f"{first}.{second}.0.{number}"


def test_a_host_says_whether_it_wants_them(service: Service, alice: str) -> None:
    api = Api(service, alice)
    made = api.host(ipv4="192.0.2.1")
    path = f"/hosts/{made['fqdn']}"
    assert (made["ptr"], made["pointers"]) == (False, [])
    changed = api.patch(path, {"ptr": True})
    reason = "The service has no reverse zone for 192.0.2.1."
    assert changed["pointers"] == [{"address": "192.0.2.1", "name": None, "state": "no_zone", "reason": reason}]
    (listed,) = api.items("/hosts", fqdn=made["fqdn"])
    assert listed["ptr"] is True
    assert "pointers" not in listed
    results = [
        api.call("POST", "/changes", {"changes": [{"action": "update", "fqdn": made["fqdn"], **change}]}).json()
        for change in ({"set": {"ptr": False}, "if": {"ptr": False}}, {"set": {"ptr": False}, "if": {"ptr": True}})
    ]
    assert [one["results"][0]["status"] for one in results] == ["failed", "applied"]
    problem(api.call("PATCH", path, {"ptr": "yes"}), 422, fields={"ptr"})
    problem(api.call("PATCH", path, {"ptr": None}), 422, fields={"ptr"})
    events = service.get("/api/events", service.admin_token, params={"object": made["fqdn"]}).json()["items"]
    assert {"action": "host.set", "detail": "ptr"}.items() <= events[0].items()


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("3.168.192.in-addr.arpa", "192.168.3.0/24"),
        ("5.172.in-addr.arpa", "172.5.0.0/16"),
        ("0-63.4.168.192.in-addr.arpa", "192.168.4.0/26"),
        ("7.0.0.d.f.ip6.arpa", "fd00:7000::/20"),
    ],
)
def test_the_name_says_the_network(admin: Api, name: str, network: str) -> None:
    made = admin.post("/domains", {"name": name})
    assert (made["network"], made["reverse"], made["public"]) == (network, "off", False)
    assert admin.patch(f"/domains/{name}", {"network": network, "reverse": "verified"})["reverse"] == "verified"
    refused = admin.call("PATCH", f"/domains/{name}", {"network": "192.168.200.0/24"})
    assert f"The names of 192.168.200.0/24 are not in {name}." in problem(refused, 422, RULE, {"network"})["detail"]
    admin.delete(f"/domains/{name}")


def test_other_names_need_one(service: Service, admin: Api) -> None:
    name = "office.5.168.192.in-addr.arpa"
    made = admin.post("/domains", {"name": name})
    assert made["network"] is None
    problem(admin.call("PATCH", f"/domains/{name}", {"reverse": "all"}), 422, RULE, {"network"})
    for wrong in ("192.168.6.0/26", "192.168.5.0/24", "192.168.5.1/32", "192.168.5.1/26", "fd00::/64", "x"):
        problem(admin.call("PATCH", f"/domains/{name}", {"network": wrong}), 422, RULE, {"network"})
    service.cli("domain", "set", name, "--network", "192.168.5.64/26", "--reverse", "all")
    listed = {one["name"]: one for one in json.loads(service.cli("domain", "list", "--json").stdout)}
    assert (listed[name]["network"], listed[name]["reverse"]) == ("192.168.5.64/26", "all")
    problem(admin.call("PATCH", f"/domains/{name}", {"network": None}), 422, RULE, {"network"})
    admin.patch(f"/domains/{name}", {"network": None, "reverse": "off"})
    admin.delete(f"/domains/{name}")


def test_other_domains_have_none(service: Service, admin: Api) -> None:
    for given in ({"network": "192.0.2.0/24"}, {"reverse": "all"}):
        refused = admin.call("PATCH", f"/domains/{service.domain}", given)
        problem(refused, 422, RULE, set(given))
        problem(admin.call("POST", "/domains", {"name": "plain.example.net"} | given), 422, RULE, set(given))
    assert admin.get(f"/domains/{service.domain}")["network"] is None
    done = service.cli("domain", "set", service.domain, "--reverse", "all", check=False)
    assert (done.returncode, "is not a zone for reverse lookups" in done.stderr) == (1, True)


def test_nobody_sees_or_changes_a_reverse_name_as_a_host(service: Service, admin: Api, alice: str, zone: str) -> None:
    address = address_in(zone)
    made = Api(service, alice).host(ptr=True, ipv4=address)
    name = f"1.0.{zone}"
    wait_until(lambda: service.dig(name, "PTR") == [f"{made['fqdn']}."], 60, "published")
    for method, path, body in (
        ("GET", f"/hosts/{name}", None),
        ("PATCH", f"/hosts/{name}", {"comment": "mine"}),
        ("DELETE", f"/hosts/{name}", None),
        ("POST", f"/hosts/{name}/secret", None),
    ):
        assert admin.call(method, path, body).status_code == 404, method
    for change in ({"action": "delete"}, {"action": "rotate"}, {"action": "update", "set": {"ipv4": "192.0.2.9"}}):
        (result,) = admin.call("POST", "/changes", {"changes": [{"fqdn": name, **change}]}).json()["results"]
        assert result["status"] == "failed", change
    assert admin.items("/hosts", domain=zone) == []
    assert admin.get(f"/domains/{zone}")["hosts"] == 0
    assert service.dig(name, "PTR") == [f"{made['fqdn']}."]
    text = problem(admin.call("DELETE", f"/domains/{zone}"), 409, NOT_EMPTY)["detail"]
    assert "has reverse names of hosts" in text
    admin.patch(f"/domains/{zone}", {"reverse": "off"})
    wait_until(lambda: service.dig(name, "PTR") == [], 60, "removed")
    wait_until(lambda: admin.call("DELETE", f"/domains/{zone}").status_code == 204, 60, "the domain is removed")


def test_the_owner_of_the_zone_proves_an_address(service: Service, admin: Api, alice: str, zone: str) -> None:
    admin.patch(f"/domains/{zone}", {"reverse": "verified"})
    address = address_in(zone, 2)
    host = register(service, alice, ip=address)
    path = f"/hosts/{host.fqdn}"
    api = Api(service, alice)
    assert api.patch(path, {"ptr": True})["pointers"][0]["state"] == "not_allowed"
    admin.patch(f"/domains/{zone}", {"owner": "alice"})
    assert api.get(path)["pointers"][0]["state"] == "not_allowed"  # she has not said so since
    api.patch(path, {"ipv4": address})
    wait_until(lambda: api.get(path)["pointers"][0]["state"] == "published", 60, "published")
    assert service.dig(f"2.0.{zone}", "PTR") == [f"{host.fqdn}."]
    limited = api.post("/tokens", {"name": "limited", "scopes": ["write"], "domains": [service.domain]})["token"]
    other = address_in(zone, 3)
    Api(service, limited).call("PATCH", path, {"ipv4": other})
    assert api.get(path)["pointers"][0]["state"] == "not_allowed"  # this token cannot change the zone
