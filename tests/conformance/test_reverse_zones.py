# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones of reverse lookups: private unless somebody says otherwise, and no door registers a host there."""

import json

import pytest
from sqlalchemy import Connection, select, update
from support.clients.dyndns import register, said
from support.clients.rest_api import Api, problem
from support.servers.faults import in_store
from support.servers.service import Service

from ddnsd.db.schema import domains, hosts

V4, V6, ASKED = "7.10.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa", "8.10.in-addr.arpa"
TEXT = f"{V4} is a zone for reverse lookups. No host can be registered there."
RULE = "urn:ddns:rule"


@pytest.fixture(scope="module", autouse=True)
def zones(service: Service, alice: str) -> None:
    """Two reverse zones of alice's, made by a command and by the API, and one that she requested."""
    api, admin = Api(service, alice), Api(service, service.admin_token)
    service.cli("domain", "add", V4, "--owner", "alice")
    admin.post("/domains", {"name": V6, "owner": "alice"})
    asked = api.post("/domain-requests", {"name": ASKED, "reason": "For DHCP."})
    assert admin.call("POST", f"/domain-requests/{asked['id']}/approve", {}).status_code == 201


def test_they_are_private(service: Service) -> None:
    listed = {item["name"]: item["public"] for item in json.loads(service.cli("domain", "list", "--json").stdout)}
    assert [listed[name] for name in (V4, V6, ASKED)] == [False] * 3
    service.cli("domain", "set", ASKED, "--public")
    service.cli("domain", "add", "shown.9.10.in-addr.arpa", "--owner", "alice", "--public")
    listed = {item["name"]: item["public"] for item in json.loads(service.cli("domain", "list", "--json").stdout)}
    assert [listed[name] for name in (ASKED, "shown.9.10.in-addr.arpa")] == [True] * 2


@pytest.mark.parametrize("zone", [V4, V6])
def test_no_door_registers_a_host_there(service: Service, alice: str, zone: str) -> None:
    fqdn, api = f"9.2.{zone}", Api(service, alice)
    text = TEXT.replace(V4, zone)
    for path in (f"/nic/register?fqdn={fqdn}", f"/nic/register?name=9&domain={zone}"):
        answer = service.get(f"{path}&ip=192.0.2.9", alice)
        expected = {"status": "error", "message": "formerr", "errors": {"name": [text]}}
        assert (answer.status_code, answer.json()) == (400, expected)
    for addresses in ({"ipv4": "192.0.2.9"}, {}):
        refused = problem(api.call("POST", "/hosts", {"fqdn": fqdn} | addresses), 422, RULE, {"fqdn"})
        assert text in refused["detail"]
    host = register(service, alice)
    problem(api.call("PATCH", f"/hosts/{host.fqdn}", {"fqdn": fqdn}), 422, RULE, {"fqdn"})
    changes = [
        {"action": "create", "fqdn": fqdn, "set": {"ipv4": "192.0.2.9"}},
        {"action": "update", "fqdn": host.fqdn, "set": {"fqdn": fqdn}},
    ]
    results = api.call("POST", "/changes", {"changes": changes}).json()["results"]
    assert [(one["status"], one["error"]["detail"]) for one in results] == [("failed", text)] * 2
    said(host.update(myip="192.0.2.10"), 200, "good 192.0.2.10")
    assert service.dig(fqdn) == []


def test_hosts_that_are_there_stay(service: Service, alice: str) -> None:
    host, fqdn = register(service, alice), f"77.1.{V4}"

    def move(connection: Connection) -> None:
        zone = connection.scalar(select(domains.c.id).where(domains.c.name == V4))
        at = {"fqdn": fqdn, "name": "77.1", "domain_id": zone, "claimed": False}
        connection.execute(update(hosts).where(hosts.c.fqdn == host.fqdn).values(**at))

    in_store(service, move)
    api = Api(service, alice)
    answer = service.get("/nic/update", auth=(fqdn, host.secret), params={"myip": "192.0.2.77"})
    assert (answer.status_code, answer.text) == (200, "good 192.0.2.77")
    assert service.dig(fqdn) == ["192.0.2.77"]
    assert api.patch(f"/hosts/{fqdn}", {"comment": "old", "wildcard": True})["wildcard"] is True
    answer = api.call("PUT", f"/hosts/{fqdn}/related/nas", {"interface_id": "::7"})
    problem(answer, 422, RULE, {"label"})
    api.delete(f"/hosts/{fqdn}")
    assert service.dig(fqdn) == []
