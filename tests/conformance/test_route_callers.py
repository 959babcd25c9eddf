# SPDX-License-Identifier: GPL-3.0-or-later
"""Every route of the REST API with every kind of credentials: what each may do, and what it is refused.

`ROUTES` has all routes of the OpenAPI document, so a new one is tried here with all callers as soon as it has a rule.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import requests
from support.clients.dyndns import new_label
from support.clients.rest_api import Api, Content, problem
from support.clients.routes import READING, ROUTES, WEBHOOK_TARGET, WITHOUT_AUTHORITY, PathValues
from support.ports import free_port
from support.servers.service import Service, dev

Route = tuple[str, str]

OK = 200
"""Any status of success."""

NOBODY = ("no token", "junk", "host secret", "key", "enrolment token", "suspended user")
"""Callers whom the API does not know; all but one of them are known elsewhere."""

OVERSEEN: tuple[Route, ...] = (
    ("GET", "/api/hosts/{fqdn}"),
    ("PATCH", "/api/hosts/{fqdn}"),
    ("DELETE", "/api/hosts/{fqdn}"),
    ("GET", "/api/hosts/{fqdn}/ipv4"),
    ("GET", "/api/hosts/{fqdn}/ipv6"),
    ("GET", "/api/hosts/{fqdn}/contact"),
)
"""What the owner of a domain may do with the hosts of others in it; with PATCH they only block and unblock them."""

# Callers with tokens, and what they get from things of the owner; those of a limited token lie within its limits.
#
#   foreign    another user             owner    to write           reader   the owner's, to read
#   host       the owner's, for hosts   domain   the owner's, for a domain and those below it
#   admin      an administrator's       area     an administrator's, for the same domain
#   landlord   of the owner of the domain in which the owner has hosts
RULES: dict[str, dict[str, int]] = {
    "public": dict.fromkeys(("foreign", "owner", "reader", "host", "domain", "admin", "area"), OK),
    "own": dict.fromkeys(("foreign", "owner", "reader", "host", "domain", "admin", "area"), OK),
    "account": dict.fromkeys(("foreign", "owner", "reader", "admin"), OK)
    | dict.fromkeys(("host", "domain", "area"), 403),
    "list": dict.fromkeys(("foreign", "owner", "reader", "host", "domain", "admin", "area"), OK),
    "new": dict.fromkeys(("foreign", "owner", "reader", "host", "domain", "admin", "area"), OK),
    "service": dict.fromkeys(("foreign", "owner", "reader", "host", "domain", "area"), 403) | {"admin": OK},
    "host": {"foreign": 404, "owner": OK, "reader": OK, "host": OK, "domain": OK, "admin": OK, "area": OK}
    | {"landlord": 403},
    "domain": {"foreign": 404, "owner": OK, "reader": OK, "host": OK, "domain": OK, "admin": OK, "area": OK},
    "request": {"foreign": 404, "owner": OK, "reader": OK, "host": 404, "domain": OK, "admin": OK, "area": OK},
    "token": {"foreign": 404, "owner": OK, "reader": OK, "host": 404, "domain": 404, "admin": 404, "area": 404},
    "stack": {"foreign": 404, "owner": OK, "reader": OK, "host": OK, "domain": OK, "admin": 404, "area": 404},
    "lease": dict.fromkeys(("foreign", "owner", "reader", "host", "domain", "admin", "area"), OK),
    "key": {"foreign": 404, "owner": OK, "reader": OK, "host": OK, "domain": OK, "admin": 404, "area": 404},
    "webhook": {"foreign": 404, "owner": OK, "reader": OK, "host": 403, "domain": 403, "admin": 404, "area": 403},
    "dhcp-key": {"foreign": 404, "owner": OK, "reader": OK, "host": 404, "domain": OK, "admin": OK, "area": OK},
}

for _statuses in RULES.values():
    _statuses.setdefault("landlord", _statuses["foreign"])

EXCEPTIONS: dict[tuple[str, Route], int] = {
    **{("landlord", route): OK for route in OVERSEEN},
    **{(caller, ("DELETE", "/api/users/me")): 422 for caller in ("foreign", "owner", "landlord", "admin")},  # no name
    ("landlord", ("POST", "/api/hosts/{fqdn}/enrolments")): 404,
    ("host", ("PATCH", "/api/domains/{name}")): 403,  # hosts of the domain may be theirs, the domain is not
    ("host", ("DELETE", "/api/domains/{name}")): 403,
    ("host", ("POST", "/api/domain-requests")): 403,
    ("host", ("DELETE", "/api/tokens/{id}")): 403,  # that token can do more
    ("domain", ("DELETE", "/api/tokens/{id}")): 403,
    ("admin", ("DELETE", "/api/domain-requests/{id}")): 404,  # they decide on it, and only its user withdraws it
    ("area", ("DELETE", "/api/domain-requests/{id}")): 404,
    ("admin", ("DELETE", "/api/users/{name}/second-factor")): 404,  # new users have none
    **{(caller, route): 404 for caller in ("host secret", "key") for route in WITHOUT_AUTHORITY},  # not their host
    **{(caller, ("POST", "/api/dhcp-keys")): 422 for caller in ("foreign", "landlord", "host")},  # not their domain
}

for _caller in RULES["lease"].keys() - {"reader"}:  # none of them has the lease
    EXCEPTIONS |= {(_caller, (method, "/api/stacks/{name}/lease")): 409 for method in ("PUT", "DELETE")}
    EXCEPTIONS[_caller, ("POST", "/api/stacks/{name}/lease/secrets")] = 409

CALLERS = (*NOBODY, *RULES["host"])


def expected(caller: str, route: Route) -> int:
    """The status of the answer."""
    method, rule = route[0], ROUTES[route][0]
    if route == ("POST", "/api/enrol"):
        return OK if caller == "enrolment token" else 401
    if caller in NOBODY and (caller, route) not in EXCEPTIONS:
        return OK if rule == "public" else 401
    if caller == "reader" and method != "GET" and route not in READING:
        return 403
    status = EXCEPTIONS[caller, route] if (caller, route) in EXCEPTIONS else RULES[rule][caller]
    return WITHOUT_AUTHORITY.get(route, OK) if status == OK else status


@dataclass
class World:
    """An owner with hosts in the domain of somebody else, and callers; `made` makes new things of the owner's."""

    service: Service
    admin: Api
    owner: Api
    name: str
    domain: str
    callers: dict[str, Callable[..., requests.Response]] = field(default_factory=dict)
    kept: dict[str, PathValues] = field(default_factory=dict)

    def new_name(self) -> str:
        """A full name in the domain, within all limits."""
        return f"in-{new_label()}.{self.domain}"

    def place(self, route: Route, status: int) -> PathValues:
        """Things for a call; they are new for each call that changes them."""
        rule = ROUTES[route][0]
        if status == OK and route[0] != "GET":
            return self.reported(self.made(rule)) if "abuse-reports" in route[1] else self.made(rule)
        if rule not in self.kept:
            self.kept[rule] = self.reported(self.made(rule)) if rule == "service" else self.made(rule)
        return self.kept[rule]

    def reported(self, place: PathValues) -> PathValues:
        """The same with a new report of abuse, of which the form takes only a few from one address."""
        form = {"name": place.fqdn, "kind": "spam", "text": "x"}
        assert self.service.request("POST", "/report-abuse", data=form).status_code == 303
        return place._replace(report=self.admin.items("/abuse-reports", state="open")[-1]["id"])

    def made(self, rule: str) -> PathValues:
        """A new host, and a new thing of the rule's kind."""
        fqdn = self.owner.post("/hosts", {"fqdn": self.new_name(), "ipv4": "192.0.2.1", "ipv6": "2001:db8::1"})["fqdn"]
        match rule:
            case "host":
                self.owner.call("PUT", f"/hosts/{fqdn}/related/r", {"interface_id": "::8"})
                self.owner.call("PUT", f"/hosts/{fqdn}/records/@/TXT", {"values": ['"y"']})
            case "key":
                return PathValues(fqdn, login=self.owner.post("/keys", {"name": "k", "hosts": [fqdn]})["login"])
            case "token":
                return PathValues(fqdn, token=self.owner.post("/tokens", {"name": new_label()})["id"])
            case "domain":
                below = {"name": f"in-{new_label()}.{self.domain}", "owner": self.name}
                return PathValues(fqdn, domain=self.admin.post("/domains", below)["name"])
            case "dhcp-key":
                below = {"name": f"in-{new_label()}.{self.domain}", "owner": self.name}
                domain = self.admin.post("/domains", below)["name"]
                name = self.owner.post("/dhcp-keys", {"name": new_label(), "domains": [domain]})["name"]
                return PathValues(fqdn, domain=domain, dhcp_key=name)
            case "webhook":
                body = {"name": "w", "url": WEBHOOK_TARGET, "types": ["host.deleted"]}
                webhook = self.owner.post("/webhooks", body)["id"]
                message = self.owner.call("POST", f"/webhooks/{webhook}/test").json()["id"]
                return PathValues(fqdn, webhook=webhook, message=message)
            case "request" | "service":
                for open_one in self.owner.items("/domain-requests"):
                    self.owner.call("DELETE", f"/domain-requests/{open_one['id']}")
                wanted = {"name": f"{new_label()}.{self.domain}", "reason": "x"}
                request = self.owner.post("/domain-requests", wanted)["id"]
                user = self.admin.post("/users", {"name": new_label()})["name"]
                denial = self.admin.post("/deny", {"kind": "name", "value": new_label()})["id"]
                return PathValues(fqdn, request=request, user=user, denial=denial)
        stack = new_label()
        if rule == "stack":
            self.owner.call("PATCH", f"/hosts/{fqdn}", {"stack": stack})
        return PathValues(fqdn, stack=stack)

    def body(self, caller: str, route: Route, place: PathValues) -> Content | None:
        """A body that is right for the caller."""
        name = {"foreign": f"{new_label()}.{self.service.domain}"}.get(caller, self.new_name())
        own = self.callers[caller]("POST", "/hosts", {"fqdn": name}) if route == ("POST", "/api/keys") else None
        domain = self.made("domain").domain if route == ("POST", "/api/dhcp-keys") else ""
        bodies: dict[Route, Content] = {
            ("PATCH", "/api/hosts/{fqdn}"): {"abuse_blocked": True} if caller == "landlord" else {"comment": "x"},
            ("POST", "/api/hosts"): {"fqdn": name},
            ("POST", "/api/changes"): {"changes": [{"action": "create", "fqdn": name}]},
            ("POST", "/api/keys"): {"name": "k", "hosts": [name if own is not None and own.ok else place.fqdn]},
            ("POST", "/api/dhcp-keys"): {"name": new_label(), "domains": [domain]},
            ("POST", "/api/tokens"): {"name": new_label(), "scopes": ["read"]},
            ("POST", "/api/domain-requests"): {"name": f"{new_label()}.{self.domain}", "reason": "x"},
            ("POST", "/api/domains"): {"name": f"{new_label()}.example.org"},
            ("POST", "/api/users"): {"name": new_label()},
            ("POST", "/api/deny"): {"kind": "name", "value": new_label()},
            ("PUT", "/api/quotas"): {"group": new_label(), "quota": "keys_per_user", "limit": 1},
        }
        return bodies.get(route, ROUTES[route][1])


