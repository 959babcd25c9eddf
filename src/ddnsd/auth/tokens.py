# SPDX-License-Identifier: GPL-3.0-or-later
"""Local tokens (`ddns_…`): one lookup on a hash, limits checked, last use written lazily."""

import ipaddress
from typing import Protocol

from sqlalchemy import Connection, bindparam, update

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.claims_age import ClaimsAge
from ddnsd.auth.secrets import TOKEN_PREFIX, verifier
from ddnsd.auth.throttle import LoginThrottle
from ddnsd.db import queries, schema
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.rows import Token
from ddnsd.db.stacks import given_to

NAME = "token"
"""In place of a name, which an unknown token does not have."""


class Verifier(Protocol):
    """An authenticator for one kind of Bearer token."""

    def recognises(self, token: str) -> bool:
        """Whether the token has the form of this kind."""

    async def verify(self, token: str, client_ip: str | None) -> Caller | None:
        """The caller, or None for a token that is unknown, expired or used from a wrong network.

        Raises StoreDown, ProviderDown if a provider must be asked, BadCredentials for a token that was just refused.
        """


class LocalTokens:
    """The tokens in the database."""

    def __init__(self, store: Store, throttle: LoginThrottle, claims_age: ClaimsAge) -> None:
        self._store, self._throttle, self._claims_age = store, throttle, claims_age
        self._used: dict[int, int] = {}

    def recognises(self, token: str) -> bool:
        return token.startswith(TOKEN_PREFIX)

    async def verify(self, token: str, client_ip: str | None) -> Caller | None:
        guess = self._throttle.begin(NAME, token, client_ip or "")
        row = await guess.rows.token.one(verifier(token))
        if row is None or not usable(row, client_ip):
            self._throttle.failed(guess, wrong=row is None)
            return None
        return await self.caller(row)

    async def caller(self, row: Token) -> Caller:
        """The caller of a usable token, which is used now. Raises StoreDown."""
        self._used[row.id] = queries.now()
        scopes, rights = frozenset(row.scopes.split()), self._claims_age.of_token(row.rights)
        patterns = tuple(row.stacks.split())
        given = await self._store.read(lambda c: given_to(c, row.user_id, patterns)) if patterns else frozenset()
        return Caller(
            Kind.USER,
            row.user,
            row.user_id,
            row.user,
            scopes=scopes if rights.admin else scopes - {"admin"},
            domains=tuple(row.domains.split()),
            host_patterns=tuple(row.hosts.split()),
            stacks=patterns,
            given=given,
            groups=rights.groups,
            token_id=row.id,
            credential_name=row.name,
            expires=row.expires,
        )

    async def record_use(self) -> None:
        """Store when tokens were last used. Raises StoreDown; then it keeps them for the next call."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._store.transact(lambda c: _record(c, used))
        except StoreDown:
            self._used = used | self._used
            raise


def usable(token: Token, client_ip: str | None) -> bool:
    """Whether the token works now, from this address."""
    if not token.active:
        return False
    if token.expires is not None and token.expires <= queries.now():
        return False
    if not token.networks:
        return True
    return client_ip is not None and any(
        ipaddress.ip_address(client_ip) in ipaddress.ip_network(n) for n in token.networks.split()
    )


def _record(connection: Connection, used: dict[int, int]) -> None:
    statement = update(schema.tokens).where(schema.tokens.c.id == bindparam("token")).values(last_used=bindparam("at"))
    connection.execute(statement, [{"token": token, "at": at} for token, at in used.items()])
