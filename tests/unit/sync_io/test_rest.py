# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own service, over a scripted transport: what is asked, what is repeated, and what each answer becomes."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.clients.transport import Scripted

from ddnsctl.sync import scope
from ddnsctl.sync.api import Done
from ddnsctl.sync.changes import Action, Change
from ddnsctl.sync.errors import (
    LostAnswer,
    NotSupported,
    Refused,
    ServerError,
    Stale,
    SyncError,
    Unauthorized,
    Unreachable,
)
from ddnsctl.sync.model import Declaration, Domain, Host, HostSpec
from ddnsctl.sync.plan import Options
from ddnsctl.sync.rest import PAUSES, RestServer

NAME, DOMAIN = "www.dyn.example.org", "dyn.example.org"
HOSTS = "GET /api/hosts?records=true&limit=10000"
DOMAINS = "GET /api/domains?limit=10000"
CHANGES = "POST /api/changes"
ME = "GET /api/users/me"
ADMIN = {"name": "admin", "admin": True}
ROW = {
    "fqdn": NAME,
    "name": "www",
    "domain": DOMAIN,
    "owner": "admin",
    "ipv4": "192.0.2.1",
    "ipv6": None,
    "wildcard": True,
    "comment": None,
    "ttl": 300,
    "stack": "web",
    "labels": {"team": "a"},
    "available": True,
    "abuse": False,
    "dns": "conflict",
    "conflict": "the name is taken",
    "updated_ipv4": "2026-01-01T00:00:00Z",
}
CREATE = Change(Action.CREATE, "host", NAME, after={"ipv4": "192.0.2.1", "stack": "web"})
UPDATE = Change(Action.UPDATE, "host", NAME, {"ipv4": "192.0.2.1", "stack": "web"}, {"ipv4": None})
DELETE = Change(Action.DELETE, "host", NAME, {"stack": "web"})


def page(*items: dict[str, Any], cursor: str | None = None) -> dict[str, Any]:
    return {"items": list(items), "next": cursor}


def results(*items: dict[str, Any]) -> dict[str, Any]:
    return {"results": [{"fqdn": NAME, **item} for item in items]}


def failed(status: int, detail: str, **errors: list[str]) -> dict[str, Any]:
    return {"status": "failed", "error": {"status": status, "title": "No", "detail": detail, "errors": errors}}


@pytest.fixture
def script() -> Iterator[Scripted]:
    script = Scripted()
    yield script
    script.done()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def server(script: Scripted, pauses: list[float]) -> RestServer:
    return RestServer(script, pause=pauses.append)


def test_domains_are_asked_for_unless_every_name_is_a_host(script: Scripted, server: RestServer) -> None:
    for number in range(2):
        script.expect(f"GET /api/hosts?fqdn={NAME}&records=true&limit=10000", page(ROW))
        if number == 0:
            script.expect(ME, ADMIN)
        assert server.registered([NAME, NAME]).domains == {}
        script.expect(f"GET /api/hosts?fqdn={NAME}&records=true&limit=10000", page()).expect(
            DOMAINS, page({"name": DOMAIN})
        )
        assert set(server.registered([NAME]).domains) == {DOMAIN}


def test_hosts_and_domains_become_values(script: Scripted, server: RestServer) -> None:
    row = {
        "name": DOMAIN,
        "public": True,
        "available": True,
        "comment": "c",
        "ttl": 60,
        "group": None,
        "owner": "admin",
    }
    for number in range(2):
        script.expect(HOSTS, page(ROW)).expect(DOMAINS, page(row | {"hosts": 3}))
        if number == 0:
            script.expect(ME, ADMIN)
        registered = server.registered()
        assert registered.hosts == {
            NAME: Host(
                NAME,
                DOMAIN,
                "192.0.2.1",
                None,
                True,
                None,
                300,
                {"team": "a"},
                "web",
                "admin",
                True,
                "conflict",
                "the name is taken",
            )
        }
        assert registered.hosts[NAME].facts == {"name": "www", "abuse": False, "updated_ipv4": "2026-01-01T00:00:00Z"}
        assert registered.domains == {DOMAIN: Domain(DOMAIN, True, "c", 60, None, True, True, None, "admin")}
        assert registered.domains[DOMAIN].facts == {"hosts": 3}


