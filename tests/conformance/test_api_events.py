# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, events: every change has one, with who made it from where, and its owner reads it."""

import pytest
from support.clients.dyndns import new_label
from support.clients.rest_api import Api, Content, new_name, problem
from support.servers.service import Service


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


def told(events: list[Content]) -> list[tuple[str, str, str | None, str | None]]:
    """(actor, action, source, detail), oldest first."""
    return [(e["actor"], e["action"], e["source"], e["detail"]) for e in reversed(events)]


def test_the_life_of_a_host(service: Service, api: Api, admin: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    path = f"/hosts/{made['fqdn']}"
    # the second time nothing changes, and nothing is told
    for caller, content in ((api, {"comment": "new", "ttl": 60}), (admin, {"abuse_blocked": True})):
        for _ in range(2):
            caller.patch(path, content)
    admin.patch(path, {"abuse_blocked": False})
    api.call("POST", f"{path}/secret")
    new = new_name(service)
    api.patch(path, {"fqdn": new})
    api.delete(f"/hosts/{new}")
    here = "127.0.0.1"
    assert told(api.items("/events", object=made["fqdn"])) == [
        ("alice", "host.register", here, None),
        ("alice", "host.set", here, "comment, ttl"),
        ("admin", "host.block", here, None),
        ("admin", "host.unblock", here, None),
        ("alice", "host.secret", here, None),
        ("alice", "host.rename", here, f"to {new}"),
    ]
    assert told(api.items("/events", object=new)) == [
        ("alice", "host.rename", here, f"from {made['fqdn']}"),
        ("alice", "host.unregister", here, None),
    ]


def test_domains_and_accounts(service: Service, admin: Api) -> None:
    domain, user, name = f"{new_label()}.example.org", new_label(), new_label()
    admin.post("/domains", {"name": domain})
    for _ in range(2):
        admin.patch(f"/domains/{domain}", {"comment": "c", "ttl": 60})
    admin.delete(f"/domains/{domain}")
    admin.post("/users", {"name": user})
    for _ in range(2):
        admin.patch(f"/users/{user}", {"active": False})
    admin.delete(f"/users/{user}")
    admin.delete(f"/tokens/{admin.post('/tokens', {'name': name})['id']}")
    here = "127.0.0.1"
    assert told(admin.items("/events", object=domain)) == [
        ("admin", "domain.add", here, None),
        ("admin", "domain.set", here, "comment, ttl"),
        ("admin", "domain.delete", here, None),
    ]
    assert told(admin.items("/events", object=user)) == [
        ("admin", "user.add", here, None),
        ("admin", "user.set", here, "active off"),
        ("admin", "user.delete", here, None),
    ]
    assert [e for e in told(admin.items("/events", object="admin")) if e[3] == name] == [
        ("admin", "token.add", here, name),
        ("admin", "token.delete", here, name),
    ]


def test_own_events_alone(service: Service, api: Api, admin: Api, bob: str) -> None:
    theirs = Api(service, bob).host()
    assert api.items("/events", object=theirs["fqdn"]) == []
    assert [e["action"] for e in admin.items("/events", object=theirs["fqdn"])] == ["host.register"]
    Api(service, bob).delete(f"/hosts/{theirs['fqdn']}")
    api.host(fqdn=theirs["fqdn"])  # whoever has the name next does not read what was before
    assert told(api.items("/events", object=theirs["fqdn"])) == [("alice", "host.register", "127.0.0.1", None)]
    assert "bob" not in {e["actor"] for e in api.items("/events")}


def test_pages_and_filters(api: Api) -> None:
    made = api.host()
    for comment in ("one", "two", "three"):
        api.patch(f"/hosts/{made['fqdn']}", {"comment": comment})
    newest = api.items("/events", object=made["fqdn"])
    assert [int(e["id"]) for e in newest] == sorted((int(e["id"]) for e in newest), reverse=True)
    assert len(newest) == 4
    for limit in (1, 2, 3, 4, 5):
        assert api.items("/events", object=made["fqdn"], limit=limit) == newest
    assert len(api.items("/events", object=made["fqdn"], action="host.set")) == 3
    assert api.items("/events", object=made["fqdn"], actor="bob") == []
    assert len(api.items("/events", object=made["fqdn"], actor="alice")) == 4
    problem(api.call("GET", "/events", params={"since": "now"}), 422, fields={"since"})


def test_a_new_user_reads_nothing_of_one_who_is_gone(service: Service, admin: Api) -> None:
    gone, new = new_label(), new_label()
    first = Api(service, service.user(gone))
    fqdn = first.host(ipv4="192.0.2.1")["fqdn"]
    assert first.items("/events")
    admin.delete(f"/hosts/{fqdn}")
    admin.delete(f"/users/{gone}")
    events = Api(service, service.user(new)).items("/events")
    assert [event for event in events if event["object"] != new] == []
