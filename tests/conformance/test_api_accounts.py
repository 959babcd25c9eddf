# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, tokens, keys and users."""

from typing import Any

import pytest
from support.clients.dyndns import new_label
from support.clients.rest_api import Api, Content, new_name, problem
from support.servers.service import Service

RULE, TAKEN, NOT_EMPTY = "urn:ddns:rule", "urn:ddns:taken", "urn:ddns:not-empty"
LATER = "2999-01-31T12:00:00Z"


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


def token(api: Api, **fields: Any) -> Content:
    return api.post("/tokens", {"name": new_label()} | fields)


def refused(api: Api, field: str, **fields: Any) -> None:
    """A token that must not be."""
    for _ in range(2):
        problem(api.call("POST", "/tokens", {"name": new_label()} | fields), 422, RULE, {field})


# ---- tokens


def test_a_token_reads_and_writes_unless_told_otherwise(service: Service, api: Api) -> None:
    made = token(api, name=f"ci {new_label()}")
    assert made["token"].startswith("ddns_")
    plain = {
        "domains": [],
        "hosts": [],
        "stacks": [],
        "networks": [],
        "expires": None,
        "last_used": None,
        "scopes": ["read", "write"],
    }
    assert made | plain == made
    mine = Api(service, made["token"])
    assert mine.host()["owner"] == "alice"
    problem(mine.call("GET", "/users"), 403)
    problem(api.call("POST", "/tokens", {"name": made["name"]}), 409, TAKEN, {"name"})


def test_scopes(service: Service, api: Api) -> None:
    reads, writes = (Api(service, token(api, scopes=[scope])["token"]) for scope in ("read", "write"))
    host = f"/hosts/{api.host(ipv4='192.0.2.1')['fqdn']}"
    for _ in range(2):
        assert reads.get(host)["ipv4"] == "192.0.2.1"
        for method, path, content in (
            ("POST", "/hosts", {"fqdn": new_name(service)}),
            ("PATCH", host, {"comment": "x"}),
            ("DELETE", host, None),
            ("POST", f"{host}/secret", None),
            ("POST", "/tokens", {"name": "x"}),
            ("POST", "/keys", {"name": "x", "hosts": ["a.b"]}),
        ):
            problem(reads.call(method, path, content), 403)
        for path in ("/hosts", host, f"{host}/ipv4", "/domains", "/tokens", "/keys", "/events", "/users/me"):
            problem(writes.call("GET", path), 403)
        changed = writes.call("PATCH", host, {"comment": "x"})
        assert (changed.status_code, changed.json()["comment"]) == (200, "x")


def test_lists_and_single_tokens_show_no_secret(service: Service, api: Api) -> None:
    made = token(api, hosts=["web-*.dyn.example.org"], networks=["127.0.0.0/8"], expires=LATER)
    shown = {name: value for name, value in made.items() if name != "token"}
    assert shown["expires"] == "2999-01-31T12:00:00.000000Z"
    for _ in range(2):
        assert shown in api.items("/tokens", limit=2)
        text = api.call("GET", "/tokens").text + api.call("GET", f"/tokens/{made['id']}").text
        assert made["token"] not in text


def test_a_deleted_token_is_void_at_once(service: Service, api: Api) -> None:
    made = token(api)
    mine = Api(service, made["token"])
    mine.get("/hosts")
    api.delete(f"/tokens/{made['id']}")
    problem(mine.call("GET", "/hosts"), 401)
    problem(api.call("DELETE", f"/tokens/{made['id']}"), 404)


def test_tokens_of_others_look_like_absent_ones(service: Service, api: Api, admin: Api, bob: str) -> None:
    made = token(Api(service, bob))
    for caller in (api, admin):
        for number in (made["id"], "0", "999999", "x", "9" * 30):
            problem(caller.call("GET", f"/tokens/{number}"), 404)
            problem(caller.call("DELETE", f"/tokens/{number}"), 404)
    Api(service, made["token"]).get("/hosts")