def test_what_other_users_own_is_told_apart(script: Scripted, server: RestServer) -> None:
    others = "x." + DOMAIN
    script.expect(HOSTS, page(ROW, ROW | {"fqdn": others, "owner": "bob"}))
    script.expect(DOMAINS, page({"name": DOMAIN, "owner": "bob"}, {"name": "lab.example.org", "owner": "admin"}))
    script.expect(ME, ADMIN)
    found = server.registered()
    assert {name: host.own for name, host in found.hosts.items()} == {NAME: True, others: False}
    assert {name: domain.own for name, domain in found.domains.items()} == {DOMAIN: False, "lab.example.org": True}


def test_nobody_s_hosts_are_taken_for_the_caller_s(script: Scripted, server: RestServer) -> None:
    script.expect(HOSTS, page(ROW)).expect(DOMAINS, page()).expect(ME, {"unexpected": 1})
    with pytest.raises(ServerError, match="sent no user name"):
        server.registered()


def test_every_page_is_read(script: Scripted, server: RestServer) -> None:
    script.expect(HOSTS, page(ROW, cursor="a b")).expect(HOSTS + "&cursor=a+b", page(ROW | {"fqdn": "b." + DOMAIN}))
    script.expect(DOMAINS, page()).expect(ME, ADMIN)
    assert sorted(server.registered().hosts) == ["b." + DOMAIN, NAME]


@pytest.mark.parametrize("status", [400, 401, 403, 413])
def test_a_refusal_of_the_second_try_says_nothing_of_the_first(
    script: Scripted, server: RestServer, status: int
) -> None:
    script.expect(CHANGES, LostAnswer("lost")).expect(CHANGES, {"detail": "no"}, status=status)
    with pytest.raises(LostAnswer, match=r"lost \(tried again: ") as raised:
        server.execute_many([CREATE], "k")
    assert raised.value.lost


def test_a_host_is_taken_over_only_from_the_known_owner(script: Scripted, server: RestServer) -> None:
    adopt = Change(Action.ADOPT, "host", NAME, {"owner": "bob", "stack": None}, {"owner": "alice", "stack": "web"})
    script.expect(ME, {"name": "alice"})
    script.expect(CHANGES, {"results": [{"fqdn": NAME, "status": "applied"}] * 2})
    server.execute_many([adopt, Change(Action.ROTATE, "host", NAME, {"stack": "web"})], "k")
    taken, rotated = script.asked[-1].content["changes"]
    assert (taken["if"]["owner"], taken["set"]["owner"]) == ("bob", "alice")
    assert rotated["if"] == {"owner": "alice", "stack": "web"}


def test_a_call_that_must_wait_for_another_is_repeated(script: Scripted, server: RestServer) -> None:
    for _ in range(2):
        script.expect(CHANGES, {"detail": "another large call is running"}, status=429)
    script.expect(CHANGES, {"results": [{"fqdn": NAME, "status": "applied", "secret": "s"}]})
    (done,) = server.execute_many([CREATE], "k")
    assert done == Done("applied", "s")


def test_a_call_waits_as_long_as_the_server_asks(script: Scripted, server: RestServer, pauses: list[float]) -> None:
    for headers in ({"retry_after": "60"}, {}, {"retry_after": "1"}, {"retry_after": "Mon, 30 Nov 2026 04:55:18 GMT"}):
        script.expect(CHANGES, {"detail": "over quota"}, status=429, **headers)
    script.expect(CHANGES, results({"status": "applied"}))
    assert server.execute(CREATE) == Done("applied")
    assert pauses == [60, PAUSES[1], PAUSES[2], PAUSES[3]]


def test_a_call_does_not_wait_for_hours(script: Scripted, server: RestServer, pauses: list[float]) -> None:
    script.expect(CHANGES, {"detail": "over quota"}, status=429, retry_after="3600")
    with pytest.raises(Refused, match="over quota"):
        server.execute(CREATE)
    assert pauses == []


@pytest.mark.parametrize(
    ("before", "status", "error"),
    [((429,), 403, Refused), ((429,), 401, Unauthorized), ((429, 503), 403, LostAnswer), ((503, 429), 403, LostAnswer)],
)
def test_a_call_that_was_only_too_early_is_not_lost(
    script: Scripted, server: RestServer, before: tuple[int, ...], status: int, error: type[Exception]
) -> None:
    for one in (*before, status):
        script.expect(CHANGES, {"detail": "no"}, status=one)
    with pytest.raises(error):
        server.execute(CREATE)


