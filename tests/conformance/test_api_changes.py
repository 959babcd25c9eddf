# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, `POST /api/changes`: many changes in one call."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from support.clients.dyndns import serial
from support.clients.rest_api import Api, Content, new_name, problem
from support.ports import wait_until
from support.servers.faults import insert
from support.servers.service import Service

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


def call(api: Api, *changes: Content, atomic: bool = False, key: str | None = None) -> requests.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return api.call("POST", "/changes", {"atomic": atomic, "changes": list(changes)}, headers=headers)


def results(answer: requests.Response) -> list[Content]:
    assert answer.status_code == 200, answer.text
    content: Content = answer.json()
    assert set(content) == {"results"}
    for result in content["results"]:
        assert {"fqdn", "status"} <= set(result) <= {"fqdn", "status", "secret", "error"}
        assert ("error" in result) is (result["status"] == "failed")
    found: list[Content] = content["results"]
    return found


def made(api: Api, *changes: Content, **kwargs: Any) -> list[Content]:
    """The results of a call of which nothing fails."""
    found = results(call(api, *changes, **kwargs))
    assert [result["fqdn"] for result in found] == [change["fqdn"] for change in changes]
    assert not [result for result in found if result["status"] == "failed"]
    return found


def statuses(found: list[Content]) -> list[str | int]:
    """The words of what was done, the statuses of what failed."""
    return [result["error"]["status"] if "error" in result else result["status"] for result in found]


def create(fqdn: str, /, **fields: Any) -> Content:
    return {"action": "create", "fqdn": fqdn, "set": fields}


def update(fqdn: str, expected: Content | None = None, /, **fields: Any) -> Content:
    return {"action": "update", "fqdn": fqdn, "set": fields} | ({"if": expected} if expected is not None else {})


def delete(fqdn: str, **expected: Any) -> Content:
    return {"action": "delete", "fqdn": fqdn} | ({"if": expected} if expected else {})


def rotate(fqdn: str) -> Content:
    return {"action": "rotate", "fqdn": fqdn}


def word(service: Service, fqdn: str, secret: str, address: str) -> str:
    return service.get("/nic/update", auth=(fqdn, secret), params={"myip": address}).text


# ---- the four actions


def test_the_four_actions_each_done_and_then_nothing_left_to_do(service: Service, api: Api) -> None:
    names = [new_name(service) for _ in range(3)]
    fields = {
        "ipv4": "192.0.2.1",
        "ipv6": "2001:DB8::0:1",
        "wildcard": True,
        "comment": "bulk",
        "ttl": 300,
        "stack": "s1",
        "labels": {"role": "web"},
    }
    created = made(api, *(create(name, **fields) for name in names))
    assert statuses(created) == ["applied"] * 3
    for name, result in zip(names, created, strict=True):
        host = api.get(f"/hosts/{name}")
        assert {k: host[k] for k in fields} == fields | {"ipv6": "2001:db8::1"}
        assert (host["owner"], host["dns"], host["client_faults"]) == ("alice", "current", 0)
        assert (service.dig(name), service.dig(name, "AAAA")) == (["192.0.2.1"], ["2001:db8::1"])
        assert service.dig(f"any.{name}") == ["192.0.2.1"]
        assert word(service, name, result["secret"], "192.0.2.1") == "nochg 192.0.2.1"
    assert statuses(results(call(api, *(create(name, **fields) for name in names)))) == [409] * 3

    edits = [update(name, ipv4="192.0.2.2", ipv6=None, wildcard=False, comment=None, ttl=None) for name in names]
    assert statuses(made(api, *edits)) == ["applied"] * 3
    for name in names:
        assert (service.dig(name), service.dig(name, "AAAA"), service.dig(f"any.{name}")) == (["192.0.2.2"], [], [])
    before = serial(service, service.domain)
    assert statuses(made(api, *edits)) == ["unchanged"] * 3
    assert serial(service, service.domain) == before

    old, rotated = created[0]["secret"], made(api, rotate(names[0]))[0]
    assert rotated["status"] == "applied"
    assert word(service, names[0], old, "192.0.2.2") == "badauth"
    assert word(service, names[0], rotated["secret"], "192.0.2.2") == "nochg 192.0.2.2"

    assert statuses(made(api, *(delete(name) for name in names))) == ["applied"] * 3
    for name in names:
        assert (service.dig(name), service.dig(f"any.{name}")) == ([], [])
        problem(api.call("GET", f"/hosts/{name}"), 404)
    assert statuses(results(call(api, *(delete(name) for name in names)))) == [404] * 3


