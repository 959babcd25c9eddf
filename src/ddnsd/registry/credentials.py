# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens and keys of a caller. Neither gives more than the credentials with which it is created."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, exists, insert, select
from sqlalchemy.exc import IntegrityError

from ddnsd.auth import secrets
from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, can, covers_host, is_limited
from ddnsd.db import host_edits, paging, queries, schema
from ddnsd.db.base import Store
from ddnsd.db.rows import Host, Key, Token, User
from ddnsd.registry import accounts, names
from ddnsd.registry.accounts import ACTOR
from ddnsd.registry.errors import Code, Invalid, NoCredential, NotPermitted, Reason, Taken
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
            user = accounts.user_named(connection, caller.user)
            return add_token(connection, user, name, secret, scope, actor=caller.user, client_ip=client_ip)

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
        await self._store.transact(lambda c: delete_token(c, token, actor, client_ip))

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
            user = accounts.user_named(connection, caller.user)
            add_key(
                connection,
                user,
                login,
                secret,
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
        await self._store.transact(lambda c: delete_key(c, key, caller.user, client_ip))
        return key


def _with_hosts(connection: Connection, keys: Iterable[Key]) -> list[OwnKey]:
    own = list(keys)
    hosts = paging.hosts_of_keys(connection, [key.id for key in own])
    return [OwnKey(key, hosts.get(key.id, [])) for key in own]


def _covers(caller: Caller, hosts: Sequence[Host]) -> bool:
    """Whether the caller's token covers all hosts of a key; a limited one covers no key without hosts."""
    covered = all(covers_host(caller, host.fqdn, host.domain) for host in hosts)
    return covered and (bool(hosts) or not is_limited(caller))


# ---- pieces of transactions, also for commands


def add_token(
    connection: Connection,
    user: User,
    name: str,
    secret: str,
    scope: TokenScope,
    *,
    actor: str = ACTOR,
    client_ip: str | None = None,
) -> Token:
    """Keep a token's hash and its scope. Raises Invalid, Taken."""
    if "admin" in scope.scopes and not user.admin:
        raise Invalid(scopes=Reason(Code.USER_NO_ADMINISTRATOR, user=user.name))
    if connection.scalar(select(exists().where(schema.tokens.c.user_id == user.id, schema.tokens.c.name == name))):
        raise Taken(name=Reason(Code.CREDENTIAL_EXISTS, user=user.name, name=name))
    try:
        result = connection.execute(
            insert(schema.tokens).values(
                user_id=user.id,
                name=name,
                hash=secrets.digest(secret),
                scopes=" ".join(scope.scopes),
                domains=" ".join(scope.domains),
                hosts=" ".join(scope.hosts),
                networks=" ".join(scope.networks),
                expires=scope.expires,
                created=queries.now(),
            )
        )
    except IntegrityError:
        raise Taken(name=Reason(Code.CREDENTIAL_EXISTS, user=user.name, name=name)) from None
    queries.add_event(connection, actor, "token.add", user.name, client_ip, name, owner_id=user.id)
    assert result.inserted_primary_key is not None
    token = paging.token(connection, result.inserted_primary_key[0])
    assert token is not None
    return token


def delete_token(connection: Connection, token: Token, actor: str, client_ip: str | None) -> None:
    """Delete a token."""
    host_edits.delete_token(connection, token.id)
    queries.add_event(connection, actor, "token.delete", token.user, client_ip, token.name, owner_id=token.user_id)


def delete_expired_tokens(connection: Connection, before: int, limit: int) -> int:
    """Remove at most `limit` tokens that expired before `before`. Returns how many."""
    ids = connection.scalars(select(schema.tokens.c.id).where(schema.tokens.c.expires < before).limit(limit)).all()
    for token_id in ids:
        token = paging.token(connection, token_id)
        assert token is not None
        delete_token(connection, token, ACTOR, None)
    return len(ids)


def add_key(
    connection: Connection,
    user: User,
    login: str,
    secret: str,
    fqdns: Sequence[str],
    name: str = "",
    *,
    actor: str = ACTOR,
    client_ip: str | None = None,
    usable: Callable[[Host], bool] = lambda _: True,
) -> None:
    """Keep a key for a group of the user's own hosts that are `usable`. Raises Invalid, naming every other one."""
    folded = [names.fold(fqdn) for fqdn in fqdns]
    found = queries.hosts_named(connection, folded)
    own = {host.fqdn: host.id for host in found if host.owner_id == user.id and usable(host)}
    if missing := [fqdn for fqdn in folded if fqdn not in own]:
        raise Invalid(hosts=Reason(Code.HOSTS_NOT_OWNED, user=user.name, hosts=", ".join(missing)))
    values = {"owner_id": user.id, "login": login, "name": name or login, "secret_hash": secrets.digest(secret)}
    result = connection.execute(insert(schema.keys).values(created=queries.now(), **values))
    assert result.inserted_primary_key is not None
    key_id = result.inserted_primary_key[0]
    connection.execute(
        insert(schema.key_hosts), [{"key_id": key_id, "host_id": host_id} for host_id in sorted(own.values())]
    )
    queries.add_event(connection, actor, "key.add", login, client_ip, name or None, owner_id=user.id)


def delete_key(connection: Connection, key: Key, actor: str, client_ip: str | None) -> None:
    """Delete a key; its hosts stay."""
    host_edits.delete_key(connection, key.id)
    queries.add_event(connection, actor, "key.delete", key.login, client_ip, key.name, owner_id=key.owner_id)
