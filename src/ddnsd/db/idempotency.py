# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers to calls with an Idempotency-Key, kept for a day."""

from typing import NamedTuple

from sqlalchemy import Connection, delete, select, update

from ddnsd.db import queries
from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.schema import answers

KEPT_MICROSECONDS = 86_400 * 1_000_000

_OPEN, _FINAL = "~", "="


class Answer(NamedTuple):
    """An answer, and the SHA-256 of the call's body; `final` after the name servers have answered."""

    body_hash: bytes
    text: str
    final: bool
    created: int


def reserve(connection: Connection, key_hash: bytes, body_hash: bytes) -> Answer | None:
    """Reserve the key for this transaction's answer. Returns the answer to a former call with it, if any.

    Another transaction with the same key waits for the end of this one.
    """
    moment = queries.now()
    forget_expired(connection)
    values = {"key_hash": key_hash, "body_hash": body_hash, "answer": "", "created": moment}
    insert = insert_into(connection.dialect.name, answers).values(**values)
    if connection.execute(insert.on_conflict_do_nothing()).rowcount:
        return None
    return find(connection, key_hash)


def forget_expired(connection: Connection) -> int:
    """Remove expired answers. Returns the number."""
    return connection.execute(delete(answers).where(answers.c.created < queries.now() - KEPT_MICROSECONDS)).rowcount


def find(connection: Connection, key_hash: bytes) -> Answer | None:
    """The answer stored under this key."""
    query = select(answers.c.body_hash, answers.c.answer, answers.c.created).where(answers.c.key_hash == key_hash)
    row = connection.execute(query).first()
    return Answer(row.body_hash, row.answer[1:], row.answer[:1] == _FINAL, row.created) if row else None


def write(connection: Connection, key_hash: bytes, text: str, *, final: bool) -> None:
    """Store the answer under a reserved key."""
    answer = (_FINAL if final else _OPEN) + text
    connection.execute(update(answers).where(answers.c.key_hash == key_hash).values(answer=answer))
