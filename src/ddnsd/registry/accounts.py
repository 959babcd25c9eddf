# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, their tokens and their keys. Each function is one piece of a transaction."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, exists, insert, select
from sqlalchemy.exc import IntegrityError

from ddnsd.db import host_edits, paging, queries, sessions
from ddnsd.db.rows import Host, Key, Token, User
from ddnsd.db.schema import key_hosts, keys, tokens, users
from ddnsd.registry import names
from ddnsd.registry.errors import Code, Invalid, NotEmpty, Reason, Stale, Taken

SCOPES = ("read", "write", "admin")
ACTOR = "ddnsd"
RESERVED = ("me", ACTOR)
"""Names that mean something else."""

NAME_LENGTH = 150


def add_user(connection: Connection, name: str, *, admin: bool = False) -> User:
    """The user of that name, created when missing; with `admin` an administrator from now on. Raises Invalid."""
    user = queries.user(connection, name)
    if user is None:
        return new_user(connection, name, admin=admin)
    if admin and user.admin_by is not None:
        host_edits.set_user(connection, user.id, admin_by=None)
        queries.add_event(connection, ACTOR, "user.set", name, None, "admin on")
        return user_named(connection, name)
    return set_user(connection, name, {"admin": True}) if admin else user


def new_user(
    connection: Connection, name: str, *, admin: bool = False, actor: str = ACTOR, client_ip: str | None = None
) -> User:
    """Create a user. Raises Invalid, Taken."""
    if not name or len(name) > NAME_LENGTH or not name.isprintable() or " " in name:
        raise Invalid(name=Reason(Code.USER_NAME_INVALID, limit=NAME_LENGTH))
    if name in RESERVED:
        raise Invalid(name=Reason(Code.USER_NAME_RESERVED, user=name))
    if queries.user(connection, name) is not None:
        raise Taken(name=Reason(Code.USER_EXISTS, user=name))
    try:
        connection.execute(insert(users).values(name=name, admin=admin, created=queries.now()))
    except IntegrityError:
        raise Taken(name=Reason(Code.USER_EXISTS, user=name)) from None
    queries.add_event(connection, actor, "user.add", name, client_ip, None)
    return user_named(connection, name)


def user_named(connection: Connection, name: str) -> User:
    """The user. Raises Invalid when there is none."""
    user = queries.user(connection, name)
    if user is None:
        raise Invalid(user=Reason(Code.USER_MISSING, user=name))
    return user


def set_user(
    connection: Connection,
    name: str,
    values: Mapping[str, bool],
    *,
    actor: str = ACTOR,
    client_ip: str | None = None,
    expect: Callable[[User], None] | None = None,
) -> User:
    """Change `admin`, `active` and `withdrawn`; `expect` is called with the user just before, and may raise.

    A user who is not active is signed out, and everything of theirs is refused; with `withdrawn` the records of their
    hosts leave DNS until they are active again. What is changed here no claim of a provider takes back; what is not
    stays a claim's. Raises Invalid, Stale where the actor is an administrator no more.
    """
    user = _locked(connection, name, actor, expect)
    wanted = dict(values)
    if wanted.get("active", user.active):
        if wanted.get("withdrawn"):
            raise Invalid(records=Reason(Code.RECORDS_OF_ACTIVE_USER))
        wanted["withdrawn"] = False
    changed = {column: value for column, value in wanted.items() if getattr(user, column) != value}
    if not changed:
        return user
    if name == actor:
        raise Invalid(**dict.fromkeys(changed, Reason(Code.USER_DEMOTES_SELF)))
    host_edits.set_user(connection, user.id, **changed, **({"admin_by": None} if "admin" in changed else {}))
    if changed.get("active") is False:
        sessions.end_all(connection, user.id)
    if "withdrawn" in changed:
        host_edits.send_hosts_of(connection, user.id)
    detail = ", ".join(_in_words(column, on=value) for column, value in sorted(changed.items()))
    queries.add_event(connection, actor, "user.set", name, client_ip, detail)
    return user_named(connection, name)


