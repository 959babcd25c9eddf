# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, histories of hosts: every change with before and after, who made it and from where; and the last request."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, select
from support.clients.dyndns import Host, register
from support.clients.rest_api import Api, Content, new_name, problem
from support.ports import wait_until
from support.servers.faults import in_store
from support.servers.service import Service

from ddnsd.db import flapping
from ddnsd.db.schema import hosts

HERE = "127.0.0.1"
AGENT = {"User-Agent": "Camera/1.0"}


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


def entries(api: Api, fqdn: str) -> list[Content]:
    """Oldest first."""
    return list(reversed(api.items(f"/hosts/{fqdn}/history")))


def told(entry: Content) -> tuple[Any, ...]:
    return tuple(entry[name] for name in ("kind", "before", "after", "actor", "via", "via_name"))


def contact(api: Api, fqdn: str, word: str) -> Content:
    """The last request, once it is the one that was answered so."""
    wait_until(lambda: api.get(f"/hosts/{fqdn}/contact")["word"] == word, 10, f"contact {word}")
    return api.get(f"/hosts/{fqdn}/contact")


def test_updates_by_every_kind_of_caller(service: Service, api: Api, key: tuple[str, str, Host, Host]) -> None:
    login, secret, host, _ = key
    begin = len(entries(api, host.fqdn))
    # the second time nothing changes, and nothing is told
    for _ in range(2):
        host.update(myip="192.0.2.7", headers=AGENT)
        assert len(entries(api, host.fqdn)) == begin + 1
    for _ in range(2):
        service.get(
            "/nic/update", auth=(login, secret), params={"hostname": host.fqdn, "myip": "192.0.2.8,2001:db8::8"}
        )
    host.bearer(myip="192.0.2.9")
    host.delete(myip="0.0.0.0")
    by_host, by_key, by_token, gone = entries(api, host.fqdn)[begin:]
    assert told(by_host) == ("update", {"ipv4": "192.0.2.1"}, {"ipv4": "192.0.2.7"}, host.fqdn, "host", None)
    assert (by_host["source"], by_host["agent"], by_host["note"]) == (HERE, "Camera/1.0", None)
    before, after = {"ipv4": "192.0.2.7", "ipv6": None}, {"ipv4": "192.0.2.8", "ipv6": "2001:db8::8"}
    assert told(by_key) == ("update", before, after, login, "key", login)
    assert by_key["agent"].startswith("python-requests/")
    assert told(by_token) == ("update", {"ipv4": "192.0.2.8"}, {"ipv4": "192.0.2.9"}, "alice", "token", "test")
    assert told(gone) == ("update", {"ipv4": "192.0.2.9"}, {"ipv4": None}, host.fqdn, "host", None)
    now = datetime.now(UTC)
    assert all(abs((now - datetime.fromisoformat(e["at"])).total_seconds()) < 60 for e in (by_host, gone))


def test_the_life_of_a_host(service: Service, api: Api, admin: Api) -> None:
    made = api.host(ipv4="192.0.2.1", comment="first")
    fqdn = made["fqdn"]
    api.patch(f"/hosts/{fqdn}", {"comment": "second", "ttl": 90, "labels": {"a": "b"}, "ipv6": "2001:db8::1"})
    api.patch(f"/hosts/{fqdn}", {"comment": "second"})
    admin.patch(f"/hosts/{fqdn}", {"abuse_blocked": True})
    admin.patch(f"/hosts/{fqdn}", {"abuse_blocked": False})
    api.call("POST", f"/hosts/{fqdn}/secret")
    new = new_name(service)
    api.patch(f"/hosts/{fqdn}", {"fqdn": new})
    mine = ("alice", "token", "test")
    admins = ("admin", "token", "ddnsd dev")
    before: dict[str, object] = {"comment": "first", "ttl": None, "labels": {}, "ipv6": None}
    after = {"comment": "second", "ttl": 90, "labels": {"a": "b"}, "ipv6": "2001:db8::1"}
    found = [told(e) for e in entries(api, new)]
    assert found[3][3:] == found[2][3:]
    admins = found[2][3:]
    assert admins[:2] == ("admin", "token")
    assert found == [
        ("register", None, {"ipv4": "192.0.2.1", "comment": "first"}, *mine),
        ("edit", before, after, *mine),
        ("block", {"abuse_blocked": False}, {"abuse_blocked": True}, *admins),
        ("unblock", {"abuse_blocked": True}, {"abuse_blocked": False}, *admins),
        ("secret", None, None, *mine),
        ("edit", {"fqdn": fqdn}, {"fqdn": new}, *mine),
    ]


