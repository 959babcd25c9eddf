# SPDX-License-Identifier: GPL-3.0-or-later
"""Users. Each function is one piece of a transaction."""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from ddnsd.db import host_edits, queries, sessions
from ddnsd.db.rows import User
from ddnsd.db.schema import users
from ddnsd.registry.errors import Code, Invalid, NotEmpty, Reason, Stale, Taken
from ddnsd.registry.inputs import USER_NAME_LENGTH

ACTOR = "ddnsd"
RESERVED = ("me", ACTOR)
"""Names that mean something else."""


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
    if not name or len(name) > USER_NAME_LENGTH or not name.isprintable() or " " in name:
        raise Invalid(name=Reason(Code.USER_NAME_INVALID, limit=USER_NAME_LENGTH))
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
