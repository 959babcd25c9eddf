# SPDX-License-Identifier: GPL-3.0-or-later
"""Access tokens of providers on `/nic` and `/api`."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.failure_counter import FailureCounter, network
from ddnsd.auth.oidc import NotAsked, ProviderDown, jwt
from ddnsd.auth.oidc.claims import presented
from ddnsd.auth.oidc.client import Client
from ddnsd.auth.oidc.provider import of_opaque_tokens
from ddnsd.auth.secrets import ENROLMENT_PREFIX, TOKEN_PREFIX, digest
from ddnsd.auth.throttle import Turns
from ddnsd.db.identities import Member, OidcIdentity

log = structlog.get_logger()

CACHE_SECONDS = 60.0
"""How long a token still works after the provider has revoked it."""

REFUSED_SECONDS = 5.0
"""How long a refusal is cached; a provider may learn of a new token a little later."""

PAUSE_SECONDS = 3.0
"""How long a failed provider is not asked again."""

LAST_MOMENT = 2**40
"""A later end of a token, in seconds since the epoch, counts as this."""

REMEMBERED = 10_000
AT_ONCE = 8
"""Concurrent requests to a provider; others wait."""

TURN_SECONDS, LONGEST_TURN = 0.5, 2.0
"""For an address with many refused tokens: interval between requests, and maximum wait."""

GUARDED = "access token"
"""In place of a name, which an unknown token does not have."""


class Identities(Protocol):
    """Finds the user of an identity."""

    async def recognise(self, somebody: OidcIdentity, *, create: bool, client_ip: str | None) -> Member | None:
        """The user, created if allowed, or None. Raises StoreDown."""


class AccessTokens:
    """Access tokens of all providers with an audience."""

    def __init__(
        self,
        clients: Sequence[Client],
        members: Identities,
        guard: FailureCounter,
        *,
        clock: Callable[[], float] = time.monotonic,
        turns: Turns | None = None,
    ) -> None:
        accepted = [client for client in clients if client.provider.audience]
        self._by_issuer = {client.provider.issuer: client for client in accepted}
        asked = of_opaque_tokens([client.provider for client in accepted])
        self._introspector = Introspector(self._by_issuer[asked.issuer], clock) if asked else None
        self._members, self._guard = members, guard
        self._turns = turns or Turns(TURN_SECONDS, LONGEST_TURN)

    def recognises(self, token: str) -> bool:
        return bool(self._by_issuer) and not token.startswith((TOKEN_PREFIX, ENROLMENT_PREFIX))

    async def verify(self, token: str, client_ip: str | None) -> Caller | None:
        """The caller, or None. Raises ProviderDown, StoreDown."""
        if len(token) > jwt.LONGEST or not token.isascii():
            return None
        seen = jwt.peek(token)
        found = await (self._by_signature(token, seen[1]) if seen else self._by_question(token, client_ip))
        if found is None:
            return None
        client, claims = found
        try:
            somebody = presented(client.provider, claims, whole=False)
        except jwt.Invalid:
            return None
        if seen and "iat" in claims:  # a JWT repeats what was true when it was issued
            somebody = somebody._replace(stated=round(min(time.time(), claims["iat"]) * 1_000_000))
        member = await self._members.recognise(somebody, create=client.provider.creates, client_ip=client_ip)
        return _caller(member, _end(claims)) if member is not None else None

    async def _by_signature(self, token: str, stated: dict[str, Any]) -> tuple[Client, dict[str, Any]] | None:
        issuer = stated.get("iss")
        client = self._by_issuer.get(issuer) if isinstance(issuer, str) else None
        if client is None:
            return None
        try:
            header, claims = await jwt.verified(client, token)
            jwt.check_access(client.provider, header, claims)
        except jwt.Invalid as error:
            log.info("access token refused", provider=client.provider.name, reason=str(error))
            return None
        return client, claims

    async def _by_question(self, token: str, client_ip: str | None) -> tuple[Client, dict[str, Any]] | None:
        introspector = self._introspector
        if introspector is None:
            return None
        where, key = client_ip or "", digest(token)
        is_new = not introspector.knows(key) and not introspector.refuses(key)
        if is_new and self._guard.locked(GUARDED, where) and not await self._turns.take(network(where)):
            raise NotAsked
        claims = await introspector.claims(token)
        if claims is not None:
            return introspector.client, claims
        self._guard.failed(GUARDED, where)
        return None


class _Answers:
    """A cache of the newest answers, by token."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self._kept: OrderedDict[bytes, tuple[float, dict[str, Any]]] = OrderedDict()

    def fresh(self, key: bytes) -> dict[str, Any] | None:
        """The answer, if it has not expired."""
        until, answer = self._kept.get(key, (float("-inf"), None))
        return answer if self._clock() < until else None

    def __contains__(self, key: bytes) -> bool:
        return key in self._kept

    def keep(self, key: bytes, answer: dict[str, Any]) -> None:
        self._kept[key] = self._clock() + self._seconds, answer
        self._kept.move_to_end(key)
        if len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)

    def forget(self, key: bytes) -> None:
        self._kept.pop(key, None)