def test_what_the_service_does_by_itself(service: Service, api: Api, host: Host) -> None:
    service.cli("host", "block", host.fqdn)
    service.cli("host", "unblock", host.fqdn)
    service.cli("host", "set", host.fqdn, "--ttl", "77")
    assert [told(e) for e in entries(api, host.fqdn)][1:] == [
        ("block", {"abuse_blocked": False}, {"abuse_blocked": True}, "ddnsd", "service", None),
        ("unblock", {"abuse_blocked": True}, {"abuse_blocked": False}, "ddnsd", "service", None),
        ("edit", {"ttl": None}, {"ttl": 77}, "ddnsd", "service", None),
    ]


def test_changes_in_one_call(service: Service, api: Api) -> None:
    kept, new, gone = api.host(ipv4="192.0.2.1")["fqdn"], new_name(service), api.host()["fqdn"]
    changes = [
        {"action": "update", "fqdn": kept, "set": {"ipv4": "192.0.2.2"}},
        {"action": "update", "fqdn": kept, "set": {"comment": "c"}},
        {"action": "rotate", "fqdn": kept},
        {"action": "create", "fqdn": new, "set": {"ipv4": "192.0.2.3", "wildcard": True}},
        {"action": "delete", "fqdn": gone},
    ]
    answer = api.call("POST", "/changes", {"changes": changes})
    assert {r["status"] for r in answer.json()["results"]} == {"applied"}
    mine = ("alice", "token", "test")
    before, after = {"ipv4": "192.0.2.1", "comment": None}, {"ipv4": "192.0.2.2", "comment": "c"}
    assert [told(e) for e in entries(api, kept)][1:] == [("edit", before, after, *mine), ("secret", None, None, *mine)]
    assert [told(e) for e in entries(api, new)] == [("register", None, {"ipv4": "192.0.2.3", "wildcard": True}, *mine)]
    problem(api.call("GET", f"/hosts/{gone}/history"), 404)


def test_enrolment_is_told(service: Service, api: Api) -> None:
    fqdn = api.host()["fqdn"]
    token = api.call("POST", f"/hosts/{fqdn}/enrolments", {}).json()["token"]
    for _ in range(2):
        Api(service, token).call("POST", "/enrol", {"secret": "x" * 43}, headers=AGENT)
    assert [told(e) for e in entries(api, fqdn)][1:] == [("secret", None, None, fqdn, "enrolment", None)]
    assert entries(api, fqdn)[1]["agent"] == "Camera/1.0"


def test_pages_and_days(api: Api, host: Host) -> None:
    for n in range(1, 6):
        host.update(myip=f"192.0.2.{n + 100}")
    newest = api.items(f"/hosts/{host.fqdn}/history")
    assert [e["kind"] for e in newest] == ["update"] * 5 + ["register"]
    for limit in (1, 2, 3, 6, 7):
        assert api.items(f"/hosts/{host.fqdn}/history", limit=limit) == newest
    days = api.get(f"/hosts/{host.fqdn}/history/days", days=7)["days"]
    assert len(days) == 7
    assert [d["day"] for d in days] == sorted(d["day"] for d in days)
    assert sum(d["changes"] for d in days) == days[-1]["changes"] + days[-2]["changes"] == 6
    problem(api.call("GET", f"/hosts/{host.fqdn}/history/days", params={"days": 0}), 422, fields={"days"})