@pytest.fixture(scope="module")
def service(
    store_settings: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """With a port for DNS UPDATE, which DHCP keys need, and webhooks to this machine."""
    given = {"quarantine_addresses": "192.0.2.66,2001:db8::66", "update_listen": f"127.0.0.1:{free_port()}"}
    given["webhook_networks"] = "127.0.0.0/8"
    with dev(tmp_path_factory.mktemp("callers"), **given, **store_settings()) as running:
        yield running


@pytest.fixture(scope="module")
def world(service: Service) -> World:
    name, domain = new_label(), f"{new_label()}.example.org"
    admin, owner = Api(service, service.admin_token), Api(service, service.user(name))
    landlord = new_label()
    service.user(landlord)
    service.cli("domain", "add", domain, "--owner", landlord)
    made = World(service, admin, owner, name, domain)

    def token(user: str, *arguments: str) -> Callable[..., requests.Response]:
        added = service.cli("token", "add", user, "--name", new_label(), *arguments)
        return Api(service, added.stdout.strip()).call

    def basic(login: str, secret: str) -> Callable[..., requests.Response]:
        nobody = Api(service, None)
        return lambda method, path, content=None: nobody.call(method, path, content, auth=(login, secret))

    other, off = new_label(), new_label()
    service.user(other)
    every = ("--scope", "read", "--scope", "write", "--scope", "admin")
    host = owner.post("/hosts", {"fqdn": made.new_name()})
    key = owner.post("/keys", {"name": "k", "hosts": [host["fqdn"]]})
    suspended = Api(service, service.user(off))
    service.cli("user", "suspend", off)
    made.callers = {
        "no token": Api(service, None).call,
        "junk": Api(service, "ddns_junk").call,
        "host secret": basic(host["fqdn"], host["secret"]),
        "key": basic(key["login"], key["secret"]),
        "suspended user": suspended.call,
        "foreign": token(other),
        "landlord": token(landlord),
        "owner": owner.call,
        "reader": token(name, "--scope", "read"),
        "host": token(name, "--host", f"in-*.{domain}"),
        "domain": token(name, "--domain", f"*{domain}"),
        "admin": admin.call,
        "area": token("admin", "--domain", f"*{domain}", *every),
    }
    return made


def call(world: World, caller: str, route: Route, place: PathValues) -> requests.Response:
    """Send the request as the caller."""
    if caller == "enrolment token":
        enrolment = world.owner.call("POST", f"/hosts/{place.fqdn}/enrolments", {}).json()["token"]
        return Api(world.service, enrolment).call(route[0], place.path(route[1]), ROUTES[route][1])
    return world.callers[caller](route[0], place.path(route[1]), world.body(caller, route, place))


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_route_with_a_caller(world: World, route: Route, caller: str) -> None:
    status = expected(caller, route)
    answer = call(world, caller, route, world.place(route, status))
    if status != OK:
        kind = {422: "urn:ddns:rule", 409: "urn:ddns:lease-lost"}.get(status, "about:blank")
        fields = {("POST", "/api/dhcp-keys"): "domains", ("DELETE", "/api/users/me"): "confirm"}
        field = fields.get(route, "csr")
        problem(answer, status, kind, {field} if status == 422 else None)
        return
    assert answer.ok, answer.text
    if route == ("POST", "/api/changes"):
        assert [result["status"] for result in answer.json()["results"]] == ["applied"], answer.text
