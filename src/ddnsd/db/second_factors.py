# SPDX-License-Identifier: GPL-3.0-or-later
"""Authenticator apps and recovery codes of users."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from ddnsd.db import queries
from ddnsd.db.schema import recovery_codes, totp, users


class StoredApp(NamedTuple):
    """An authenticator app: its sealed seed, and the step of the last code."""

    sealed: str
    last_step: int
    created: int


def app_of(connection: Connection, user_id: int) -> StoredApp | None:
    """The user's app, if they have one."""
    query = select(*(totp.c[name] for name in StoredApp._fields)).where(totp.c.user_id == user_id)
    row = connection.execute(query).first()
    return StoredApp._make(row) if row else None


def any_app(connection: Connection) -> tuple[int, str] | None:
    """The user id and the sealed seed of some app, to check the key."""
    row = connection.execute(select(totp.c.user_id, totp.c.sealed).order_by(totp.c.created.desc()).limit(1)).first()
    return (row.user_id, row.sealed) if row else None


def set_app(connection: Connection, user_id: int, sealed: str, step: int) -> None:
    """Store the user's app, replacing any other; `step` is that of the code that was typed."""
    delete_app(connection, user_id)
    values = {"user_id": user_id, "sealed": sealed, "last_step": step, "created": queries.now()}
    connection.execute(insert(totp).values(**values))


def use_step(connection: Connection, user_id: int, sealed: str, step: int) -> bool:
    """Remember the step of a right code. False if a code of this step or a later one was used before."""
    unused = totp.c.user_id == user_id, totp.c.sealed == sealed, totp.c.last_step < step
    return connection.execute(update(totp).where(*unused).values(last_step=step)).rowcount > 0


def delete_app(connection: Connection, user_id: int) -> bool:
    """Delete the user's app. Returns whether there was one."""
    return connection.execute(delete(totp).where(totp.c.user_id == user_id)).rowcount > 0


def has_factor(connection: Connection, user_id: int) -> bool:
    """Whether the user has a second factor. Recovery codes alone are none."""
    return bool(connection.scalar(select(queries.HAS_SECOND_FACTOR).where(users.c.id == user_id)))


# ---- recovery codes


def count_codes(connection: Connection, user_id: int) -> int:
    """The number of the user's unused recovery codes."""
    query = select(func.count()).select_from(recovery_codes).where(recovery_codes.c.user_id == user_id)
    return connection.scalar(query) or 0


def set_codes(connection: Connection, user_id: int, hashes: Iterable[bytes]) -> None:
    """Replace the user's recovery codes."""
    connection.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
    if new := [{"user_id": user_id, "hash": one} for one in hashes]:
        connection.execute(insert(recovery_codes), new)


def use_code(connection: Connection, user_id: int, hashed: bytes) -> bool:
    """Delete a recovery code. Returns whether the user had it."""
    same = recovery_codes.c.user_id == user_id, recovery_codes.c.hash == hashed
    return connection.execute(delete(recovery_codes).where(*same)).rowcount > 0
