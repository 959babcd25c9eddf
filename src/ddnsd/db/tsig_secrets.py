# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypted TSIG secrets. A row belongs to the host, key, token or DHCP key with the same stored hash."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, select

from ddnsd.db import queries
from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.schema import dhcp_keys, hosts, keys, tokens, tsig_secrets

SEALED: Select[Any] = select(tsig_secrets.c.sealed)


def put(connection: Connection, rows: Iterable[tuple[bytes, str]]) -> None:
    """Add these (stored hash, encrypted TSIG secret), unless they are known."""
    moment = queries.now()
    values = [{"hash": hashed, "sealed": sealed, "created": moment} for hashed, sealed in rows]
    if values:
        connection.execute(insert_into(connection.dialect.name, tsig_secrets).on_conflict_do_nothing(), values)


def unused(connection: Connection, after: bytes, before: int, limit: int) -> list[bytes]:
    """At most `limit` stored hashes above `after`, of rows from before `before` that belong to nothing, sorted.

    Their host, key, token or DHCP key is gone, or has another secret.
    """
    in_use = (
        exists().where(column == tsig_secrets.c.hash)
        for column in (hosts.c.secret_hash, keys.c.secret_hash, tokens.c.hash, dhcp_keys.c.secret_hash)
    )
    query = select(tsig_secrets.c.hash).where(tsig_secrets.c.hash > after, tsig_secrets.c.created < before)
    found = query.where(*(~used for used in in_use)).order_by(tsig_secrets.c.hash).limit(limit)
    return list(connection.scalars(found))


def forget(connection: Connection, hashes: Sequence[bytes]) -> int:
    """Delete these rows. Returns the number."""
    return connection.execute(delete(tsig_secrets).where(tsig_secrets.c.hash.in_(hashes))).rowcount
