# SPDX-License-Identifier: GPL-3.0-or-later
"""From claims to who somebody is."""

from typing import Any

import pytest

from ddnsd.auth.oidc import jwt
from ddnsd.auth.oidc.claims import presented
from ddnsd.auth.oidc.provider import Provider

EGI = Provider(
    name="egi",
    issuer="https://aai.egi.eu/auth/realms/egi",
    client_id="ddns",
    admin_group="urn:mace:egi.eu:group:ddns:role=admin#aai.egi.eu",
)


@pytest.mark.parametrize(
    ("claims", "name", "label"),
    [
        ({"preferred_username": "ann"}, "ann", "ann"),
        ({"preferred_username": "Ann Ångström", "email": "ann@x.org"}, "Ann-Angstrom", "ann@x.org"),
        ({"email": "bo.li+x@x.org"}, "bo.li+x", "bo.li+x@x.org"),
        ({"preferred_username": "李", "email": "li@x.org"}, "li", "li@x.org"),
        ({"preferred_username": "@._-", "name": "A B"}, "user", "@._-"),
        ({"preferred_username": ["x"], "email": 7}, "user", ""),
        ({"preferred_username": "a\nb", "email": "x\0@y"}, "a-b", ""),
        ({"preferred_username": "x" * 300}, "x" * 100, "x" * 255),
    ],
)
def test_names(claims: dict[str, Any], name: str, label: str) -> None:
    somebody = presented(EGI, {"sub": "1", **claims}, whole=True)
    assert (somebody.name, somebody.label, somebody.issuer, somebody.subject) == (name, label, EGI.issuer, "1")


@pytest.mark.parametrize(
    ("claims", "groups"),
    [
        ({"eduperson_entitlement": ["a", "b", "a"]}, {"a", "b"}),
        ({"eduperson_entitlement": "a"}, {"a"}),
        ({"eduperson_entitlement": [7, None, "", "x\ny", "x" * 256, ["b"], "ok"]}, {"ok"}),
        ({"eduperson_entitlement": {"a": 1}}, set()),
        ({}, set()),
    ],
)
def test_groups(claims: dict[str, Any], groups: set[str]) -> None:
    assert presented(EGI, {"sub": "1", **claims}, whole=True).groups == frozenset(groups)


def test_groups_that_lie_deeper() -> None:
    deep = EGI.model_copy(update={"groups_claim": "realm_access.roles", "admin_group": "admin"})
    found = presented(deep, {"sub": "1", "realm_access": {"roles": ["admin"]}}, whole=True)
    assert (found.groups, found.admin) == (frozenset({"admin"}), True)
    flat = presented(deep, {"sub": "1", "realm_access.roles": ["x"]}, whole=True)
    assert (flat.groups, flat.admin) == (frozenset({"x"}), False)
    assert presented(deep, {"sub": "1", "realm_access": "x"}, whole=False).groups is None


def test_what_is_not_said_changes_nothing() -> None:
    silent = presented(EGI, {"sub": "1"}, whole=False)
    assert (silent.groups, silent.admin) == (None, None)
    whole = presented(EGI, {"sub": "1"}, whole=True)
    assert (whole.groups, whole.admin) == (frozenset(), False)
    assert presented(EGI, {"sub": "1", "eduperson_entitlement": [EGI.admin_group]}, whole=False).admin is True
    nobody = EGI.model_copy(update={"admin_group": ""})
    assert presented(nobody, {"sub": "1", "eduperson_entitlement": [""]}, whole=True).admin is False


@pytest.mark.parametrize("subject", [None, "", 7, "x" * 256, "a\0b", ["x"]])
def test_nobody(subject: object) -> None:
    with pytest.raises(jwt.Invalid):
        presented(EGI, {"sub": subject}, whole=True)


@pytest.mark.parametrize(
    "issuer",
    ["http://aai.egi.eu", "https://", "aai.egi.eu", "https://u@aai.egi.eu", "https://x/?a", "https://x/#a", "ftp://x"],
)
def test_issuers_that_are_not_to_be_trusted(issuer: str) -> None:
    with pytest.raises(ValueError, match="issuer"):
        Provider(name="x", issuer=issuer, client_id="x")