def test_one_message_carries_all_of_a_zone(service: Service, api: Api) -> None:
    names = [new_name(service) for _ in range(100)]
    before = serial(service, service.domain)
    made(api, *(create(name, ipv4="192.0.2.1") for name in names))
    assert serial(service, service.domain) == before + 1
    made(api, *(update(name, ipv4="192.0.2.2") for name in names))
    assert serial(service, service.domain) == before + 2
    made(api, *(delete(name) for name in names))
    assert serial(service, service.domain) == before + 3


def test_several_domains_in_one_call(service: Service, api: Api, lab: str) -> None:
    names = [new_name(service), f"bulk.{lab}"]
    assert statuses(made(api, *(create(name, ipv4="192.0.2.1") for name in names))) == ["applied"] * 2
    assert [service.dig(name) for name in names] == [["192.0.2.1"]] * 2
    made(api, *(delete(name) for name in names))
    assert [service.dig(name) for name in names] == [[]] * 2


def test_a_host_without_an_address_has_no_record(service: Service, api: Api) -> None:
    name = new_name(service)
    assert made(api, create(name))[0]["status"] == "applied"
    assert (service.dig(name), api.get(f"/hosts/{name}")["ipv4"]) == ([], None)
    assert made(api, {"action": "create", "fqdn": new_name(service)})[0]["status"] == "applied"


def test_an_empty_call(api: Api) -> None:
    assert results(call(api)) == []


def test_names_are_folded(service: Service, api: Api) -> None:
    name = new_name(service)
    assert results(call(api, create(name.upper() + ".")))[0]["fqdn"] == name
    assert statuses(results(call(api, delete(name.upper())))) == ["applied"]


def test_what_dns_does_not_show_needs_no_message(service: Service, api: Api) -> None:
    name = new_name(service)
    made(api, create(name, ipv4="192.0.2.1"))
    before = serial(service, service.domain)
    assert made(api, update(name, comment="c", stack="s", labels={"a": "b"}))[0]["status"] == "applied"
    assert made(api, update(name, comment="c", stack="s", labels={"a": "b"}))[0]["status"] == "unchanged"
    assert serial(service, service.domain) == before
    host = api.get(f"/hosts/{name}")
    assert (host["comment"], host["stack"], host["labels"], host["dns"]) == ("c", "s", {"a": "b"}, "current")


def test_the_audit_trail_has_every_change(service: Service, api: Api) -> None:
    name, other = new_name(service), new_name(service)
    made(api, create(name), update(name, comment="c"), rotate(name), update(name, fqdn=other), delete(other))
    actions = {event["action"] for fqdn in (name, other) for event in api.items("/events", object=fqdn)}
    assert actions == {"host.register", "host.set", "host.secret", "host.rename", "host.unregister"}


# ---- order


