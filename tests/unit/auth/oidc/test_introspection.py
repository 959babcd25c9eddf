# SPDX-License-Identifier: GPL-3.0-or-later
"""Opaque access tokens: asked about once, remembered for a minute, and never for longer than they live."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from pydantic import SecretStr

from ddnsd.auth.failure_counter import FailureCounter
from ddnsd.auth.oidc import NotAsked, ProviderDown
from ddnsd.auth.oidc.bearer import CACHE_SECONDS, PAUSE_SECONDS, REFUSED_SECONDS, AccessTokens
from ddnsd.auth.oidc.client import Client
from ddnsd.auth.oidc.http_client import Http
from ddnsd.auth.oidc.provider import Provider
from ddnsd.auth.throttle import Turns
from ddnsd.db.identities import Member, OidcIdentity


class Everybody:
    """Knows whomever a provider knows."""

    async def recognise(self, somebody: OidcIdentity, *, create: bool, client_ip: str | None) -> Member | None:
        return Member(1, somebody.subject, False, somebody.groups or frozenset())


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def tokens(liar: Any, clock: Clock) -> AsyncIterator[AccessTokens]:
    http = Http()
    provider = Provider(
        name="liar", issuer=liar.issuer, client_id="ddns", client_secret=SecretStr("s"), audience=("us",)
    )
    says(liar)
    turns = Turns(1.0, 0.0, clock=clock)
    yield AccessTokens([Client(provider, http)], Everybody(), FailureCounter(3), clock=clock, turns=turns)
    await http.close()


def says(liar: Any, **changed: Any) -> None:
    told = {"active": True, "sub": "ann", "aud": "us", "exp": int(time.time()) + 600} | changed
    liar.answers["/introspect"] = 200, {name: value for name, value in told.items() if value is not None}


async def test_an_answer_is_remembered_for_a_minute(liar: Any, clock: Clock, tokens: AccessTokens) -> None:
    found = await asyncio.gather(*(tokens.verify("opaque", None) for _ in range(20)))
    assert {caller.user for caller in found if caller} == {"ann"}
    assert liar.asked("/introspect") == 1
    says(liar, active=False)
    clock.now += CACHE_SECONDS - 1
    assert await tokens.verify("opaque", None) is not None
    clock.now += 2
    assert await tokens.verify("opaque", None) is None
    assert liar.asked("/introspect") == 2
    says(liar)
    assert await tokens.verify("opaque", None) is None  # so is a no
    assert CACHE_SECONDS <= 60


async def test_a_remembered_token_ends_in_time(
    liar: Any, clock: Clock, tokens: AccessTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(liar, exp=int(time.time()) + 5)
    assert await tokens.verify("opaque", None) is not None
    later = time.time() + 120
    monkeypatch.setattr(time, "time", lambda: later)
    assert await tokens.verify("opaque", None) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"active": None},
        {"active": "true"},
        {"active": 1},
        {"aud": None},
        {"aud": "them"},
        {"sub": None},
        {"exp": 1},
        {"nbf": 9999999999},
        {"iss": "https://other.example.org"},
        {"cnf": {"jkt": "x"}},
    ],
    ids=str,
)
async def test_answers_that_let_nobody_in(liar: Any, tokens: AccessTokens, changed: dict[str, Any]) -> None:
    says(liar, **changed)
    assert await tokens.verify("opaque", None) is None


async def test_answers_that_say_nothing(liar: Any, clock: Clock, tokens: AccessTokens) -> None:
    for status in (500, 401, 403, 429):
        liar.answers["/introspect"] = status, {}
        before = liar.asked("/introspect")
        for number in range(5):
            with pytest.raises(ProviderDown):
                await tokens.verify(f"opaque{number}", "192.0.2.1")
        assert liar.asked("/introspect") == before + 1
        clock.now += PAUSE_SECONDS
    says(liar)
    assert await tokens.verify("opaque0", "192.0.2.1") is not None


async def test_junk_is_asked_about_now_and_then(liar: Any, clock: Clock, tokens: AccessTokens) -> None:
    liar.answers["/introspect"] = 400, {"error": "invalid_request"}
    for number in range(3):
        assert await tokens.verify(f"guess{number}", "192.0.2.1") is None
    assert await tokens.verify("guess3", "192.0.2.1") is None
    for number in range(4, 10):
        with pytest.raises(NotAsked):  # nothing is known of it, so nobody is told that it is wrong
            await tokens.verify(f"guess{number}", "192.0.2.1")
    assert liar.asked("/introspect") == 4
    assert await tokens.verify("guess3", "192.0.2.1") is None  # known by now, and not asked about again
    assert liar.asked("/introspect") == 4
    says(liar)
    with pytest.raises(NotAsked):
        await tokens.verify("right", "192.0.2.1")
    assert await tokens.verify("right", "192.0.2.2") is not None
    clock.now += 1.0
    assert await tokens.verify("also right", "192.0.2.1") is not None


async def test_a_token_that_was_accepted_is_accepted_whoever_fails(
    liar: Any, clock: Clock, tokens: AccessTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddnsd.auth.oidc.bearer.REMEMBERED", 5)
    assert await tokens.verify("right", "192.0.2.1") is not None
    liar.answers["/introspect"] = 400, {"error": "invalid_request"}
    for number in range(20):  # more than are remembered
        clock.now += 0.5
        with suppress(NotAsked):
            assert await tokens.verify(f"guess{number}", "192.0.2.1") is None
    before = liar.asked("/introspect")
    assert await tokens.verify("right", "192.0.2.1") is not None
    assert liar.asked("/introspect") == before
    says(liar)
    clock.now += CACHE_SECONDS
    for number in range(5):  # nobody's turn
        with suppress(NotAsked):
            await tokens.verify(f"more{number}", "192.0.2.1")
    assert await tokens.verify("right", "192.0.2.1") is not None


async def test_a_token_that_the_provider_does_not_know_yet(liar: Any, clock: Clock, tokens: AccessTokens) -> None:
    says(liar, active=False)
    assert await tokens.verify("new", None) is None
    says(liar)
    clock.now += REFUSED_SECONDS
    assert await tokens.verify("new", None) is not None
    assert REFUSED_SECONDS <= 5


async def test_tokens_of_our_own_are_no_providers(liar: Any, tokens: AccessTokens) -> None:
    assert not tokens.recognises("ddns_x")
    assert not tokens.recognises("ddnse_x")
    assert await tokens.verify("ü", None) is None
    assert await tokens.verify("x" * 20_000, None) is None
    assert liar.requests == []


# ---- several providers


@pytest.mark.parametrize(
    ("marked", "asked"),
    [(("liar",), "liar"), (("other",), "other"), ((), None)],
)
async def test_one_provider_sees_an_opaque_token(liar: Any, marked: tuple[str, ...], asked: str | None) -> None:
    """The other one could use a token that it did not issue."""
    says(liar)
    http = Http()
    providers = [
        Provider(
            name=name,
            issuer=liar.issuer if name == "liar" else "http://127.0.0.1:1",
            client_id="ddns",
            client_secret=SecretStr("s"),
            audience=("us",),
            opaque=name in marked,
        )
        for name in ("other", "liar")
    ]
    tokens = AccessTokens([Client(provider, http) for provider in providers], Everybody(), FailureCounter(3))
    if asked == "other":
        with pytest.raises(ProviderDown):
            await tokens.verify("opaque", None)
    else:
        assert (await tokens.verify("opaque", None) is not None) == (asked == "liar")
    assert liar.asked("/introspect") == (asked == "liar")
    await http.close()


async def test_a_provider_without_access_tokens_sees_none(liar: Any) -> None:
    says(liar)
    http = Http()
    signin = Provider(name="signin", issuer="http://127.0.0.1:1", client_id="ddns", client_secret=SecretStr("s"))
    accepts = Provider(
        name="liar", issuer=liar.issuer, client_id="ddns", client_secret=SecretStr("s"), audience=("us",)
    )
    tokens = AccessTokens([Client(signin, http), Client(accepts, http)], Everybody(), FailureCounter(3))
    assert await tokens.verify("opaque", None) is not None
    await http.close()