def test_few_names_are_asked_for_by_name(script: Scripted, server: RestServer) -> None:
    script.expect(f"GET /api/hosts?fqdn=a.{DOMAIN}&fqdn={NAME}&records=true&limit=10000", page(ROW)).expect(
        DOMAINS, page()
    )
    script.expect(ME, ADMIN)
    assert list(server.registered([NAME, "a." + DOMAIN, NAME]).hosts) == [NAME]


def test_many_names_are_picked_from_everything(script: Scripted, server: RestServer) -> None:
    script.expect(HOSTS, page(ROW, ROW | {"fqdn": "other." + DOMAIN})).expect(DOMAINS, page())
    script.expect(ME, ADMIN)
    assert list(server.registered([NAME, *(f"h{n}.{DOMAIN}" for n in range(2000))]).hosts) == [NAME]


def test_some_hundred_names_are_asked_for_in_several_requests(script: Scripted, server: RestServer) -> None:
    names = sorted([NAME, *(f"h{n:03}.{DOMAIN}" for n in range(300))])
    parts = [names[:153], names[153:]]
    for part in parts:
        query = "&".join(f"fqdn={name}" for name in part)
        assert len(query) <= 4000
        script.expect(f"GET /api/hosts?{query}&records=true&limit=10000", page(*([ROW] if NAME in part else [])))
    script.expect(DOMAINS, page()).expect(ME, ADMIN)
    assert list(server.registered(names).hosts) == [NAME]


def test_only_the_stack_and_names_outside_of_it_are_asked_for(script: Scripted, server: RestServer) -> None:
    other = ROW | {"fqdn": f"other.{DOMAIN}", "stack": None}
    script.expect("GET /api/hosts?stack=web&records=true&limit=10000", page(ROW))
    script.expect(f"GET /api/hosts?fqdn=other.{DOMAIN}&records=true&limit=10000", page(other))
    script.expect(DOMAINS, page()).expect(ME, ADMIN)
    assert list(server.registered([NAME, f"other.{DOMAIN}"], "web").hosts) == [NAME, f"other.{DOMAIN}"]


def test_a_plan_reads_the_domains_that_it_may_delete(script: Scripted, server: RestServer) -> None:
    lab = {"name": "lab.example.org", "stack": "web", "owner": "admin"}
    declaration = Declaration("web", hosts={NAME: HostSpec(NAME, moved_from=f"old.{DOMAIN}")})
    for options in (Options(), Options(prune=True)):
        script.expect("GET /api/hosts?stack=web&records=true&limit=10000", page(ROW))
        script.expect(f"GET /api/hosts?fqdn=old.{DOMAIN}&records=true&limit=10000", page())
        script.expect(DOMAINS, page({"name": DOMAIN, "owner": "ann"}, lab))
        if not options.prune:
            script.expect(ME, ADMIN)
        else:
            script.expect("GET /api/stacks/web", {"protect": True, "gives": {}})
            script.expect(
                "GET /api/hosts?domain=lab.example.org&records=true&limit=10000",
                page(ROW | {"fqdn": "a.lab.example.org"}),
            )
            script.expect(DOMAINS, page())
            script.expect("GET /api/keys?limit=10000", page())
        hosts = scope.read(server, declaration, options).hosts
        assert set(hosts) == {NAME, *(["a.lab.example.org"] if options.prune else [])}


def test_no_names_need_no_hosts(script: Scripted, server: RestServer) -> None:
    script.expect(DOMAINS, page())
    assert server.registered([]).hosts == {}


