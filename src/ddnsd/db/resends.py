# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains whose hosts are all sent again with a new TTL, a part at a time."""

from sqlalchemy import Connection, delete, insert, select, update

from ddnsd.db import queries
from ddnsd.db.schema import hosts, resends


def begin(connection: Connection, domain_id: int) -> None:
    """Let all hosts of the domain be sent again, from the first."""
    connection.execute(delete(resends).where(resends.c.domain_id == domain_id))
    connection.execute(insert(resends).values(domain_id=domain_id, after_id=0))


def domain_ids(connection: Connection) -> list[int]:
    """The domains with hosts that are not marked yet."""
    return list(connection.scalars(select(resends.c.domain_id)))


def advance(connection: Connection, domain_id: int, limit: int) -> None:
    """Mark the domain's next hosts as pending, at most `limit`."""
    of_domain = resends.c.domain_id == domain_id
    after = connection.scalar(select(resends.c.after_id).where(of_domain).with_for_update())
    if after is None:
        return
    following = select(hosts.c.id).where(hosts.c.domain_id == domain_id, hosts.c.id > after)
    ids = list(connection.scalars(following.order_by(hosts.c.id).limit(limit)))
    queries.wish_again(connection, ids)
    if len(ids) < limit:
        connection.execute(delete(resends).where(of_domain))
    else:
        connection.execute(update(resends).where(of_domain).values(after_id=ids[-1]))
