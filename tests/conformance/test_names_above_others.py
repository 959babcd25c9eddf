# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody takes a name above somebody else's host: they would answer for the names around it, and get its cookies."""

from collections.abc import Callable

import pytest
from support.clients.dyndns import GIVEN, new_label, register
from support.clients.rest_api import Api, Content, new_name, problem
from support.servers.service import Service

RULE = "urn:ddns:rule"


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def theirs(service: Service, bob: str) -> Api:
    return Api(service, bob)


@pytest.fixture
def victim(service: Service, theirs: Api) -> str:
    """A free name; bob has a host two labels below it."""
    name = new_name(service)
    theirs.host(fqdn=f"www.lab.{name}", ipv4="192.0.2.66")
    return name


def _register(api: Api, name: str) -> Content:
    params = {"fqdn": name, "ip": GIVEN, "wildcard": "true"}
    answer = api.service.get("/nic/register", api.token, params=params)
    assert (answer.status_code, answer.json()["message"]) == (400, "formerr")
    return dict(answer.json()["errors"])


def _rest(api: Api, name: str) -> Content:
    return dict(problem(api.call("POST", "/hosts", {"fqdn": name, "wildcard": True}), 422, RULE, {"fqdn"})["errors"])


def _bulk(api: Api, name: str) -> Content:
    change = {"action": "create", "fqdn": name, "set": {"ipv4": GIVEN}}
    (result,) = api.call("POST", "/changes", {"changes": [change]}).json()["results"]
    assert result["status"] == "failed"
    return dict(result["error"]["errors"])


def _rename(api: Api, name: str) -> Content:
    host = api.host(ipv4=GIVEN)["fqdn"]
    refused = problem(api.call("PATCH", f"/hosts/{host}", {"fqdn": name}), 422, RULE, {"fqdn"})
    assert api.service.dig(host) == [GIVEN]
    return dict(refused["errors"])


def _rename_in_bulk(api: Api, name: str) -> Content:
    change = {"action": "update", "fqdn": api.host(ipv4=GIVEN)["fqdn"], "set": {"fqdn": name}}
    (result,) = api.call("POST", "/changes", {"changes": [change]}).json()["results"]
    return dict(result["error"]["errors"])


@pytest.mark.parametrize("door", [_register, _rest, _bulk, _rename, _rename_in_bulk])
@pytest.mark.parametrize("prefix", ["", "lab."])
def test_no_door_gives_it(api: Api, victim: str, door: Callable[[Api, str], Content], prefix: str) -> None:
    assert "is above a host of another user" in str(door(api, prefix + victim))
    assert api.service.dig(prefix + victim) == api.service.dig(f"any.{victim}") == []
    assert api.service.dig(f"www.lab.{victim}") == ["192.0.2.66"]
    assert api.call("GET", f"/hosts/{prefix}{victim}").status_code == 404


def test_not_even_an_administrator_by_accident(service: Service, victim: str) -> None:
    admin = Api(service, service.admin_token)
    problem(admin.call("POST", "/hosts", {"fqdn": victim}), 422, RULE, {"fqdn"})


def test_one_may_take_a_name_above_ones_own(api: Api, theirs: Api, victim: str) -> None:
    theirs.host(fqdn=victim, ipv4=GIVEN, wildcard=True)
    problem(api.call("POST", "/hosts", {"fqdn": f"a.{victim}"}), 422, RULE, {"fqdn"})
    beside = victim.replace("h", "h-", 1)
    assert api.host(fqdn=f"x.{beside}")["fqdn"] == f"x.{beside}"
    assert api.host(fqdn=beside)["fqdn"] == beside


def test_names_that_are_none(service: Service, api: Api) -> None:
    names = ["a\0.b", f"a\0.{service.domain}", f".{service.domain}", f"ä.{service.domain}", "%", "_.x", "'", "." * 200]
    changes = [{"action": "create", "fqdn": name} for name in names]
    results = api.call("POST", "/changes", {"changes": changes}).json()["results"]
    assert [r["error"]["status"] for r in results] == [422] * len(names)


def test_names_that_only_look_alike_are_free(api: Api, victim: str) -> None:
    for name in (f"x{victim}", victim.replace(".", "-.", 1).replace("-.", "0.", 1), f"ww.x{victim}"):
        api.host(fqdn=name)