@pytest.mark.parametrize(
    ("change", "item"),
    [
        (CREATE, {"action": "create", "fqdn": NAME, "set": {"ipv4": "192.0.2.1", "stack": "web"}}),
        (
            UPDATE,
            {"action": "update", "fqdn": NAME, "set": {"ipv4": None}, "if": {"ipv4": "192.0.2.1", "stack": "web"}},
        ),
        (DELETE, {"action": "delete", "fqdn": NAME, "if": {"stack": "web"}}),
        (Change(Action.ROTATE, "host", NAME), {"action": "rotate", "fqdn": NAME}),
        (
            Change(Action.ADOPT, "host", NAME, {"stack": None}, {"stack": "web"}),
            {"action": "update", "fqdn": NAME, "set": {"stack": "web"}, "if": {"stack": None}},
        ),
        (
            Change(Action.MOVE, "host", NAME, {"stack": "web"}, {"ttl": 60}, source="old." + DOMAIN),
            {"action": "update", "fqdn": "old." + DOMAIN, "set": {"fqdn": NAME, "ttl": 60}, "if": {"stack": "web"}},
        ),
        (
            Change(Action.CREATE, "host", NAME, after={"ipv4": None, "labels": {"a": "b"}}),
            {"action": "create", "fqdn": NAME, "set": {"labels": {"a": "b"}}},
        ),
    ],
)
def test_what_a_change_looks_like(script: Scripted, server: RestServer, change: Change, item: dict[str, Any]) -> None:
    """One of a host that is there is made only while it is still the caller's: an administrator may change others."""
    if change.action is not Action.CREATE:
        script.expect(ME, ADMIN)
        item = {**item, "if": {**item.get("if", {}), "owner": "admin"}}
    script.expect(CHANGES, results({"status": "applied"}))
    assert server.execute(change) == Done("applied")
    assert script.asked[-1].content == {"atomic": False, "changes": [item]}
    assert script.asked[-1].headers["Content-Type"] == "application/json"


def test_each_single_change_has_a_key_of_its_own(script: Scripted, server: RestServer) -> None:
    script.expect(ME, ADMIN)
    for _ in range(2):
        script.expect(CHANGES, results({"status": "unchanged"}))
        assert server.execute(UPDATE) == Done("unchanged")
    first, second = (asked.headers["Idempotency-Key"] for asked in script.asked[1:])
    assert first != second


def test_answers_come_in_order(script: Scripted, server: RestServer) -> None:
    answers = (
        {"status": "pending", "secret": "s", "warnings": ["one", "two"]},
        failed(409, "taken"),
        {"status": "unchanged"},
        failed(412, "moved"),
    )
    script.expect(ME, ADMIN).expect(CHANGES, results(*answers))
    first, second, third, fourth = server.execute_many([CREATE, CREATE, UPDATE, UPDATE], "k")
    assert first == Done("pending", "s", warnings=("one", "two"))
    assert third == Done("unchanged")
    assert isinstance(second, Refused)
    assert (second.status, str(second)) == (409, "taken")
    assert isinstance(fourth, Stale)
    assert str(fourth) == f"{NAME}: moved (make a new plan)"


def test_deleting_what_is_gone_changes_nothing(script: Scripted, server: RestServer) -> None:
    script.expect(ME, ADMIN).expect(CHANGES, results(failed(404, "unknown"), failed(404, "unknown")))
    first, second = server.execute_many([DELETE, UPDATE], "k")
    assert first == Done("unchanged")
    assert isinstance(second, Refused)


def test_reasons_of_single_fields_are_told(script: Scripted, server: RestServer) -> None:
    answer = failed(422, "not valid", ipv4=["is no address"], ttl=["too low", "no number"])
    script.expect(ME, ADMIN).expect(CHANGES, results(answer))
    with pytest.raises(Refused, match=r"^not valid \(ipv4: is no address; ttl: too low no number\)$") as raised:
        server.execute(UPDATE)
    assert raised.value.fields == {"ipv4": "is no address", "ttl": "too low no number"}


def test_ten_thousand_go_in_one_call(script: Scripted, server: RestServer) -> None:
    many = [CREATE] * 10_001
    script.expect(CHANGES, results(*[{"status": "applied"}] * 10_000)).expect(CHANGES, results({"status": "pending"}))
    answers = server.execute_many(many, "k")
    assert [a.status for a in answers if isinstance(a, Done)] == ["applied"] * 10_000 + ["pending"]
    first, second = (asked.headers["Idempotency-Key"] for asked in script.asked)
    assert first != second


