# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of tokens hold at every door; every route of the OpenAPI document is in `ROUTES`, with its rule."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from support.clients.dyndns import Host, new_label, refused, register, said
from support.clients.rest_api import Api, problem
from support.clients.routes import READING, ROUTES, WITHOUT_AUTHORITY, PathValues
from support.servers.service import Service

NOTHING = PathValues()


@dataclass
class World:
    """A domain with things within the limits of two tokens of an administrator, and things beyond them."""

    service: Service
    admin: Api
    domain: str
    outside_domain: str
    outside: list[Host] = field(default_factory=list)
    limited: dict[str, Api] = field(default_factory=dict)
    beyond: PathValues = NOTHING
    asked: str = ""

    def inside(self, limit: str, rule: str) -> PathValues:
        """A new thing of the rule's kind within the limits of a token, and a host."""
        fqdn = self.new_name()
        self.admin.post("/hosts", {"fqdn": fqdn, "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "stack": "in-1"})
        place = NOTHING._replace(fqdn=fqdn)
        match rule:
            case "host":
                self.admin.call("PUT", f"/hosts/{fqdn}/related/r", {"interface_id": "::8"})
                self.admin.call("PUT", f"/hosts/{fqdn}/records/@/TXT", {"values": ['"y"']})
            case "key":
                return place._replace(login=self.admin.post("/keys", {"name": "k", "hosts": [fqdn]})["login"])
            case "token":
                made = self.limited[limit].post("/tokens", {"name": new_label(), "scopes": ["read"]})
                return place._replace(token=made["id"])
            case "domain":
                domain = f"{new_label()}.{self.domain}"
                self.service.cli("domain", "add", domain, "--owner", "admin", "--private")
                return place._replace(domain=domain)
            case "dhcp-key":
                name = new_label()
                self.service.cli("dhcp-key", "add", name, "--domain", self.domain)
                return place._replace(dhcp_key=name)
            case "request":
                self.admin.call("DELETE", f"/domain-requests/{self.asked or 0}")  # five may be open
                wanted = {"name": f"{new_label()}.{self.domain}", "reason": "x"}
                self.asked = self.admin.post("/domain-requests", wanted)["id"]
                return place._replace(request=self.asked)
        return place

    def new_name(self) -> str:
        return f"in-{new_label()}.{self.domain}"


@pytest.fixture(scope="module")
def world(service: Service, alice: str) -> World:
    admin = Api(service, service.admin_token)
    made = World(service, admin, f"{new_label()}.example.org", f"{new_label()}.example.org")
    service.cli("domain", "add", made.domain, "--owner", "admin", "--private")
    service.cli("domain", "add", made.outside_domain, "--owner", "admin", "--private")
    made.outside = [register(service, alice), register(service, service.admin_token, made.outside_domain)]
    for name, limit in (
        ("domain", ("--domain", f"*{made.domain}")),
        ("hosts", ("--host", f"in-*.{made.domain}")),
        ("stacks", ("--stack", "in-*")),
    ):
        arguments = "token", "add", "admin", "--name", new_label(), "--scope", "admin", *limit
        made.limited[name] = Api(service, service.cli(*arguments).stdout.strip())
    request = admin.post("/domain-requests", {"name": f"{new_label()}.example.net", "reason": "x"})["id"]
    wide = admin.post("/tokens", {"name": new_label()})["id"]
    hosts = [made.outside[1].fqdn]
    login = admin.post("/keys", {"name": "k", "hosts": hosts})["login"]
    admin.post("/deny", {"kind": "name", "value": new_label()})
    dhcp_key = new_label()
    service.cli("dhcp-key", "add", dhcp_key, "--domain", made.outside_domain)
    made.beyond = PathValues(made.outside[0].fqdn, made.outside_domain, request, wide, login, dhcp_key)
    return made


LIMITS = pytest.mark.parametrize("limit", ["domain", "hosts"])


def of(*rules: str) -> list[tuple[str, str]]:
    return [route for route, (rule, _) in ROUTES.items() if rule in rules]


def call(api: Api, route: tuple[str, str], place: PathValues) -> requests.Response:
    return api.call(route[0], place.path(route[1]), ROUTES[route][1])


def test_every_route_has_a_rule(service: Service) -> None:
    described = service.get("/api/schema/").json()["paths"]
    assert {(method.upper(), path) for path, calls in described.items() for method in calls} == ROUTES.keys()


@LIMITS
@pytest.mark.parametrize("route", of("service", "account", "webhook"), ids=" ".join)
def test_what_concerns_the_whole_service(world: World, route: tuple[str, str], limit: str) -> None:
    content = problem(call(world.limited[limit], route, world.beyond), 403)
    assert "your token is limited to some domains" in content["detail"]


def test_nothing_of_the_service_was_changed(world: World) -> None:
    names = [user["name"] for user in world.admin.items("/users")]
    assert "made" not in names
    assert "made.example.org" not in [domain["name"] for domain in world.admin.items("/domains")]
    assert "made-by-a-limited-token" not in [one["value"] for one in world.admin.items("/deny")]
    assert "made-by-a-limited-token" not in [one["group"] for one in world.admin.items("/quotas")]
    assert world.admin.get(f"/domain-requests/{world.beyond.request}")["state"] == "open"


@LIMITS
@pytest.mark.parametrize("route", of("host", "domain", "request", "token", "key", "dhcp-key"), ids=" ".join)
def test_one_thing(world: World, route: tuple[str, str], limit: str) -> None:
    api, (rule, _) = world.limited[limit], ROUTES[route]
    problem(call(api, route, world.beyond), 403 if route == ("DELETE", "/api/tokens/{id}") else 404)
    answer = call(api, route, world.inside(limit, rule))
    if limit == "hosts" and (rule, route[0]) in {("domain", "PATCH"), ("domain", "DELETE")}:
        problem(answer, 403)  # hosts of the domain may be theirs, the domain is not
    elif limit == "hosts" and rule in ("domain", "request", "dhcp-key"):
        assert answer.status_code == (200 if rule == "domain" else 404), answer.text
    else:
        assert answer.status_code in (200, 201, 204, WITHOUT_AUTHORITY.get(route)), answer.text


@pytest.mark.parametrize("route", of("host", "token", "key"), ids=" ".join)
def test_one_thing_of_a_stack(world: World, route: tuple[str, str]) -> None:
    api = world.limited["stacks"]
    problem(call(api, route, world.beyond), 403 if route == ("DELETE", "/api/tokens/{id}") else 404)
    answer = call(api, route, world.inside("stacks", ROUTES[route][0]))
    assert answer.status_code in (200, 201, 204, WITHOUT_AUTHORITY.get(route)), answer.text


@LIMITS
@pytest.mark.parametrize("route", of("own"), ids=" ".join)
def test_oneself(world: World, route: tuple[str, str], limit: str) -> None:
    assert call(world.limited[limit], route, world.beyond).status_code == 200


@LIMITS
def test_lists(world: World, limit: str) -> None:
    api, place = world.limited[limit], world.inside(limit, "host")
    login, token = world.inside(limit, "key").login, world.inside(limit, "token").token
    world.inside(limit, "request")
    hosts = {host["fqdn"] for host in api.items("/hosts")}
    assert place.fqdn in hosts
    assert all(name.endswith(f".{world.domain}") for name in hosts)
    domains = {domain["name"] for domain in api.items("/domains")}
    assert world.domain in domains
    assert all(name.endswith(world.domain) for name in domains)
    assert login in {key["login"] for key in api.items("/keys")}
    assert world.beyond.login not in {key["login"] for key in api.items("/keys")}
    shown = {token["id"] for token in api.items("/tokens")}
    assert token in shown
    assert world.beyond.token not in shown
    requests = {request["name"] for request in api.items("/domain-requests")}
    assert all(name.endswith(world.domain) for name in requests)
    assert bool(requests) == (limit == "domain")
    events = api.items("/events")
    assert ("host.register", place.fqdn) in {(event["action"], event["object"]) for event in events}
    assert all(event["object"].endswith(world.domain) for event in events)
    assert {event["action"].partition(".")[0] for event in events} == (
        {"host", "domain"} if limit == "domain" else {"host"}
    )


@LIMITS
def test_hosts_and_bulk_calls(world: World, limit: str) -> None:
    api, outside = world.limited[limit], world.outside
    for name in (f"{new_label()}.{world.service.domain}", f"in-{new_label()}.{world.outside_domain}"):
        problem(api.call("POST", "/hosts", {"fqdn": name}), 422, "urn:ddns:rule", {"fqdn"})
    inside = world.new_name()
    assert api.call("POST", "/hosts", {"fqdn": inside}).status_code == 201
    away = {"fqdn": f"in-{new_label()}.{world.outside_domain}"}
    problem(api.call("PATCH", f"/hosts/{inside}", away), 422, "urn:ddns:rule", {"fqdn"})
    changes = [{"action": "create", "fqdn": f"in-{new_label()}.{world.outside_domain}"}]
    for host in outside:
        changes += [{"action": action, "fqdn": host.fqdn} for action in ("update", "delete", "rotate")]
    changes.append({"action": "update", "fqdn": inside, "set": away})  # type: ignore[dict-item]
    answer = api.call("POST", "/changes", {"changes": changes})
    assert [result["status"] for result in answer.json()["results"]] == ["failed"] * len(changes)
    assert all(host.is_listed() for host in outside)


@LIMITS
def test_tokens_keys_and_requests_give_no_more(world: World, limit: str) -> None:
    api = world.limited[limit]
    made = api.post("/tokens", {"name": new_label(), "scopes": ["read", "write", "admin"]})
    own = {"domain": "domains", "hosts": "hosts"}[limit]
    assert made[own]
    problem(call(Api(world.service, made["token"]), ("POST", "/api/users"), world.beyond), 403)
    wide = {"name": new_label(), own: ["*"]}
    problem(api.call("POST", "/tokens", wide), 422, "urn:ddns:rule", {own})
    problem(api.call("POST", "/keys", {"name": "k", "hosts": [world.outside[1].fqdn]}), 422, "urn:ddns:rule", {"hosts"})
    for name in (f"{new_label()}.example.net", *((f"{new_label()}.{world.domain}",) if limit == "hosts" else ())):
        problem(api.call("POST", "/domain-requests", {"name": name, "reason": "x"}), 403)


@LIMITS
def test_a_key_without_hosts_is_beyond_all_patterns(world: World, limit: str) -> None:
    place = world.inside(limit, "key")
    world.admin.delete(f"/hosts/{place.fqdn}")
    problem(world.limited[limit].call("DELETE", f"/keys/{place.login}"), 404)
    assert place.login not in {key["login"] for key in world.limited[limit].items("/keys")}
    world.admin.delete(f"/keys/{place.login}")


@LIMITS
def test_the_doors_of_updates_and_management(world: World, limit: str) -> None:
    service, token, host = world.service, world.limited[limit].token, world.outside[1]
    assert token
    update = {"hostname": host.fqdn, "myip": "192.0.2.9"}
    refused(service.get("/nic/update", token, params=update), 404, "nohost")
    refused(service.get("/nic/delete", token, params=update), 404, "nohost")
    said(service.get("/update", params={"domains": host.fqdn, "token": token, "ip": "192.0.2.9"}), 200, "KO")
    for path in ("/nic/unregister", "/nic/generate_secret"):
        assert service.get(path, token, params={"fqdn": host.fqdn}).status_code == 404
    away = f"in-{new_label()}.{world.outside_domain}"
    assert service.get("/nic/register", token, params={"fqdn": away}).json()["message"] == "nxdomain"
    assert all(row["fqdn"].endswith(world.domain) for row in service.get("/nic/hosts", token).json()["hosts"])
    domains = service.get("/nic/domains", token).json()
    assert all(row["name"].endswith(world.domain) for row in domains["private"] + domains["public"])
    assert host.addresses() == ["192.0.2.1"]
    inside = world.new_name()
    service.register(inside, token, ip="192.0.2.1")
    said(service.get("/nic/update", token, params={"hostname": inside, "myip": "192.0.2.9"}), 200, "good 192.0.2.9")
    said(service.get("/update", params={"domains": inside, "token": token, "ip": "192.0.2.8"}), 200, "OK")


@pytest.mark.parametrize("route", [route for route in ROUTES if route[0] != "GET"], ids=" ".join)
def test_a_token_to_read_changes_nothing(world: World, route: tuple[str, str]) -> None:
    made = world.admin.post("/tokens", {"name": new_label(), "scopes": ["read"]})
    place = world.beyond._replace(fqdn=world.outside[1].fqdn)
    answer = call(Api(world.service, made["token"]), route, place)
    if route in READING:
        assert answer.status_code == 200
    else:
        problem(answer, 401 if ROUTES[route][0] == "public" else 403)


@pytest.mark.parametrize("limits", [{"networks": ["203.0.113.0/24"]}, {"expires": 1}], ids=["network", "expired"])
def test_source_and_expiry_hold_at_every_door(world: World, limits: dict[str, Any]) -> None:
    arguments = ["--network", "203.0.113.0/24"] if "networks" in limits else ["--expires", "1s"]
    added = world.service.cli("token", "add", "admin", "--name", new_label(), "--scope", "admin", *arguments)
    api, host = Api(world.service, added.stdout.strip()), world.outside[1]
    assert api.token
    while world.service.get("/nic/hosts", api.token).status_code == 200:
        pass  # it expires within a second
    for route in ROUTES:
        if ROUTES[route][0] != "public":
            problem(call(api, route, world.beyond), 401)
    for path in ("/nic/domains", "/nic/hosts", "/nic/register", "/nic/unregister", "/nic/generate_secret"):
        assert world.service.get(path, api.token, params={"fqdn": host.fqdn}).status_code == 401
    for path in ("/nic/update", "/nic/delete"):
        answer = world.service.get(path, api.token, params={"hostname": host.fqdn, "myip": "192.0.2.9"})
        refused(answer, 401, "badauth")
    said(world.service.get("/update", params={"domains": host.fqdn, "token": api.token}), 200, "KO")
