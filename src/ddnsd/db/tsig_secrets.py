# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypted TSIG secrets. A row belongs to the host, key or token that has the same stored hash."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, select

from ddnsd.db import queries
from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.schema import hosts, keys, tokens, tsig_secrets

SEALED: Select[Any] = select(tsig_secrets.c.sealed)


def put(connection: Connection, rows: Iterable[tuple[bytes, str]]) -> None:
    """Add these (stored hash, encrypted TSIG secret), unless they are known."""
    moment = queries.now()
    values = [{"hash": hashed, "sealed": sealed, "created": moment} for hashed, sealed in rows]
    if values:
        connection.execute(insert_into(connection.dialect.name, tsig_secrets).on_conflict_do_nothing(), values)


def forget(connection: Connection, before: int, limit: int) -> int:
    """Delete at most `limit` rows from before `before` whose host, key or token is gone or has another secret."""
    in_use = (
        exists().where(column == tsig_secrets.c.hash)
        for column in (hosts.c.secret_hash, keys.c.secret_hash, tokens.c.hash)
    )
    found = select(tsig_secrets.c.hash).where(tsig_secrets.c.created < before, *(~used for used in in_use))
    return connection.execute(delete(tsig_secrets).where(tsig_secrets.c.hash.in_(found.limit(limit)))).rowcount
