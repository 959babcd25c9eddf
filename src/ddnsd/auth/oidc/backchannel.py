# SPDX-License-Identifier: GPL-3.0-or-later
"""Logout tokens, with which a provider ends sessions (OpenID Connect Back-Channel Logout 1.0)."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ddnsd.auth.oidc import jwt
from ddnsd.auth.oidc.client import Client

EVENT = "http://schemas.openid.net/event/backchannel-logout"
TYPES = ("logout+jwt", "application/logout+jwt", "jwt", "")
VALID_SECONDS = 300
"""How old a logout token may be; its own end may be earlier."""

LONGEST = 255


class LogoutToken(NamedTuple):
    """The user at the provider, or their session there, that has ended; at least one is given."""

    subject: str | None
    sid: str | None
    token_id: str


async def read(client: Client, token: str) -> LogoutToken:
    """Verify a logout token (section 2.6), except whether its `token_id` was used before.

    Raises Invalid, ProviderDown.
    """
    header, claims = await jwt.verified(client, token)
    if str(header.get("typ", "")).lower() not in TYPES:
        raise jwt.Invalid("it is a token of another type")
    if claims.get("iss") != client.provider.issuer:
        raise jwt.Invalid("it is from another issuer")
    stated = claims.get("aud")
    if client.provider.client_id not in (stated if isinstance(stated, list) else [stated]):
        raise jwt.Invalid("it is for another client")
    _check_times(claims)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise jwt.Invalid("it is no logout token")
    if "nonce" in claims:
        raise jwt.Invalid("it has a nonce")
    subject, sid, token_id = (_text(claims, name) for name in ("sub", "sid", "jti"))
    if token_id is None:
        raise jwt.Invalid("it has no jti")
    if subject is None and sid is None:
        raise jwt.Invalid("it names neither a user nor a session")
    return LogoutToken(subject, sid, token_id)


def _check_times(claims: Mapping[str, Any]) -> None:
    moment = time.time()
    if not moment - VALID_SECONDS < jwt.number(claims.get("iat")) <= moment + jwt.LEEWAY_SECONDS:
        raise jwt.Invalid("it is too old, or from the future")
    if "exp" in claims and not jwt.number(claims["exp"]) > moment - jwt.LEEWAY_SECONDS:
        raise jwt.Invalid("it has expired")


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or "\0" in value:
        raise jwt.Invalid(f"its {name} is not a text")
    return value
