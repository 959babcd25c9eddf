# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotas: only additions are refused, at each door, and never one more than allowed."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from support.clients.dyndns import Host, counts, new_label, register, said
from support.clients.rest_api import Api, new_name, problem
from support.servers.service import Service, beside, dev

HOSTS, TOKENS, KEYS, CHANGES, RECORDS = 4, 3, 2, 5, 4
SETTINGS = {
    "rules": "on",
    "hosts_per_user": str(HOSTS),
    "tokens_per_user": str(TOKENS),
    "keys_per_user": str(KEYS),
    "changes_per_hour": str(CHANGES),
    "record_changes_per_hour": str(RECORDS),
    "answers_mb_per_user": "1",
}
QUOTA = "urn:ddns:quota"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def limited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with small quotas, once on each store."""
    settings = dict(SETTINGS)
    if request.param == "postgres":
        settings["database_url"] = request.getfixturevalue("new_database")()
    with dev(tmp_path_factory.mktemp(request.param), **settings) as running:
        yield running


@pytest.fixture
def user(limited: Service) -> str:
    """A new user."""
    name = new_label()
    limited.cli("user", "add", name)
    return name


@pytest.fixture
def token(limited: Service, user: str) -> str:
    return limited.cli("token", "add", user, "--name", "first").stdout.strip()


@pytest.fixture
def api(limited: Service, token: str) -> Api:
    return Api(limited, token)


@pytest.fixture
def admin(limited: Service) -> Api:
    return Api(limited, limited.admin_token)


@pytest.fixture
def host(limited: Service, token: str) -> Host:
    return register(limited, token)


def nic_register(service: Service, token: str, fqdn: str) -> requests.Response:
    return service.get("/nic/register", token, params={"fqdn": fqdn, "ip": "192.0.2.1"})


def bulk(api: Api, *changes: dict[str, Any], key: str | None = None) -> list[dict[str, Any]]:
    headers = {"Idempotency-Key": key} if key else {}
    answer = api.call("POST", "/changes", {"atomic": False, "changes": list(changes)}, headers=headers)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def create(fqdn: str) -> dict[str, Any]:
    return {"action": "create", "fqdn": fqdn, "set": {"ipv4": "192.0.2.1"}}


def in_time(answer: requests.Response, most: int = 3600) -> None:
    """The problem of a quota that time heals."""
    problem(answer, 429, QUOTA)
    assert 1 <= int(answer.headers["retry-after"]) <= most


def no_more_hosts(service: Service, token: str) -> None:
    """No door registers one more host."""
    api = Api(service, token)
    answer = nic_register(service, token, new_name(service))
    assert answer.status_code == 400
    assert answer.json()["message"] == "formerr"
    assert list(answer.json()["errors"]) == ["__all__"]
    refused = api.call("POST", "/hosts", {"fqdn": new_name(service)})
    assert str(HOSTS) in problem(refused, 429, QUOTA)["detail"]
    assert "retry-after" not in refused.headers
    (result,) = bulk(api, create(new_name(service)))
    assert (result["status"], result["error"]["status"]) == ("failed", 429)


# ---- hosts


def test_hosts_at_each_door(limited: Service, api: Api, host: Host) -> None:
    first, second = api.host()["fqdn"], new_name(limited)
    results = bulk(api, create(second), create(new_name(limited)), create(new_name(limited)))
    assert [result["status"] for result in results] == ["applied", "applied", "failed"]
    no_more_hosts(limited, api.token or "")
    results = bulk(api, {"action": "delete", "fqdn": first}, create(first), create(new_name(limited)))
    assert [result["status"] for result in results] == ["applied", "applied", "failed"]
    api.patch(f"/hosts/{first}", {"fqdn": new_name(limited), "ipv4": "192.0.2.9"})  # a rename adds none
    said(host.update(myip="192.0.2.2"), 200, "good 192.0.2.2")
    api.delete(f"/hosts/{second}")
    assert nic_register(limited, api.token or "", second).status_code == 200
    no_more_hosts(limited, api.token or "")


def test_an_atomic_call_that_exceeds_changes_nothing(limited: Service, api: Api) -> None:
    changes = [create(new_name(limited)) for _ in range(HOSTS + 1)]
    results = api.call("POST", "/changes", {"atomic": True, "changes": changes}).json()["results"]
    assert [result["error"]["status"] for result in results] == [*[424] * HOSTS, 429]
    assert api.items("/hosts") == []


def test_above_a_lowered_quota(limited: Service, api: Api, admin: Api, user: str) -> None:
    """Deletions of a call make room only below the limit."""
    removals = [{"action": "delete", "fqdn": api.host()["fqdn"]} for _ in range(HOSTS)]
    limit(admin, "hosts_per_user", 2, user=user)
    results = bulk(api, removals[0], create(new_name(limited)))
    assert [result["status"] for result in results] == ["applied", "failed"]
    results = bulk(api, *removals[1:3], create(new_name(limited)), create(new_name(limited)))
    assert [result["status"] for result in results] == ["applied", "applied", "applied", "failed"]


def at_once(call: Callable[[int], requests.Response], number: int = 6) -> Counter[int]:
    """The statuses of calls at the same time."""
    with ThreadPoolExecutor(number) as pool:
        return Counter(answer.status_code for answer in pool.map(call, range(number)))


def test_registrations_at_once(limited: Service, api: Api, token: str) -> None:
    """At the limit, one of many succeeds."""
    for _ in range(HOSTS - 1):
        api.host()
    for _ in range(3):
        names = [new_name(limited) for _ in range(6)]
        doors: list[Callable[[str], requests.Response]] = [
            lambda fqdn: requests.get(
                f"{limited.url}/nic/register",
                headers={"Authorization": f"Bearer {token}"},
                params={"fqdn": fqdn, "ip": "192.0.2.1"},
                timeout=20,
            ),
            lambda fqdn: requests.post(
                f"{limited.url}/api/hosts",
                headers={"Authorization": f"Bearer {token}"},
                json={"fqdn": fqdn},
                timeout=20,
            ),
        ]
        found = at_once(lambda n, names=names, doors=doors: doors[n % 2](names[n]))  # type: ignore[misc]
        assert found[200] + found[201] == 1
        (made,) = [one["fqdn"] for one in api.items("/hosts") if one["fqdn"] in names]
        api.delete(f"/hosts/{made}")


def test_administrators_have_no_quota(limited: Service, admin: Api) -> None:
    write = admin.post("/tokens", {"name": new_label(), "scopes": ["read", "write"]})["token"]
    names = [new_name(limited) for _ in range(HOSTS + 2)]
    for fqdn in names:
        assert nic_register(limited, write, fqdn).status_code == 200
    for _ in range(TOKENS + 1):
        admin.post("/tokens", {"name": new_label()})
    assert all(quota["limit"] is None for quota in admin.get("/users/me")["quotas"].values())
    for fqdn in names:
        admin.delete(f"/hosts/{fqdn}")


# ---- tokens and keys


def test_tokens(api: Api) -> None:
    made = [api.post("/tokens", {"name": new_label()}) for _ in range(TOKENS - 1)]
    answer = api.call("POST", "/tokens", {"name": new_label()})
    problem(answer, 429, QUOTA)
    assert "retry-after" not in answer.headers
    api.delete(f"/tokens/{made[0]['id']}")
    url, headers = f"{api.service.url}/api/tokens", {"Authorization": f"Bearer {api.token}"}
    found = at_once(lambda _: requests.post(url, headers=headers, json={"name": new_label()}, timeout=20))
    assert found == {201: 1, 429: 5}


def test_keys(api: Api, host: Host) -> None:
    url, headers = f"{api.service.url}/api/keys", {"Authorization": f"Bearer {api.token}"}
    content = {"name": "router", "hosts": [host.fqdn]}
    found = at_once(lambda _: requests.post(url, headers=headers, json=content, timeout=20))
    assert found == {201: KEYS, 429: 6 - KEYS}
    api.delete(f"/keys/{api.items('/keys')[0]['login']}")
    api.post("/keys", content)


def test_the_operator_adds_tokens_beyond_the_quota(limited: Service, user: str, token: str) -> None:
    for _ in range(TOKENS):
        limited.cli("token", "add", user, "--name", new_label())
    problem(Api(limited, token).call("POST", "/tokens", {"name": new_label()}), 429, QUOTA)


# ---- changes of a host


def exhausted(host: Host) -> Host:
    """The host after as many changes as are allowed; its registration was the first."""
    for number in range(2, CHANGES + 1):
        said(host.update(myip=f"192.0.2.{number}"), 200, f"good 192.0.2.{number}")
    return host


def test_changes_of_a_host(limited: Service, api: Api, admin: Api, host: Host) -> None:
    with counts(host):
        exhausted(host)
        for _ in range(3):
            said(host.update(myip="192.0.2.99"), 503, "911")
        said(host.bearer(myip="192.0.2.99"), 503, "911")
        params = {"domains": host.fqdn, "token": host.secret, "ip": "192.0.2.99"}
        assert limited.get("/update", params=params).text == "KO"
        said(host.update(myip=f"192.0.2.{CHANGES}"), 200, f"nochg 192.0.2.{CHANGES}")
    assert host.addresses() == [f"192.0.2.{CHANGES}"]
    in_time(api.call("PATCH", f"/hosts/{host.fqdn}", {"ipv4": "192.0.2.99"}))
    (result,) = bulk(api, {"action": "update", "fqdn": host.fqdn, "set": {"ipv4": "192.0.2.99"}})
    assert result["error"]["status"] == 429
    shown = api.patch(f"/hosts/{host.fqdn}", {"comment": "DNS does not show this"})
    assert not shown["abuse"]
    assert not shown["abuse_blocked"]
    events = api.get("/events", object=host.fqdn, action="host.limit")["items"]
    assert [event["actor"] for event in events] == ["ddnsd"]  # told once
    history = api.get(f"/hosts/{host.fqdn}/history")["items"]
    assert [entry["kind"] for entry in history].count("limit") == 1
    other = register(limited, host.token)
    said(other.update(myip="192.0.2.99"), 200, "good 192.0.2.99")  # it has its own number
    admin.patch(f"/hosts/{host.fqdn}", {"ipv4": "192.0.2.98"})


@pytest.mark.parametrize("door", ["offline", "delete", "patch", "bulk"])
def test_what_removes_is_never_refused(api: Api, host: Host, door: str) -> None:
    exhausted(host)
    match door:
        case "offline":
            said(host.update(offline="YES"), 200, "good")
        case "delete":
            said(host.delete(myip="0.0.0.0"), 200, "deleted A")
        case "patch":
            api.patch(f"/hosts/{host.fqdn}", {"ipv4": None})
        case _:
            (result,) = bulk(api, {"action": "update", "fqdn": host.fqdn, "set": {"ipv4": None}})
            assert result["status"] == "applied"
    assert host.addresses() == []
    api.delete(f"/hosts/{host.fqdn}")


def test_a_new_registration_does_not_start_again(limited: Service, api: Api, host: Host) -> None:
    for _ in range(CHANGES - 1):
        api.delete(f"/hosts/{host.fqdn}")
        assert nic_register(limited, host.token, host.fqdn).status_code == 200
    api.delete(f"/hosts/{host.fqdn}")
    assert nic_register(limited, host.token, host.fqdn).json()["message"] == "formerr"
    renamed = api.host()["fqdn"]
    in_time(api.call("PATCH", f"/hosts/{renamed}", {"fqdn": host.fqdn}))


# ---- records


def test_records(api: Api, admin: Api, host: Host) -> None:
    path = f"/hosts/{host.fqdn}/records/_acme-challenge/TXT"
    for number in range(RECORDS):
        assert api.call("PUT", path, {"values": [f'"{number}"']}).status_code == 200
    assert api.call("PUT", path, {"values": [f'"{RECORDS - 1}"']}).status_code == 200  # nothing changes
    in_time(api.call("PUT", path, {"values": ['"more"']}))
    in_time(api.call("PUT", f"/hosts/{host.fqdn}/related/nas", {"interface_id": "::7"}))
    api.delete(path)
    in_time(api.call("PUT", path, {"values": ['"again"']}))
    assert admin.call("PUT", path, {"values": ['"again"']}).status_code == 200


# ---- calls


def limit(admin: Api, quota: str, number: int | None, **subject: str) -> None:
    """Set a quota of a user, a group or a domain."""
    answer = admin.call("PUT", "/quotas", {**subject, "quota": quota, "limit": number})
    assert answer.status_code == 200, answer.text


def test_writes(limited: Service, api: Api, admin: Api, user: str, host: Host) -> None:
    limit(admin, "api_writes_per_minute", 4, user=user)  # one was the registration
    for _ in range(3):
        api.patch(f"/hosts/{host.fqdn}", {"comment": new_label()})
    for method, path, content in (
        ("PATCH", f"/hosts/{host.fqdn}", {"comment": "x"}),
        ("POST", "/hosts", {"fqdn": new_name(limited)}),
        ("POST", "/tokens", {"name": "x"}),
        ("POST", f"/hosts/{host.fqdn}/secret", None),
        ("PUT", f"/hosts/{host.fqdn}/records/@/TXT", {"values": ['"x"']}),
        ("POST", "/changes", {"changes": [create(new_name(limited))]}),
    ):
        in_time(api.call(method, path, content), 60)
    assert list(nic_register(limited, host.token, new_name(limited)).json()["errors"]) == ["__all__"]
    assert limited.get("/nic/generate_secret", host.token, params={"fqdn": host.fqdn}).status_code == 400
    said(host.update(myip="192.0.2.7"), 200, "good 192.0.2.7")
    assert api.get("/users/me")["quotas"]["api_writes_per_minute"] == {"limit": 4, "used": 4}
    api.patch(f"/hosts/{host.fqdn}", {"comment": None})
    assert bulk(api, {"action": "delete", "fqdn": host.fqdn})[0]["status"] == "applied"
    limit(admin, "api_writes_per_minute", None, user=user)
    api.delete(f"/hosts/{api.host()['fqdn']}")


def test_a_bulk_call_counts_by_its_changes(limited: Service, api: Api, admin: Api, user: str) -> None:
    limit(admin, "api_writes_per_minute", 4, user=user)
    update = {"action": "update", "fqdn": new_name(limited), "set": {"comment": "x"}}
    bulk(api, *[update] * 2001)
    assert api.get("/users/me")["quotas"]["api_writes_per_minute"]["used"] == 3
    bulk(api, *[update] * 1000)
    in_time(api.call("POST", "/changes", {"changes": [update]}), 60)


def test_stored_answers(limited: Service, api: Api) -> None:
    changes = [{"action": "update", "fqdn": new_name(limited), "set": {"comment": "x"}}] * 4000
    bulk(api, *changes, key="one")
    answer = api.call("POST", "/changes", {"changes": changes}, headers={"Idempotency-Key": "two"})
    in_time(answer, 86_400)
    bulk(api, *changes, key="one")  # the stored answer
    bulk(api, *changes)
    bulk(api, *changes[:1], key="three")


# ---- who has which


def test_what_is_used_is_shown(api: Api, host: Host) -> None:
    quotas = api.get("/users/me")["quotas"]
    assert quotas["hosts_per_user"] == {"limit": HOSTS, "used": 1}
    assert quotas["tokens_per_user"] == {"limit": TOKENS, "used": 1}
    assert quotas["keys_per_user"] == {"limit": KEYS, "used": 0}
    assert quotas["changes_per_hour"] == {"limit": CHANGES, "used": 1}
    assert quotas["record_changes_per_hour"] == {"limit": RECORDS, "used": 0}
    assert quotas["answers_mb_per_user"] == {"limit": 1, "used": 0}
    assert quotas["api_writes_per_minute"]["limit"] == 600


def test_a_users_own_quota_comes_first(limited: Service, api: Api, admin: Api, user: str) -> None:
    limited.cli("user", "groups", user, "--add", f"g-{user}")
    limit(admin, "hosts_per_user", 2, group=f"g-{user}")
    assert api.get("/users/me")["quotas"]["hosts_per_user"]["limit"] == 2
    limited.cli("user", "groups", user, "--add", f"h-{user}")
    limit(admin, "hosts_per_user", 3, group=f"h-{user}")
    assert api.get("/users/me")["quotas"]["hosts_per_user"]["limit"] == 3  # the larger one
    limit(admin, "hosts_per_user", 1, user=user)
    api.host()
    problem(api.call("POST", "/hosts", {"fqdn": new_name(limited)}), 429, QUOTA)
    limit(admin, "hosts_per_user", 0, user=user)
    for _ in range(HOSTS):
        api.host()
    assert admin.get(f"/users/{user}")["quotas"]["hosts_per_user"] == {"limit": None, "used": None}
    limit(admin, "hosts_per_user", None, user=user)
    problem(api.call("POST", "/hosts", {"fqdn": new_name(limited)}), 429, QUOTA)


def test_a_domain_counts_its_hosts_by_itself(limited: Service, api: Api, admin: Api) -> None:
    zone = f"{new_label()}.example.net"
    admin.post("/domains", {"name": zone, "public": True})
    limited.cli("domain", "set", zone, "--hosts-per-user", "1")
    inside = api.host(fqdn=f"a.{zone}")["fqdn"]
    answer = api.call("POST", "/hosts", {"fqdn": f"b.{zone}"})
    assert zone in problem(answer, 429, QUOTA)["detail"]
    outside = [api.host()["fqdn"] for _ in range(HOSTS)]
    no_more_hosts(limited, api.token or "")
    problem(api.call("PATCH", f"/hosts/{outside[0]}", {"fqdn": f"b.{zone}"}), 429, QUOTA)
    problem(api.call("PATCH", f"/hosts/{inside}", {"fqdn": new_name(limited)}), 429, QUOTA)
    api.patch(f"/hosts/{inside}", {"fqdn": f"c.{zone}"})
    api.delete(f"/hosts/{outside[0]}")
    api.patch(f"/hosts/c.{zone}", {"fqdn": new_name(limited)})
    api.host(fqdn=f"d.{zone}")


def test_a_domains_changes(limited: Service, api: Api, admin: Api) -> None:
    zone = f"{new_label()}.example.net"
    admin.post("/domains", {"name": zone, "public": True})
    limit(admin, "changes_per_hour", 2, domain=zone)
    host = register(limited, api.token or "", zone)
    said(host.update(myip="192.0.2.2"), 200, "good 192.0.2.2")
    said(host.update(myip="192.0.2.3"), 503, "911")
    limit(admin, "changes_per_hour", 0, domain=zone)
    for number in range(3, 3 + CHANGES):
        said(host.update(myip=f"192.0.2.{number}"), 200, f"good 192.0.2.{number}")


def test_a_new_host_has_the_rate_of_its_domain(limited: Service, api: Api, admin: Api) -> None:
    zone = f"{new_label()}.example.net"
    admin.post("/domains", {"name": zone, "public": True})
    limit(admin, "changes_per_hour", 1, domain=zone)
    host = register(limited, api.token or "", zone)
    api.delete(f"/hosts/{host.fqdn}")
    in_time(api.call("POST", "/hosts", {"fqdn": host.fqdn, "ipv4": "192.0.2.1"}))
    (result,) = bulk(api, create(host.fqdn))
    assert result["error"]["status"] == 429


def test_the_list_of_quotas(limited: Service, admin: Api, api: Api, user: str) -> None:
    limit(admin, "keys_per_user", 7, user=user)
    limit(admin, "tokens_per_user", 8, group=f"urn:{user}:role=x#y/z")
    limit(admin, "record_changes_per_hour", 9, domain=limited.domain)
    found = [(one["user"], one["group"], one["domain"], one["quota"], one["limit"]) for one in admin.items("/quotas")]
    assert (user, None, None, "keys_per_user", 7) in found
    assert (None, f"urn:{user}:role=x#y/z", None, "tokens_per_user", 8) in found
    assert (None, None, limited.domain, "record_changes_per_hour", 9) in found
    limit(admin, "record_changes_per_hour", None, domain=limited.domain)
    assert all(one["domain"] != limited.domain for one in admin.items("/quotas"))
    events = admin.get("/events", object=user, action="quota.set")["items"]
    assert [event["detail"] for event in events] == ["keys_per_user 7"]
    problem(api.call("GET", "/quotas"), 403)
    problem(api.call("PUT", "/quotas", {"user": user, "quota": "keys_per_user", "limit": 0}), 403)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"quota": "hosts_per_user", "limit": 1}, None),
        ({"user": "admin", "domain": "dyn.example.org", "quota": "hosts_per_user", "limit": 1}, None),
        ({"user": "nobody-of-that-name", "quota": "hosts_per_user", "limit": 1}, "user"),
        ({"domain": "unknown.example.net", "quota": "hosts_per_user", "limit": 1}, "domain"),
        ({"domain": "dyn.example.org", "quota": "tokens_per_user", "limit": 1}, "quota"),
        ({"user": "admin", "quota": "hosts", "limit": 1}, "quota"),
        ({"user": "admin", "quota": "hosts_per_user", "limit": -1}, "limit"),
        ({"user": "admin", "quota": "hosts_per_user", "limit": 2**31}, "limit"),
        ({"user": "admin", "quota": "hosts_per_user"}, "limit"),
    ],
)
def test_quotas_that_cannot_be(admin: Api, content: dict[str, Any], field: str | None) -> None:
    answer = admin.call("PUT", "/quotas", content)
    assert answer.status_code == 422
    assert list(answer.json().get("errors", {})) == ([field] if field else [])


def test_commands(limited: Service, api: Api, user: str) -> None:
    done = limited.cli("user", "set", user, "--hosts-per-user", "50", "--keys-per-user", "0")
    assert done.stdout == f"changed {user}: hosts_per_user 50, keys_per_user no limit\n"
    assert limited.cli("user", "set", user, "--hosts-per-user", "50").stdout == ""
    quotas = api.get("/users/me")["quotas"]
    assert (quotas["hosts_per_user"]["limit"], quotas["keys_per_user"]["limit"]) == (50, None)
    limited.cli("user", "set", user, "--hosts-per-user", "default", "--keys-per-user", "default")
    assert api.get("/users/me")["quotas"]["hosts_per_user"]["limit"] == HOSTS
    limited.cli("group", "set", f"g-{user}", "--tokens-per-user", "7")
    limited.cli("user", "groups", user, "--add", f"g-{user}")
    assert api.get("/users/me")["quotas"]["tokens_per_user"]["limit"] == 7
    for wrong in (
        ("user", "set", user),
        ("user", "set", "nobody-of-that-name", "--keys-per-user", "1"),
        ("user", "set", user, "--keys-per-user", "many"),
        ("domain", "set", limited.domain, "--keys-per-user", "1"),
        ("group", "set", "", "--keys-per-user", "1"),
    ):
        assert limited.cli(*wrong, check=False).returncode != 0


# ---- several nodes


def test_registrations_at_once_at_two_nodes(
    new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    url = new_database()
    folder = tmp_path_factory.mktemp("nodes")
    with (
        dev(folder / "one", database_url=url, **SETTINGS) as one,
        beside(one, folder / "two", url, None, **SETTINGS) as two,
    ):
        token = one.user("alice")
        api = Api(one, token)
        for _ in range(HOSTS - 1):
            api.host()
        for _ in range(3):
            names, nodes = [new_name(one) for _ in range(6)], (one, two)
            found = at_once(
                lambda n, names=names, nodes=nodes: requests.post(  # type: ignore[misc]
                    f"{nodes[n % 2].url}/api/hosts",
                    headers={"Authorization": f"Bearer {token}"},
                    json={"fqdn": names[n]},
                    timeout=20,
                )
            )
            assert found == {201: 1, 429: 5}
            (made,) = [host["fqdn"] for host in api.items("/hosts") if host["fqdn"] in names]
            api.delete(f"/hosts/{made}")


def test_without_rules_there_are_none(service: Service) -> None:
    api = Api(service, service.user(new_label()))
    assert all(quota["limit"] is None for quota in api.get("/users/me")["quotas"].values())
