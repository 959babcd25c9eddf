# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks of changed hosts, whose reverse names are computed soon; `pointers` does it.

A mark is a new row in the transaction of the change. So no change waits for a reverse zone or for another change, and
none is lost.
"""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, Insert, delete, exists, insert, literal, or_, select

from ddnsd.db.bulk_sql import Given, for_each
from ddnsd.db.schema import hosts, pointer_marks, pointer_pass, pointers

_THE_PASS = 1


def mark(connection: Connection, host_ids: Iterable[int]) -> None:
    """Mark the hosts that want reverse names, or have had any. Also after they were deleted."""
    for_each(connection, _mark, ("host_id",), [(host_id,) for host_id in host_ids])


def _mark(given: Given) -> Insert:
    wants = exists().where(hosts.c.id == given["host_id"], hosts.c.ptr)
    had = exists().where(pointers.c.host_id == given["host_id"])
    return insert(pointer_marks).from_select(["host_id"], select(given["host_id"]).where(or_(wants, had)))


def mark_hosts_of(connection: Connection, owner_id: int) -> None:
    """Mark all hosts of a user that want reverse names."""
    wants = select(hosts.c.id).where(hosts.c.owner_id == owner_id, hosts.c.ptr)
    connection.execute(insert(pointer_marks).from_select(["host_id"], wants))


def look_at_all(connection: Connection) -> None:
    """Let all pointers be looked at again, a part at a time, because reverse zones have changed."""
    connection.execute(delete(pointer_pass))
    connection.execute(insert(pointer_pass).from_select(["id", "after_id"], select(literal(_THE_PASS), literal(0))))


def are_due() -> tuple[ColumnElement[bool], ...]:
    """The conditions that there is something to compute."""
    return exists().select_from(pointer_marks), exists().select_from(pointer_pass)
