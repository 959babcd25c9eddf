# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, deny lists: administrators change them while the service runs."""

import subprocess
import sys

import pytest
from support.clients.dyndns import Host, new_label, register
from support.clients.rest_api import Api, Content, problem
from support.ports import wait_until
from support.servers.service import Service

RULE, TAKEN = "urn:ddns:rule", "urn:ddns:taken"


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


def deny(admin: Api, kind: str, value: str) -> Content:
    return admin.post("/deny", {"kind": kind, "value": value, "comment": "a test"})


def test_a_network(api: Api, admin: Api, host: Host) -> None:
    made = deny(admin, "network", "203.0.113.77/25")
    assert (made["value"], made["created_by"]) == ("203.0.113.0/25", "admin")
    assert host.update(myip="203.0.113.128").text == "good 203.0.113.128"
    problem(api.call("PATCH", f"/hosts/{host.fqdn}", {"ipv4": "203.0.113.5"}), 422, RULE, {"ipv4"})
    assert host.update(myip="203.0.113.127").text == "abuse"
    assert host.addresses() == []
    assert api.get(f"/hosts/{host.fqdn}")["abuse_blocked"] is True
    block = api.items(f"/hosts/{host.fqdn}/history")[0]
    assert (block["kind"], block["note"], block["actor"]) == ("block", "address on the deny list", host.fqdn)
    admin.delete(f"/deny/{made['id']}")
    admin.patch(f"/hosts/{host.fqdn}", {"abuse_blocked": False})
    assert host.update(myip="203.0.113.127").text == "good 203.0.113.127"
    problem(admin.call("DELETE", f"/deny/{made['id']}"), 404)
    events = [e["action"] for e in admin.items("/events", object="203.0.113.0/25")]
    assert events == ["deny.remove", "deny.add"]


def test_what_a_prefix_makes_of_the_host(service: Service, api: Api, admin: Api, alice: str) -> None:
    """The prefix is wider than the denied network: only the result tells."""
    router = register(service, alice, ip="2001:db8:1::7")
    made = deny(admin, "network", "2001:db8:2::7/128")
    assert router.update(myip="2001:db8:3::/64").text == "good 2001:db8:3::"
    assert router.addresses() == ["2001:db8:3::7"]
    for _ in range(2):
        assert router.update(myip="2001:db8:2::/64").text == "abuse"
        assert router.addresses() == []
        assert api.get(f"/hosts/{router.fqdn}")["abuse_blocked"] is True
    admin.delete(f"/deny/{made['id']}")


def test_what_a_prefix_makes_of_related_names(service: Service, api: Api, admin: Api, alice: str) -> None:
    router = register(service, alice, ip="2001:db8:1::7")
    related = f"/hosts/{router.fqdn}/related"
    assert api.call("PUT", f"{related}/nas", {"interface_id": "::66"}).status_code == 200
    made = deny(admin, "network", "2001:db8:2::60/124")
    problem(api.call("PATCH", f"/hosts/{router.fqdn}", {"ipv6": "2001:db8:2::7"}), 422, RULE, {"ipv6"})
    assert router.addresses("nas") == ["2001:db8:1::66"]
    assert router.update(myip="2001:db8:2::/64").text == "abuse"
    assert (router.addresses(), router.addresses("nas")) == ([], [])
    admin.patch(f"/hosts/{router.fqdn}", {"abuse_blocked": False})
    api.delete(f"{related}/nas")
    assert router.update(myip="2001:db8:2::/64").text == "good 2001:db8:2::"
    problem(api.call("PUT", f"{related}/nas", {"interface_id": "::61"}), 422, RULE, {"interface_id"})
    assert api.call("PUT", f"{related}/nas", {"interface_id": "::71"}).status_code == 200
    assert router.addresses("nas") == ["2001:db8:2::71"]
    admin.delete(f"/deny/{made['id']}")


@pytest.mark.parametrize("address", ["64:ff9b::c633:6409", "2002:c633:6409::1", "2001:0:cb00:7101:0:1234:39cc:9bf6"])
def test_an_ipv4_address_within_ipv6(admin: Api, host: Host, address: str) -> None:
    """NAT64, 6to4 and Teredo reach 198.51.100.9."""
    made = deny(admin, "network", "198.51.100.8/29")
    assert host.update(myip=address).text == "abuse"
    assert host.addresses() == []
    admin.delete(f"/deny/{made['id']}")


def test_an_agent(admin: Api, host: Host) -> None:
    made = deny(admin, "agent", "Evil-Box/")
    agents = {"EVIL-box/9.1": "badagent", "Good (Evil-Box/1)": "nochg 192.0.2.1", "": "nochg 192.0.2.1"}
    for agent, text in agents.items():
        assert host.update(myip="192.0.2.1", headers={"User-Agent": agent}).text == text
    admin.delete(f"/deny/{made['id']}")
    assert host.update(myip="192.0.2.1", headers={"User-Agent": "evil-box/2"}).text == "nochg 192.0.2.1"


