# SPDX-License-Identifier: GPL-3.0-or-later
"""A new zone hides from DNS what the zone around it has at its name and below: no door adds one over a host."""

from collections.abc import Callable
from typing import Any

import pytest
from support.clients.dyndns import Host, new_label, register
from support.clients.rest_api import Api, problem
from support.servers.service import Service

RULE, TAKEN = "urn:ddns:rule", "urn:ddns:taken"


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


def _of_a_host(api: Api) -> tuple[str, str]:
    host = register(api.service, str(api.token))
    return host.fqdn, host.fqdn


def _above_a_host(api: Api) -> tuple[str, str]:
    domain = f"{new_label()}.{api.service.domain}"
    host = register(api.service, str(api.token), domain)
    return domain, host.fqdn


def _of_a_related_name(api: Api) -> tuple[str, str]:
    host = api.host(ipv6="2001:db8::1")
    answer = api.call("PUT", f"/hosts/{host['fqdn']}/related/nas", {"interface_id": "::7"})
    assert answer.status_code == 200, answer.text
    return f"nas.{host['fqdn']}", host["fqdn"]


def _of_the_host_of_records(api: Api) -> tuple[str, str]:
    host = api.host()
    answer = api.call("PUT", f"/hosts/{host['fqdn']}/records/_acme-challenge/TXT", {"values": ["x"]})
    assert answer.status_code == 200, answer.text
    return host["fqdn"], host["fqdn"]


def _below_a_wildcard(api: Api) -> tuple[str, str]:
    host = api.host(ipv4="192.0.2.1", wildcard=True)
    return f"lab.a.{host['fqdn']}", host["fqdn"]


NAMES = [_of_a_host, _above_a_host, _of_a_related_name, _of_the_host_of_records, _below_a_wildcard]


@pytest.mark.parametrize("place", NAMES)
def test_every_door_refuses_it_and_names_the_host(
    service: Service, api: Api, admin: Api, place: Callable[[Api], tuple[str, str]]
) -> None:
    name, host = place(api)
    before = {rtype: service.dig(name, rtype) for rtype in ("A", "AAAA", "SOA")}
    for option in ((), ("--check",), ("--exist-ok",)):
        refused = service.cli("domain", "add", name, "--owner", "alice", *option, check=False)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert host in refused.stderr
        assert "Traceback" not in refused.stderr
    assert host in problem(admin.call("POST", "/domains", {"name": name}), 409, TAKEN, {"name"})["detail"]
    ask = {"name": name, "reason": "For the lab."}
    problem(api.call("POST", "/domain-requests", ask), 409, TAKEN, {"name"})
    assert admin.call("GET", f"/domains/{name}").status_code == 404
    assert {rtype: service.dig(name, rtype) for rtype in before} == before
    assert before["SOA"] == []
    assert not list((service.dir / "bind").rglob(f"{name}*"))


def test_a_request_is_not_approved_once_a_host_is_there(service: Service, api: Api, admin: Api) -> None:
    name = f"{new_label()}.{service.domain}"
    path = f"/domain-requests/{api.post('/domain-requests', {'name': name, 'reason': 'For the lab.'})['id']}"
    host = register(service, str(api.token), name)
    wrong = problem(admin.call("POST", f"{path}/approve", {}), 409, TAKEN, {"name"})
    assert host.fqdn in wrong["detail"]
    assert api.get(path)["state"] == "open"
    assert host.update(myip="192.0.2.2").text == "good 192.0.2.2"
    assert service.dig(host.fqdn) == ["192.0.2.2"]
    api.delete(f"/hosts/{host.fqdn}")  # its records leave the zone around, which is no reason to wait
    assert admin.call("POST", f"{path}/approve", {}).status_code == 201
    inside = api.host(fqdn=host.fqdn, ipv4="192.0.2.3")
    assert (inside["domain"], service.dig(host.fqdn)) == (name, ["192.0.2.3"])


def test_a_host_without_a_wildcard_is_no_reason(service: Service, admin: Api, host: Host) -> None:
    admin.post("/domains", {"name": f"lab.{host.fqdn}"})
    assert host.update(myip="192.0.2.9").text == "good 192.0.2.9"
    assert service.dig(host.fqdn) == ["192.0.2.9"]


# ---- and the other direction: a name in a domain below goes there, or nowhere


@pytest.fixture
def inner(service: Service, admin: Api) -> str:
    """A domain inside of the service's own."""
    name: str = admin.post("/domains", {"name": f"{new_label()}.{service.domain}", "public": True})["name"]
    return name


def test_a_new_name_at_or_below_a_domain_lies_in_it(service: Service, api: Api, alice: str, inner: str) -> None:
    label = inner.removesuffix(f".{service.domain}")
    for name in (label, f"a.{label}"):
        params = {"name": name, "domain": service.domain, "ip": "192.0.2.1"}
        refused = service.get("/nic/register", alice, params=params)
        assert (refused.status_code, refused.json()["message"]) == (400, "formerr")
    problem(api.call("POST", "/hosts", {"fqdn": inner}), 422, RULE, {"fqdn"})
    assert api.host(fqdn=f"a.{inner}")["domain"] == inner
    moving = api.host(ipv4="192.0.2.1")
    for changes in ([{"action": "create", "fqdn": inner}], [rename(moving["fqdn"], inner)]):
        (result,) = api.call("POST", "/changes", {"changes": changes}).json()["results"]
        assert result["error"]["status"] == 422
    assert api.patch(f"/hosts/{moving['fqdn']}", {"fqdn": f"b.{inner}"})["domain"] == inner
    assert service.dig(f"b.{inner}") == ["192.0.2.1"]


def rename(fqdn: str, new: str) -> dict[str, Any]:
    return {"action": "update", "fqdn": fqdn, "set": {"fqdn": new}}


def test_related_names_do_not_come_to_lie_in_a_domain(service: Service, api: Api, admin: Api) -> None:
    host, new = api.host(ipv6="2001:db8::1"), f"{new_label()}.{service.domain}"
    admin.post("/domains", {"name": f"nas.{new}"})
    assert api.call("PUT", f"/hosts/{host['fqdn']}/related/nas", {"interface_id": "::7"}).status_code == 200
    problem(api.call("PATCH", f"/hosts/{host['fqdn']}", {"fqdn": new}), 409, TAKEN, {"fqdn"})
    (result,) = api.call("POST", "/changes", {"changes": [rename(host["fqdn"], new)]}).json()["results"]
    assert result["error"]["status"] == 409
    other = api.host(fqdn=new)
    answer = api.call("PUT", f"/hosts/{other['fqdn']}/related/nas", {"interface_id": "::7"})
    assert answer.status_code in (409, 422), answer.text
    assert service.dig(f"nas.{host['fqdn']}", "AAAA") == ["2001:db8::7"]
