# SPDX-License-Identifier: GPL-3.0-or-later
"""The time of the database, in microseconds, for nodes whose clocks differ."""

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, extract, func, literal

from ddnsd.db import queries


def server_time() -> ColumnElement[int]:
    """The time of a PostgreSQL server."""
    return cast(extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger)


def time_of(connection: Connection) -> ColumnElement[int]:
    """The time of the database. SQLite has the clock of this machine."""
    return server_time() if connection.dialect.name == "postgresql" else literal(queries.now())
