# SPDX-License-Identifier: GPL-3.0-or-later
"""Guesses are slowed down: how many reads they cost, and that none of them turns away the right secret."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from ddnsd.auth import secrets
from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.caller import BadCredentials, Caller, Kind
from ddnsd.auth.claims_age import ClaimsAge
from ddnsd.auth.throttle import MEMORY_SECONDS, LoginThrottle, Turns
from ddnsd.auth.tokens import LocalTokens
from ddnsd.db import queries, schema
from ddnsd.db.base import StoreDown
from ddnsd.db.lookups import Lookups
from ddnsd.registry import accounts
from ddnsd.registry.credentials import add_token
from ddnsd.registry.token_scope import TokenScope

FQDN, SECRET, TOKEN = "a.example.org", "right", "ddns_right"
SOURCE = "192.0.2.1"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def signin(store: Any, clock: Clock) -> SignIn:
    await store.transact(_fill)
    lookups = Lookups(store)
    throttle = LoginThrottle(store, lookups, 3, clock=clock)
    return SignIn(lookups, throttle, [LocalTokens(store, throttle, ClaimsAge())])


def _fill(connection: Connection) -> None:
    user = accounts.new_user(connection, "ann")
    values = {"name": "example.org", "owner_id": user.id, "primary": "[::1]:53", "created": 0}
    key = {"key_name": "k", "key_algorithm": "hmac-sha256", "key_secret": "c2VjcmV0"}
    connection.execute(insert(schema.domains).values(**values, **key))
    hashed = secrets.verifier(SECRET)
    queries.add_host(connection, domain_id=1, owner_id=user.id, fqdn=FQDN, name="a", secret_hash=hashed)
    add_token(connection, user, "t", TOKEN, TokenScope(("read",)))


@pytest.fixture
def reads(store: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries of the hot path, as they are run."""
    seen: list[str] = []
    rows = store.rows

    def counted(sql: str, parameters: tuple[Any, ...]) -> Any:
        seen.append(sql)
        return rows(sql, parameters)

    monkeypatch.setattr(store, "rows", counted)
    return seen


async def attempt(signin: SignIn, name: str, secret: str, client_ip: str = SOURCE) -> Caller | None:
    try:
        return await signin.by_password(name, secret, client_ip)
    except BadCredentials:
        return None


async def fail(signin: SignIn, times: int = 3) -> None:
    for number in range(times):
        assert await attempt(signin, FQDN, f"wrong{number}") is None


async def test_a_flood_of_guesses_shares_a_read_with_the_right_secret(signin: SignIn, reads: list[str]) -> None:
    await fail(signin)
    reads.clear()
    guesses = [attempt(signin, FQDN, f"guess{number}") for number in range(500)]
    found = await asyncio.gather(attempt(signin, FQDN, SECRET), *guesses)
    assert found[0] is not None
    assert found[0].kind is Kind.HOST
    assert found[1:] == [None] * 500
    assert len(reads) == 1


async def test_guesses_with_many_names_and_at_many_doors_share_reads(signin: SignIn, reads: list[str]) -> None:
    for number in range(15):
        assert await attempt(signin, f"n{number}.example.net", "wrong") is None
    reads.clear()

    async def token(text: str) -> Caller | None:
        try:
            return await signin.by_token(text, SOURCE)
        except BadCredentials:
            return None

    async def duck(text: str) -> Caller | None:
        try:
            return await signin.by_secret(text, FQDN, SOURCE)
        except BadCredentials:
            return None

    found = await asyncio.gather(
        token(TOKEN),
        duck(SECRET),
        attempt(signin, FQDN, SECRET),
        *(token(f"ddns_{number}") for number in range(100)),
        *(duck(f"s{number}") for number in range(100)),
        *(attempt(signin, f"m{number}.example.net", "x") for number in range(100)),
        *(attempt(signin, f"k-{number}", "x") for number in range(100)),
    )
    assert [caller is not None for caller in found[:3]] == [True] * 3
    assert found[3:] == [None] * 400
    assert len(reads) == 5  # hosts, keys, tokens, hosts by secret, keys by secret


async def test_a_repeated_wrong_pair_is_refused_from_memory(signin: SignIn, reads: list[str], clock: Clock) -> None:
    await fail(signin, 4)
    reads.clear()
    for _ in range(100):
        with pytest.raises(BadCredentials) as refusal:
            await signin.by_password(FQDN, "wrong3", SOURCE)
        assert refusal.value.host_id == 1
    assert reads == []
    clock.now += MEMORY_SECONDS + 0.01
    assert await attempt(signin, FQDN, "wrong3") is None
    assert len(reads) == 1


async def test_memory_ends_with_the_next_change(signin: SignIn, store: Any) -> None:
    await fail(signin, 4)
    hashed = secrets.verifier("wrong3")
    await store.transact(lambda c: queries.set_host(c, 1, secret_hash=hashed))
    assert await attempt(signin, FQDN, "wrong3") is not None


async def test_success_does_not_let_others_guess_on(signin: SignIn, reads: list[str]) -> None:
    await fail(signin)
    assert await attempt(signin, FQDN, SECRET) is not None
    reads.clear()
    await asyncio.gather(*(attempt(signin, FQDN, f"guess{number}") for number in range(50)))
    assert len(reads) == 1


async def test_a_token_from_elsewhere_is_not_remembered_as_wrong(signin: SignIn, store: Any) -> None:
    def limited(connection: Connection) -> None:
        user = accounts.user_named(connection, "ann")
        add_token(connection, user, "here", "ddns_here", TokenScope(("read",), networks=("192.0.2.0/24",)))

    await store.transact(limited)
    for _ in range(5):
        with pytest.raises(BadCredentials):
            await signin.by_token("ddns_here", "198.51.100.1")
    assert (await signin.by_token("ddns_here", SOURCE)).user == "ann"


async def test_a_database_that_is_down_is_no_wrong_secret(signin: SignIn, store: Any) -> None:
    await fail(signin)

    def down(*_: Any) -> Any:
        raise StoreDown("gone")

    store.rows = down
    found = await asyncio.gather(*(signin.by_password(FQDN, SECRET, SOURCE) for _ in range(2)), return_exceptions=True)
    assert [type(error) for error in found] == [StoreDown] * 2
    del store.rows
    assert await attempt(signin, FQDN, SECRET) is not None


async def test_turns(clock: Clock) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    turns = Turns(1.0, 2.0, clock=clock, sleep=sleep)
    assert [await turns.take(SOURCE) for _ in range(5)] == [True, True, True, False, False]
    assert slept == [0, 1, 2]
    assert await turns.take("198.51.100.1")
    clock.now += 1.5
    assert await turns.take(SOURCE)
