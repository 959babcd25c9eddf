# SPDX-License-Identifier: GPL-3.0-or-later
"""Leases: which node sends the changes of which zone, on PostgreSQL.

All times are those of the database (`clock_timestamp()`), in microseconds. A lease that has expired is free.
"""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from ddnsd.db.clock import server_time
from ddnsd.db.schema import domains, nodes, zone_leases

LEASE_SECONDS = 5.0

FIRST_EPOCH = 1
"""The epoch of a zone's first lease."""

GONE = 0
"""`expires` of a lease that was given back."""


class Lease(NamedTuple):
    """A zone of this node; a later owner has a higher epoch."""

    domain_id: int
    epoch: int


class Owner(NamedTuple):
    """The node that owns a zone, and the seconds until its lease expires."""

    node: str
    seconds: float


def other_nodes(connection: Connection, node: str) -> list[str]:
    """The other live nodes, and those that hold leases."""
    live = select(nodes.c.node).where(nodes.c.node != node, nodes.c.expires > server_time())
    holding = select(zone_leases.c.node).where(zone_leases.c.node != node, zone_leases.c.expires > server_time())
    return list(connection.scalars(live.union(holding)))


def forget_nodes(connection: Connection, gone: Collection[str]) -> None:
    """Free the leases of nodes that have ended."""
    connection.execute(delete(nodes).where(nodes.c.node.in_(gone)))
    connection.execute(update(zone_leases).where(zone_leases.c.node.in_(gone)).values(expires=GONE))


def renew(connection: Connection, node: str, *, register: bool) -> list[Lease]:
    """Renew the node's row, with `register`, and its leases. Returns the leases."""
    if register:
        row = insert(nodes).values(node=node, expires=_end())
        connection.execute(row.on_conflict_do_update(index_elements=["node"], set_={"expires": _end()}))
        connection.execute(delete(nodes).where(nodes.c.expires < server_time() - _microseconds(60 * LEASE_SECONDS)))
    mine = update(zone_leases).where(zone_leases.c.node == node, zone_leases.c.expires != GONE)
    renewed = mine.values(expires=_end()).returning(zone_leases.c.domain_id, zone_leases.c.epoch)
    return [Lease._make(row) for row in connection.execute(renewed)]


def owners(connection: Connection) -> dict[int, Owner]:
    """The owners by domain id."""
    left = (zone_leases.c.expires - server_time()).label("left")
    found = connection.execute(select(zone_leases.c.domain_id, zone_leases.c.node, left).where(left > 0))
    return {row.domain_id: Owner(row.node, row.left / 1_000_000) for row in found}


def zone_count(connection: Connection) -> int:
    """Number of zones."""
    return connection.scalar(select(func.count()).select_from(domains)) or 0


def take(connection: Connection, node: str, limit: int) -> list[Lease]:
    """Take up to `limit` free zones. Returns the new leases."""
    held = select(zone_leases.c.domain_id).where(zone_leases.c.expires > server_time())
    free = select(domains.c.id, literal(node), literal(FIRST_EPOCH), _end()).where(domains.c.id.not_in(held))
    statement = insert(zone_leases).from_select(zone_leases.c.keys(), free.order_by(domains.c.id).limit(limit))
    taken = statement.on_conflict_do_update(
        index_elements=["domain_id"],
        set_={"node": node, "epoch": zone_leases.c.epoch + 1, "expires": _end()},
        where=zone_leases.c.expires < server_time(),
    ).returning(zone_leases.c.domain_id, zone_leases.c.epoch)
    return [Lease._make(row) for row in connection.execute(taken)]


def give_back(connection: Connection, node: str, domain_ids: Collection[int] | None = None) -> None:
    """Free these zones of the node; without `domain_ids` all of them, and the node's row is deleted."""
    mine = update(zone_leases).where(zone_leases.c.node == node)
    if domain_ids is None:
        connection.execute(delete(nodes).where(nodes.c.node == node))
    else:
        mine = mine.where(zone_leases.c.domain_id.in_(domain_ids))
    connection.execute(mine.values(expires=GONE))


def _end() -> ColumnElement[int]:
    return server_time() + _microseconds(LEASE_SECONDS)


def _microseconds(seconds: float) -> int:
    return int(seconds * 1_000_000)
