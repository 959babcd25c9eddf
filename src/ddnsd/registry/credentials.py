# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens and keys of a caller. They never allow more than the credentials that create them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, exists, insert, select
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
from ddnsd.registry.quotas import HasQuotas, Quotas
from ddnsd.registry.rows import Page, page_of
from ddnsd.registry.token_scope import DAY, TokenScope

MOST_EXPIRED = 100
"""Expired tokens of a user that are kept, so that a job that creates one each minute has not thousands."""

AT_ONCE = 10
"""Maximum number of expired tokens that a call deletes."""

LOGIN_LENGTH = 40


class Tokens:
    """A user's API tokens. A caller with a limited token can use only that token and tokens that it could create.

    `max_days` is the longest lifetime of a new token that the operator allows; 0: any.
    """

    def __init__(self, store: Store, policy: HasQuotas, max_days: int = 0) -> None:
        self._store, self._quotas, self.max_days = store, Quotas(policy), max_days

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

    async def of_secret(self, caller: Caller, secret: str) -> Token | None:
        """The caller's token with this secret; None if it is deleted. Raises StoreDown."""
        token = await self._store.read(lambda c: paging.token_of_hash(c, secrets.verifier(secret)))
        return token if token is not None and token.user_id == caller.user_id else None

    async def create(
        self,
        caller: Caller,
        name: str,
        wanted: TokenScope,
        secret: str,
        *,
        client_ip: str | None,
        replaces: int | None = None,
    ) -> Token:
        """Create a token with the scope `wanted`, but never more than the caller's.

        It is deleted with the token that the caller uses. The caller's token with the id `replaces` is deleted first,
        if the new one can be created. Raises Invalid, Taken, NoCredential, NotPermitted, OverQuota, StoreDown.
        """
        replaced = None if replaces is None else await self._deletable(caller, replaces)
        if wanted.expires is None:
            wanted = replace(wanted, expires=self.latest_end(caller))
        scope = (await self._scope(caller)).narrowed(wanted).within(self.max_days)

        def work(connection: Connection) -> Token:
            if caller.token_id is not None and not host_edits.hold_token(connection, caller.token_id):
                raise NoCredential
            user = accounts.user_named(connection, caller.user)
            if replaced is not None:
                delete_token(connection, replaced, caller.user, client_ip)
                if caller.token_id is not None and paging.token(connection, caller.token_id) is None:
                    raise Invalid(replaces=Reason(Code.CREDENTIAL_IN_USE))
            self._quotas.check_tokens(connection, user.id)
            _delete_oldest_expired(connection, user.id)
            return add_token(
                connection,
                user,
                name,
                secret,
                scope,
                parent_id=caller.token_id,
                actor=caller.user,
                client_ip=client_ip,
            )

        return await self._store.transact(work)

    def latest_end(self, caller: Caller) -> int | None:
        """When a new token of the caller must end, in microseconds since the epoch; None: never."""
        limits = [caller.expires, queries.now() + self.max_days * DAY if self.max_days else None]
        return min((limit for limit in limits if limit is not None), default=None)

    async def delete(self, caller: Caller, token_id: int, *, client_ip: str | None) -> None:
        """Delete one of the caller's tokens, and those that it created.

        Raises NoCredential, NotPermitted, StoreDown.
        """
        await self._delete(await self._deletable(caller, token_id), caller.user, client_ip)

    async def _deletable(self, caller: Caller, token_id: int) -> Token:
        """A token that the caller may delete. Raises NoCredential, NotPermitted, StoreDown."""
        token = await self._of_user(caller.user_id, token_id)
        if token.id != caller.token_id and not (await self._scope(caller)).covers(TokenScope.of(token)):
            raise NotPermitted(Code.CREDENTIAL_EXCEEDS)
        return token

    async def revoke(self, user_id: int, token_id: int, *, actor: str, client_ip: str | None) -> Token:
        """Delete a user's token, regardless of its scope. For pages of the user and of administrators.

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
        """The most that a new token may allow: the scope of the caller's token, or all rights of the caller."""
        scopes = tuple(sorted(caller.scopes))
        if (token_id := caller.token_id) is None:
            return TokenScope(
                scopes, caller.domains, caller.host_patterns, expires=caller.expires, stacks=caller.stacks
            )
        token = await self._store.read(lambda c: paging.token(c, token_id))
        if token is None:
            raise NoCredential
        scope = TokenScope.of(token)
        return replace(scope, scopes=scopes)