def test_the_same_name_several_times(service: Service, api: Api) -> None:
    name = new_name(service)
    found = made(
        api,
        create(name, ipv4="192.0.2.1"),
        update(name, ipv4="192.0.2.2"),
        delete(name),
        create(name, ipv4="192.0.2.3"),
        update(name, {"ipv4": "192.0.2.3"}, ipv4="192.0.2.4"),
        rotate(name),
    )
    assert statuses(found) == ["applied"] * 6
    assert service.dig(name) == ["192.0.2.4"]
    assert word(service, name, found[5]["secret"], "192.0.2.4") == "nochg 192.0.2.4"
    assert word(service, name, found[3]["secret"], "192.0.2.4") == "badauth"
    found = results(call(api, delete(name), delete(name), update(name, ipv4="192.0.2.5"), create(name), create(name)))
    assert statuses(found) == ["applied", 404, 404, "applied", 409]
    assert service.dig(name) == []
    assert statuses(results(call(api, delete(name), create(name), delete(name)))) == ["applied"] * 3
    problem(api.call("GET", f"/hosts/{name}"), 404)


def test_a_name_is_left_and_taken_in_one_call(service: Service, api: Api) -> None:
    one, two, free = (new_name(service) for _ in range(3))
    made(api, create(one, ipv4="192.0.2.1", wildcard=True), create(two, ipv4="192.0.2.2"))
    made(api, delete(one), update(two, fqdn=one), create(two, ipv4="192.0.2.3"))
    assert [service.dig(n) for n in (one, two, f"any.{one}")] == [["192.0.2.2"], ["192.0.2.3"], []]
    made(api, update(one, fqdn=free), update(two, fqdn=one), update(free, fqdn=two))
    assert [service.dig(n) for n in (one, two, free)] == [["192.0.2.3"], ["192.0.2.2"], []]
    assert [api.get(f"/hosts/{n}")["dns"] for n in (one, two)] == ["current"] * 2


def test_a_rename_keeps_the_secret(service: Service, api: Api) -> None:
    old, new = new_name(service), new_name(service)
    secret = made(api, create(old, ipv4="192.0.2.1", wildcard=True))[0]["secret"]
    assert made(api, update(old, fqdn=new, comment="moved"))[0]["status"] == "applied"
    assert [service.dig(n) for n in (old, f"any.{old}", new, f"any.{new}")] == [[], [], ["192.0.2.1"], ["192.0.2.1"]]
    assert word(service, new, secret, "192.0.2.1") == "nochg 192.0.2.1"
    assert statuses(results(call(api, update(new, fqdn=new), update(old, fqdn=new)))) == ["unchanged", 404]


# ---- what an item may not


def test_what_fails_leaves_the_others_alone(service: Service, api: Api, bob: str) -> None:
    foreign = Api(service, bob).host(ipv4="192.0.2.9")["fqdn"]
    good, taken = new_name(service), new_name(service)
    made(api, create(taken))
    wrong = [
        create(taken),
        create(foreign),
        create(f"below.{foreign}"),
        update(foreign, ipv4="192.0.2.1"),
        delete(foreign),
        rotate(foreign),
        update(new_name(service), ipv4="192.0.2.1"),
        delete(new_name(service)),
        create("host.nowhere.example"),
        create(service.domain),
        create(f"-.{service.domain}"),
        create(f"{'x' * 64}.{service.domain}"),
        update(taken, fqdn=foreign),
        update(taken, fqdn=f"below.{foreign}"),
    ]
    found = results(call(api, *wrong, create(good, ipv4="192.0.2.1")))
    assert statuses(found) == [409, 409, 422, 404, 404, 404, 404, 404, 422, 422, 422, 422, 409, 422, "applied"]
    for result in found[:-1]:
        assert set(result["error"]) >= {"title", "status", "detail"}
        assert "secret" not in result
    assert all(set(found[n]["error"]["errors"]) == {"fqdn"} for n in (2, 8, 9, 10, 11, 13))
    assert (service.dig(good), service.dig(foreign)) == (["192.0.2.1"], ["192.0.2.9"])
    assert api.get(f"/hosts/{taken}")["fqdn"] == taken


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ipv4", "zzz"),
        ("ipv4", "127.0.0.1"),
        ("ipv4", "2001:db8::1"),
        ("ipv4", "192.0.2.1/24"),
        ("ipv4", 7),
        ("ipv6", "fe80::1%eth0"),
        ("ipv6", "192.0.2.1"),
        ("wildcard", "yes"),
        ("comment", "x" * 256),
        ("comment", "a\nb"),
        ("ttl", 0),
        ("ttl", 86401),
        ("ttl", "60"),
        ("ttl", True),
        ("stack", "a b"),
        ("stack", "x" * 64),
        ("labels", {"": "x"}),
        ("labels", {"a": 1}),
        ("labels", {f"k{n}": "" for n in range(17)}),
        ("labels", []),
        ("unknown", 1),
        ("secret", "mine"),
    ],
)
def test_a_bad_value_fails_its_item_alone(service: Service, api: Api, field: str, value: object) -> None:
    name, good = new_name(service), new_name(service)
    found = results(call(api, create(name, **{field: value}), create(good), update(good, **{field: value})))
    assert statuses(found) == [422, "applied", 422]
    for result in (found[0], found[2]):
        assert [named.partition(".")[0] for named in result["error"]["errors"]] == [field]
    problem(api.call("GET", f"/hosts/{name}"), 404)