def test_a_call_that_is_too_large_for_a_proxy_is_made_in_parts(script: Scripted, server: RestServer) -> None:
    names = [f"h{n}.{DOMAIN}" for n in range(5)]
    script.expect(CHANGES, b"<html>", status=413).expect(CHANGES, results(*[{"status": "applied"}] * 2))
    script.expect(CHANGES, b"<html>", status=413).expect(CHANGES, results({"status": "pending"}))
    script.expect(CHANGES, results(*[{"status": "unchanged"}] * 2))
    answers = server.execute_many([Change(Action.CREATE, "host", name) for name in names], "k")
    assert [a.status for a in answers if isinstance(a, Done)] == ["applied"] * 2 + ["pending"] + ["unchanged"] * 2
    sent = [[item["fqdn"] for item in asked.content["changes"]] for asked in script.asked]
    assert sent == [names, names[:2], names[2:], names[2:3], names[3:]]
    assert len({asked.headers["Idempotency-Key"] for asked in script.asked}) == 5


def test_a_second_call_that_fails_leaves_the_first_ones_answers(script: Scripted, server: RestServer) -> None:
    script.expect(CHANGES, results(*[{"status": "applied"}] * 10_000)).expect(CHANGES, {"detail": "no"}, status=403)
    answers = server.execute_many([CREATE] * 10_001, "k")
    assert answers[9_999] == Done("applied")
    assert isinstance(answers[10_000], Refused)


def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    script: Scripted, server: RestServer, pauses: list[float]
) -> None:
    script.expect(CHANGES, LostAnswer("lost")).expect(CHANGES, Unreachable("restarting"))
    script.expect(CHANGES, {"detail": "not yet"}, status=503).expect(
        CHANGES, results({"status": "applied", "secret": "s"})
    )
    assert server.execute(CREATE) == Done("applied", "s")
    assert len({asked.headers["Idempotency-Key"] for asked in script.asked}) == 1
    assert len({str(asked.content) for asked in script.asked}) == 1
    assert pauses == list(PAUSES[:3])


def test_it_gives_up_in_the_end_and_says_that_it_may_have_been_done(script: Scripted, server: RestServer) -> None:
    script.expect(CHANGES, LostAnswer("lost"))
    for _ in PAUSES:
        script.expect(CHANGES, Unreachable("refused"))
    with pytest.raises(LostAnswer):
        server.execute(CREATE)


def test_a_service_that_stays_out_of_order(script: Scripted, server: RestServer) -> None:
    for _ in (None, *PAUSES):
        script.expect(CHANGES, {"detail": "store down"}, status=503)
    with pytest.raises(Refused, match="store down"):
        server.execute(CREATE)


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (Unreachable("refused"), 0, Unreachable),
        ({"detail": "token"}, 401, Unauthorized),
        ({"detail": "read only"}, 403, Refused),
        ({"detail": "the key was used for something else"}, 409, Refused),
        ({"detail": "too many"}, 413, Refused),
        (b"<html>", 500, Refused),
        (b"<html>", 200, ServerError),
        (results(), 200, ServerError),
        ({"results": ["applied"]}, 200, ServerError),
    ],
)
def test_what_is_not_repeated(
    script: Scripted, server: RestServer, answer: Any, status: int, error: type[Exception]
) -> None:
    script.expect(CHANGES, answer, status=status)
    with pytest.raises(error):
        server.execute_many([CREATE], "k")


def test_a_plan_for_another_kind_of_server_is_refused_before_anything_is_sent(
    script: Scripted, server: RestServer
) -> None:
    script.expect(ME, ADMIN)
    with pytest.raises(Refused, match="made for a server that cannot edit"):
        server.execute_many([CREATE, Change(Action.REPLACE, "host", NAME)], "k")


@pytest.mark.parametrize("valid", [True, False])
def test_whether_a_secret_is_valid(script: Scripted, server: RestServer, valid: bool) -> None:
    script.expect(f"POST /api/hosts/{NAME}/verify-secret", {"valid": valid})
    assert server.valid(NAME, "s") is valid
    assert script.asked[0].content == {"secret": "s"}


def test_an_enrolment_token(script: Scripted, server: RestServer) -> None:
    path = f"POST /api/hosts/{NAME}/enrolments"
    for token in ("ddnse_a", "ddnse_b"):
        script.expect(path, {"token": token, "fqdn": NAME, "expires": "2030-01-01T00:00:00Z"}, status=201)
        assert server.enrolment(NAME, 600) == token
    assert script.asked[0].content == {"lifetime": 600}
    for content in ({}, {"token": ""}, {"token": 5}):
        script.expect(path, content, status=201)
        with pytest.raises(ServerError, match="sent no token"):
            server.enrolment(NAME, 600)
    script.done()