def test_names(service: Service, api: Api, admin: Api, alice: str) -> None:
    word = new_label()
    made = [deny(admin, "name", f"*{word}*"), deny(admin, "name", f"*.x{word}.{service.domain}")]
    for label in (f"my-{word}", f"a.{word}b.c", f"a.x{word}"):
        problem(api.call("POST", "/hosts", {"fqdn": f"{label}.{service.domain}"}), 422, RULE, {"fqdn"})
    fqdn = api.host()["fqdn"]
    problem(api.call("PATCH", f"/hosts/{fqdn}", {"fqdn": f"{word}.{service.domain}"}), 422, RULE, {"fqdn"})
    change = {"action": "create", "fqdn": f"{word}.{service.domain}"}
    (result,) = api.call("POST", "/changes", {"changes": [change]}).json()["results"]
    assert (result["status"], result["error"]["status"]) == ("failed", 422)
    answer = service.get("/nic/register", alice, params={"fqdn": f"{word}.{service.domain}"})
    assert (answer.status_code, set(answer.json()["errors"])) == (400, {"name"})
    for denial in made:
        admin.delete(f"/deny/{denial['id']}")
    api.host(fqdn=f"a.x{word}.{service.domain}")


def test_lists(api: Api, admin: Api) -> None:
    label = new_label()
    made = [deny(admin, "name", f"{label}{n}") for n in range(3)]
    problem(admin.call("POST", "/deny", {"kind": "name", "value": f"{label.upper()}0"}), 409, TAKEN, {"value"})
    for limit in (1, 2, 3, 100):
        assert [d for d in admin.items("/deny", kind="name", limit=limit) if label in d["value"]] == made
    assert [d for d in admin.items("/deny", kind="agent") if label in d["value"]] == []
    for method, path in (("GET", ""), ("GET", f"/{made[0]['id']}"), ("DELETE", f"/{made[0]['id']}")):
        problem(api.call(method, f"/deny{path}"), 403)
    problem(api.call("POST", "/deny", {"kind": "name", "value": "x"}), 403)
    for denial in made:
        admin.delete(f"/deny/{denial['id']}")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("network", "0.0.0.0/0"),
        ("network", "2000::/3"),
        ("network", "here"),
        ("agent", "ab"),
        ("name", "*"),
        ("name", "a_b"),
        ("name", "a*b*c*d*e*f"),
        ("name", "[a-z]"),
    ],
)
def test_slips(admin: Api, kind: str, value: str) -> None:
    problem(admin.call("POST", "/deny", {"kind": kind, "value": value}), 422, RULE, {"value"})


def test_other_processes_follow(service: Service, admin: Api, alice: str) -> None:
    """What another process writes is in force within seconds: here the row is written beside the service."""
    host = register(service, alice)
    code = (
        "import asyncio; from ddnsd import settings; from ddnsd.db import denylist;"
        "from ddnsd.operations.store_access import with_store;"
        "asyncio.run(with_store(settings.load().store_url, lambda c: denylist.add("
        "c, kind='agent', value='other-node/', created_by='admin', comment=None)))"
    )
    subprocess.run([sys.executable, "-c", code], env=service.env, check=True, timeout=60)
    headers = {"User-Agent": "Other-Node/1"}
    wait_until(lambda: host.update(myip="192.0.2.1", headers=headers).text == "badagent", 10, "denied")
    (made,) = [d for d in admin.items("/deny", kind="agent") if d["value"] == "other-node/"]
    admin.delete(f"/deny/{made['id']}")


def test_status_for_everybody(service: Service, admin: Api, host: Host) -> None:
    def status() -> Content:
        answer = service.get("/api/status")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        content: Content = answer.json()
        return content

    def zone() -> Content:
        zones: list[Content] = [zone for zone in status()["zones"] if zone["name"] == service.domain]
        (found,) = zones
        return found

    hidden = f"{new_label()}.example.org"
    admin.post("/domains", {"name": hidden})
    wait_until(lambda: zone()["primary"]["reachable"], 10, "primary asked")
    before = zone()["primary"]["serial"]
    host.update(myip="192.0.2.9")
    wait_until(lambda: zone()["primary"]["serial"] > before, 10, "serial")
    shown = status()
    assert set(shown) == {"at", "database", "waiting", "updates_per_minute", "words", "zones", "private"}
    assert shown["database"] is True
    assert shown["words"]["good"] >= 1
    assert shown["updates_per_minute"] == sum(shown["words"].values())
    assert shown["private"]["zones"] >= 1
    assert hidden not in str(shown)
    assert "127.0.0.1" not in str(shown)
    admin.delete(f"/domains/{hidden}")