class Introspector:
    """Introspection of opaque tokens at one provider, with a cache.

    Accepted tokens have their own cache and requests, so that a flood of junk neither displaces nor delays them.
    """

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        self.client, self._clock = client, clock
        self._accepted, self._refused = _Answers(clock, CACHE_SECONDS), _Answers(clock, REFUSED_SECONDS)
        self._asking: dict[bytes, asyncio.Task[dict[str, Any] | None]] = {}
        self._turns, self._turns_of_known = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)
        self._down_until, self._failure = float("-inf"), ""

    def knows(self, key: bytes) -> bool:
        """Whether the provider accepted the token with this hash the last time."""
        return key in self._accepted

    def refuses(self, key: bytes) -> bool:
        """Whether the provider has just refused the token."""
        return self._refused.fresh(key) is not None

    async def claims(self, token: str) -> dict[str, Any] | None:
        """The claims of a token that is valid here, or None. Raises ProviderDown."""
        if "introspection_endpoint" not in await self.client.metadata():
            return None
        key = digest(token)
        if self.refuses(key):
            return None
        found = self._accepted.fresh(key)
        if found is None:
            if key not in self._asking:
                task = self._asking[key] = asyncio.create_task(self._ask(token, key))
                task.add_done_callback(lambda done: self._asked(key, done))
            found = await asyncio.shield(self._asking[key])
        return found if found is not None and _usable(self.client, found) else None

    def _asked(self, key: bytes, task: asyncio.Task[dict[str, Any] | None]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()

    async def _ask(self, token: str, key: bytes) -> dict[str, Any] | None:
        async with self._turns_of_known if self.knows(key) else self._turns:
            if self._clock() < self._down_until:
                raise ProviderDown(self._failure)
            try:
                told = await self.client.introspect(token)
            except ProviderDown as error:
                self._down_until, self._failure = self._clock() + PAUSE_SECONDS, str(error)
                log.warning("identity provider did not answer", reason=str(error))
                raise
        if told.get("active") is not True or not _usable(self.client, told):
            self._accepted.forget(key)
            self._refused.keep(key, told)
            return None
        self._accepted.keep(key, told)
        return told


def _usable(client: Client, claims: dict[str, Any]) -> bool:
    try:
        if claims.get("iss", client.provider.issuer) != client.provider.issuer:
            raise jwt.Invalid("it is from another issuer")
        jwt.check_use(client.provider, claims, ends=False)
    except jwt.Invalid as error:
        log.info("access token refused", provider=client.provider.name, reason=str(error))
        return False
    return True


def _end(claims: dict[str, Any]) -> int:
    """When the token expires, in microseconds. If its provider does not say: when it must be asked again."""
    moment: float = claims.get("exp", time.time() + CACHE_SECONDS)
    return round(min(moment, LAST_MOMENT) * 1_000_000)


def _caller(member: Member, expires: int) -> Caller:
    scopes = frozenset({"read", "write", "admin"} if member.admin else {"read", "write"})
    return Caller(
        Kind.USER,
        member.name,
        member.user_id,
        member.name,
        scopes=scopes,
        groups=member.groups,
        expires=expires,
    )
