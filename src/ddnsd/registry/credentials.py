# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens and keys of a caller. Neither gives more than the credentials with which it is created."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from ddnsd.auth import secrets
from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, can, covers_host, is_limited
from ddnsd.db import paging
from ddnsd.db.base import Store
from ddnsd.db.rows import Host, Key, Token
from ddnsd.registry import accounts
from ddnsd.registry.errors import Code, NoCredential, NotPermitted
from ddnsd.registry.paging import Page, page_of
from ddnsd.registry.token_scope import TokenScope

LOGIN_LENGTH = 40


class Tokens:
    """A user's tokens for the API. A caller with a limited token works only with tokens that it could create."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, caller: Caller, after: int, limit: int) -> Page[Token]:
        """The caller's tokens with an id above `after`. Raises StoreDown."""
        scope = await self._scope(caller)
        found = await self._store.read(lambda c: paging.page_of_tokens(c, caller.user_id, after, limit + 1))
        return page_of(found, limit, lambda token: _is_visible(caller, scope, token))

    async def get(self, caller: Caller, token_id: int) -> Token:
        """One of the caller's tokens. Raises NoCredential, StoreDown."""
        token = await self._of_user(caller.user_id, token_id)
        if not _is_visible(caller, await self._scope(caller), token):
            raise NoCredential
        return token

    async def create(
        self, caller: Caller, name: str, wanted: TokenScope, secret: str, *, client_ip: str | None
    ) -> Token:
        """Create a token, limited as `wanted` and as the caller. Raises Invalid, Taken, NoCredential, StoreDown."""
        scope = (await self._scope(caller)).narrowed(wanted)

        def work(connection: Connection) -> Token:
            return accounts.add_token(
                connection,
                accounts.user_named(connection, caller.user),
                name,
                secrets.digest(secret),
                scopes=scope.scopes,
                domains=scope.domains,
                hosts=scope.hosts,
                networks=scope.networks,
                expires=scope.expires,
                actor=caller.user,
                client_ip=client_ip,
            )

        return await self._store.transact(work)

    async def delete(self, caller: Caller, token_id: int, *, client_ip: str | None) -> None:
        """Delete one of the caller's tokens. Raises NoCredential, NotPermitted, StoreDown."""
        token = await self._of_user(caller.user_id, token_id)
        if token.id != caller.token_id and not (await self._scope(caller)).covers(TokenScope.of(token)):
            raise NotPermitted(Code.CREDENTIAL_EXCEEDS)
        await self._delete(token, caller.user, client_ip)

    async def revoke(self, user_id: int, token_id: int, *, actor: str, client_ip: str | None) -> Token:
        """Delete a user's token, whatever it may do; for pages of the user and of administrators.

        Raises NoCredential, StoreDown.
        """
        token = await self._of_user(user_id, token_id)
        await self._delete(token, actor, client_ip)
        return token

    async def _delete(self, token: Token, actor: str, client_ip: str | None) -> None:
        await self._store.transact(lambda c: accounts.delete_token(c, token, actor, client_ip))

    async def _of_user(self, user_id: int, token_id: int) -> Token:
        token = await self._store.read(lambda c: paging.token(c, token_id))
        if token is None or token.user_id != user_id:
            raise NoCredential
        return token

    async def _scope(self, caller: Caller) -> TokenScope:
        """What the caller may pass on: the scope of their token, or their own rights without one."""
        scopes = tuple(sorted(caller.scopes))
        if (token_id := caller.token_id) is None:
            return TokenScope(scopes, caller.domains, caller.host_patterns)
        token = await self._store.read(lambda c: paging.token(c, token_id))
        if token is None:
            raise NoCredential
        scope = TokenScope.of(token)
        return TokenScope(scopes, scope.domains, scope.hosts, scope.networks, scope.expires)


def _is_visible(caller: Caller, scope: TokenScope, token: Token) -> bool:
    """Whether the caller may see their token: a limited token sees itself and those that it could create."""
    return not is_limited(caller) or token.id == caller.token_id or scope.covers(TokenScope.of(token))


class OwnKey(NamedTuple):
    """A key and its hosts, sorted by full name."""

    key: Key
    hosts: list[Host]

    @property
    def id(self) -> int:
        """The key's id."""
        return self.key.id


class Keys:
    """A user's keys. A caller with a limited token works only with keys whose hosts are all within its patterns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, caller: Caller, after: int, limit: int) -> Page[OwnKey]:
        """The caller's keys with an id above `after`. Raises StoreDown."""

        def work(connection: Connection) -> list[OwnKey]:
            return _with_hosts(connection, paging.page_of_keys(connection, caller.user_id, after, limit + 1))

        found = await self._store.read(work)
        return page_of(found, limit, lambda own: _covers(caller, own.hosts))

    async def get(self, caller: Caller, login: str) -> OwnKey:
        """One of the caller's keys. Raises NoCredential, StoreDown."""
        if not (login.isascii() and login.isprintable() and len(login) <= LOGIN_LENGTH):
            raise NoCredential

        def work(connection: Connection) -> list[OwnKey]:
            key = paging.key(connection, login)
            return _with_hosts(connection, [key] if key is not None and key.owner_id == caller.user_id else [])

        found = await self._store.read(work)
        if not found or not _covers(caller, found[0].hosts):
            raise NoCredential
        return found[0]

    async def create(
        self, caller: Caller, name: str, fqdns: Sequence[str], login: str, secret: str, *, client_ip: str | None
    ) -> OwnKey:
        """Create a key for some of the caller's hosts. Raises Invalid, StoreDown."""

        def work(connection: Connection) -> None:
            accounts.add_key(
                connection,
                accounts.user_named(connection, caller.user),
                login,
                secrets.digest(secret),
                fqdns,
                name,
                actor=caller.user,
                client_ip=client_ip,
                usable=lambda host: can(caller, Action.UPDATE, host),
            )

        await self._store.transact(work)
        return await self.get(caller, login)

    async def delete(self, caller: Caller, login: str, *, client_ip: str | None) -> Key:
        """Delete one of the caller's keys; its hosts stay. Raises NoCredential, StoreDown."""
        key = (await self.get(caller, login)).key
        await self._store.transact(lambda c: accounts.delete_key(c, key, caller.user, client_ip))
        return key


def _with_hosts(connection: Connection, keys: Iterable[Key]) -> list[OwnKey]:
    own = list(keys)
    hosts = paging.hosts_of_keys(connection, [key.id for key in own])
    return [OwnKey(key, hosts.get(key.id, [])) for key in own]


def _covers(caller: Caller, hosts: Sequence[Host]) -> bool:
    """Whether the caller's token covers all hosts of a key; a limited one covers no key without hosts."""
    covered = all(covers_host(caller, host.fqdn, host.domain) for host in hosts)
    return covered and (bool(hosts) or not is_limited(caller))
