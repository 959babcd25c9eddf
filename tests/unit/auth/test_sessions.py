# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions: who they are of, when they end, and what is written about them; on both databases."""

from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from ddnsd.auth import secrets
from ddnsd.auth.caller import Kind
from ddnsd.auth.oidc.backchannel import LogoutToken
from ddnsd.auth.sessions import AGENT_LENGTH, MOST, Lifetime, Proof, Sessions
from ddnsd.db import queries, schema
from ddnsd.db import sessions as stored
from ddnsd.db.lookups import Lookups
from ddnsd.db.rows import User
from ddnsd.registry import accounts

HOUR = 3600 * 1_000_000
LIFETIME = Lifetime(idle=8 * HOUR, absolute=7 * 24 * HOUR)


@pytest.fixture
def sessions(store: Any) -> Sessions:
    return Sessions(store, Lookups(store), LIFETIME)


@pytest.fixture
async def alice(store: Any) -> int:
    user: User = await store.transact(lambda c: accounts.add_user(c, "alice"))
    return user.id


async def set_columns(store: Any, **values: Any) -> None:
    await store.transact(lambda c: c.execute(update(schema.sessions).values(**values)))


async def test_a_cookie_is_its_users(store: Any, sessions: Sessions, alice: int) -> None:
    cookie = await sessions.begin(alice, "egi", "192.0.2.1", "Firefox\x00/1" + "x" * 300)
    for _ in range(2):
        found = await sessions.find(cookie, "192.0.2.1")
        assert found is not None
        assert (found.user.user, found.user.user_id, found.user.kind) == ("alice", alice, Kind.USER)
        assert (found.user.scopes, found.user.admin, found.method) == (frozenset({"read", "write"}), False, "egi")
        assert len(found.csrf) == 64
        assert found.csrf != secrets.digest(cookie).hex()
        row = (await sessions.list(alice))[0]
        assert (row.id, row.source, row.method) == (found.id, "192.0.2.1", "egi")
    assert row.agent.startswith("Firefox /1xx")
    assert len(row.agent) == AGENT_LENGTH
    hashes = await store.read(lambda c: list(c.scalars(select(schema.sessions.c.hash))))
    assert [bytes(h) for h in hashes] == [secrets.digest(cookie)]


async def test_what_a_session_creates_ends_with_it_unless_it_is_fresh(sessions: Sessions, alice: int) -> None:
    now = queries.now()
    for ago, fresh in ((0, True), (-HOUR, True), (HOUR, False)):
        cookie = await sessions.begin(alice, "egi", None, "", proof=Proof(now - ago))
        found = await sessions.find(cookie, None)
        assert found is not None
        assert (found.is_fresh, found.proof.authenticated <= queries.now()) == (fresh, True)
        assert found.user.expires == (None if fresh else found.created + LIFETIME.absolute)


async def test_nobody_has_another_cookie(sessions: Sessions, alice: int) -> None:
    cookie = await sessions.begin(alice, "", None, "")
    for wrong in (None, "", "x", cookie[:-1], cookie + "x", cookie.swapcase(), "ü" * 43, "\0" * 43):
        assert await sessions.find(wrong, None) is None
    assert await sessions.find(cookie, None) is not None


async def test_forms_of_two_browsers_differ(sessions: Sessions, alice: int) -> None:
    found = [await sessions.find(await sessions.begin(alice, "", None, ""), None) for _ in range(2)]
    assert len({session.csrf for session in found if session}) == 2


async def test_it_ends_when_idle(store: Any, sessions: Sessions, alice: int) -> None:
    cookie = await sessions.begin(alice, "", None, "")
    await set_columns(store, last_seen=queries.now() - 7 * HOUR)
    seen = await sessions.find(cookie, None)
    assert seen is not None
    assert queries.now() - seen.last_seen < HOUR
    await set_columns(store, last_seen=queries.now() - 9 * HOUR)
    assert await sessions.find(cookie, None) is not None  # this process has seen it just now
    other = Sessions(store, Lookups(store), LIFETIME)
    assert await other.find(cookie, None) is None
    assert await other.list(alice) == []
    await sessions.record_seen()
    assert await other.find(cookie, None) is not None


async def test_it_ends_in_any_case(store: Any, sessions: Sessions, alice: int) -> None:
    cookie = await sessions.begin(alice, "", None, "")
    await set_columns(store, created=queries.now() - 7 * 24 * HOUR + HOUR)
    assert await sessions.find(cookie, None) is not None
    await set_columns(store, created=queries.now() - 7 * 24 * HOUR - HOUR)
    assert await sessions.find(cookie, None) is None
    assert await sessions.list(alice) == []


