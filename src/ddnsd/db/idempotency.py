# SPDX-License-Identifier: GPL-3.0-or-later
"""What calls with an Idempotency-Key were answered; kept for a day."""

from typing import NamedTuple

from sqlalchemy import Connection, delete, select, update

from ddnsd.db import queries
from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.schema import answers

KEPT_MICROSECONDS = 86_400 * 1_000_000

_OPEN, _FINAL = "~", "="


class Answer(NamedTuple):
    """An answer, and the SHA-256 of the call's body; `final` once name servers have had their say."""

    body_hash: bytes
    text: str
    final: bool
    created: int


def reserve(connection: Connection, key_hash: bytes, body_hash: bytes) -> Answer | None:
    """Take the key for this transaction's answer; answers what a former call with it was answered, if there is one.

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
    """Remove answers past their time; answers how many."""
    return connection.execute(delete(answers).where(answers.c.created < queries.now() - KEPT_MICROSECONDS)).rowcount


def find(connection: Connection, key_hash: bytes) -> Answer | None:
    """The answer under that key."""
    query = select(answers.c.body_hash, answers.c.answer, answers.c.created).where(answers.c.key_hash == key_hash)
    row = connection.execute(query).first()
    return Answer(row.body_hash, row.answer[1:], row.answer[:1] == _FINAL, row.created) if row else None


def write(connection: Connection, key_hash: bytes, text: str, *, final: bool) -> None:
    """Keep the answer under a key that is reserved."""
    answer = (_FINAL if final else _OPEN) + text
    connection.execute(update(answers).where(answers.c.key_hash == key_hash).values(answer=answer))
