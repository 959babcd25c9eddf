# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers to calls with an Idempotency-Key, kept for a day."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, select, update

from ddnsd.db import queries
from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.schema import answers

KEPT_MICROSECONDS = 86_400 * 1_000_000

AT_ONCE = 100
"""Maximum number of expired answers that a call removes."""

LEAST_SIZE = 1024
"""Characters that an answer counts at least, so that the sum of a user's answers has few rows."""

_OPEN, _FINAL = "~", "="


class Answer(NamedTuple):
    """An answer, and the SHA-256 of the call's body; `final` after the name servers have answered."""

    body_hash: bytes
    text: str
    final: bool
    created: int


def reserve(connection: Connection, key_hash: bytes, body_hash: bytes, user_id: int) -> Answer | None:
    """Reserve the key for this transaction's answer to the user. Returns the answer to a former call with it, if any.

    Another transaction with the same key waits for the end of this one.
    """
    moment = queries.now()
    connection.execute(delete(answers).where(answers.c.key_hash == key_hash, is_expired()))
    forget_expired(connection, AT_ONCE)
    values = {"key_hash": key_hash, "body_hash": body_hash, "answer": "", "created": moment, "user_id": user_id}
    insert = insert_into(connection.dialect.name, answers).values(**values)
    if connection.execute(insert.on_conflict_do_nothing()).rowcount:
        return None
    return find(connection, key_hash)


def forget_expired(connection: Connection, limit: int) -> int:
    """Remove at most `limit` expired answers. Returns the number."""
    old = select(answers.c.key_hash).where(is_expired()).limit(limit)
    return connection.execute(delete(answers).where(answers.c.key_hash.in_(old))).rowcount


def is_expired() -> ColumnElement[bool]:
    """The condition for expired answers."""
    return answers.c.created < queries.now() - KEPT_MICROSECONDS


def find(connection: Connection, key_hash: bytes) -> Answer | None:
    """The answer stored under this key."""
    query = select(answers.c.body_hash, answers.c.answer, answers.c.created).where(answers.c.key_hash == key_hash)
    row = connection.execute(query).first()
    return Answer(row.body_hash, row.answer[1:], row.answer[:1] == _FINAL, row.created) if row else None


def write(connection: Connection, key_hash: bytes, text: str, *, final: bool) -> None:
    """Store the answer under a reserved key."""
    answer = (_FINAL if final else _OPEN) + text
    values = {"answer": answer, "size": max(len(answer), LEAST_SIZE)}
    connection.execute(update(answers).where(answers.c.key_hash == key_hash).values(**values))
