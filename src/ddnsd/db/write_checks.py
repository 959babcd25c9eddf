# SPDX-License-Identifier: GPL-3.0-or-later
"""A test write to the database: it fails on a full disk, a read-only server, or without permission."""

import os
import secrets

from sqlalchemy import Connection, delete, insert, select

from ddnsd.db import queries
from ddnsd.db.schema import write_checks

FILLER = 32 * 1024
"""Octets on SQLite: a smaller write than a change could succeed on a disk that is full for changes."""

_NODE = secrets.token_hex(16)
"""Each process has its own row, so that none waits for another's lock."""


def write(connection: Connection) -> None:
    """Replace the row of this process. Raises the database's errors."""
    size = FILLER if connection.dialect.name == "sqlite" else 0
    connection.execute(delete(write_checks).where(write_checks.c.node == _NODE))
    connection.execute(insert(write_checks).values(node=_NODE, at=queries.now(), filler=os.urandom(size)))


def remove(connection: Connection) -> None:
    """Delete the row of this process."""
    connection.execute(delete(write_checks).where(write_checks.c.node == _NODE))


def forget(connection: Connection, before: int, limit: int) -> int:
    """Delete rows of processes without a write since `before`. Returns the number."""
    old = select(write_checks.c.node).where(write_checks.c.at < before).limit(limit)
    return connection.execute(delete(write_checks).where(write_checks.c.node.in_(old))).rowcount
