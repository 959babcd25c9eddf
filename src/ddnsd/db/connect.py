# SPDX-License-Identifier: GPL-3.0-or-later
"""The database behind a URL."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore
    from ddnsd.db.sqlite import SqliteStore


def open_store(url: str) -> "SqliteStore | PostgresStore":
    """The store behind `sqlite:///PATH` or `postgresql://…`; connects when first used."""
    if url.startswith("sqlite"):
        from ddnsd.db.sqlite import SqliteStore  # here: commands start twice as fast without the other database

        return SqliteStore(url)
    from ddnsd.db.postgres import PostgresStore

    return PostgresStore(url)