def test_fields_of_an_administrator(service: Service, api: Api, admin: Api) -> None:
    name = new_name(service)
    made(api, create(name, ipv4="192.0.2.1"))
    for field, value in (("available", False), ("abuse_blocked", True), ("owner", "bob")):
        (result,) = results(call(api, update(name, **{field: value})))
        assert (result["error"]["status"], set(result["error"]["errors"])) == (422, {field})
    assert made(admin, update(name, abuse_blocked=True))[0]["status"] == "applied"
    assert service.dig(name) == []
    found = results(call(api, update(name, ipv4="192.0.2.2"), delete(name), create(name)))
    assert statuses(found) == [403, 403, 409]
    assert made(admin, update(name, abuse_blocked=False))[0]["status"] == "applied"
    assert service.dig(name) == ["192.0.2.1"]


def test_a_new_owner(service: Service, api: Api, admin: Api, bob: str) -> None:
    name = new_name(service)
    made(api, create(name))
    (found,) = results(call(admin, update(name, {"owner": "bob"}, owner="bob")))
    assert (found["error"]["status"], found["error"]["errors"]["owner"]) == (412, ['owner is "alice" now.'])
    assert statuses(results(call(admin, update(name, owner="nobody")))) == [422]
    assert made(admin, update(name, {"owner": "alice"}, owner="bob"))[0]["status"] == "applied"
    assert Api(service, bob).get(f"/hosts/{name}")["owner"] == "bob"
    assert statuses(results(call(api, update(name, comment="mine?")))) == [404]


def test_addresses_that_a_domain_does_not_take(api: Api, picky: str) -> None:
    (found,) = results(call(api, create(f"bulk.{picky}", ipv4="10.0.0.1")))
    assert (found["error"]["status"], set(found["error"]["errors"])) == (422, {"ipv4"})


# ---- if


def test_values_that_must_still_hold(service: Service, api: Api) -> None:
    name = new_name(service)
    holds = {
        "ipv4": "192.0.2.1",
        "ipv6": "2001:0db8::1",
        "wildcard": False,
        "comment": None,
        "ttl": None,
        "stack": "s",
        "labels": {"b": "c", "a": "b"},
        "available": True,
        "owner": "alice",
    }
    made(api, create(name, ipv4="192.0.2.1", ipv6="2001:db8::1", stack="s", labels={"a": "b", "b": "c"}))
    moved: Content = {
        "ipv4": None,
        "ipv6": "2001:db8::2",
        "wildcard": True,
        "comment": "c",
        "ttl": 60,
        "stack": None,
        "labels": {},
        "available": False,
        "owner": "bob",
    }
    for field, value in moved.items():
        found = results(call(api, update(name, holds | {field: value}, comment="seen"), delete(name, **{field: value})))
        assert statuses(found) == [412, 412]
        assert all(list(result["error"]["errors"]) == [field] for result in found)
        assert field in found[0]["error"]["detail"]
    assert made(api, update(name, holds, ipv4="192.0.2.2"))[0]["status"] == "applied"
    assert statuses(results(call(api, update(name, holds, ipv4="192.0.2.2")))) == [412]
    bad = [update(name, {"ipv4": "zzz"}), update(name, {"unknown": 1}), create(new_name(service)) | {"if": holds}]
    assert statuses(results(call(api, *bad))) == [422] * 3
    assert made(api, delete(name, ipv4="192.0.2.2"))[0]["status"] == "applied"


