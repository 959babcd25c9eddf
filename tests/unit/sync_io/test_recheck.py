# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a plan still holds, and what is left of changes that may have been carried out."""

from dataclasses import replace
from typing import Any

import pytest

from ddnsctl.sync.changes import Action, Change
from ddnsctl.sync.model import UNKNOWN, Domain, Host, Registered, SecretSpec
from ddnsctl.sync.recheck import check, names_of, remaining_work

A, B, D = "a.example.org", "b.example.org", "example.org"
SINK = SecretSpec("file", "secrets/a")
FULL = {"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "wildcard": False, "comment": None, "stack": "web"}
HOST = Host(A, D, "192.0.2.1", "2001:db8::1", stack="web")
CREATE = Change(Action.CREATE, "host", A, after={k: v for k, v in FULL.items() if v}, secret=SINK)
UPDATE = Change(Action.UPDATE, "host", A, {"ipv4": "192.0.2.9", "stack": "web"}, {"ipv4": "192.0.2.1"})
DELETE = Change(Action.DELETE, "host", A, FULL)
REPLACE = Change(Action.REPLACE, "host", A, FULL | {"comment": "old"}, FULL, None, SINK, "a comment is not edited")
RENAME = Change(Action.MOVE, "host", A, {"stack": "web"}, {}, B)
ANEW = Change(Action.MOVE, "host", A, FULL, FULL, B, SINK, "it does not rename")
ROTATE = Change(Action.ROTATE, "host", A, {"stack": "web"}, secret=SINK)


def registered(*things: Host | Domain) -> Registered:
    hosts = {thing.fqdn: thing for thing in things if isinstance(thing, Host)}
    return Registered(hosts, {thing.name: thing for thing in things if isinstance(thing, Domain)})


def at(host: Host, **values: Any) -> Host:
    return replace(host, **values)


@pytest.mark.parametrize(
    ("change", "things", "texts"),
    [
        (CREATE, [], []),
        (CREATE, [HOST], [f"{A} is now registered"]),
        (UPDATE, [at(HOST, ipv4="192.0.2.9")], []),
        (UPDATE, [at(HOST, ipv4="192.0.2.9", comment="not rested on")], []),
        (UPDATE, [HOST], [f"{A}: ipv4 was 192.0.2.9 and is now 192.0.2.1"]),
        (UPDATE, [at(HOST, ipv4=None)], [f"{A}: ipv4 was 192.0.2.9 and is now null"]),
        (UPDATE, [at(HOST, ipv4=UNKNOWN)], [f"{A}: ipv4 was 192.0.2.9 and is now unknown"]),
        (UPDATE, [], [f"{A} is no longer registered"]),
        (DELETE, [HOST], []),
        (
            DELETE,
            [at(HOST, wildcard=True, stack="other")],
            [f"{A}: wildcard was false and is now true", f"{A}: stack was web and is now other"],
        ),
        (RENAME, [at(HOST, fqdn=B)], []),
        (UPDATE, [at(HOST, ipv4="192.0.2.9", owner="bob", own=False)], [f"{A} belongs to the user bob"]),
        (RENAME, [], [f"{B} is no longer registered"]),
        (RENAME, [at(HOST, fqdn=B), HOST], [f"{A} is now registered"]),
        (RENAME, [at(HOST, fqdn=B, stack="x")], [f"{B}: stack was web and is now x"]),
        (Change(Action.UPDATE, "host", A, {"labels": {"a": "b"}}), [at(HOST, labels={"a": "b"})], []),
        (
            Change(Action.UPDATE, "host", A, {"labels": {"a": "b"}}),
            [HOST],
            [f'{A}: labels was {{"a": "b"}} and is now {{}}'],
        ),
        (Change(Action.UPDATE, "domain", D, {"comment": None}), [Domain(D)], []),
        (
            Change(Action.UPDATE, "domain", D, {"comment": None}),
            [Domain(D, comment="c")],
            [f"{D}: comment was null and is now c"],
        ),
        (Change(Action.CREATE, "domain", D), [Domain(D)], [f"{D} is now registered"]),
        (Change(Action.DELETE, "domain", D), [], [f"{D} is no longer registered"]),
    ],
)
def test_what_has_moved(change: Change, things: list[Host | Domain], texts: list[str]) -> None:
    for _ in range(2):
        problems = check([change], registered(*things))
        assert [problem.text for problem in problems] == texts
        assert {problem.hint for problem in problems} <= {"make a new plan"}


def test_everything_that_has_moved_is_told_at_once() -> None:
    problems = check([UPDATE, replace(DELETE, name=B)], registered(HOST))
    assert [problem.text for problem in problems] == [
        f"{A}: ipv4 was 192.0.2.9 and is now 192.0.2.1",
        f"{B} is no longer registered",
    ]


def test_a_second_change_of_a_host_rests_on_the_first() -> None:
    assert check([RENAME, ROTATE], registered(at(HOST, fqdn=B))) == ()


def test_the_names_to_look_at() -> None:
    assert names_of([UPDATE, RENAME, ROTATE, Change(Action.DELETE, "domain", D)]) == [A, B]


SECRET = ROTATE
NO_IPV6 = at(HOST, ipv6=None)
SECOND = Change(Action.UPDATE, "host", A, {"stack": "web", "ipv6": None}, {"ipv6": "2001:db8::1"}, secret=SINK)
THEIRS = at(HOST, owner="bob", own=False)
OLD_GONE = Change(Action.DELETE, "host", B, FULL)


@pytest.mark.parametrize(
    ("change", "things", "left"),
    [
        (CREATE, [], [CREATE]),
        (CREATE, [HOST], [SECRET]),
        (CREATE, [NO_IPV6], [SECOND, SECRET]),
        (CREATE, [at(HOST, stack="other")], [CREATE]),
        (CREATE, [THEIRS], [CREATE]),
        (CREATE, [at(HOST, stack=None)], [CREATE]),
        (UPDATE, [HOST], []),
        (UPDATE, [at(HOST, ipv4="192.0.2.9")], [UPDATE]),
        (UPDATE, [at(HOST, ipv4="192.0.2.7")], [UPDATE]),
        (UPDATE, [], [UPDATE]),
        (replace(UPDATE, action=Action.ADOPT), [HOST], []),
        (DELETE, [], []),
        (DELETE, [HOST], [DELETE]),
        (ROTATE, [HOST], [ROTATE]),
        (REPLACE, [], [replace(REPLACE, action=Action.CREATE, before={}, after=CREATE.after, reason="")]),
        (REPLACE, [HOST], [SECRET]),
        (REPLACE, [THEIRS], [REPLACE]),
        (REPLACE, [NO_IPV6], [SECOND, SECRET]),
        (REPLACE, [at(HOST, comment="old")], [REPLACE]),
        (RENAME, [at(HOST, fqdn=B)], [RENAME]),
        (RENAME, [HOST], []),
        (RENAME, [HOST, at(HOST, fqdn=B)], [RENAME]),
        (RENAME, [], [RENAME]),
        (ANEW, [at(HOST, fqdn=B)], [ANEW]),
        (ANEW, [HOST, at(HOST, fqdn=B)], [SECRET, OLD_GONE]),
        (ANEW, [NO_IPV6, at(HOST, fqdn=B)], [SECOND, SECRET, OLD_GONE]),
        (ANEW, [HOST], [SECRET]),
        (ANEW, [], [replace(ANEW, action=Action.CREATE, before={}, after=CREATE.after, source=None, reason="")]),
        (ANEW, [at(HOST, stack="other"), at(HOST, fqdn=B)], [ANEW]),
        (Change(Action.CREATE, "domain", D, after={"public": True}), [Domain(D, public=True)], []),
        (Change(Action.UPDATE, "domain", D, after={"public": True}), [Domain(D, public=True)], []),
        (Change(Action.DELETE, "domain", D), [], []),
    ],
)
def test_what_is_left_of_an_uncertain_change(change: Change, things: list[Host | Domain], left: list[Change]) -> None:
    for _ in range(2):
        assert list(remaining_work(change, registered(*things))) == left


def test_a_secret_that_was_kept_stays() -> None:
    assert remaining_work(CREATE, registered(NO_IPV6), kept=True) == (SECOND,)
    assert remaining_work(ANEW, registered(HOST, at(HOST, fqdn=B)), kept=True) == (OLD_GONE,)


@pytest.mark.parametrize("action", [Action.CREATE, Action.UPDATE, Action.DELETE])
def test_a_domain_that_is_not_as_it_is_to_be(action: Action) -> None:
    change = Change(action, "domain", D, after={} if action is Action.DELETE else {"public": True})
    things = [] if action is Action.CREATE else [Domain(D)]
    assert remaining_work(change, registered(*things)) == (change,)


def test_without_a_stack_a_host_is_ours_when_all_of_it_fits() -> None:
    change = replace(CREATE, after={"ipv4": "192.0.2.1"})
    assert remaining_work(change, registered(at(HOST, stack=None))) == (replace(SECRET, before={}),)
    assert remaining_work(change, registered(at(HOST, ipv4="192.0.2.7"))) == (change,)