def _in_words(column: str, *, on: bool) -> str:
    if column == "withdrawn":
        return "records removed from DNS" if on else "records back in DNS"
    return f"{column} {'on' if on else 'off'}"


def delete_user(
    connection: Connection, name: str, *, actor: str, client_ip: str | None, expect: Callable[[User], None]
) -> None:
    """Remove a user with their tokens. Raises Invalid, NotEmpty, Stale, and what `expect` raises."""
    user = _locked(connection, name, actor, expect)
    if name == actor:
        raise NotEmpty(Code.USER_DELETES_SELF)
    if host_edits.owns_something(connection, user.id):
        raise NotEmpty(Code.USER_OWNS, user=name)
    host_edits.delete_user(connection, user.id)
    queries.add_event(connection, actor, "user.delete", name, client_ip, None)


def _locked(connection: Connection, name: str, actor: str, expect: Callable[[User], None] | None) -> User:
    """The user, with the actor: of two administrators who remove each other at once the second is one no more."""
    found = host_edits.locked_users(connection, {name, actor})
    user, by = found.get(name), found.get(actor)
    if actor != ACTOR and (by is None or not by.admin or not by.active):
        raise Stale
    if user is None:
        raise Invalid(user=Reason(Code.USER_MISSING, user=name))
    if expect is not None:
        expect(user)
    return user


# ---- tokens


def add_token(
    connection: Connection,
    user: User,
    name: str,
    hashed: bytes,
    *,
    scopes: Sequence[str],
    domains: Sequence[str] = (),
    hosts: Sequence[str] = (),
    networks: Sequence[str] = (),
    expires: int | None = None,
    actor: str = ACTOR,
    client_ip: str | None = None,
) -> Token:
    """Keep a token's hash and its limits; `expires` in microseconds since the epoch. Raises Invalid, Taken."""
    if "admin" in scopes and not user.admin:
        raise Invalid(scopes=Reason(Code.USER_NO_ADMINISTRATOR, user=user.name))
    if connection.scalar(select(exists().where(tokens.c.user_id == user.id, tokens.c.name == name))):
        raise Taken(name=Reason(Code.CREDENTIAL_EXISTS, user=user.name, name=name))
    try:
        result = connection.execute(
            insert(tokens).values(
                user_id=user.id,
                name=name,
                hash=hashed,
                scopes=" ".join(scopes),
                domains=" ".join(domains),
                hosts=" ".join(hosts),
                networks=" ".join(networks),
                expires=expires,
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
    """Make a token void."""
    host_edits.delete_token(connection, token.id)
    queries.add_event(connection, actor, "token.delete", token.user, client_ip, token.name, owner_id=token.user_id)


def delete_expired_tokens(connection: Connection, before: int, limit: int) -> int:
    """Remove at most `limit` tokens that expired before `before`; answers how many."""
    ids = connection.scalars(select(tokens.c.id).where(tokens.c.expires < before).limit(limit)).all()
    for token_id in ids:
        token = paging.token(connection, token_id)
        assert token is not None
        delete_token(connection, token, ACTOR, None)
    return len(ids)


# ---- keys


def add_key(
    connection: Connection,
    user: User,
    login: str,
    hashed: bytes,
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
    values = {"owner_id": user.id, "login": login, "name": name or login, "secret_hash": hashed}
    result = connection.execute(insert(keys).values(created=queries.now(), **values))
    assert result.inserted_primary_key is not None
    key_id = result.inserted_primary_key[0]
    connection.execute(insert(key_hosts), [{"key_id": key_id, "host_id": host_id} for host_id in sorted(own.values())])
    queries.add_event(connection, actor, "key.add", login, client_ip, name or None, owner_id=user.id)


def delete_key(connection: Connection, key: Key, actor: str, client_ip: str | None) -> None:
    """Make a key void; its hosts stay."""
    host_edits.delete_key(connection, key.id)
    queries.add_event(connection, actor, "key.delete", key.login, client_ip, key.name, owner_id=key.owner_id)
