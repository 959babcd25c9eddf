# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, domain requests: users ask, administrators approve or decline."""

from typing import Any

import pytest
from support.clients.dyndns import new_label
from support.clients.rest_api import Api, Content, problem
from support.servers.service import Service

PATH = "/domain-requests"
RULE, TAKEN = "urn:ddns:rule", "urn:ddns:taken"


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


@pytest.fixture
def user(service: Service) -> str:
    """A name that no other test uses: five requests are all that a user may have open."""
    return new_label()


@pytest.fixture
def api(service: Service, user: str) -> Api:
    return Api(service, service.user(user))


def ask(api: Api, name: str | None = None, **fields: Any) -> Content:
    return api.post(PATH, {"name": name or f"{new_label()}.example.org", "reason": "For the lab."} | fields)


def told(admin: Api, name: str) -> list[tuple[str, str, str | None]]:
    return [(e["actor"], e["action"], e["detail"]) for e in reversed(admin.items("/events", object=name))]


def test_asked_for_approved_and_used(service: Service, api: Api, user: str, admin: Api) -> None:
    made = ask(api, public=True)
    assert {name: made[name] for name in ("user", "public", "reason", "state", "answer", "decided")} == {
        "user": user,
        "public": True,
        "reason": "For the lab.",
        "state": "open",
        "answer": None,
        "decided": None,
    }
    path = f"{PATH}/{made['id']}"
    problem(api.call("POST", f"{path}/approve", {}), 403)
    answer = admin.call("POST", f"{path}/approve", {"answer": "Welcome.", "ttl": 300})
    assert answer.status_code == 201, answer.text
    assert answer.json() == api.get(f"/domains/{made['name']}")
    assert {name: answer.json()[name] for name in ("name", "owner", "public", "ttl")} == {
        "name": made["name"],
        "owner": user,
        "public": True,
        "ttl": 300,
    }
    closed = api.get(path)
    assert (closed["state"], closed["answer"], closed["decided_by"]) == ("approved", "Welcome.", "admin")
    problem(admin.call("POST", f"{path}/approve", {}), 412)
    problem(admin.call("POST", f"{path}/decline", {"answer": "No."}), 412)
    assert api.host(fqdn=f"www.{made['name']}", ipv4="192.0.2.1")["dns"] == "current"
    assert service.dig(f"www.{made['name']}") == ["192.0.2.1"]
    assert told(admin, made["name"]) == [
        (user, "domain.ask", "For the lab."),
        ("admin", "domain.add", None),
        ("admin", "domain.approve", "Welcome."),
    ]


def test_declined_with_a_reason(api: Api, user: str, admin: Api) -> None:
    made = ask(api)
    path = f"{PATH}/{made['id']}"
    problem(api.call("POST", f"{path}/decline", {"answer": "No."}), 403)
    problem(admin.call("POST", f"{path}/decline", {}), 422, fields={"answer"})
    answer = admin.call("POST", f"{path}/decline", {"answer": "Use dyn.example.org."})
    assert answer.json() == api.get(path)
    assert (answer.json()["state"], answer.json()["answer"]) == ("declined", "Use dyn.example.org.")
    problem(api.call("GET", f"/domains/{made['name']}"), 404)
    assert told(admin, made["name"])[-1] == ("admin", "domain.decline", "Use dyn.example.org.")
    ask(api, made["name"])  # once more


def test_taken_back(api: Api, admin: Api) -> None:
    made = ask(api)
    problem(admin.call("DELETE", f"{PATH}/{made['id']}"), 404)
    api.delete(f"{PATH}/{made['id']}")
    assert api.get(f"{PATH}/{made['id']}")["state"] == "withdrawn"
    problem(api.call("DELETE", f"{PATH}/{made['id']}"), 412)
    problem(admin.call("POST", f"{PATH}/{made['id']}/approve", {}), 412)


def test_own_requests_alone(service: Service, api: Api, admin: Api, bob: str) -> None:
    made = ask(api)
    other = Api(service, bob)
    for method, path in (("GET", ""), ("DELETE", "")):
        problem(other.call(method, f"{PATH}/{made['id']}{path}"), 404)
    assert made["id"] not in [r["id"] for r in other.items(PATH)]
    assert made["id"] in [r["id"] for r in admin.items(PATH, state="open")]
    assert [r["id"] for r in api.items(PATH)] == [made["id"]]
    assert api.items(PATH, state="declined") == []
    assert api.get(f"{PATH}/{made['id']}") == admin.get(f"{PATH}/{made['id']}")
    problem(api.call("GET", f"{PATH}/none"), 404)


def test_refused(service: Service, api: Api) -> None:
    wanted = {"reason": "For the lab."}
    problem(api.call("POST", PATH, wanted | {"name": service.domain}), 409, TAKEN, {"name"})
    service.register(f"hidden-{new_label()}")
    told = problem(api.call("POST", PATH, wanted | {"name": "example.org"}), 409, TAKEN, {"name"})
    assert "hidden" not in str(told)
    problem(api.call("POST", PATH, wanted | {"name": "example"}), 422, fields={"name"})
    problem(api.call("POST", PATH, {"name": "a.example.org", "reason": " "}), 422, RULE, {"reason"})
    first = ask(api)
    problem(api.call("POST", PATH, wanted | {"name": first["name"].upper()}), 409, TAKEN, {"name"})
    for _ in range(4):
        ask(api)
    problem(api.call("POST", PATH, wanted | {"name": "b.example.org"}), 422, RULE, {"name"})
    api.delete(f"{PATH}/{first['id']}")
    ask(api)


def test_what_cannot_be_made_stays_open(service: Service, api: Api, user: str, admin: Api) -> None:
    made = ask(api)
    path = f"{PATH}/{made['id']}"
    key = {"name": "nobody", "secret": "c2VjcmV0"}
    where = f"127.0.0.1:{service.dns_port}"
    problem(admin.call("POST", f"{path}/approve", {"primary": where}), 422, RULE, {"key"})
    problem(admin.call("POST", f"{path}/approve", {"primary": where, "key": key}), 422, RULE, {"primary"})
    assert api.get(path)["state"] == "open"
    # an administrator may have made it by hand
    admin.post("/domains", {"name": made["name"], "owner": user})
    assert admin.call("POST", f"{path}/approve", {}).status_code == 201
    assert api.get(path)["state"] == "approved"