# ---- atomic


def test_all_or_nothing(service: Service, api: Api) -> None:
    name, other = new_name(service), new_name(service)
    made(api, create(name, ipv4="192.0.2.1"))
    before = serial(service, service.domain)
    wrong = [create(other, ipv4="192.0.2.1"), update(name, {"ipv4": "192.0.2.9"}, ipv4="192.0.2.2"), rotate(name)]
    found = results(call(api, *wrong, atomic=True))
    assert statuses(found) == [424, 412, 424]
    assert not any("secret" in result for result in found)
    problem(api.call("GET", f"/hosts/{other}"), 404)
    assert (api.get(f"/hosts/{name}")["ipv4"], serial(service, service.domain)) == ("192.0.2.1", before)
    right = [create(other, ipv4="192.0.2.1"), update(name, {"ipv4": "192.0.2.1"}, ipv4="192.0.2.2"), rotate(name)]
    assert statuses(results(call(api, *right, atomic=True))) == ["applied"] * 3
    assert [service.dig(n) for n in (other, name)] == [["192.0.2.1"], ["192.0.2.2"]]


# ---- names that stand in the zone


def test_a_name_that_stands_in_the_zone_is_left_alone(service: Service, api: Api) -> None:
    names = [new_name(service) for _ in range(40)]
    standing = {names[3]: "192.0.2.77", names[20]: "192.0.2.78", names[21]: "192.0.2.79"}
    for name, address in standing.items():
        insert(service, service.domain, name, "A", address)
    insert(service, service.domain, f"*.{names[30]}", "TXT", "mine")
    for _ in range(2):
        found = results(call(api, *(create(name, ipv4="192.0.2.1", wildcard=True) for name in names)))
        failed = {result["fqdn"] for result in found if "error" in result}
        assert failed == {*standing, names[30]}
        for result in found:
            if "error" in result:
                assert (result["error"]["status"], set(result["error"]["errors"])) == (409, {"fqdn"})
                assert "secret" not in result
                problem(api.call("GET", f"/hosts/{result['fqdn']}"), 404)
            else:
                assert service.dig(result["fqdn"]) == ["192.0.2.1"]
        assert {name: service.dig(name) for name in standing} == {n: [a] for n, a in standing.items()}
        made(api, *(delete(name) for name in names if name not in failed))


def test_a_name_in_the_zone_is_neither_renamed_to_nor_covered(service: Service, api: Api) -> None:
    name, other, used = (new_name(service) for _ in range(3))
    insert(service, service.domain, used, "TXT", "mine")
    insert(service, service.domain, f"*.{name}", "A", "192.0.2.77")
    made(api, create(name, ipv4="192.0.2.1"), create(other, ipv4="192.0.2.2"))
    wrong = [update(name, wildcard=True, comment="no"), update(other, fqdn=used, comment="no"), update(other, ttl=90)]
    found = results(call(api, *wrong))
    assert statuses(found) == [409, 409, "applied"]
    assert [set(result["error"]["errors"]) for result in found[:2]] == [{"wildcard"}, {"fqdn"}]
    hosts = [api.get(f"/hosts/{n}") for n in (name, other)]
    assert [(h["wildcard"], h["comment"], h["dns"]) for h in hosts] == [(False, None, "current")] * 2
    assert [service.dig(n) for n in (f"any.{name}", name, other)] == [["192.0.2.77"], ["192.0.2.1"], ["192.0.2.2"]]


