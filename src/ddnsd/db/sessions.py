# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of browsers."""

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from ddnsd.db import queries, rows
from ddnsd.db.schema import logout_tokens, sessions


class NewSession(NamedTuple):
    """A session that begins; the fields are columns of the same name."""

    user_id: int
    hash: bytes
    method: str
    source: str | None
    agent: str
    authenticated: int
    subject: str | None = None
    sid: str | None = None


def add(connection: Connection, new: NewSession) -> None:
    """Insert a session that begins now."""
    moment = queries.now()
    connection.execute(insert(sessions).values(**new._asdict(), created=moment, last_seen=moment))


def of_user(connection: Connection, user_id: int) -> list[rows.Session]:
    """A user's sessions, the last seen first."""
    query = queries.SESSION.where(sessions.c.user_id == user_id)
    found = connection.execute(query.order_by(sessions.c.last_seen.desc(), sessions.c.id.desc()))
    return [rows.Session._make(row) for row in found]


def session(connection: Connection, session_id: int) -> rows.Session | None:
    """The session with this id."""
    row = connection.execute(queries.SESSION.where(sessions.c.id == session_id)).first()
    return rows.Session._make(row) if row else None


def end(connection: Connection, session_id: int) -> None:
    """Delete a session."""
    connection.execute(delete(sessions).where(sessions.c.id == session_id))


def end_all(connection: Connection, user_id: int, *, but: int | None = None, method: str | None = None) -> int:
    """Delete a user's sessions except one; with `method` only those of this method. Returns the number."""
    others = delete(sessions).where(sessions.c.user_id == user_id, sessions.c.id != (but or 0))
    if method is not None:
        others = others.where(sessions.c.method == method)
    return connection.execute(others).rowcount


def of_provider(connection: Connection, method: str, subject: str | None, sid: str | None) -> list[rows.Session]:
    """The sessions that began with this user of the provider and in this session there, as far as they are given.

    With both, also the user's sessions without a `sid`: an ID token need not have one.
    """
    query = queries.SESSION.where(sessions.c.method == method)
    if subject is not None:
        query = query.where(sessions.c.subject == subject)
    if sid is not None:
        same = sessions.c.sid == sid
        query = query.where(same if subject is None else or_(same, sessions.c.sid.is_(None)))
    return [rows.Session._make(row) for row in connection.execute(query.order_by(sessions.c.id))]


def use_logout_token(connection: Connection, hashed: bytes, forget_before: int) -> bool:
    """Remember a logout token, and forget old ones. Returns whether it was unknown."""
    connection.execute(delete(logout_tokens).where(logout_tokens.c.at < forget_before))
    try:
        with connection.begin_nested():
            connection.execute(insert(logout_tokens).values(hash=hashed, at=queries.now()))
    except IntegrityError:
        return False
    return True


def keep_newest(connection: Connection, user_id: int, count: int) -> None:
    """Keep only the `count` last seen sessions of a user."""
    newest = sessions.c.last_seen.desc(), sessions.c.id.desc()
    beyond = select(sessions.c.id).where(sessions.c.user_id == user_id).order_by(*newest).limit(1000).offset(count)
    connection.execute(delete(sessions).where(sessions.c.id.in_(list(connection.scalars(beyond)))))


def mark_seen(connection: Connection, seen: Mapping[int, int]) -> None:
    """Store when sessions were last seen, by their ids."""
    statement = update(sessions).where(sessions.c.id == bindparam("session")).values(last_seen=bindparam("at"))
    connection.execute(statement, [{"session": session, "at": at} for session, at in sorted(seen.items())])


def forget_ended(connection: Connection, seen_before: int, begun_before: int, limit: int) -> int:
    """Remove at most `limit` sessions that were last seen, or began, too long ago. Returns the number."""
    over = or_(sessions.c.last_seen < seen_before, sessions.c.created < begun_before)
    found = select(sessions.c.id).where(over).limit(limit)
    return connection.execute(delete(sessions).where(sessions.c.id.in_(found))).rowcount
