# SPDX-License-Identifier: GPL-3.0-or-later
"""Users as providers know them, on both databases."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from ddnsd.db import identities as stored
from ddnsd.db import queries, schema, sessions
from ddnsd.db.identities import OidcIdentity
from ddnsd.db.sessions import NewSession
from ddnsd.registry import account_removal, accounts, identities
from ddnsd.registry.account_removal import Removal
from ddnsd.registry.errors import Invalid, NotAdmitted, Taken
from ddnsd.registry.identities import SECOND, Identities

ISSUER = "https://aai.example.org"


def somebody(subject: str = "1", name: str = "ann", **changed: Any) -> OidcIdentity:
    return OidcIdentity(ISSUER, subject, f"{name}@example.org", name, frozenset(), False)._replace(**changed)


async def test_whom_a_provider_knows(store: Any) -> None:
    known = Identities(store)
    assert await known.recognise(somebody(), create=False, client_ip=None) is None
    with pytest.raises(NotAdmitted):
        await known.admit(somebody(), create=False, client_ip=None)
    assert await store.read(queries.user_count) == 0
    made = await known.admit(somebody(groups=frozenset({"a", "b"})), create=True, client_ip="192.0.2.1")
    assert (made.name, made.admin, made.groups) == ("ann", False, frozenset({"a", "b"}))
    for create in (True, False):
        silent = somebody(groups=None, admin=None)
        assert await known.recognise(silent, create=create, client_ip=None) == made
    left = await known.recognise(somebody(groups=frozenset({"b", "c"})), create=False, client_ip=None)
    assert left == made._replace(groups=frozenset({"b", "c"}))
    await store.transact(lambda c: accounts.set_user(c, "ann", {"active": False}))
    assert await known.recognise(somebody(), create=True, client_ip=None) is None
    with pytest.raises(NotAdmitted):
        await known.admit(somebody(), create=True, client_ip=None)
    said = select(schema.events.c.action).order_by(schema.events.c.id)
    assert await store.read(lambda c: list(c.scalars(said))) == ["user.add", "identity.add", "user.set"]


async def test_many_at_once_are_one(store: Any) -> None:
    known = Identities(store)
    found = await asyncio.gather(*(known.recognise(somebody(), create=True, client_ip=None) for _ in range(8)))
    assert {member.name for member in found if member} == {"ann"}
    assert await store.read(queries.user_count) == 1


async def test_rights_by_a_claim(store: Any) -> None:
    known = Identities(store)

    async def comes(admin: bool | None, subject: str = "1") -> bool:
        groups = None if admin is None else frozenset({"g"})
        return (await known.admit(somebody(subject, admin=admin, groups=groups), create=True, client_ip=None)).admin

    assert [await comes(admin) for admin in (False, True, None, True, False)] == [False, True, True, True, False]
    await store.transact(lambda c: accounts.set_user(c, "ann", {"admin": True}))
    assert [await comes(admin) for admin in (False, True, False)] == [True, True, True]
    await store.transact(lambda c: accounts.set_user(c, "ann", {"admin": False}))
    assert await comes(True)
    await store.transact(lambda c: accounts.set_user(c, "ann", {"admin": True, "active": True}))  # as she is
    assert [await comes(admin) for admin in (False, True)] == [False, True]
    await store.transact(lambda c: accounts.add_user(c, "ann", admin=True))  # from now on a person's word
    assert await comes(False)
    said = select(schema.events.c.detail).order_by(schema.events.c.id.desc()).limit(1)
    assert await store.read(lambda c: c.scalar(said)) == "admin on"


async def test_older_claims_change_nothing(store: Any) -> None:
    known, now = Identities(store), queries.now()

    async def states(seconds_ago: int, group: str = "") -> tuple[frozenset[str], int]:
        """The groups, and the seconds since they were stated, after a token with these claims."""
        claims = somebody(groups=frozenset({group} - {""}), stated=now - seconds_ago * SECOND)
        member = await known.recognise(claims, create=True, client_ip=None)
        found = await store.read(lambda c: stored.linked_identity(c, ISSUER, "1"))
        assert member is not None
        return member.groups, (now - found.claims_at) // SECOND

    old, none = frozenset({"old"}), frozenset[str]()
    assert await states(500, "old") == (old, 500)
    assert await states(400, "old") == (old, 400)  # the same rights, stated again
    assert await states(450) == (old, 400)
    assert await states(5) == (none, 5)
    assert await states(400, "old") == (none, 5)
    await known.admit(somebody(), create=False, client_ip=None)  # a sign-in states what is true now
    assert (await states(5, "old"))[0] == none


async def test_of_many_claims_at_once_the_newest_stay(store: Any) -> None:
    known, now = Identities(store), queries.now()
    await known.admit(somebody(stated=now - 100 * SECOND), create=True, client_ip=None)
    ages = [5, 1, 7, 3, 9, 2, 8, 4, 6]
    claims = (somebody(groups=frozenset({str(age)}), stated=now - age * SECOND) for age in ages)
    await asyncio.gather(*(known.recognise(each, create=False, client_ip=None) for each in claims))
    found = await store.read(lambda c: stored.linked_identity(c, ISSUER, "1"))
    assert (found.own_groups, found.claims_at) == ("1", now - SECOND)


async def test_identities_come_and_go(store: Any) -> None:
    known = Identities(store)
    ann = await known.admit(somebody(groups=frozenset({"a"})), create=True, client_ip=None)
    bob = await known.admit(somebody("2", "bob"), create=True, client_ip=None)
    with pytest.raises(Invalid, match="only way"):
        await known.unlink(ann.user_id, 1, None, methods={})
    for _ in range(2):
        await known.link(ann.user_id, somebody("3", groups=frozenset({"b"}), admin=True), None)
    with pytest.raises(Taken):
        await known.link(bob.user_id, somebody("3"), None)
    both = await known.recognise(somebody("3", groups=None, admin=None), create=False, client_ip=None)
    assert both == ann._replace(admin=True, groups=frozenset({"a", "b"}))
    held = await store.read(lambda c: stored.identities_of(c, ann.user_id))
    assert [identity.subject for identity in held] == ["1", "3"]
    for other in (held[1].id, 999):
        with pytest.raises(Invalid, match="no such"):
            await known.unlink(bob.user_id, other, None, methods={})
    await known.unlink(ann.user_id, held[1].id, None, methods={})
    assert await known.recognise(somebody("1", groups=None), create=False, client_ip=None) == ann
    assert await known.recognise(somebody("3"), create=False, client_ip=None) is None
    await store.transact(lambda c: identities.set_password(c, "ann", "hash"))
    await known.unlink(ann.user_id, held[0].id, None, methods={})
    assert await store.read(lambda c: stored.groups_of(c, ann.user_id)) == []


async def test_the_last_way_in_stays(store: Any) -> None:
    known, without = Identities(store), Identities(store, passwords=False)
    ann = await known.admit(somebody(), create=True, client_ip=None)
    await known.link(ann.user_id, somebody("3"), None)
    await store.transact(lambda c: identities.set_password(c, "ann", "hash"))
    held = await store.read(lambda c: stored.identities_of(c, ann.user_id))
    tries = (without.unlink(ann.user_id, identity.id, None, methods={}) for identity in held)
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Invalid", "NoneType"]
    (left,) = await store.read(lambda c: stored.identities_of(c, ann.user_id))
    with pytest.raises(Invalid, match="only way"):
        await without.unlink(ann.user_id, left.id, None, methods={})
    await known.unlink(ann.user_id, left.id, None, methods={})


async def test_an_identity_takes_its_sessions_along(store: Any) -> None:
    known = Identities(store)
    ann = await known.admit(somebody(), create=True, client_ip=None)
    await known.link(ann.user_id, somebody("3"), None)
    for number, method in enumerate(("aai", "aai", "other", "")):
        new = NewSession(ann.user_id, bytes([number]), method, None, "", 0)
        await store.transact(lambda c, new=new: sessions.add(c, new))
    here = await store.read(lambda c: min(row.id for row in sessions.of_user(c, ann.user_id)))
    held = await store.read(lambda c: stored.identities_of(c, ann.user_id))
    await known.unlink(ann.user_id, held[0].id, None, methods={ISSUER: "aai", "https://x": "other"}, keep=here)
    left = await store.read(lambda c: sessions.of_user(c, ann.user_id))
    assert sorted((row.id == here, row.method) for row in left) == [(False, ""), (False, "other"), (True, "aai")]


async def test_groups_of_an_administrators_hand(store: Any) -> None:
    known = Identities(store)
    ann = await known.admit(somebody(groups=frozenset({"a", "b"})), create=True, client_ip=None)
    for _ in range(2):
        await store.transact(lambda c: identities.set_groups(c, "ann", frozenset({"b", "z"})))
    assert await store.read(lambda c: stored.groups_of(c, ann.user_id)) == ["a", "b", "z"]
    assert await store.read(lambda c: stored.groups_of(c, ann.user_id, given=True)) == ["b", "z"]
    await known.admit(somebody(), create=False, client_ip=None)
    assert await store.read(lambda c: stored.groups_of(c, ann.user_id)) == ["b", "z"]
    for wrong in ("", "a\nb", "x" * 256):
        with pytest.raises(Invalid):
            await store.transact(lambda c, wrong=wrong: identities.set_groups(c, "ann", frozenset({wrong})))


async def test_whoever_leaves_takes_all_along(store: Any) -> None:
    ann = await Identities(store).admit(somebody(groups=frozenset({"a"})), create=True, client_ip=None)
    await store.transact(lambda c: identities.set_password(c, "ann", "hash"))
    await store.transact(lambda c: account_removal.step(c, Removal("ann", accounts.ACTOR, None)))
    for table in (schema.identities, schema.memberships, schema.passwords):
        assert await store.read(lambda c, table=table: c.execute(select(table)).all()) == []
    again = await Identities(store).admit(somebody(), create=True, client_ip=None)
    assert again.name == ann.name
