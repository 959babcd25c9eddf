# SPDX-License-Identifier: GPL-3.0-or-later
"""Rights that a provider stated end; those that an administrator gave do not; on both databases."""

from typing import Any

import pytest
from sqlalchemy import update

from ddnsd.auth.claims_age import DAY, HOUR, ClaimsAge, is_soon
from ddnsd.auth.sessions import Lifetime, Sessions
from ddnsd.db import queries, schema
from ddnsd.db.identities import OidcIdentity
from ddnsd.db.lookups import Lookups
from ddnsd.db.rows import StatedRights
from ddnsd.registry import accounts, identities
from ddnsd.registry.identities import Identities

AGE = ClaimsAge(sessions=12 * HOUR, tokens=30 * DAY)
STATED = OidcIdentity("https://aai.example.org", "1", "ann", "ann", frozenset({"a b", "vo"}), True)
SILENT = STATED._replace(groups=None, admin=None)


async def _aged(store: Any, microseconds: int) -> None:
    moment = queries.now() - microseconds
    await store.transact(lambda c: c.execute(update(schema.identities).values(claims_at=moment)))


@pytest.fixture
async def user_id(store: Any) -> int:
    """Ann, with groups and administrator rights by a provider, and a group by an administrator."""
    member = await Identities(store).admit(STATED, create=True, client_ip=None)
    assert (member.admin, sorted(member.groups)) == (True, ["a b", "vo"])
    await store.transact(lambda c: identities.set_groups(c, "ann", frozenset({"lab"})))
    return member.user_id


async def test_rights_in_a_session(store: Any, user_id: int) -> None:
    sessions = Sessions(store, Lookups(store), Lifetime(DAY, DAY), AGE)
    cookie = await sessions.begin(user_id, "aai", None, "")
    for age, whole in ((0, True), (11 * HOUR, True), (13 * HOUR, False)):
        await _aged(store, age)
        found = await sessions.find(cookie, None)
        assert found is not None
        assert found.lapsed != whole
        assert ("admin" in found.user.scopes) == whole
        assert found.user.groups == ({"a b", "vo", "lab"} if whole else {"lab"})
    await Identities(store).admit(STATED, create=False, client_ip=None)  # they sign in again
    found = await sessions.find(cookie, None)
    assert found is not None
    assert "admin" in found.user.scopes


async def test_rights_of_access_tokens_without_claims(store: Any, user_id: int) -> None:
    for age, tokens, whole in ((29 * DAY, 30 * DAY, True), (31 * DAY, 30 * DAY, False), (400 * DAY, 0, True)):
        await _aged(store, age)
        known = Identities(store, ClaimsAge(tokens=tokens))
        member = await known.recognise(SILENT, create=False, client_ip=None)
        assert member is not None
        assert (member.admin, "vo" in member.groups, "lab" in member.groups) == (whole, whole, True)
    assert (await Identities(store, AGE).recognise(STATED, create=False, client_ip=None) or SILENT).admin
    rights = await store.read(lambda c: queries.rights(c, user_id))
    assert AGE.of_token(rights).admin  # an access token that states them makes them new


async def test_rights_by_an_administrator_stay(store: Any, user_id: int) -> None:
    await store.transact(lambda c: accounts.set_user(c, "ann", {"admin": False}))
    await store.transact(lambda c: accounts.set_user(c, "ann", {"admin": True}))
    await _aged(store, 400 * DAY)
    rights = AGE.in_session(await store.read(lambda c: queries.rights(c, user_id)))
    assert (rights.admin, list(rights.groups), rights.lapsed) == (True, ["lab"], True)


def test_the_end_is_told_a_week_before() -> None:
    now = queries.now()
    for stated, end in (
        (StatedRights(False, None, None), None),
        (StatedRights(True, None, "0 lab"), None),
        (StatedRights(True, now - DAY, "0 lab"), now + 29 * DAY),
        (StatedRights(True, now - DAY, f"{now - 2 * DAY} vo\n0 lab"), now + 28 * DAY),
    ):
        assert AGE.end_of_token(stated) == end
        assert ClaimsAge(tokens=0).end_of_token(stated) is None
    assert [is_soon(end) for end in (None, now + 8 * DAY, now + 6 * DAY, now - DAY)] == [False, False, True, True]
