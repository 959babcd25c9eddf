# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes in the database when a domain gets another primary or key."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, literal, select, update

from ddnsd.db import queries
from ddnsd.db.bulk_hosts import among
from ddnsd.db.bulk_sql import upsert
from ddnsd.db.pending import ASKED_FOR
from ddnsd.db.rows import RRset
from ddnsd.db.schema import domains, hosts, pending, removals, rrsets, set_aside


class Owned(NamedTuple):
    """Names and RRsets at a primary that are known to be ours.

    `hosts` are full names by host id, `sets` ids of RRsets, `removals` ids of removed names that are there again.
    """

    hosts: Mapping[int, str]
    sets: Collection[int]
    removals: Collection[int]


NOTHING = Owned({}, (), ())


def locked_generation(connection: Connection, domain_id: int) -> int | None:
    """The domain's generation, locked until the end of the transaction; None if the domain is gone."""
    query = select(domains.c.generation).where(domains.c.id == domain_id)
    return connection.scalar(query.with_for_update(read=True, key_share=True))


def send_all_again(connection: Connection, domain_id: int, owned: Owned) -> None:
    """Reset what is known about the domain's zone except `owned`; mark every host and every removal as pending.

    Each host gets a new version, so acknowledgements of the older generation have no effect. The caller has locked the
    domain.
    """
    _lock_hosts(connection, domain_id)
    connection.execute(delete(set_aside).where(set_aside.c.domain_id == domain_id))  # by the former primary
    of_domain = select(hosts.c.id).where(hosts.c.domain_id == domain_id)
    anew = update(hosts).where(hosts.c.domain_id == domain_id)
    ours = among(connection, hosts.c.id, owned.hosts.keys()) & among(connection, hosts.c.fqdn, owned.hosts.values())
    connection.execute(anew.values(version=hosts.c.version + 1, claimed=ours, conflict=None))
    sets = rrsets.c.host_id.in_(of_domain)
    connection.execute(update(rrsets).where(sets).values(claimed=False, conflict=None))
    claimed = update(rrsets).where(among(connection, rrsets.c.id, owned.sets), sets)
    connection.execute(claimed.values(claimed=True))
    _remember_values(connection, domain_id)
    # removing whole names could remove foreign records: remove only our own values
    waiting = removals.c.dirty_since.is_not(None) | among(connection, removals.c.id, owned.removals)
    leaving = update(removals).where(removals.c.domain_id == domain_id, waiting)
    connection.execute(leaving.values(exact=True, dirty_since=ASKED_FOR))
    rows = select(hosts.c.id, hosts.c.version, literal(ASKED_FOR)).where(hosts.c.domain_id == domain_id)
    connection.execute(upsert(connection.dialect.name, pending, rows))
    grown = update(domains).where(domains.c.id == domain_id)
    connection.execute(grown.values(generation=domains.c.generation + 1))


def _lock_hosts(connection: Connection, domain_id: int) -> None:
    """Lock rows in the order of their ids."""
    if connection.dialect.name == "postgresql":
        query = select(hosts.c.id).where(hosts.c.domain_id == domain_id).order_by(hosts.c.id)
        connection.execute(select(func.count()).select_from(query.with_for_update(key_share=True).subquery()))


def _remember_values(connection: Connection, domain_id: int) -> None:
    """Remember values of RRsets that are not known to be ours: see `remember_unclaimed`."""
    query = select(hosts.c.fqdn, *(rrsets.c[name] for name in RRset._fields))
    query = query.join_from(rrsets, hosts).where(hosts.c.domain_id == domain_id, ~rrsets.c.claimed)
    moment = queries.now()
    values = [
        {
            "domain_id": domain_id,
            "fqdn": one.name(fqdn),
            "rtype": one.rtype,
            "data": one.data,
            "exact": True,
            "created": moment,
        }
        for fqdn, one in ((row[0], RRset._make(row[1:])) for row in connection.execute(query))
    ]
    if values:
        connection.execute(insert(removals), values)