async def test_use_is_written_now_and_then(store: Any, sessions: Sessions, alice: int) -> None:
    cookie = await sessions.begin(alice, "", None, "")
    before = queries.now() - HOUR
    await set_columns(store, last_seen=before)
    for _ in range(3):
        await sessions.find(cookie, None)
    seen = select(schema.sessions.c.last_seen)
    assert await store.read(lambda c: c.scalar(seen)) == before
    for _ in range(2):
        await sessions.record_seen()
        assert await store.read(lambda c: c.scalar(seen)) > before + HOUR - 1_000_000


async def test_a_new_sign_in_ends_the_browsers_old_session(sessions: Sessions, alice: int) -> None:
    old = await sessions.begin(alice, "", None, "")
    found = await sessions.find(old, None)
    assert found is not None
    new = await sessions.begin(alice, "", None, "", replaces=found.id)
    assert await sessions.find(old, None) is None
    assert await sessions.find(new, None) is not None


async def test_one_or_all_are_ended(sessions: Sessions, alice: int) -> None:
    cookies = [await sessions.begin(alice, "", None, "") for _ in range(4)]
    found = [await sessions.find(cookie, None) for cookie in cookies]
    ids = [session.id for session in found if session]
    for _ in range(2):
        await sessions.end(ids[0])
    assert [row.id for row in await sessions.list(alice)] == ids[:0:-1]
    assert await sessions.end_all(alice, but=ids[1]) == 2
    assert [await sessions.find(cookie, None) is not None for cookie in cookies] == [False, True, False, False]
    assert await sessions.end_all(alice) == 1
    assert await sessions.list(alice) == []


async def test_a_provider_ends_sessions(sessions: Sessions, alice: int) -> None:
    proofs = [Proof(0, "sub", "s1"), Proof(0, "sub", "s2"), Proof(0, "sub"), Proof(0, "else", "s1"), Proof(0, "else")]

    async def left(subject: str | None, sid: str | None) -> list[int]:
        """Which of new sessions with these proofs a logout token leaves."""
        await sessions.end_all(alice)
        cookies = [await sessions.begin(alice, "egi", None, "", proof=proof) for proof in proofs]
        assert await sessions.end_by_provider("egi", LogoutToken(subject, sid, f"{subject} {sid}"), None)
        return [number for number, cookie in enumerate(cookies) if await sessions.find(cookie, None)]

    assert await left("sub", None) == [3, 4]
    assert await left(None, "s1") == [1, 2, 4]
    assert await left("sub", "s1") == [1, 3, 4]  # an ID token need not have a sid


async def test_rights_are_those_of_the_moment(store: Any, sessions: Sessions, alice: int) -> None:
    cookie = await sessions.begin(alice, "", None, "")
    await store.transact(lambda c: accounts.set_user(c, "alice", {"admin": True}))
    rows = [
        {"user_id": alice, "identity_id": number, "group": group} for number, group in ((0, "a"), (0, "b"), (7, "a"))
    ]
    await store.transact(lambda c: c.execute(insert(schema.memberships), rows))
    found = await sessions.find(cookie, None)
    assert found is not None
    assert (found.user.scopes, found.user.groups) == (frozenset({"read", "write", "admin"}), frozenset({"a", "b"}))
    assert not found.user.admin
    await store.transact(lambda c: accounts.set_user(c, "alice", {"active": False}))
    assert await sessions.find(cookie, None) is None
    await store.transact(lambda c: accounts.set_user(c, "alice", {"active": True}))
    assert await sessions.find(cookie, None) is None  # who comes back signs in anew


async def test_passwords_that_are_switched_off(store: Any, sessions: Sessions, alice: int) -> None:
    by_password, by_provider = await sessions.begin(alice, "", None, ""), await sessions.begin(alice, "egi", None, "")
    without = Sessions(store, Lookups(store), LIFETIME, passwords=False)
    assert await without.find(by_password, None) is None
    assert await without.find(by_provider, None) is not None
    assert [row.method for row in await without.list(alice)] == ["egi"]


async def test_a_user_has_so_many_at_most(sessions: Sessions, alice: int) -> None:
    cookies = [await sessions.begin(alice, "", None, "") for _ in range(MOST + 2)]
    assert len(await sessions.list(alice)) == MOST
    assert [await sessions.find(cookie, None) is None for cookie in cookies[:3]] == [True, True, False]


async def test_what_has_ended_is_forgotten(store: Any, sessions: Sessions, alice: int) -> None:
    for created, seen in ((1, 1), (1, 9), (9, 9)):
        cookie = await sessions.begin(alice, "", None, "")
        hashed = secrets.digest(cookie)
        aged = update(schema.sessions).where(schema.sessions.c.hash == hashed).values(created=created, last_seen=seen)
        await store.transact(partial(Connection.execute, statement=aged))
    assert await store.transact(lambda c: stored.forget_ended(c, 5, 0, 1)) == 1
    assert await store.transact(lambda c: stored.forget_ended(c, 5, 0, 1)) == 0
    assert await store.transact(lambda c: stored.forget_ended(c, 5, 5, 9)) == 1
    assert await store.transact(lambda c: stored.forget_ended(c, 5, 5, 9)) == 0