def test_nobody_reads_what_was_before_them(service: Service, api: Api, admin: Api, bob: str, foreign: Host) -> None:
    theirs = Api(service, bob)
    for path in ("history", "history/days", "contact"):
        problem(api.call("GET", f"/hosts/{foreign.fqdn}/{path}"), 404)
        assert theirs.call("GET", f"/hosts/{foreign.fqdn}/{path}").status_code == 200
    admin.patch(f"/hosts/{foreign.fqdn}", {"owner": "alice"})
    assert entries(api, foreign.fqdn) == []
    api.patch(f"/hosts/{foreign.fqdn}", {"comment": "mine"})
    assert [e["kind"] for e in entries(api, foreign.fqdn)] == ["edit"]
    assert [e["kind"] for e in entries(admin, foreign.fqdn)] == ["register", "edit", "edit"]
    assert entries(admin, foreign.fqdn)[1]["after"] == {"owner": "alice"}
    api.delete(f"/hosts/{foreign.fqdn}")
    api.host(fqdn=foreign.fqdn)
    assert [e["kind"] for e in entries(admin, foreign.fqdn)] == ["register"]


# ---- the last request


def test_the_last_request(service: Service, api: Api, alice: str) -> None:
    host = register(service, alice)
    empty = dict.fromkeys(("at", "source", "agent", "word", "tls"))
    assert api.get(f"/hosts/{host.fqdn}/contact") == empty
    host.update(myip="192.0.2.5", headers=AGENT)
    first = contact(api, host.fqdn, "good")
    assert first | {"at": None} == empty | {"source": HERE, "agent": "Camera/1.0", "word": "good", "tls": False}
    host.update(myip="192.0.2.5", headers={"User-Agent": "x" * 500})
    second = contact(api, host.fqdn, "nochg")
    assert second["agent"] == "x" * 120
    assert second["at"] > first["at"]
    host.update(myip="127.0.0.1")
    assert contact(api, host.fqdn, "dnserr")["at"] > second["at"]
    stranger = {"User-Agent": "<b>call 0900 123</b>"}
    service.get("/nic/update", auth=(host.fqdn, "wrong"), params={"myip": "192.0.2.6"}, headers=stranger)
    assert contact(api, host.fqdn, "badauth")["agent"] is None
    service.cli("host", "block", host.fqdn)
    host.update(myip="192.0.2.5")
    contact(api, host.fqdn, "abuse")


def test_control_characters_of_an_agent_are_not_kept(api: Api, host: Host) -> None:
    host.update(myip="192.0.2.5", headers={"User-Agent": "a\tb\xff"})
    assert contact(api, host.fqdn, "good")["agent"] == "ab\xff"
    assert entries(api, host.fqdn)[-1]["agent"] == "ab\xff"


def test_two_machines_with_one_name(service: Service, api: Api, admin: Api, host: Host) -> None:
    path = f"/hosts/{host.fqdn}"
    assert api.get(path)["flapping_since"] is None
    for number in range(30):
        for address, agent in (("192.0.2.21", "ddclient/3.10"), ("192.0.2.22", "Camera/1.0")):
            answer = host.update(myip=address, headers={"User-Agent": agent})
            assert answer.text == f"good {address}", number

    def look(connection: Connection) -> None:
        """As the service does about once a minute."""
        host_id = connection.scalar(select(hosts.c.id).where(hosts.c.fqdn == host.fqdn))
        assert host_id is not None
        found = flapping.find(connection, host_id)
        assert found is not None
        flapping.record(connection, host_id, found)

    in_store(service, look)
    in_store(service, look)
    note = f"192.0.2.21 from {HERE} (ddclient/3.10); 192.0.2.22 from {HERE} (Camera/1.0)"
    items = [item for item in entries(api, host.fqdn) if item["kind"] == "flapping"]
    assert [(item["note"], item["actor"], item["via"]) for item in items] == [(note, "ddnsd", "service")]
    for reader in (api, admin):
        found = [e["detail"] for e in reader.items("/events") if e["action"] == "host.flapping"]
        assert found == [note]
    assert api.get(path)["flapping_since"][:16] == items[0]["at"][:16]
    assert "flapping_since" not in next(item for item in api.items("/hosts") if item["fqdn"] == host.fqdn)
    assert host.update(myip="192.0.2.21").text == "good 192.0.2.21", "nothing is blocked"
    api.delete(path)
    assert api.host(fqdn=host.fqdn)["flapping_since"] is None
