# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers to calls with an Idempotency-Key, kept for a day."""

from collections.abc import Iterable
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

PLACEHOLDER = '"secret": true'
"""In an answer: a secret that is not stored."""

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


class LeasedCall(NamedTuple):
    """A call with a lease whose answer has secrets: its key with its hashes, and the answer without the secrets."""

    key_hash: bytes
    key: str
    body_hash: bytes
    text: str


def keep_for_stack(connection: Connection, key_hash: bytes, stack: str, key: str) -> None:
    """Note that a call with a reserved key carried the lease of the stack, so that a later run finds its answer."""
    connection.execute(update(answers).where(answers.c.key_hash == key_hash).values(stack=stack, key=key))


def of_stack(connection: Connection, user_id: int, stack: str) -> list[LeasedCall]:
    """The user's calls with leases of the stack whose answers have secrets, oldest first."""
    query = select(answers.c.key_hash, answers.c.key, answers.c.body_hash, answers.c.answer)
    mine = query.where(answers.c.user_id == user_id, answers.c.stack == stack, answers.c.answer.contains(PLACEHOLDER))
    rows = connection.execute(mine.where(~is_expired()).order_by(answers.c.created, answers.c.key_hash))
    return [LeasedCall(row.key_hash, row.key, row.body_hash, row.answer[1:]) for row in rows]


def forget_stack(connection: Connection, calls: Iterable[LeasedCall]) -> None:
    """Forget the stack of these calls. Their answers stay."""
    keys = [call.key_hash for call in calls]
    connection.execute(update(answers).where(answers.c.key_hash.in_(keys)).values(stack=None, key=None))


def write(connection: Connection, key_hash: bytes, text: str, *, final: bool) -> None:
    """Store the answer under a reserved key."""
    answer = (_FINAL if final else _OPEN) + text
    values = {"answer": answer, "size": max(len(answer), LEAST_SIZE)}
    connection.execute(update(answers).where(answers.c.key_hash == key_hash).values(**values))
