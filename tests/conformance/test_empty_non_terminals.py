# SPDX-License-Identifier: GPL-3.0-or-later
"""Names for which a wildcard stops answering, because a host below them is registered (RFC 4592)."""

import pytest
from support.clients.dyndns import Host
from support.clients.rest_api import Api
from support.servers.service import Service


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def wild(service: Service, api: Api) -> str:
    """A host with a wildcard, which still answers for everything below it."""
    fqdn: str = api.host(ipv4="192.0.2.1", wildcard=True)["fqdn"]
    assert service.dig(f"a.{fqdn}") == service.dig(f"x.y.a.{fqdn}") == ["192.0.2.1"]
    assert api.get(f"/hosts/{fqdn}")["warnings"] == []
    return fqdn


def text(name: str, host: str, below: str) -> str:
    return (
        f"The wildcard *.{host} does not answer for {name} and names below it, because {below} is registered. "
        f"If {name} needs an address, register it too."
    )


def test_a_host_that_is_registered_deep_below_a_wildcard(service: Service, api: Api, wild: str) -> None:
    expected = [text(f"a.{wild}", wild, f"b.a.{wild}")]
    made = api.post("/hosts", {"fqdn": f"b.a.{wild}", "ipv4": "192.0.2.2"})
    assert made["warnings"] == expected
    assert service.dig(f"a.{wild}") == service.dig(f"x.a.{wild}") == [], "nothing is published"
    assert service.dig(f"c.{wild}") == ["192.0.2.1"]
    assert api.get(f"/hosts/b.a.{wild}")["warnings"] == api.get(f"/hosts/{wild}")["warnings"] == expected
    assert all("warnings" not in item for item in api.items("/hosts"))
    assert api.post("/hosts", {"fqdn": f"a.{wild}", "ipv4": "192.0.2.3"})["warnings"] == []
    assert service.dig(f"a.{wild}") == ["192.0.2.3"]
    assert api.get(f"/hosts/b.a.{wild}")["warnings"] == api.get(f"/hosts/{wild}")["warnings"] == []
    api.delete(f"/hosts/a.{wild}")
    api.delete(f"/hosts/b.a.{wild}")
    assert api.get(f"/hosts/{wild}")["warnings"] == []
    assert service.dig(f"a.{wild}") == ["192.0.2.1"]


def test_every_name_between_them_is_listed(api: Api, wild: str) -> None:
    deep = f"c.b.a.{wild}"
    expected = [text(f"a.{wild}", wild, deep), text(f"b.a.{wild}", wild, deep)]
    assert api.post("/hosts", {"fqdn": deep})["warnings"] == expected
    near = api.post("/hosts", {"fqdn": f"b.a.{wild}", "wildcard": True})
    assert near["warnings"] == [text(f"a.{wild}", wild, f"b.a.{wild}")]
    assert api.get(f"/hosts/{deep}")["warnings"] == []
    assert api.post("/hosts", {"fqdn": f"www.{wild}"})["warnings"] == []


def test_a_wildcard_that_is_set_above_hosts(service: Service, api: Api, host: Host) -> None:
    deep = [f"b.a.{host.fqdn}", f"c.a.{host.fqdn}", f"d.x.y.{host.fqdn}", f"e.{host.fqdn}"]
    for fqdn in deep:
        assert api.post("/hosts", {"fqdn": fqdn})["warnings"] == []
    expected = [
        text(f"a.{host.fqdn}", host.fqdn, deep[0]),
        text(f"x.y.{host.fqdn}", host.fqdn, deep[2]),
        text(f"y.{host.fqdn}", host.fqdn, deep[2]),
    ]
    assert api.patch(f"/hosts/{host.fqdn}", {"wildcard": True})["warnings"] == expected
    assert api.get(f"/hosts/{deep[1]}")["warnings"] == [text(f"a.{host.fqdn}", host.fqdn, deep[1])]
    assert api.patch(f"/hosts/{host.fqdn}", {"wildcard": False})["warnings"] == []


def test_related_names_exist(api: Api, wild: str) -> None:
    answer = api.call("PUT", f"/hosts/{wild}/related/nas", {"interface_id": "::7"})
    assert answer.status_code == 200, answer.text
    assert api.post("/hosts", {"fqdn": f"x.nas.{wild}"})["warnings"] == []


def test_in_a_bulk_call(api: Api, wild: str, host: Host) -> None:
    changes = [
        {"action": "create", "fqdn": f"b.a.{wild}", "set": {"ipv4": "192.0.2.2"}},
        {"action": "create", "fqdn": f"q.{wild}", "set": {}},
        {"action": "create", "fqdn": f"p.q.{wild}", "set": {}},
        {"action": "create", "fqdn": f"d.c.{host.fqdn}", "set": {}},
        {"action": "update", "fqdn": host.fqdn, "set": {"wildcard": True}},
        {"action": "update", "fqdn": wild, "set": {"comment": "x"}},
    ]
    headers = {"Idempotency-Key": wild}
    results = api.call("POST", "/changes", {"changes": changes}, headers=headers).json()["results"]
    low = text(f"c.{host.fqdn}", host.fqdn, f"d.c.{host.fqdn}")
    expected = [[text(f"a.{wild}", wild, f"b.a.{wild}")], None, None, [low], [low], None]
    assert [one.get("warnings") for one in results] == expected
    assert api.call("POST", "/changes", {"changes": changes}, headers=headers).json()["results"] == results
    move = [{"action": "update", "fqdn": f"q.{wild}", "set": {"fqdn": f"r.s.{wild}"}}]
    (result,) = api.call("POST", "/changes", {"changes": move}).json()["results"]
    assert result["warnings"] == [text(f"s.{wild}", wild, f"r.s.{wild}")]


def test_egis_answer_keeps_its_keys(service: Service, api: Api, wild: str) -> None:
    asked = {"fqdn": f"b.a.{wild}", "ip": "192.0.2.2"}
    answer = service.get("/nic/register", str(api.token), params=asked).json()
    assert sorted(answer) == ["host", "message", "status"]
    assert answer["message"] == "Host registered."
    assert "warnings" not in answer["host"]
