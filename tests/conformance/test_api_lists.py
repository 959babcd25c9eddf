# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, lists of hosts: own ones, filters, pages."""

import uuid
from typing import Any

import pytest
from support.clients.dyndns import new_label
from support.clients.rest_api import Api, problem
from support.servers.service import Service


@pytest.fixture
def stack() -> str:
    return f"s{uuid.uuid4().hex[:10]}"


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["fqdn"] for item in items]


def test_a_list_shows_what_the_single_call_shows(api: Api, stack: str) -> None:
    made = api.host(stack=stack, ipv4="192.0.2.1", ttl=77, comment='"quoted" \\ ☃', labels={"a": "<b>"})
    for _ in range(2):
        single = api.get(f"/hosts/{made['fqdn']}")
        # these only for one host
        assert (single.pop("warnings"), single.pop("flapping_since"), single.pop("pointers")) == ([], None, [])
        assert api.get("/hosts", stack=stack, records="true") == {"items": [single], "next": None}
        assert single.pop("records") == single.pop("related") == {}
        assert api.get("/hosts", stack=stack) == {"items": [single], "next": None}


def test_pages_hold_every_host_once_by_age(api: Api, stack: str) -> None:
    made = [api.host(stack=stack)["fqdn"] for _ in range(5)]
    for limit in (1, 2, 3, 5, 6, 10_000):
        assert names(api.items("/hosts", stack=stack, limit=limit)) == made
    first = api.get("/hosts", stack=stack, limit=2)
    assert names(first["items"]) == made[:2]
    api.delete(f"/hosts/{made[1]}")
    assert names(api.get("/hosts", stack=stack, limit=10, cursor=first["next"])["items"]) == made[2:]
    assert api.get("/hosts", stack=stack, limit=4)["next"] is None


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "9" * 19}, "cursor"),
        ({"staack": "x"}, "staack"),
        ({"fqdn": "ü.example"}, "fqdn.0"),
    ],
)
def test_parameters_that_are_not_acceptable(api: Api, params: dict[str, Any], field: str) -> None:
    problem(api.call("GET", "/hosts", params=params), 422, fields={field})


def test_filters(service: Service, api: Api, lab: str, stack: str) -> None:
    one, two = api.host(stack=stack)["fqdn"], api.host(stack=stack, fqdn=f"{new_label()}.{lab}")["fqdn"]
    for _ in range(2):
        assert names(api.items("/hosts", stack=stack, domain=lab)) == [two]
        assert names(api.items("/hosts", stack=stack, domain=lab.upper() + ".")) == [two]
        assert names(api.items("/hosts", fqdn=[one, two.upper(), "gone.example.org"])) == [one, two]
        assert names(api.items("/hosts", fqdn=one)) == [one]
        assert names(api.items("/hosts", stack=stack, owner="alice")) == [one, two]
        for params in ({"domain": "unknown.org"}, {"owner": "bob"}, {"stack": "other"}, {"stack": ""}):
            assert names(api.items("/hosts", **{"fqdn": [one, two]} | params)) == []


def test_lists_hold_own_hosts_and_an_administrators_everybodys(
    service: Service, api: Api, bob: str, stack: str
) -> None:
    own = api.host(stack=stack)["fqdn"]
    foreign = Api(service, bob).host(stack=stack)["fqdn"]
    admin = Api(service, service.admin_token)
    for _ in range(2):
        assert names(api.items("/hosts", stack=stack)) == [own]
        assert names(api.items("/hosts", stack=stack, owner="bob")) == []
        assert names(admin.items("/hosts", stack=stack)) == [own, foreign]
        assert names(admin.items("/hosts", stack=stack, owner="bob")) == [foreign]


def test_a_token_with_patterns_lists_what_they_allow(service: Service, api: Api, lab: str, stack: str) -> None:
    made = [
        api.host(stack=stack, fqdn=f"{new_label()}.{d}")["fqdn"] for d in (lab, service.domain, lab, service.domain)
    ]
    token = api.post("/tokens", {"name": f"lab {new_label()}", "domains": [lab]})["token"]
    limited = Api(service, token)
    for limit in (1, 2, 100):
        assert names(limited.items("/hosts", stack=stack, limit=limit)) == [made[0], made[2]]
    problem(limited.call("GET", f"/hosts/{made[1]}"), 404)
    problem(limited.call("POST", "/hosts", {"fqdn": f"{new_label()}.{service.domain}"}), 422, "urn:ddns:rule", {"fqdn"})