def test_a_token_gives_no_more_than_it_has(service: Service, api: Api, lab: str) -> None:
    limits = {"domains": ["lab.*"], "hosts": ["web-*.lab.example.org"], "networks": ["127.0.0.0/8"], "expires": LATER}
    limited = Api(service, token(api, scopes=["read", "write"], **limits)["token"])
    inherited = token(limited)
    assert inherited | limits | {"expires": "2999-01-31T12:00:00.000000Z"} == inherited
    narrower = {
        "scopes": ["read"],
        "domains": [lab],
        "hosts": ["web-1.lab.example.org", "web-1*.lab.example.org"],
        "networks": ["127.0.0.1/32"],
    }
    made = token(limited, **narrower)
    assert made | narrower == made
    refused(limited, "scopes", scopes=["read", "admin"])
    refused(limited, "domains", domains=["*"])
    refused(limited, "hosts", hosts=["web-1.lab.example.org", "db.lab.example.org"])
    refused(limited, "hosts", hosts=["*"])
    refused(limited, "networks", networks=["0.0.0.0/0"])
    refused(limited, "networks", networks=["::1/128"])
    refused(limited, "expires", expires="2999-01-31T12:00:01Z")
    refused(Api(service, token(api, scopes=["write"])["token"]), "scopes")
    refused(api, "scopes", scopes=["admin"])


def test_a_token_deletes_none_that_can_do_more(service: Service, api: Api) -> None:
    more, limited = token(api), token(api, hosts=["web-*"])
    mine = Api(service, limited["token"])
    for _ in range(2):
        problem(mine.call("DELETE", f"/tokens/{more['id']}"), 403)
    mine.delete(f"/tokens/{limited['id']}")
    problem(mine.call("GET", "/hosts"), 401)


def test_a_token_replaces_another_one_or_changes_nothing(service: Service, api: Api, bob: str) -> None:
    old = token(api)
    same = {"name": old["name"], "replaces": old["id"]}
    problem(api.call("POST", "/tokens", same | {"scopes": ["admin"]}), 422, RULE, {"scopes"})
    assert api.get(f"/tokens/{old['id']}")["name"] == old["name"]
    problem(Api(service, bob).call("POST", "/tokens", same), 404)
    reads = Api(service, token(api, scopes=["read", "write"], hosts=["a.example.org"])["token"])
    problem(reads.call("POST", "/tokens", same), 403)
    child = Api(service, Api(service, old["token"]).post("/tokens", {"name": new_label()})["token"])
    for own in (Api(service, old["token"]), child):
        problem(own.call("POST", "/tokens", same), 422, RULE, {"replaces"})
    new = api.post("/tokens", same)
    problem(api.call("GET", f"/tokens/{old['id']}"), 404)
    assert [Api(service, one["token"]).call("GET", "/users/me").status_code for one in (old, new)] == [401, 200]
    problem(child.call("GET", "/users/me"), 401)


def test_a_key_replaces_another_one_or_changes_nothing(service: Service, api: Api, bob: str) -> None:
    host = api.host(ipv4="192.0.2.1")["fqdn"]
    old = api.post("/keys", {"name": "one", "hosts": [host]})
    same = {"name": "two", "hosts": [host], "replaces": old["login"]}
    problem(api.call("POST", "/keys", same | {"hosts": [new_name(service)]}), 422, RULE, {"hosts"})
    problem(Api(service, bob).call("POST", "/keys", same), 404)
    assert api.get(f"/keys/{old['login']}")["hosts"] == [host]
    new = api.post("/keys", same)
    problem(api.call("GET", f"/keys/{old['login']}"), 404)
    assert api.get(f"/keys/{new['login']}")["name"] == "two"


def test_a_key_is_changed_in_place_and_keeps_its_secret(service: Service, api: Api, bob: str) -> None:
    one, two = (api.host(ipv4="192.0.2.1")["fqdn"] for _ in range(2))
    made = api.post("/keys", {"name": "mine", "hosts": [one], "stack": "web"})
    path = f"/keys/{made['login']}"
    problem(api.call("PATCH", path, {"hosts": [one, new_name(service)]}), 422, RULE, {"hosts"})
    problem(api.call("PATCH", path, {"hosts": []}), 422, fields={"hosts"})
    problem(Api(service, bob).call("PATCH", path, {"hosts": [two]}), 404)
    for _ in range(2):
        changed = api.call("PATCH", path, {"hosts": [two], "name": "ours", "stack": None}).json()
        assert (changed["hosts"], changed["name"], changed["stack"]) == ([two], "ours", None)
    update = "/nic/update?myip=192.0.2.9&hostname="
    answers = [service.request("GET", update + name, auth=(made["login"], made["secret"])).text for name in (one, two)]
    assert answers == ["nohost", "good 192.0.2.9"]


