# SPDX-License-Identifier: GPL-3.0-or-later
"""Names made of a host's own count at every door: one that no message can hold is refused, and delays nobody."""

from collections.abc import Callable, Iterator

import pytest
from support.clients.dyndns import new_label, register
from support.clients.rest_api import Api, Content, problem
from support.servers.service import Service

RULE = "urn:ddns:rule"
LONGEST = 253

Give = Callable[[Api, str], int]
"""Gives a host something below its name; answers by how many characters that is longer."""


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


def of_length(service: Service, length: int) -> str:
    """A full name of so many characters that no other test uses."""
    room = length - len(service.domain) - 1
    labels = [new_label()]
    while (left := room - len(".".join(labels))) > 0:
        labels.append("x" * min(63, left - 1) if left != 65 else "x" * 62)
    name = f"{'.'.join(labels)}.{service.domain}"
    assert len(name) == length
    return name


@pytest.fixture(autouse=True)
def _others_are_served(service: Service, alice: str) -> Iterator[None]:
    """Whatever was tried, another host of the zone is updated."""
    yield
    other = register(service, alice)
    assert other.update(myip="192.0.2.77").text == "good 192.0.2.77"


def bulk(api: Api, **change: object) -> Content:
    answer = api.call("POST", "/changes", {"changes": [change]})
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["results"]
    found: Content = result
    return found


def is_unknown(api: Api, fqdn: str) -> bool:
    return api.call("GET", f"/hosts/{fqdn}").status_code == 404


# ---- registration


@pytest.mark.parametrize("length", [252, 253])
def test_a_wildcard_that_would_be_too_long_is_not_registered(
    service: Service, api: Api, alice: str, length: int
) -> None:
    fqdn = of_length(service, length)
    label = fqdn.removesuffix(f".{service.domain}")
    for params in ({"fqdn": fqdn}, {"name": label, "domain": service.domain}):
        answer = service.get("/nic/register", alice, params={**params, "wildcard": "true", "ip": "192.0.2.1"})
        assert (answer.status_code, answer.json()["message"]) == (400, "formerr")
        assert f"{length + 2} characters" in answer.text
    wrong = problem(api.call("POST", "/hosts", {"fqdn": fqdn, "wildcard": True}), 422, RULE, {"fqdn"})
    assert f"With *. before it, the name has {length + 2} characters" in wrong["detail"]
    failed = bulk(api, action="create", fqdn=fqdn, set={"wildcard": True, "ipv4": "192.0.2.1"})
    assert failed["status"] == "failed"
    assert failed["error"]["status"] == 422
    assert is_unknown(api, fqdn)


@pytest.mark.parametrize(("length", "wildcard"), [(251, True), (253, False)])
def test_the_longest_names_that_fit_are_served(service: Service, api: Api, length: int, wildcard: bool) -> None:
    fqdn = of_length(service, length)
    made = api.host(fqdn=fqdn, wildcard=wildcard, ipv4="192.0.2.1")
    update = service.get("/nic/update", auth=(fqdn, made["secret"]), params={"myip": "192.0.2.2"})
    assert update.text == "good 192.0.2.2"
    assert service.dig(fqdn) == ["192.0.2.2"]
    if wildcard:
        assert service.dig(f"a.{fqdn}") == ["192.0.2.2"]
    api.delete(f"/hosts/{fqdn}")
    assert service.dig(fqdn) == []


# ---- changes of a host


def test_a_wildcard_is_not_added_where_it_would_be_too_long(service: Service, api: Api) -> None:
    fqdn = of_length(service, LONGEST)
    made = api.host(fqdn=fqdn, ipv4="192.0.2.1")
    changed = {"wildcard": True, "ipv4": "192.0.2.2"}
    problem(api.call("PATCH", f"/hosts/{fqdn}", changed), 422, RULE, {"wildcard"})
    assert bulk(api, action="update", fqdn=fqdn, set=changed)["error"]["status"] == 422
    assert api.get(f"/hosts/{fqdn}") == {name: value for name, value in made.items() if name != "secret"}
    assert service.dig(fqdn) == ["192.0.2.1"]
    assert api.patch(f"/hosts/{fqdn}", {"wildcard": False, "comment": "long"})["comment"] == "long"


