# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete a user with everything that belongs to them, in short transactions: first their hosts, then the account.

The service removes the records of the hosts from DNS. Each transaction checks everything again, so one that is
interrupted can be repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from ddnsd.db import host_edits, queries
from ddnsd.db.history import Author
from ddnsd.db.rows import User
from ddnsd.registry import accounts
from ddnsd.registry.changes import write_now
from ddnsd.registry.errors import Code, Invalid, NotEmpty, Reason, Stale
from ddnsd.registry.validation import Change, Verb

HOSTS = 500
"""Maximum number of hosts that a transaction deletes."""

NAMED = 20
"""Maximum number of names in an error."""


@dataclass(frozen=True)
class Removal:
    """The removal of a user by `actor`; `own`: by themselves. `hosts`: their hosts are removed, too.

    `expect` is called with the user just before, and may raise.
    """

    name: str
    actor: str
    client_ip: str | None
    expect: Callable[[User], None] = lambda _: None
    hosts: bool = False
    own: bool = False


def step(connection: Connection, removal: Removal) -> bool:
    """Delete some of the user's hosts, or the account if there are none. Returns whether the account is deleted.

    Raises NotEmpty, Invalid, Stale, and what `removal.expect` raises.
    """
    user = _locked(connection, removal)
    if names := host_edits.domains_of_user(connection, user.id, NAMED + 1):
        raise NotEmpty(Code.USER_OWNS_DOMAINS, user=user.name, domains=_some(names))
    fqdns = host_edits.hosts_of_user(connection, user.id, HOSTS)
    if not fqdns:
        host_edits.delete_user(connection, user.id)
        queries.add_event(connection, removal.actor, "user.delete", user.name, removal.client_ip, None)
        return True
    if not removal.hosts:
        raise NotEmpty(Code.USER_OWNS, user=user.name)
    if removal.own and (blocked := host_edits.hosts_of_user(connection, user.id, NAMED + 1, blocked=True)):
        raise NotEmpty(Code.USER_HAS_BLOCKED_HOSTS, hosts=_some(blocked))
    changes = [Change(Verb.DELETE, fqdn, blocked_too=True) for fqdn in fqdns]
    write_now(connection, changes, Author(removal.actor, removal.client_ip))
    return False


def _locked(connection: Connection, removal: Removal) -> User:
    """Lock the user and the actor; for their own removal all administrators, because one of them must remain."""
    if not removal.own:
        if removal.name == removal.actor:
            raise NotEmpty(Code.USER_DELETES_SELF)
        return accounts.locked(connection, removal.name, removal.actor, removal.expect)
    found = host_edits.locked_users(connection, {removal.name}, administrators=True)
    user = found.get(removal.name)
    if user is None:
        raise Invalid(user=Reason(Code.USER_MISSING, user=removal.name))
    if not user.active:
        raise Stale
    removal.expect(user)
    if user.admin and not any(one.admin and one.active for one in found.values() if one.id != user.id):
        raise NotEmpty(Code.LAST_ADMINISTRATOR)
    return user


def _some(names: list[str]) -> str:
    """The names as text; the last one of too many is replaced by dots."""
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
