# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true before a change: the tag matches, and the caller may still do it."""

import pytest

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.permissions import Action
from ddnsd.registry.errors import NoDomain, NoHost, NotPermitted, Stale
from ddnsd.registry.rows import Domain, Host
from ddnsd.web.preconditions import check_match, domain_tag, expect_domain, expect_host, host_tag

ANN = Caller(Kind.USER, "ann", 1, "ann", scopes=frozenset({"read", "write"}))


def host(**values: object) -> Host:
    fields = dict.fromkeys(Host._fields) | {"id": 1, "owner_id": 1, "fqdn": "www.example.org", "domain": "example.org"}
    return Host(**{**fields, **values})  # type: ignore[arg-type]


def domain(**values: object) -> Domain:
    fields = dict.fromkeys(Domain._fields) | {"id": 1, "owner_id": 1, "name": "example.org"}
    return Domain(**{**fields, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize("if_match", [None, "*", '"tag"', '"other", "tag"', 'W/"other","tag"'])
def test_a_header_that_names_the_tag_lets_the_change_through(if_match: str | None) -> None:
    check_match(if_match, '"tag"')


@pytest.mark.parametrize("if_match", ["", '"other"', 'W/"tag"', "tag"])
def test_a_header_that_does_not_name_the_tag_is_stale(if_match: str) -> None:
    with pytest.raises(Stale):
        check_match(if_match, '"tag"')


def test_a_host_must_be_the_callers_and_unchanged() -> None:
    expect_host(ANN, Action.EDIT)(host())
    expect_host(ANN, Action.EDIT, host_tag(host()))(host(client_faults=3))
    with pytest.raises(Stale):
        expect_host(ANN, Action.EDIT, host_tag(host()))(host(comment="new"))
    with pytest.raises(NoHost):
        expect_host(ANN, Action.EDIT, host_tag(host()))(host(owner_id=2, comment="new"))


def test_a_domain_must_be_the_callers_and_unchanged() -> None:
    expect_domain(ANN, Action.EDIT, domain_tag(domain()))(domain())
    with pytest.raises(Stale):
        expect_domain(ANN, Action.EDIT, domain_tag(domain()))(domain(ttl=60))


def test_a_domain_that_the_caller_sees_is_not_permitted_and_another_one_is_unknown() -> None:
    with pytest.raises(NotPermitted):
        expect_domain(ANN, Action.EDIT)(domain(owner_id=2, public=True))
    with pytest.raises(NoDomain):
        expect_domain(ANN, Action.EDIT)(domain(owner_id=2))
