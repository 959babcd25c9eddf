# SPDX-License-Identifier: GPL-3.0-or-later
"""Create, change and delete users. Each function runs within the caller's transaction."""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from ddnsd.db import host_edits, queries, sessions
from ddnsd.db.rows import User
from ddnsd.db.schema import users
from ddnsd.registry.errors import Code, Invalid, Reason, Stale, Taken
from ddnsd.registry.inputs import USER_NAME_LENGTH

ACTOR = "ddnsd"
RESERVED = ("me", ACTOR)
"""User names with a special meaning."""


def add_user(connection: Connection, name: str, *, admin: bool = False) -> User:
    """Return the user of that name; create it if missing. With `admin`, make them an administrator. Raises Invalid."""
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
    """The user of that name. Raises Invalid if there is none."""
    user = queries.user(connection, name)
    if user is None:
        raise Invalid(user=Reason(Code.USER_MISSING, user=name))
    return user


def set_user(
    connection: Connection,
    name: str,
    values: Mapping[str, bool | str | None],
    *,
    actor: str = ACTOR,
    client_ip: str | None = None,
    expect: Callable[[User], None] | None = None,
) -> User:
    """Change `admin`, `active`, `withdrawn`, `suspension_reason`. `expect` is called just before, and may raise.

    An inactive user is signed out, and all their credentials are refused. They read the reason when they sign in. With
    `withdrawn` the records of their hosts are removed from DNS until the user is active again. A provider's claim
    cannot remove rights that are given here; rights that are not changed here still follow the claim. Raises Invalid,
    and Stale if the actor is no longer an administrator.
    """
    user = locked(connection, name, actor, expect)
    wanted = dict(values)
    if wanted.get("active", user.active):
        if wanted.get("withdrawn"):
            raise Invalid(records=Reason(Code.RECORDS_OF_ACTIVE_USER))
        if wanted.get("suspension_reason"):
            raise Invalid(reason=Reason(Code.REASON_OF_ACTIVE_USER))
        wanted |= {"withdrawn": False, "suspension_reason": None}
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
    detail = ", ".join(_in_words(column, value) for column, value in sorted(changed.items()))
    queries.add_event(connection, actor, "user.set", name, client_ip, detail)
    return user_named(connection, name)


def _in_words(column: str, value: bool | str | None) -> str:
    if column == "withdrawn":
        return "records removed from DNS" if value else "records back in DNS"
    if column == "suspension_reason":
        return f"reason: {value}" if value else "no reason"
    return f"{column} {'on' if value else 'off'}"


def locked(connection: Connection, name: str, actor: str, expect: Callable[[User], None] | None) -> User:
    """Lock the user and the actor, so that two administrators cannot remove each other at the same time."""
    found = host_edits.locked_users(connection, {name, actor})
    user, by = found.get(name), found.get(actor)
    if actor != ACTOR and (by is None or not by.admin or not by.active):
        raise Stale
    if user is None:
        raise Invalid(user=Reason(Code.USER_MISSING, user=name))
    if expect is not None:
        expect(user)
    return user
