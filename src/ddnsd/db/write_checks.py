# SPDX-License-Identifier: GPL-3.0-or-later
"""A write that shows whether the database takes changes: a full disk, a read-only server, a lost permission."""

import os
import secrets

from sqlalchemy import Connection, delete, insert, select

from ddnsd.db import queries
from ddnsd.db.schema import write_checks

FILLER = 32 * 1024
"""Octets on SQLite: a check that needs less room than a change would succeed on a disk that is full for changes."""

_NODE = secrets.token_hex(16)
"""Each process has a row of its own, so that none waits for another's lock."""


def write(connection: Connection) -> None:
    """Replace the row of this process. Raises what the database raises."""
    size = FILLER if connection.dialect.name == "sqlite" else 0
    connection.execute(delete(write_checks).where(write_checks.c.node == _NODE))
    connection.execute(insert(write_checks).values(node=_NODE, at=queries.now(), filler=os.urandom(size)))


def forget(connection: Connection, before: int, limit: int) -> int:
    """Remove rows of processes that wrote none since `before`; answers how many."""
    old = select(write_checks.c.node).where(write_checks.c.at < before).limit(limit)
    return connection.execute(delete(write_checks).where(write_checks.c.node.in_(old))).rowcount
