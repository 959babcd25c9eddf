# SPDX-License-Identifier: GPL-3.0-or-later
"""From credentials to a caller."""

import base64
import binascii
from collections.abc import Sequence

from ddnsd.identity import secrets
from ddnsd.identity.caller import BadCredentials, Caller, Kind, NoCredentials, NotFqdn
from ddnsd.identity.guard import Guard
from ddnsd.identity.tokens import Verifier
from ddnsd.store.lookup import Lookups
from ddnsd.store.rows import Host, Key

_NOBODY = secrets.digest("")
LONGEST = 512
"""Characters of a user name or secret that are looked at."""


class SignIn:
    """Every way to sign in on `/nic` and `/api`. No cookie is ever one of them."""

    def __init__(self, lookups: Lookups, guard: Guard, verifiers: Sequence[Verifier]) -> None:
        self._lookups, self._guard, self._verifiers = lookups, guard, verifiers

    async def by_header(self, header: str, source: str | None) -> Caller:
        """The caller of an `Authorization` header, Basic or Bearer. Raises SignInError, StoreDown, ProviderDown."""
        scheme, _, value = header.strip().partition(" ")
        if scheme.lower() == "basic":
            name, password = _decode_basic(value.strip())
            return await self.by_password(name, password, source)
        if scheme.lower() == "bearer" and value.strip():
            return await self.by_token(value.strip(), source)
        raise NoCredentials

    async def by_token(self, token: str, source: str | None) -> Caller:
        """The user of a Bearer token. Raises BadCredentials, StoreDown, ProviderDown."""
        for verifier in self._verifiers:
            if verifier.recognises(token) and (caller := await verifier.verify(token, source)):
                return caller
        raise BadCredentials

    async def by_password(self, name: str, password: str, source: str | None) -> Caller:
        """The host `FQDN:secret` or the key `login:secret`. Raises BadCredentials, NotFqdn, StoreDown."""
        name, where = name.strip().lower().removesuffix("."), source or ""
        if len(name) > LONGEST or len(password) > LONGEST or self._guard.locked(name, where):
            raise BadCredentials
        try:
            if name.startswith(secrets.LOGIN_PREFIX) and "." not in name:
                caller = await self._key(name, password)
            elif "." in name:
                caller = await self._host(name, password)
            else:
                raise NotFqdn
        except BadCredentials:
            self._guard.failed(name, where)
            raise
        self._guard.succeeded(name, where)
        return caller

    async def by_secret(self, secret: str, name: str, source: str | None) -> Caller:
        """Duck DNS's form: a secret alone, of a host or a key, or a token; `name` is what it is to update.

        Raises BadCredentials, StoreDown.
        """
        where = source or ""
        if len(name) > LONGEST or len(secret) > LONGEST or self._guard.locked(name, where):
            raise BadCredentials
        if secret.startswith(secrets.TOKEN_PREFIX):
            return await self.by_token(secret, source)
        hashed = secrets.digest(secret)
        if host := await self._lookups.host_by_secret.one(hashed):
            return _caller_of_host(host)
        if key := await self._lookups.key_by_secret.one(hashed):
            return await self._caller_of_key(key)
        self._guard.failed(name, where)
        raise BadCredentials

    async def _host(self, name: str, password: str) -> Caller:
        host = await self._lookups.host.one(name) if name.isascii() and "\0" not in name else None
        right = secrets.matches(password, host.secret_hash if host else _NOBODY)
        if host is None or not right:
            raise BadCredentials(host.id if host else None)
        return _caller_of_host(host)

    async def _key(self, login: str, password: str) -> Caller:
        key = await self._lookups.key.one(login) if login.isascii() and "\0" not in login else None
        right = secrets.matches(password, key.secret_hash if key else _NOBODY)
        if key is None or not right:
            raise BadCredentials
        return await self._caller_of_key(key)

    async def _caller_of_key(self, key: Key) -> Caller:
        hosts = await self._lookups.hosts_of_key.all(key.id)
        return Caller(Kind.KEY, key.login, key.owner_id, hosts=tuple(hosts), means=key.name)


def _caller_of_host(host: Host) -> Caller:
    return Caller(Kind.HOST, host.fqdn, host.owner_id, hosts=(host,))


def _decode_basic(value: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        raise NoCredentials from None
    name, colon, password = text.partition(":")
    if not colon or not name.strip():
        raise NoCredentials
    return name, password
