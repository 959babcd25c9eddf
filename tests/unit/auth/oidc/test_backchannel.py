# SPDX-License-Identifier: GPL-3.0-or-later
"""Logout tokens of a provider: the right one, and all that are none."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from ddnsd.auth.oidc import jwt
from ddnsd.auth.oidc.backchannel import EVENT, VALID_SECONDS, LogoutToken, read
from ddnsd.auth.oidc.client import Client
from ddnsd.auth.oidc.http_client import Http
from ddnsd.auth.oidc.provider import Provider


@pytest.fixture
async def client(liar: Any) -> AsyncIterator[Client]:
    http = Http()
    yield Client(Provider(name="liar", issuer=liar.issuer, client_id="ddns"), http)
    await http.close()


def claims(liar: Any, **changed: Any) -> dict[str, Any]:
    """Those of a logout token, with some otherwise or, where they are None, not at all."""
    right: dict[str, Any] = liar.claims(**{"jti": "one", "sid": "s", "events": {EVENT: {}}} | changed)
    return right


async def test_a_logout_token_names_user_and_session(liar: Any, client: Client) -> None:
    for header in ({}, {"typ": "logout+jwt"}, {"typ": "JWT"}):
        assert await read(client, liar.signed(claims(liar), **header)) == LogoutToken("1", "s", "one")
    for changed, expected in (
        ({"sid": None}, LogoutToken("1", None, "one")),
        ({"sub": None}, LogoutToken(None, "s", "one")),
        ({"aud": ["x", "ddns"]}, LogoutToken("1", "s", "one")),
        ({"exp": None}, LogoutToken("1", "s", "one")),
        ({"events": {EVENT: {}, "x": {}}}, LogoutToken("1", "s", "one")),
    ):
        assert await read(client, liar.signed(claims(liar, **changed))) == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://other.example.org"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"iat": None},
        {"iat": True},
        {"exp": "soon"},
        {"events": None},
        {"events": {}},
        {"events": [EVENT]},
        {"events": {EVENT: True}},
        {"events": EVENT},
        {"nonce": "n"},
        {"nonce": ""},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"sub": None, "sid": None},
        {"sub": ["1"]},
        {"sid": "\0"},
        {"sid": "x" * 256},
    ],
    ids=str,
)
async def test_what_is_no_logout_token(liar: Any, client: Client, changed: dict[str, Any]) -> None:
    with pytest.raises(jwt.Invalid):
        await read(client, liar.signed(claims(liar, **changed)))


async def test_only_the_provider_signs(liar: Any, client: Client) -> None:
    other = RSAKey.generate_key(2048, {"kid": "one"})
    for token in (
        "",
        "x.y.z",
        liar.signed(claims(liar), other),
        liar.signed(claims(liar), typ="at+jwt"),
        liar.signed(claims(liar))[:-4] + "AAAA",
    ):
        with pytest.raises(jwt.Invalid):
            await read(client, token)


@pytest.mark.parametrize(("claim", "seconds"), [("iat", -VALID_SECONDS - 3600), ("iat", 3600), ("exp", -3600)])
async def test_a_logout_token_of_another_time(liar: Any, client: Client, claim: str, seconds: int) -> None:
    with pytest.raises(jwt.Invalid):
        await read(client, liar.signed(claims(liar, **{claim: int(time.time()) + int(seconds)})))