def test_limits_of_a_token_hold(service: Service, api: Api, lab: str) -> None:
    elsewhere = token(api, networks=["198.51.100.0/24"])
    problem(Api(service, elsewhere["token"]).call("GET", "/hosts"), 401)
    own = api.host()
    limited = Api(service, token(api, hosts=["web-*"])["token"])
    for _ in range(2):
        problem(limited.call("PATCH", f"/hosts/{own['fqdn']}", {"comment": "x"}), 404)
        problem(limited.call("POST", "/hosts", {"fqdn": new_name(service)}), 422, RULE, {"fqdn"})
        problem(limited.call("POST", "/keys", {"name": "k", "hosts": [own["fqdn"]]}), 422, RULE, {"hosts"})
    web = limited.host(fqdn=f"web-{new_name(service)}")
    problem(limited.call("PATCH", f"/hosts/{web['fqdn']}", {"fqdn": new_name(service)}), 422, RULE, {"fqdn"})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["all"]}, "scopes.0"),
        ({"domains": ["UPPER.org"]}, "domains.0"),
        ({"hosts": [""]}, "hosts.0"),
        ({"expires": "tomorrow"}, "expires"),
        ({"expires": "2000-01-01T00:00:00Z"}, "expires"),
        ({"expires": "2999-01-01T00:00:00"}, "expires"),
        ({"networks": ["here"]}, "networks"),
        ({"user": "bob"}, "user"),
    ],
)
def test_tokens_that_are_not_acceptable(api: Api, fields: dict[str, Any], field: str) -> None:
    count = len(api.items("/tokens"))
    for _ in range(2):
        answer = api.call("POST", "/tokens", {"name": new_label()} | fields)
        problem(answer, 422, answer.json()["type"], {field})
    assert len(api.items("/tokens")) == count


# ---- keys


def test_a_key_updates_its_hosts(service: Service, api: Api) -> None:
    one, two = api.host(), api.host()
    names = sorted([one["fqdn"], two["fqdn"]])
    key = api.post("/keys", {"name": "rack 7", "hosts": names})
    assert (key["name"], key["hosts"]) == ("rack 7", names)
    for address in ("192.0.2.1", "192.0.2.2"):
        answer = service.get("/nic/update", auth=(key["login"], key["secret"]), params={"myip": address})
        assert answer.text == f"good {address}\ngood {address}"
    shown = {name: value for name, value in key.items() if name != "secret"}
    assert shown in api.items("/keys", limit=1)
    assert key["secret"] not in api.call("GET", "/keys").text
    api.delete(f"/keys/{key['login']}")
    problem(api.call("DELETE", f"/keys/{key['login']}"), 404)
    assert (
        service.get("/nic/update", auth=(key["login"], key["secret"]), params={"myip": "192.0.2.3"}).status_code == 401
    )
    assert api.get(f"/hosts/{one['fqdn']}/ipv4") == {"ipv4": "192.0.2.2"}


def test_a_key_is_for_own_hosts(service: Service, api: Api, bob: str) -> None:
    own, foreign = api.host(), Api(service, bob).host()
    for hosts in ([own["fqdn"], foreign["fqdn"]], [new_name(service)]):
        for _ in range(2):
            problem(api.call("POST", "/keys", {"name": "k", "hosts": hosts}), 422, RULE, {"hosts"})
    problem(api.call("POST", "/keys", {"name": "k", "hosts": []}), 422, fields={"hosts"})
    key = api.post("/keys", {"name": "k", "hosts": [own["fqdn"]]})
    for caller in (Api(service, bob), Api(service, service.admin_token)):
        problem(caller.call("GET", f"/keys/{key['login']}"), 404)
        problem(caller.call("DELETE", f"/keys/{key['login']}"), 404)
    assert api.get(f"/keys/{key['login']}")["hosts"] == [own["fqdn"]]


# ---- users