def test_a_name_that_was_deleted_is_registered_anew(service: Service, api: Api) -> None:
    names = [new_name(service) for _ in range(30)]
    for address in ("192.0.2.1", "192.0.2.2"):
        assert set(statuses(made(api, *(create(name, ipv4=address) for name in names)))) == {"applied"}
        assert {tuple(service.dig(name)) for name in names} == {(address,)}
        made(api, *(delete(name) for name in names))


# ---- Idempotency-Key


def test_the_same_call_again_is_the_same_answer(service: Service, api: Api, bob: str) -> None:
    one, two, key = new_name(service), new_name(service), new_name(service)
    changes = [create(one, ipv4="192.0.2.1"), create(two), rotate(one), delete(new_name(service))]
    first = call(api, *changes, key=key)
    assert statuses(results(first)) == ["applied", "applied", "applied", 404]
    assert call(api, *changes, key=key).json() == first.json()
    assert word(service, one, first.json()["results"][2]["secret"], "192.0.2.1") == "nochg 192.0.2.1"
    assert len(api.items("/events", object=one)) == 2
    problem(call(api, *changes[:2], key=key), 409)
    assert statuses(results(call(api, *changes[:2], key=key + "2"))) == [409, 409]
    assert statuses(results(call(Api(service, bob), *changes[:1], key=key))) == [409]
    made(api, delete(one), delete(two))
    assert call(api, *changes, key=key).json() == first.json()
    problem(api.call("GET", f"/hosts/{one}"), 404)


def test_a_call_that_was_not_carried_out_keeps_no_key(service: Service, api: Api) -> None:
    key, name = new_name(service), new_name(service)
    problem(call(api, {"action": "fly", "fqdn": name}, key=key), 422, fields={"changes.0.action"})
    assert made(api, create(name), key=key)[0]["status"] == "applied"


def test_no_secret_is_kept(service: Service, api: Api) -> None:
    found = made(api, *(create(new_name(service), ipv4="192.0.2.1") for _ in range(3)), key=new_name(service))
    dump = service.cli("export").stdout + service.log.read_text()
    assert not [result for result in found if result["secret"] in dump]


def test_the_same_call_at_the_same_time(service: Service, api: Api) -> None:
    changes = [create(new_name(service), ipv4="192.0.2.1") for _ in range(50)]
    key = new_name(service)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: call(api, *changes, key=key), range(6)))
    assert statuses(results(answers[0])) == ["applied"] * 50
    assert all(answer.json() == answers[0].json() for answer in answers)


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "é"])
def test_keys_that_are_none(api: Api, key: str) -> None:
    answer = api.call("POST", "/changes", {"changes": []}, headers={"Idempotency-Key": key.encode("latin-1")})
    problem(answer, 422, fields={"idempotency-key"})


# ---- calls that are none


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ([], {"body"}),
        ("x", {"body"}),
        ({}, {"changes"}),
        ({"changes": {}}, {"changes"}),
        ({"changes": None}, {"changes"}),
        ({"changes": [], "atomic": 1}, {"atomic"}),
        ({"changes": [], "unknown": 1}, {"unknown"}),
        ({"changes": [1]}, {"changes.0"}),
        ({"changes": [{}]}, {"changes.0.action", "changes.0.fqdn"}),
        ({"changes": [{"action": "delete", "fqdn": 7}]}, {"changes.0.fqdn"}),
        ({"changes": [{"action": "delete", "fqdn": ""}]}, {"changes.0.fqdn"}),
        ({"changes": [{"action": ["delete"], "fqdn": "a"}]}, {"changes.0.action"}),
        ({"changes": [{"action": "update", "fqdn": "a", "set": []}]}, {"changes.0.set"}),
        ({"changes": [{"action": "update", "fqdn": "a", "if": None}]}, {"changes.0.if"}),
        ({"changes": [{"action": "delete", "fqdn": "a", "unknown": 1}]}, {"changes.0.unknown"}),
    ],
)
def test_what_is_no_call_changes_nothing(service: Service, api: Api, content: Any, fields: set[str]) -> None:
    name = new_name(service)
    if isinstance(content, dict) and content.get("changes"):
        content = {"changes": [*content["changes"], create(name)]}
    problem(api.call("POST", "/changes", content), 422, fields=fields)
    problem(api.call("GET", f"/hosts/{name}"), 404)


