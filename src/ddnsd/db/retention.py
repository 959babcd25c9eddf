# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete old rows. Each function deletes at most `limit` rows and returns the number."""

from sqlalchemy import ColumnElement, Connection, Table, delete, select

from ddnsd.db.domain_requests import OPEN
from ddnsd.db.schema import domain_requests, enrolments, events, removals


def forget_removals(connection: Connection, before: int, limit: int) -> int:
    """Delete finished removals from before `before`."""
    return _remove(connection, removals, limit, removals.c.dirty_since.is_(None), removals.c.created < before)


def forget_events(connection: Connection, before: int, limit: int) -> int:
    """Delete the audit trail before `before`."""
    return _remove(connection, events, limit, events.c.at < before)


def forget_requests(connection: Connection, before: int, limit: int) -> int:
    """Delete domain requests that were closed before `before`."""
    closed = domain_requests.c.state != OPEN
    return _remove(connection, domain_requests, limit, closed, domain_requests.c.decided < before)


def forget_enrolments(connection: Connection, before: int, limit: int) -> int:
    """Delete enrolment tokens that expired before `before`."""
    return _remove(connection, enrolments, limit, enrolments.c.expires < before)


def _remove(connection: Connection, table: Table, limit: int, *conditions: ColumnElement[bool]) -> int:
    (key,) = table.primary_key
    found = select(key).where(*conditions).limit(limit)
    return connection.execute(delete(table).where(key.in_(found))).rowcount