def test_users_come_and_go(service: Service, admin: Api) -> None:
    name = new_label()
    made = admin.post("/users", {"name": name})
    assert made | {"name": name, "admin": False, "active": True} == made
    problem(admin.call("POST", "/users", {"name": name}), 409, TAKEN, {"name"})
    details = {"quotas", "second_factor"}
    assert {name: made[name] for name in made.keys() - details} in admin.items("/users", limit=2)
    theirs = Api(service, service.cli("token", "add", name, "--name", "t").stdout.strip())
    own = {name: made[name] for name in made.keys() - {"second_factor"}}
    assert theirs.get("/users/me") == own | {"rights_end": None, "warnings": []}
    admin.delete(f"/users/{name}")
    problem(admin.call("DELETE", f"/users/{name}"), 404)
    problem(theirs.call("GET", "/users/me"), 401)


def test_users_are_an_administrators(api: Api) -> None:
    assert api.get("/users/me")["name"] == "alice"
    for method, path, content in (
        ("GET", "/users", None),
        ("POST", "/users", {"name": "eve"}),
        ("GET", "/users/alice", None),
        ("PATCH", "/users/alice", {"admin": True}),
        ("DELETE", "/users/bob", None),
    ):
        for _ in range(2):
            problem(api.call(method, path, content), 403)
    assert api.get("/users/me")["admin"] is False


def test_an_inactive_user_is_out_at_once(service: Service, admin: Api) -> None:
    name = new_label()
    theirs = Api(service, service.user(name))
    for _ in range(2):
        assert admin.patch(f"/users/{name}", {"active": False})["active"] is False
        problem(theirs.call("GET", "/hosts"), 401)
    for _ in range(2):
        assert admin.patch(f"/users/{name}", {"active": True})["active"] is True
        theirs.get("/hosts")


def test_rights_of_an_administrator_come_and_go_with_the_user(service: Service, admin: Api) -> None:
    name = new_label()
    service.user(name)
    add = ("token", "add", name, "--name", "all", "--scope", "read", "--scope", "admin")
    assert "not an administrator" in service.cli(*add, check=False).stderr
    for _ in range(2):
        assert admin.patch(f"/users/{name}", {"admin": True})["admin"] is True
    theirs = Api(service, service.cli(*add).stdout.strip())
    assert theirs.get(f"/users/{name}")["admin"] is True
    for _ in range(2):
        assert admin.patch(f"/users/{name}", {"admin": False})["admin"] is False
        problem(theirs.call("GET", "/users"), 403)
        theirs.get("/hosts")


def test_nobody_locks_themselves_out(admin: Api) -> None:
    for _ in range(2):
        for field in ("admin", "active"):
            problem(admin.call("PATCH", "/users/admin", {field: False}), 422, RULE, {field})
        problem(admin.call("DELETE", "/users/admin"), 409, NOT_EMPTY)
    assert admin.patch("/users/admin", {"admin": True})["admin"] is True


def test_who_owns_something_stays(service: Service, admin: Api) -> None:
    name = new_label()
    host = Api(service, service.user(name)).host()
    for _ in range(2):
        problem(admin.call("DELETE", f"/users/{name}"), 409, NOT_EMPTY)
    admin.delete(f"/hosts/{host['fqdn']}")
    admin.delete(f"/users/{name}")


@pytest.mark.parametrize("name", ["", "me", "ddnsd", "two words", "a/b", "ü", "x" * 151, ".."])
def test_names_that_no_user_may_have(admin: Api, name: str) -> None:
    for _ in range(2):
        answer = admin.call("POST", "/users", {"name": name})
        problem(answer, 422, answer.json()["type"], {"name"})


def test_a_change_of_a_user_is_made_only_where_the_tag_fits(service: Service, admin: Api) -> None:
    name = new_label()
    service.user(name)
    tag = admin.call("GET", f"/users/{name}").headers["etag"]
    assert admin.call("PATCH", f"/users/{name}", {"active": False}, headers={"If-Match": tag}).status_code == 200
    problem(admin.call("PATCH", f"/users/{name}", {"active": True}, headers={"If-Match": tag}), 412)
    problem(admin.call("DELETE", f"/users/{name}", headers={"If-Match": tag}), 412)
    assert admin.get(f"/users/{name}")["active"] is False