@pytest.mark.parametrize("body", [b"", b"{", b'{"changes":[],"changes":[]}', b"\xff", b"[" * 100_000])
def test_what_is_no_json(api: Api, body: bytes) -> None:
    problem(api.call("POST", "/changes", data=body, headers=JSON), 400)


def test_too_much(service: Service, api: Api) -> None:
    changes = [delete(f"h{n}.{service.domain}") for n in range(10_001)]
    problem(call(api, *changes), 413)
    assert set(statuses(results(call(api, *changes[:10_000])))) == {404}
    problem(api.call("POST", "/changes", data=b" " * (16 * 1024 * 1024 + 1), headers=JSON), 413)
    problem(api.call("POST", "/changes", data=b"{}", headers={"Content-Type": "text/plain"}), 415)


def test_callers(service: Service, reader: str, api: Api) -> None:
    problem(call(Api(service, None)), 401)
    problem(call(Api(service, "ddns_wrong")), 401)
    problem(call(Api(service, reader)), 403)
    problem(api.call("GET", "/changes"), 405)


def test_a_token_changes_what_its_patterns_name(service: Service, api: Api) -> None:
    inside, outside = f"in-{new_name(service)}", new_name(service)
    made(api, create(outside))
    token = api.call("POST", "/tokens", {"name": inside, "scopes": ["write"], "hosts": ["in-*"]}).json()["token"]
    limited = Api(service, token)
    found = results(
        call(limited, create(inside), create(new_name(service)), update(outside, comment="x"), delete(outside))
    )
    assert statuses(found) == ["applied", 422, 404, 404]
    assert statuses(results(call(limited, update(inside, fqdn=new_name(service)), delete(inside)))) == [422, "applied"]


# ---- dry runs


def dry(api: Api, *changes: Content, **kwargs: Any) -> list[Content]:
    answer = api.call("POST", "/changes", {"changes": list(changes)}, params={"dry_run": "1"}, **kwargs)
    assert answer.status_code == 200, answer.text
    found: list[Content] = answer.json()["results"]
    assert [result["fqdn"] for result in found] == [change["fqdn"] for change in changes]
    assert not [result for result in found if "secret" in result]
    return found


def test_a_dry_run_answers_as_the_call_would_and_changes_nothing(service: Service, api: Api, reader: str) -> None:
    old, new, standing, taken = (new_name(service) for _ in range(4))
    insert(service, service.domain, standing, "TXT", "mine")
    made(api, create(old, ipv4="192.0.2.1"), create(taken))
    events = api.get("/events")["items"]
    changes = [
        create(new, ipv4="192.0.2.2"),
        create(standing, ipv4="192.0.2.2"),
        create(taken),
        create(f"wpad.{service.domain}"),
        create("www.no-domain.invalid"),
        update(old, {"ipv4": "192.0.2.9"}, ipv4="192.0.2.3"),
        update(old, ipv4="192.0.2.1"),
        update(old, fqdn=standing),
        rotate(old),
        delete(old),
        create(old),
    ]
    expected = ["applied", 409, 409, 422, 422, 412, "unchanged", 409, "applied", "applied", "applied"]
    for token in (api.token, reader):
        found = dry(Api(service, token), *changes, headers={"Idempotency-Key": f"dry-{new}"})
        assert statuses(found) == expected
    assert api.get("/events")["items"] == events
    assert api.get(f"/hosts/{old}")["ipv4"] == "192.0.2.1"
    problem(api.call("GET", f"/hosts/{new}"), 404)
    assert service.dig(new) == []
    assert statuses(made(api, create(new, ipv4="192.0.2.2"), key=f"dry-{new}")) == ["applied"]


