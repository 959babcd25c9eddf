# SPDX-License-Identifier: GPL-3.0-or-later
"""Identities of users at OpenID Connect providers, their groups, and their passwords."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, delete, exists, insert, select, update

from ddnsd.db import queries, rows
from ddnsd.db.bulk_sql import Lines
from ddnsd.db.schema import identities, memberships, passwords, users

LOCAL = 0
"""In place of an identity id, for groups that an administrator has added."""


class OidcIdentity(NamedTuple):
    """The claims of a provider about a person; `label` and `name` are for people to read.

    `groups` or `admin` is None if the claims do not contain them. `stated` is when the provider stated them, in
    microseconds since the epoch; None: just now.
    """

    issuer: str
    subject: str
    label: str
    name: str
    groups: frozenset[str] | None
    admin: bool | None
    stated: int | None = None


class Member(NamedTuple):
    """A user with an identity."""

    user_id: int
    name: str
    admin: bool
    groups: frozenset[str]


class LinkedIdentity(NamedTuple):
    """An identity with its user, whose rights are as in `rows.StatedRights`; `own_groups` are lines of its claim."""

    id: int
    user_id: int
    label: str
    last_used: int
    claims_at: int
    user: str
    active: bool
    suspension_reason: str | None
    admin_by: int | None
    own_groups: str | None
    admin: bool
    admin_at: int | None
    groups: str | None

    @property
    def rights(self) -> rows.StatedRights:
        """The rights of the user."""
        return rows.StatedRights(self.admin, self.admin_at, self.groups)


def linked_identity(connection: Connection, issuer: str, subject: str) -> LinkedIdentity | None:
    """The identity with this subject."""
    c = identities.c
    own = select(Lines(memberships.c.group)).where(memberships.c.identity_id == c.id).scalar_subquery()
    query = select(
        c.id,
        c.user_id,
        c.label,
        c.last_used,
        c.claims_at,
        users.c.name,
        users.c.active,
        users.c.suspension_reason,
        users.c.admin_by,
        own,
        *queries.RIGHTS,
    ).join_from(identities, users)
    row = connection.execute(query.where(c.issuer == issuer, c.subject == subject)).first()
    return LinkedIdentity._make(row) if row else None


def add_identity(connection: Connection, user_id: int, somebody: OidcIdentity) -> int:
    """Insert an identity. Returns its id. Raises IntegrityError if it belongs to a user."""
    moment = queries.now()
    result = connection.execute(
        insert(identities).values(
            user_id=user_id,
            issuer=somebody.issuer,
            subject=somebody.subject,
            label=somebody.label,
            created=moment,
            last_used=moment,
        )
    )
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


def mark_used(connection: Connection, identity_id: int, label: str, *, claims_at: int | None) -> None:
    """Store the use of an identity; `claims_at` is when the provider has stated its groups, if it has."""
    values = {"last_used": queries.now()} | ({"label": label} if label else {})
    values |= {"claims_at": claims_at} if claims_at is not None else {}
    connection.execute(update(identities).where(identities.c.id == identity_id).values(**values))


def identities_of(connection: Connection, user_id: int) -> list[rows.Identity]:
    """A user's identities, the oldest first."""
    query = select(*(identities.c[name] for name in rows.Identity._fields)).where(identities.c.user_id == user_id)
    return [rows.Identity._make(row) for row in connection.execute(query.order_by(identities.c.id))]


def delete_identity(connection: Connection, user_id: int, identity_id: int) -> None:
    """Delete an identity, with the groups and rights of its claims."""
    set_groups(connection, user_id, identity_id, ())
    given = users.c.id == user_id, users.c.admin_by == identity_id
    connection.execute(update(users).where(*given).values(admin=False, admin_by=None))
    connection.execute(delete(identities).where(identities.c.id == identity_id, identities.c.user_id == user_id))


# ---- groups


def set_groups(connection: Connection, user_id: int, identity_id: int, groups: Iterable[str]) -> None:
    """Replace the user's groups of an identity, or of an administrator (LOCAL)."""
    of_it = memberships.c.user_id == user_id, memberships.c.identity_id == identity_id
    held = set(connection.scalars(select(memberships.c.group).where(*of_it)))
    wanted = set(groups)
    if gone := held - wanted:
        connection.execute(delete(memberships).where(*of_it, memberships.c.group.in_(gone)))
    if new := sorted(wanted - held):
        connection.execute(
            insert(memberships), [{"user_id": user_id, "identity_id": identity_id, "group": group} for group in new]
        )


def groups_of(connection: Connection, user_id: int, *, given: bool = False) -> list[str]:
    """A user's groups by name; with `given` only those that an administrator has added."""
    query = select(memberships.c.group).where(memberships.c.user_id == user_id).distinct()
    if given:
        query = query.where(memberships.c.identity_id == LOCAL)
    return list(connection.scalars(query.order_by(memberships.c.group)))


# ---- passwords


class StoredPassword(NamedTuple):
    """The password hash of a user. `second_factor`: the password alone does not sign them in."""

    user_id: int
    hash: str
    active: bool
    suspension_reason: str | None
    second_factor: bool


def password_of(connection: Connection, name: str) -> StoredPassword | None:
    """The password of the user of that name, if they have one."""
    query = select(users.c.id, passwords.c.hash, users.c.active, users.c.suspension_reason, queries.HAS_SECOND_FACTOR)
    row = connection.execute(query.join_from(users, passwords).where(users.c.name == name)).first()
    return StoredPassword._make(row) if row else None


def set_password(connection: Connection, user_id: int, hashed: str) -> None:
    """Store the hash of a password, replacing any other."""
    values = {"hash": hashed, "changed": queries.now()}
    if not connection.execute(update(passwords).where(passwords.c.user_id == user_id).values(**values)).rowcount:
        connection.execute(insert(passwords).values(user_id=user_id, **values))


def renew_password(connection: Connection, user_id: int, before: str, after: str) -> None:
    """Store a stronger hash of the same password, unless it has changed."""
    same = passwords.c.user_id == user_id, passwords.c.hash == before
    connection.execute(update(passwords).where(*same).values(hash=after))


def delete_password(connection: Connection, user_id: int) -> bool:
    """Delete a password. Returns whether there was one."""
    return connection.execute(delete(passwords).where(passwords.c.user_id == user_id)).rowcount > 0


def has_password(connection: Connection, user_id: int) -> bool:
    """Whether the user has a password."""
    return bool(connection.scalar(select(exists().where(passwords.c.user_id == user_id))))
