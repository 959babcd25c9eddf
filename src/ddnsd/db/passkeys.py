# SPDX-License-Identifier: GPL-3.0-or-later
"""Passkeys of users, and challenges that were used."""

from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ddnsd.db import queries
from ddnsd.db.schema import passkey_challenges, passkeys, passwords, users


class StoredPasskey(NamedTuple):
    """A passkey. `public_key` is in the form of COSE; `sign_count` was stated at the last use."""

    id: int
    credential_id: bytes
    public_key: bytes
    sign_count: int
    name: str
    created: int
    last_used: int | None


class PasskeyOwner(NamedTuple):
    """The user of a passkey, who has a password."""

    user_id: int
    name: str
    created: int
    active: bool
    suspension_reason: str | None


_FIELDS = tuple(passkeys.c[name] for name in StoredPasskey._fields)
_OWNER = users.c.id, users.c.name, users.c.created, users.c.active, users.c.suspension_reason


def of_user(connection: Connection, user_id: int) -> list[StoredPasskey]:
    """The user's passkeys, the oldest first."""
    query = select(*_FIELDS).where(passkeys.c.user_id == user_id).order_by(passkeys.c.id)
    return [StoredPasskey._make(row) for row in connection.execute(query)]


def find(connection: Connection, credential_id: bytes) -> tuple[StoredPasskey, PasskeyOwner] | None:
    """The passkey with this ID, and its user; None if there is none, or the user has no password."""
    query = select(*_FIELDS, *_OWNER).join_from(passkeys, users).join(passwords, passwords.c.user_id == users.c.id)
    row = connection.execute(query.where(passkeys.c.credential_id == credential_id)).first()
    if row is None:
        return None
    values = tuple(row)
    return StoredPasskey._make(values[: len(_FIELDS)]), PasskeyOwner._make(values[len(_FIELDS) :])


def add(
    connection: Connection, user_id: int, credential_id: bytes, public_key: bytes, sign_count: int, name: str
) -> bool:
    """Store a passkey. False if somebody has it already."""
    values = {"user_id": user_id, "credential_id": credential_id, "public_key": public_key, "sign_count": sign_count}
    try:
        with connection.begin_nested():
            connection.execute(insert(passkeys).values(**values, name=name, created=queries.now()))
    except IntegrityError:
        return False
    return True


def use(connection: Connection, passkey: StoredPasskey, sign_count: int) -> bool:
    """Remember the counter and the time. False if the passkey is gone, or was used with this counter or a later one."""
    # passkeys that do not count always state 0
    unused = passkeys.c.sign_count < sign_count if sign_count else passkeys.c.sign_count == 0
    same = passkeys.c.id == passkey.id, passkeys.c.credential_id == passkey.credential_id
    statement = update(passkeys).where(*same, unused)
    return connection.execute(statement.values(sign_count=sign_count, last_used=queries.now())).rowcount > 0


def rename(connection: Connection, user_id: int, passkey_id: int, name: str) -> str | None:
    """Rename a user's passkey. Returns the former name; None if they have no such passkey."""
    same = passkeys.c.id == passkey_id, passkeys.c.user_id == user_id
    before: str | None = connection.scalar(select(passkeys.c.name).where(*same))
    connection.execute(update(passkeys).where(*same).values(name=name))
    return before


def remove(connection: Connection, user_id: int, passkey_id: int) -> str | None:
    """Delete a user's passkey. Returns its name; None if they have no such passkey."""
    same = passkeys.c.id == passkey_id, passkeys.c.user_id == user_id
    name: str | None = connection.scalar(select(passkeys.c.name).where(*same))
    connection.execute(delete(passkeys).where(*same))
    return name


def remove_all(connection: Connection, user_id: int) -> None:
    """Delete all passkeys of a user."""
    connection.execute(delete(passkeys).where(passkeys.c.user_id == user_id))


def count(connection: Connection, user_id: int) -> int:
    """The number of the user's passkeys."""
    query = select(func.count()).select_from(passkeys).where(passkeys.c.user_id == user_id)
    return connection.scalar(query) or 0


def use_challenge(connection: Connection, hashed: bytes, forget_before: int) -> bool:
    """Remember a used challenge, and forget old ones. Returns whether it was unknown."""
    connection.execute(delete(passkey_challenges).where(passkey_challenges.c.at < forget_before))
    try:
        with connection.begin_nested():
            connection.execute(insert(passkey_challenges).values(hash=hashed, at=queries.now()))
    except IntegrityError:
        return False
    return True
