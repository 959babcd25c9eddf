# SPDX-License-Identifier: GPL-3.0-or-later
"""Pending hosts: DNS is not known to have their current row."""

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Delete,
    Select,
    UpdateBase,
    any_,
    bindparam,
    delete,
    exists,
    select,
    tuple_,
)

from ddnsd.db.bulk_sql import Given, for_each, upsert
from ddnsd.db.schema import hosts, pending

ASKED_FOR = 0
"""`since` of a row that should be sent, without a message under way."""


class Confirmed(NamedTuple):
    """A version of a host that DNS has."""

    host_id: int
    version: int


def lock(connection: Connection, host_ids: Iterable[int]) -> None:
    """Lock rows in the order of their ids, so that two processes cannot deadlock."""
    if connection.dialect.name == "postgresql":
        connection.execute(locking(), {"ids": sorted(host_ids)})


def lock_free(connection: Connection, host_ids: Collection[int]) -> set[int]:
    """Lock those rows that nobody else has locked. Returns the ids of the others, also of hosts that are gone."""
    if connection.dialect.name != "postgresql":
        return set()
    return set(host_ids).difference(connection.scalars(locking(skip_locked=True), {"ids": sorted(host_ids)}))


@lru_cache(maxsize=4)
def locking(*columns: str, skip_locked: bool = False) -> Select[Any]:
    """Ids and `columns` of the hosts of the array `ids`, locked; on PostgreSQL."""
    query = select(hosts.c.id, *(hosts.c[name] for name in columns)).where(
        hosts.c.id == any_(bindparam("ids", type_=ARRAY(BigInteger)))
    )
    return query.order_by(hosts.c.id).with_for_update(key_share=True, skip_locked=skip_locked)


def are_published(connection: Connection, host_ids: Iterable[int]) -> dict[int, bool]:
    """Whether DNS is known to have the current rows of these hosts, on PostgreSQL; hosts that are gone are missing."""
    is_pending = exists().where(pending.c.host_id == hosts.c.id)
    query = select(hosts.c.id, ~is_pending).where(hosts.c.id == any_(bindparam("ids", type_=ARRAY(BigInteger))))
    return {row[0]: row[1] for row in connection.execute(query, {"ids": list(host_ids)})}


def mark_pending(connection: Connection, host_ids: Iterable[int], since: int) -> None:
    """Mark the hosts' current rows as pending since then."""
    for_each(connection, _wait, ("host_id", "since"), [(host_id, since) for host_id in host_ids])


def _wait(given: Given) -> UpdateBase:
    rows = select(hosts.c.id, hosts.c.version, given["since"]).where(hosts.c.id == given["host_id"])
    return upsert(given.dialect, pending, rows)


def mark_confirmed(connection: Connection, confirmed: Sequence[Confirmed]) -> None:
    """Remove the pending marks of confirmed versions, unless the row has changed since."""
    for_each(connection, _settle, Confirmed._fields, confirmed)


def _settle(given: Given) -> Delete:
    return delete(pending).where(tuple_(pending.c.host_id, pending.c.version).in_(select(*given.values())))