def test_a_dry_run_looks_for_foreign_records_as_the_call_does(service: Service, api: Api) -> None:
    names = [new_name(service) for _ in range(6)]
    insert(service, service.domain, names[0], "TXT", "mine")
    insert(service, service.domain, f"*.{names[1]}", "A", "192.0.2.77")
    insert(service, service.domain, names[2], "A", "192.0.2.77")
    made(api, create(names[3], ipv4="192.0.2.1"))
    changes = [
        create(names[0]),
        create(names[1], ipv4="192.0.2.1", wildcard=True),
        create(names[2], ipv4="192.0.2.1"),
        update(names[3], wildcard=True),
        update(names[3], fqdn=names[4]),
        create(names[3], ipv4="192.0.2.1"),
        create(f"x.{names[2]}", ipv4="192.0.2.1"),
        create(names[5], ipv4="192.0.2.1"),
    ]
    before = dry(api, *changes)
    after = results(call(api, *changes))
    assert statuses(before) == statuses(after)
    assert [result.get("error") for result in before] == [result.get("error") for result in after]


def test_a_dry_run_names_what_goes_with_a_host(service: Service, api: Api) -> None:
    name, bare = new_name(service), new_name(service)
    made(api, create(name, ipv6="2001:db8::1"), create(bare))
    for path, content in (
        ("records/@/MX", {"values": [f"10 {name}."]}),
        ("records/_acme-challenge/TXT", {"values": ['"token"']}),
        ("related/nas", {"interface_id": "::7"}),
    ):
        assert api.call("PUT", f"/hosts/{name}/{path}", content).status_code == 200
    first, second, third = dry(api, delete(name), delete(bare), delete(new_name(service)))
    assert first["removes"] == [
        {"fqdn": f"_acme-challenge.{name}", "type": "TXT"},
        {"fqdn": name, "type": "MX"},
        {"fqdn": f"nas.{name}", "type": "AAAA"},
    ]
    assert second == {"fqdn": bare, "status": "applied"}
    assert third["error"]["status"] == 404


def test_a_dry_run_needs_a_token(service: Service, api: Api, reader: str) -> None:
    params = {"dry_run": "1"}
    problem(Api(service, None).call("POST", "/changes", {"changes": []}, params=params), 401)
    problem(Api(service, reader).call("POST", "/changes", {"changes": []}, params={"dry_run": "0"}), 403)
    problem(api.call("POST", "/changes", {"changes": []}, params={"dry_run": "maybe"}), 422, fields={"dry_run"})


# ---- many


def test_ten_thousand(service: Service, api: Api) -> None:
    secret = api.host(ipv4="192.0.2.1")
    names = [f"n{n}-{new_name(service)}" for n in range(10_000)]
    with ThreadPoolExecutor(1) as pool:
        calling = pool.submit(call, api, *(create(name, ipv4="192.0.2.1", stack="many") for name in names))
        words: list[str] = []
        while not calling.done():
            address = f"192.0.2.{10 + len(words) % 200}"
            words.append(word(service, secret["fqdn"], secret["secret"], address))
            # a busy machine may miss the deadline: then the address follows
            assert words[-1] in (f"good {address}", "911")
        assert any(said != "911" for said in words)
    wait_until(lambda: service.dig(secret["fqdn"]) == [address], 60, "the last address in DNS")
    assert set(statuses(results(calling.result()))) <= {"applied", "pending"}
    wait_until(lambda: all(service.dig(name) == ["192.0.2.1"] for name in names[::97]), 60, "all in DNS")
    assert set(statuses(results(call(api, *(delete(name) for name in names))))) <= {"applied", "pending"}
    wait_until(lambda: not any(service.dig(name) for name in names[::97]), 60, "all gone")
    assert api.items("/hosts", stack="many") == []