def _is_visible(caller: Caller, scope: TokenScope, token: Token) -> bool:
    """Whether the caller may see the token. A limited token sees itself and tokens that it could create."""
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
    """A user's keys. A caller with a limited token can use only keys whose hosts all match its patterns."""

    def __init__(self, store: Store, policy: HasQuotas) -> None:
        self._store, self._quotas = store, Quotas(policy)

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
        self,
        caller: Caller,
        name: str,
        fqdns: Sequence[str],
        login: str,
        secret: str,
        *,
        client_ip: str | None,
        replaces: str | None = None,
        stack: str | None = None,
    ) -> OwnKey:
        """Create a key for some of the caller's hosts.

        The caller's key with the login `replaces` is deleted first, if the new one can be created. Raises Invalid,
        NoCredential, OverQuota, StoreDown.
        """
        replaced = None if replaces is None else (await self.get(caller, replaces)).key

        def work(connection: Connection) -> None:
            user = accounts.user_named(connection, caller.user)
            if replaced is not None:
                delete_key(connection, replaced, caller.user, client_ip)
            self._quotas.check_keys(connection, user.id)
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
                stack=stack,
            )

        await self._store.transact(work)
        return await self.get(caller, login)

    async def change(self, caller: Caller, login: str, given: dict[str, Any], *, client_ip: str | None) -> OwnKey:
        """Change `name`, `hosts` (full names) or `stack` of one of the caller's keys. The secret stays.

        Raises Invalid, NoCredential, StoreDown.
        """
        key = (await self.get(caller, login)).key

        def work(connection: Connection) -> None:
            if not host_edits.hold_key(connection, key.id):
                raise NoCredential
            user = accounts.user_named(connection, caller.user)
            if "hosts" in given:
                usable = partial(can, caller, Action.UPDATE)
                host_edits.set_key_hosts(connection, key.id, _own_hosts(connection, user, given["hosts"], usable))
            if columns := {name: value for name, value in given.items() if name != "hosts"}:
                host_edits.set_key(connection, key.id, **columns)
            detail = ", ".join(sorted(given))
            queries.add_event(connection, caller.user, "key.set", login, client_ip, detail, owner_id=user.id)

        if given:
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
    """Whether the caller's token covers all hosts of a key. A limited one covers no key without hosts."""
    covered = all(covers_host(caller, host.fqdn, host.domain, host.stack) for host in hosts)
    return covered and (bool(hosts) or not is_limited(caller))


# ---- within the caller's transaction, also for commands


def add_token(
    connection: Connection,
    user: User,
    name: str,
    secret: str,
    scope: TokenScope,
    *,
    parent_id: int | None = None,
    actor: str = ACTOR,
    client_ip: str | None = None,
) -> Token:
    """Store a token's hash and scope. It is deleted with its parent. Raises Invalid, Taken."""
    if "admin" in scope.scopes and not user.admin:
        raise Invalid(scopes=Reason(Code.USER_NO_ADMINISTRATOR, user=user.name))
    if connection.scalar(select(exists().where(schema.tokens.c.user_id == user.id, schema.tokens.c.name == name))):
        raise Taken(name=Reason(Code.CREDENTIAL_EXISTS, user=user.name, name=name))
    try:
        result = connection.execute(
            insert(schema.tokens).values(
                user_id=user.id,
                name=name,
                hash=secrets.verifier(secret),
                scopes=" ".join(scope.scopes),
                domains=" ".join(scope.domains),
                hosts=" ".join(scope.hosts),
                stacks=" ".join(scope.stacks),
                networks=" ".join(scope.networks),
                expires=scope.expires,
                parent_id=parent_id,
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
    """Delete a token, and those that were created with it."""
    host_edits.hold_token(connection, token.id, alone=True)
    for gone in [token.name, *paging.names_of_descendants(connection, token.id)]:
        queries.add_event(connection, actor, "token.delete", token.user, client_ip, gone, owner_id=token.user_id)
    host_edits.delete_token(connection, token.id)


def delete_expired_tokens(connection: Connection, before: int, limit: int) -> int:
    """Delete at most `limit` tokens that expired before `before`. Returns their number."""
    return _delete_tokens(connection, select(schema.tokens.c.id).where(schema.tokens.c.expires < before).limit(limit))


def _delete_oldest_expired(connection: Connection, user_id: int) -> None:
    """Delete some of the user's expired tokens above `MOST_EXPIRED`."""
    tokens = schema.tokens.c
    newest_first = select(tokens.id).where(tokens.user_id == user_id, tokens.expires <= queries.now())
    _delete_tokens(
        connection, newest_first.order_by(tokens.expires.desc(), tokens.id.desc()).offset(MOST_EXPIRED).limit(AT_ONCE)
    )


def _delete_tokens(connection: Connection, query: Select[int]) -> int:
    ids = connection.scalars(query).all()
    for token_id in sorted(ids):  # a token before those that it created, so that two deletions never block each other
        if token := paging.token(connection, token_id):  # unless it was deleted with the one that created it
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
    stack: str | None = None,
) -> None:
    """Store a key for the user's own hosts that are `usable`. Raises Invalid, naming all other hosts."""
    host_ids = _own_hosts(connection, user, fqdns, usable)
    values = {"owner_id": user.id, "login": login, "name": name or login, "secret_hash": secrets.verifier(secret)}
    result = connection.execute(insert(schema.keys).values(created=queries.now(), stack=stack, **values))
    assert result.inserted_primary_key is not None
    host_edits.set_key_hosts(connection, result.inserted_primary_key[0], host_ids)
    queries.add_event(connection, actor, "key.add", login, client_ip, name or None, owner_id=user.id)


def _own_hosts(connection: Connection, user: User, fqdns: Sequence[str], usable: Callable[[Host], bool]) -> list[int]:
    """The ids of the user's own hosts with these names that are `usable`. Raises Invalid, naming all other hosts."""
    folded = [names.fold(fqdn) for fqdn in fqdns]
    found = queries.hosts_named(connection, folded)
    own = {host.fqdn: host.id for host in found if host.owner_id == user.id and usable(host)}
    if missing := [fqdn for fqdn in folded if fqdn not in own]:
        raise Invalid(hosts=Reason(Code.HOSTS_NOT_OWNED, user=user.name, hosts=", ".join(missing)))
    return sorted(own.values())


def delete_key(connection: Connection, key: Key, actor: str, client_ip: str | None) -> None:
    """Delete a key; its hosts stay."""
    host_edits.delete_key(connection, key.id)
    queries.add_event(connection, actor, "key.delete", key.login, client_ip, key.name, owner_id=key.owner_id)