def _with_wildcard(api: Api, fqdn: str) -> int:
    api.patch(f"/hosts/{fqdn}", {"wildcard": True})
    return len("*.")


def _with_related(api: Api, fqdn: str) -> int:
    assert api.call("PUT", f"/hosts/{fqdn}/related/camera", {"interface_id": "::7"}).status_code == 200
    return len("camera.")


def _with_records(api: Api, fqdn: str) -> int:
    answer = api.call("PUT", f"/hosts/{fqdn}/records/_acme-challenge/TXT", {"values": ["x"]})
    assert answer.status_code == 200, answer.text
    return len("_acme-challenge.")


@pytest.mark.parametrize("give", [_with_wildcard, _with_related, _with_records])
def test_a_rename_takes_along_what_lies_below_the_host(service: Service, api: Api, give: Give) -> None:
    made = api.host(ipv4="192.0.2.1", ipv6="2001:db8::1")
    old = made["fqdn"]
    more = give(api, old)
    before = api.get(f"/hosts/{old}")
    for length in (LONGEST - more + 1, LONGEST):
        new = of_length(service, length)
        wrong = problem(api.call("PATCH", f"/hosts/{old}", {"fqdn": new}), 422, RULE, {"fqdn"})
        assert f"{length + more} characters" in wrong["detail"]
        assert bulk(api, action="update", fqdn=old, set={"fqdn": new})["error"]["status"] == 422
        assert api.get(f"/hosts/{old}") == before
        assert is_unknown(api, new)
    fits = of_length(service, LONGEST - more)
    api.patch(f"/hosts/{old}", {"fqdn": fits})
    assert bulk(api, action="update", fqdn=fits, set={"fqdn": old})["status"] == "applied"
    assert service.dig(old) == ["192.0.2.1"]


# ---- names below a host


def test_names_below_a_host_count(service: Service, api: Api) -> None:
    fqdn = of_length(service, LONGEST - 4)
    api.host(fqdn=fqdn, ipv4="192.0.2.1", ipv6="2001:db8::1")
    path = f"/hosts/{fqdn}"
    problem(api.call("PUT", f"{path}/related/nas1", {"interface_id": "::7"}), 422, RULE, {"label"})
    assert service.cli("related", "add", fqdn, "nas1", "::7", check=False).returncode != 0
    for owner in ("_acme-challenge", "_443._tcp", "_" + 62 * "x"):
        problem(api.call("PUT", f"{path}/records/{owner}/TXT", {"values": ["x"]}), 422, RULE, {"name"})
    assert api.get(f"{path}/related")["items"] == api.get(f"{path}/records")["items"] == []
    assert api.call("PUT", f"{path}/related/nas", {"interface_id": "::7"}).status_code == 200
    assert api.call("PUT", f"{path}/records/_tc/TXT", {"values": ["x"]}).status_code == 200
    assert service.dig(f"nas.{fqdn}", "AAAA") == ["2001:db8::7"]
    assert service.dig(f"_tc.{fqdn}", "TXT") == ['"x"']


# ---- domains


def test_a_domain_leaves_room_for_hosts(service: Service, api: Api) -> None:
    admin = Api(service, service.admin_token)
    labels = [new_label(), *(letter * 62 for letter in "ab")]
    room = 189 - len(".".join(labels)) - len(".example.org") - 1
    for length in (room, room + 1):
        name = f"{'.'.join(labels)}.{'c' * length}.example.org"
        answer = admin.call("POST", "/domains", {"name": name})
        if len(name) > 189:
            problem(answer, 422, RULE, {"name"})
            assert service.cli("domain", "add", name, "--owner", "alice", check=False).returncode != 0
            continue
        assert answer.status_code == 201, answer.text
        label = "h" * 63
        made = admin.host(fqdn=f"{label}.{name}", ipv4="192.0.2.1")
        assert len(made["fqdn"]) == LONGEST
        assert service.dig(made["fqdn"]) == ["192.0.2.1"]


def test_an_owner_that_is_far_too_long(api: Api) -> None:
    host = api.host(ipv4="192.0.2.1")
    owner = ".".join(["_" + "x" * 62] * 4)
    answer = api.call("PUT", f"/hosts/{host['fqdn']}/records/{owner}/TXT", {"values": ["x"]})
    assert problem(answer, 422, RULE, {"name"})["detail"] == "A full name has at most 253 characters."
