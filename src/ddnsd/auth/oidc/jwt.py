# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify signatures of JWTs with the provider's public keys, and the claims of access tokens."""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from ddnsd.auth.oidc.client import Client
from ddnsd.auth.oidc.provider import Provider

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEEWAY_SECONDS = 60
LONGEST = 16 * 1024
MOST_KEYS = 10

ACCESS_TOKEN_TYPES = ("at+jwt", "application/at+jwt")
ID_TOKEN_CLAIMS = ("nonce", "at_hash", "c_hash")


class Invalid(Exception):
    """The token is invalid; the text has the reason, without contents of the token."""


def peek(token: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Unverified header and claims, or None if it is not a signed JWT."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > LONGEST or not token.isascii():
        return None
    try:
        header, claims = (json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
    except (ValueError, RecursionError):
        return None
    return (header, claims) if isinstance(header, dict) and isinstance(claims, dict) else None


async def verified(client: Client, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWT that the provider has signed. Raises Invalid, ProviderDown."""
    seen = peek(token)
    if seen is None:
        raise Invalid("it is not a JWT")
    if seen[0].get("alg") not in ALGORITHMS:
        raise Invalid("its algorithm is not accepted")
    kid = seen[0].get("kid")
    found = _by_any(await client.keys(kid), token)
    if found is None:
        keys = await client.keys(kid, newer=True)  # the provider may have changed them
        found = _by_any(keys, token)
    if found is None:
        raise Invalid("no key of the provider has signed it")
    return found.header, found.claims


def _by_any(keys: list[Key], token: str) -> jwt.Token | None:
    for key in keys[:MOST_KEYS]:
        try:
            return jwt.decode(token, key, algorithms=ALGORITHMS)
        except (JoseError, ValueError, TypeError):
            continue
    return None


def check_access(provider: Provider, header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
    """Check that it is a valid access token for us. Raises Invalid."""
    if claims.get("iss") != provider.issuer:
        raise Invalid("it is from another issuer")
    says_so = str(header.get("typ", "")).lower() in ACCESS_TOKEN_TYPES
    if not says_so and (claims.get("typ") == "ID" or any(name in claims for name in ID_TOKEN_CLAIMS)):
        raise Invalid("it is an ID token")
    check_use(provider, claims)


def check_use(provider: Provider, claims: Mapping[str, Any], *, ends: bool = True) -> None:
    """Check audience, times and subject of a token. Raises Invalid.

    `ends`: the token must have an expiry time.
    """
    stated = claims.get("aud")
    if not any(audience in provider.audience for audience in (stated if isinstance(stated, list) else [stated])):
        raise Invalid("it is for another audience")
    if "cnf" in claims:
        raise Invalid("it is bound to a key of its holder (RFC 7800)")
    moment = time.time()
    if ("exp" in claims or ends) and not number(claims.get("exp")) > moment - LEEWAY_SECONDS:
        raise Invalid("it has expired")
    if any(number(claims.get(name, moment)) > moment + LEEWAY_SECONDS for name in ("nbf", "iat")):
        raise Invalid("it is not valid yet")
    subject_of(claims)


def subject_of(claims: Mapping[str, Any]) -> str:
    """The subject. Raises Invalid."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255 or "\0" in subject:
        raise Invalid("it has no subject")
    return subject


def number(value: object) -> float:
    """A time in claims. Raises Invalid."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid("a time is not a number")
    return value
