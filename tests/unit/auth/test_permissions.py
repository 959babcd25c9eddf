# SPDX-License-Identifier: GPL-3.0-or-later
"""One function decides what a caller may do."""

import pytest

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.permissions import SERVICE, Action, Subject, can, is_name_allowed
from ddnsd.db.domain_requests import DomainRequest
from ddnsd.db.rows import Domain, Host


def host(**values: object) -> Host:
    fields = dict.fromkeys(Host._fields)
    named = {"id": 1, "owner_id": 7, "fqdn": "a.dyn.example.org", "domain": "dyn.example.org"}
    return Host(**{**fields, **named, **values})  # type: ignore[arg-type]


def domain(*, public: bool = True, owner_id: int = 1, group: str | None = None) -> Domain:
    fields = dict.fromkeys(Domain._fields) | {"name": "dyn.example.org"}
    return Domain(**{**fields, "public": public, "owner_id": owner_id, "group": group})  # type: ignore[arg-type]


def request(**values: object) -> DomainRequest:
    fields = dict.fromkeys(DomainRequest._fields) | {"user_id": 7, "name": "new.example.org"}
    return DomainRequest(**{**fields, **values})  # type: ignore[arg-type]


def user(*scopes: str, **limits: object) -> Caller:
    return Caller(Kind.USER, "u", 7, "u", scopes=frozenset(scopes), **limits)  # type: ignore[arg-type]


# (caller, action, subject, allowed)
CASES = [
    (user("write"), Action.UPDATE, host(), True),
    (user("read"), Action.UPDATE, host(), False),
    (user("read"), Action.LIST, host(), True),
    (user("write"), Action.LIST, host(), False),
    (user("admin"), Action.DELETE, host(), True),
    (user("write"), Action.DELETE, host(owner_id=8), False),
    (user("write", domains=("dyn.*",)), Action.UPDATE, host(), True),
    (user("write", domains=("other.org",)), Action.UPDATE, host(), False),
    (user("write", host_patterns=("a.*",)), Action.ROTATE, host(), True),
    (user("write", host_patterns=("b.*",)), Action.ROTATE, host(), False),
    # a host of another user in one's domain
    (user("read"), Action.OVERSEE, host(owner_id=8, domain_owner_id=7), True),
    (user("write"), Action.BLOCK, host(owner_id=8, domain_owner_id=7), True),
    (user("write"), Action.DELETE, host(owner_id=8, domain_owner_id=7), True),
    *[
        (user("read", "write"), action, host(owner_id=8, domain_owner_id=7), False)
        for action in (Action.LIST, Action.UPDATE, Action.EDIT, Action.ROTATE)
    ],
    (user("read"), Action.DELETE, host(owner_id=8, domain_owner_id=7), False),
    (user("read", "write", host_patterns=("b.*",)), Action.OVERSEE, host(owner_id=8, domain_owner_id=7), False),
    (user("read", "write", domains=("other.org",)), Action.BLOCK, host(owner_id=8, domain_owner_id=7), False),
    (user("read", "write"), Action.OVERSEE, host(owner_id=8, domain_owner_id=9), False),
    # one's own host in the domain of another user, and in one's own
    (user("read"), Action.OVERSEE, host(domain_owner_id=8), True),
    (user("read", "write"), Action.BLOCK, host(domain_owner_id=8), False),
    (user("read", "write"), Action.BLOCK, host(domain_owner_id=7), True),
    (user("write", admin=True), Action.BLOCK, host(owner_id=8, domain_owner_id=9), True),
    (user("write"), Action.REGISTER, domain(), True),
    (user("write"), Action.REGISTER, domain(public=False), False),
    (user("write"), Action.REGISTER, domain(public=False, owner_id=7), True),
    (user("read"), Action.REGISTER, domain(), False),
    (user("write"), Action.EDIT, domain(owner_id=7), True),
    (user("write"), Action.EDIT, domain(), False),
    (user("write"), Action.DELETE, domain(public=False), False),
    (user("write", groups=frozenset({"g"})), Action.REGISTER, domain(public=False, group="g"), True),
    (user("write", groups=frozenset({"g"})), Action.EDIT, domain(public=False, group="g"), False),
    (user("write", groups=frozenset({"h"})), Action.REGISTER, domain(public=False, group="g"), False),
    (user("read"), Action.LIST, domain(public=False, group="g"), False),
    (user("admin"), Action.EDIT, domain(), False),
    (user("admin", admin=True), Action.EDIT, domain(public=False), True),
    (user("admin", admin=True), Action.DELETE, host(owner_id=8), True),
    (user("admin", admin=True, domains=("other.org",)), Action.DELETE, host(owner_id=8), False),
    (user("admin", admin=True, domains=("other.org",)), Action.EDIT, domain(), False),
    (user("admin", admin=True), Action.ADMINISTER, SERVICE, True),
    (user("read", "write"), Action.ADMINISTER, SERVICE, False),
    (user("admin", admin=True, domains=("*",)), Action.ADMINISTER, SERVICE, False),
    (user("admin", admin=True, host_patterns=("*",)), Action.ADMINISTER, SERVICE, False),
    (Caller(Kind.KEY, "k", 7), Action.ADMINISTER, SERVICE, False),
    (user("admin", admin=True, host_patterns=("*",)), Action.EDIT, domain(), False),
    (user("write", host_patterns=("*.dyn.example.org",)), Action.REGISTER, domain(), True),
    (user("write", host_patterns=("a?.*",)), Action.REGISTER, domain(), True),
    (user("write", host_patterns=("*.sub.dyn.example.org",)), Action.REGISTER, domain(), True),
    (user("read", host_patterns=("*.example.net",)), Action.LIST, domain(), False),
    (user("read"), Action.LIST, request(), True),
    (user("read"), Action.LIST, request(user_id=8), False),
    (user("admin", admin=True), Action.LIST, request(user_id=8), True),
    (user("admin", admin=True), Action.DELETE, request(user_id=8), False),
    (user("admin", admin=True, domains=("*.org",)), Action.LIST, request(user_id=8), True),
    (user("admin", admin=True, domains=("*.net",)), Action.LIST, request(), False),
    (user("admin", admin=True, host_patterns=("*",)), Action.LIST, request(), False),
    (Caller(Kind.HOST, "a", 7, hosts=(host(),)), Action.UPDATE, host(), True),
    (Caller(Kind.HOST, "a", 7, hosts=(host(),)), Action.UPDATE, host(id=2), False),
    (Caller(Kind.HOST, "a", 7, hosts=(host(),)), Action.DELETE, host(), False),
    (Caller(Kind.KEY, "k", 7, hosts=(host(), host(id=2))), Action.UPDATE, host(id=2), True),
    (Caller(Kind.KEY, "k", 7, hosts=(host(),)), Action.REGISTER, domain(), False),
]


@pytest.mark.parametrize(("caller", "action", "subject", "allowed"), CASES)
def test_cases(caller: Caller, action: Action, subject: Subject, allowed: bool) -> None:
    assert can(caller, action, subject) is allowed


def test_patterns_limit_what_may_be_named() -> None:
    assert is_name_allowed(user("write"), "x.dyn.example.org")
    assert is_name_allowed(user("write", host_patterns=("web-*.dyn.example.org",)), "web-1.dyn.example.org")
    assert not is_name_allowed(user("write", host_patterns=("web-*.dyn.example.org",)), "db.dyn.example.org")