def test_within_one_call_names_are_free_once_they_are_given_up(service: Service, theirs: Api, victim: str) -> None:
    admin, low = Api(service, service.admin_token), f"www.lab.{victim}"
    create = {"action": "create", "fqdn": victim}
    first, second = admin.call("POST", "/changes", {"changes": [create, {"action": "delete", "fqdn": low}]}).json()[
        "results"
    ]
    assert (first["status"], second["status"]) == ("failed", "applied")
    theirs.host(fqdn=low)
    away = {"action": "update", "fqdn": low, "set": {"fqdn": new_name(service)}}
    back = {"action": "update", "fqdn": away["set"]["fqdn"], "set": {"fqdn": low}}  # type: ignore[index]
    results = admin.call("POST", "/changes", {"changes": [away, create, back]}).json()["results"]
    assert [r["status"] for r in results] == ["applied", "applied", "failed"]


def test_a_call_sees_what_it_brings_itself(service: Service, theirs: Api) -> None:
    admin, name, host = Api(service, service.admin_token), new_name(service), theirs.host()["fqdn"]
    below = {"action": "update", "fqdn": host, "set": {"fqdn": f"www.{name}"}}
    create = {"action": "create", "fqdn": name}
    results = admin.call("POST", "/changes", {"changes": [below, create]}).json()["results"]
    assert [r["status"] for r in results] == ["applied", "failed"]


def test_what_was_there_before_keeps_working_and_gets_no_more(service: Service, api: Api, theirs: Api) -> None:
    """An administrator has given the upper one of two hosts away."""
    admin, name = Api(service, service.admin_token), new_name(service)
    theirs.host(fqdn=name, ipv4=GIVEN, ipv6="2001:db8::1")
    theirs.host(fqdn=f"www.nas.{name}")
    admin.patch(f"/hosts/{name}", {"owner": "alice"})
    api.patch(f"/hosts/{name}", {"ipv4": "192.0.2.9"})
    problem(api.call("PATCH", f"/hosts/{name}", {"wildcard": True}), 422, RULE, {"wildcard"})
    problem(api.call("PUT", f"/hosts/{name}/related/nas", {"interface_id": "::7"}), 422, RULE, {"label"})
    assert api.call("PUT", f"/hosts/{name}/related/printer", {"interface_id": "::7"}).status_code == 200
    assert service.dig(f"any.{name}") == []


def test_a_renamed_host_is_found_at_its_new_name(service: Service, api: Api, theirs: Api) -> None:
    name, other = new_name(service), new_name(service)
    low = theirs.host(fqdn=f"www.{name}")["fqdn"]
    theirs.patch(f"/hosts/{low}", {"fqdn": f"www.{other}"})
    api.host(fqdn=name)
    problem(api.call("POST", "/hosts", {"fqdn": other}), 422, RULE, {"fqdn"})
    theirs.patch(f"/hosts/www.{other}", {"fqdn": new_name(service)})
    api.host(fqdn=other)


def test_a_name_above_a_zone_with_hosts_of_others(service: Service, api: Api) -> None:
    name, free, owner = new_name(service), new_name(service), new_label()
    token = service.user(owner)
    for domain in (name, free):
        service.cli("domain", "add", f"zone.{domain}", "--owner", owner, "--private")
    register(service, token, f"zone.{name}")
    api.host(fqdn=free)
    problem(api.call("POST", "/hosts", {"fqdn": name}), 422, RULE, {"fqdn"})


def test_a_rename_takes_no_related_name_to_a_denied_one(service: Service, api: Api) -> None:
    host = api.host(ipv6="2001:db8::1")["fqdn"]
    assert api.call("PUT", f"/hosts/{host}/related/nas", {"interface_id": "::7"}).status_code == 200
    new = f"{new_label()}.{service.domain}"
    made = Api(service, service.admin_token).post("/deny", {"kind": "name", "value": f"nas.{new}"})
    problem(api.call("PATCH", f"/hosts/{host}", {"fqdn": new}), 422, RULE, {"fqdn"})
    assert service.dig(f"nas.{host}", "AAAA") == ["2001:db8::7"]
    Api(service, service.admin_token).delete(f"/deny/{made['id']}")
    api.patch(f"/hosts/{host}", {"fqdn": new})