def test_a_server_without_enrolment_is_not_asked(script: Scripted) -> None:
    for _ in range(2):
        with pytest.raises(NotSupported, match=r"ddnsd 0\.0\.9 cannot create enrolment tokens"):
            RestServer(script, "0.0.9", ["changes"]).enrolment(NAME, 600)
    assert script.asked == []


def test_names_of_silent_hosts(script: Scripted, server: RestServer) -> None:
    path = "GET /api/hosts?silent_days=30&limit=10000"
    script.expect(path, {"items": [{"fqdn": NAME}], "next": "7"})
    script.expect(path + "&cursor=7", {"items": [{"fqdn": "b.dyn.example.org"}], "next": None})
    assert server.silent(30) == {NAME, "b.dyn.example.org"}
    script.done()


# ---- domains

DOMAIN_ROW = {"name": DOMAIN, "public": True, "comment": "c", "available": True, "stack": "web"}
ONE = f"/api/domains/{DOMAIN}"
EDIT = Change(Action.UPDATE, "domain", DOMAIN, {"comment": "c", "stack": "web"}, {"comment": None})
DROP = Change(Action.DELETE, "domain", DOMAIN, {"comment": "c"})
MAKE = Change(Action.CREATE, "domain", DOMAIN, after={"public": True, "stack": "web"})


def test_a_domain_is_created(script: Scripted, server: RestServer) -> None:
    script.expect("POST /api/domains", DOMAIN_ROW, status=201)
    assert server.execute(MAKE) == Done("applied")
    assert script.asked[0].content == {"name": DOMAIN, "public": True, "stack": "web"}


def test_a_domain_is_edited_as_it_was_seen(script: Scripted, server: RestServer) -> None:
    script.expect(f"GET {ONE}", DOMAIN_ROW, etag='"7"').expect(f"PATCH {ONE}", DOMAIN_ROW)
    assert server.execute(EDIT) == Done("applied")
    assert script.asked[1].content == {"comment": None}
    assert script.asked[1].headers["If-Match"] == '"7"'


def test_a_domain_that_has_moved_is_left_alone(script: Scripted, server: RestServer) -> None:
    script.expect(f"GET {ONE}", DOMAIN_ROW | {"comment": "another"})
    with pytest.raises(Stale, match=f"{DOMAIN}: comment was c and is now another"):
        server.execute(EDIT)
    script.expect(f"GET {ONE}", DOMAIN_ROW).expect(f"PATCH {ONE}", {"detail": "it has changed"}, status=412)
    with pytest.raises(Stale, match="it has changed"):
        server.execute(EDIT)


def test_a_domain_is_deleted_once(script: Scripted, server: RestServer) -> None:
    script.expect(f"GET {ONE}", DOMAIN_ROW).expect(f"DELETE {ONE}", b"", status=204)
    assert server.execute(DROP) == Done("applied")
    script.expect(f"GET {ONE}", {"detail": "unknown"}, status=404)
    assert server.execute(DROP) == Done("unchanged")
    script.expect(f"GET {ONE}", {"detail": "unknown"}, status=404)
    with pytest.raises(Refused, match=f"no domain {DOMAIN}"):
        server.execute(EDIT)


@pytest.mark.parametrize(
    ("change", "first", "line", "then"),
    [
        (MAKE, None, "POST /api/domains", DOMAIN_ROW),
        (EDIT, DOMAIN_ROW, f"PATCH {ONE}", DOMAIN_ROW | {"comment": None}),
        (DROP, DOMAIN_ROW, f"DELETE {ONE}", None),
    ],
)
def test_a_lost_answer_about_a_domain_is_looked_for(
    script: Scripted, server: RestServer, change: Change, first: Any, line: str, then: Any
) -> None:
    def round_(after: Any) -> Done | SyncError:
        if first:
            script.expect(f"GET {ONE}", first)
        script.expect(line, LostAnswer("lost"))
        script.expect(f"GET {ONE}", after, status=200 if after else 404)
        try:
            return server.execute(change)
        except SyncError as error:
            return error

    assert round_(then) == Done("applied")
    assert isinstance(round_(first), LostAnswer)
