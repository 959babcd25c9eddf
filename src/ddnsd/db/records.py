# SPDX-License-Identifier: GPL-3.0-or-later
"""RRsets of hosts. Their names follow the host's name; removals have full names."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, insert, select, update

from ddnsd.db import bulk_hosts, queries
from ddnsd.db.bulk_hosts import NewRemoval, among
from ddnsd.db.rows import Host, RRset, name_below
from ddnsd.db.schema import hosts, removals, rrsets

RRSET: Select[Any] = select(*(rrsets.c[name] for name in RRset._fields))


def of_hosts(connection: Connection, found: Iterable[Host]) -> dict[int, list[RRset]]:
    """RRsets by their host's id, sorted by name and type, without a query if no host has any."""
    ids = [host.id for host in found if host.has_rrsets]
    return _by_host(connection, RRSET.where(among(connection, rrsets.c.host_id, ids))) if ids else {}


def of_host(connection: Connection, host_id: int) -> list[RRset]:
    """The RRsets of one host."""
    return _by_host(connection, RRSET.where(rrsets.c.host_id == host_id)).get(host_id, [])


def below(connection: Connection, host_ids: Iterable[int]) -> list[RRset]:
    """The RRsets of all these hosts."""
    return [
        RRset._make(row) for row in connection.execute(RRSET.where(among(connection, rrsets.c.host_id, list(host_ids))))
    ]


def of_domain(connection: Connection, domain_id: int) -> dict[int, list[RRset]]:
    """The RRsets of a whole domain."""
    return _by_host(connection, RRSET.join(hosts).where(hosts.c.domain_id == domain_id))


def _by_host(connection: Connection, query: Select[Any]) -> dict[int, list[RRset]]:
    sets: dict[int, list[RRset]] = {}
    for row in connection.execute(query.order_by(rrsets.c.prefix, rrsets.c.rtype)):
        sets.setdefault(row.host_id, []).append(RRset._make(row))
    return sets


def add(connection: Connection, host_id: int, **values: Any) -> None:
    """Insert an RRset; `values` are of its other columns."""
    connection.execute(insert(rrsets).values(host_id=host_id, **values))


def put(
    connection: Connection, host: Host, before: RRset | None, place: tuple[str, str], ttl: int | None, data: str
) -> None:
    """Insert the host's RRset of this prefix and type, or change `before`, its present row."""
    prefix, rtype = place
    fqdn = name_below(prefix, host.fqdn)
    if before is None:
        claimed = claim(connection, host, fqdn, rtype, data)
        add(connection, host.id, prefix=prefix, rtype=rtype, ttl=ttl, data=data, claimed=claimed)
        return
    if not before.claimed:
        remember_unclaimed(connection, host, fqdn, rtype, data)
    change(connection, before.id, ttl=ttl, data=data, conflict=None)


def change(connection: Connection, rrset_id: int, **values: Any) -> None:
    """Change columns of an RRset."""
    connection.execute(update(rrsets).where(rrsets.c.id == rrset_id).values(**values))


def delete_rows(connection: Connection, ids: Collection[int]) -> None:
    """Delete RRsets, without a change of the zone or of `has_rrsets`."""
    connection.execute(delete(rrsets).where(rrsets.c.id.in_(ids)))


def remove(connection: Connection, rrset: RRset) -> None:
    """Delete the row, without a change of the zone."""
    delete_rows(connection, [rrset.id])
    others = bool(connection.scalar(select(exists().where(rrsets.c.host_id == rrset.host_id))))
    queries.set_host(connection, rrset.host_id, has_rrsets=others)


def mark_claimed(connection: Connection, ids: Collection[int]) -> None:
    """Mark RRsets in the zone as ours."""
    connection.execute(update(rrsets).where(rrsets.c.id.in_(ids)).values(claimed=True, conflict=None))


def mark_conflict(connection: Connection, ids: Collection[int], conflict: str) -> None:
    """Mark RRsets that are not in the zone: their hosts are sent without them."""
    connection.execute(update(rrsets).where(rrsets.c.id.in_(ids)).values(conflict=conflict))


# ---- removals


def new_removals(host: Host, sets: Iterable[RRset]) -> Iterator[NewRemoval]:
    """Removals of the host's RRsets, under its current name."""
    for one in sets:
        if one.conflict is None or one.claimed:  # the zone may have older values of an RRset of ours
            yield NewRemoval(
                host.domain_id, one.name(host.fqdn), None, None, None, not one.claimed, one.rtype, one.data
            )


def leave(connection: Connection, host: Host, sets: Iterable[RRset]) -> None:
    """Add removals of the host's RRsets; call it before that of its addresses, so that no name is free too early."""
    leaving = list(new_removals(host, sets))
    bulk_hosts.add_removals(connection, leaving)
    recall(connection, leaving)


def recall(connection: Connection, leaving: Iterable[NewRemoval]) -> None:
    """Mark remembered values of RRsets that are not known to be ours as pending removals."""
    moment = queries.now()
    for one in leaving:
        if one.exact and one.rtype is not None:
            at = removals.c.domain_id == one.domain_id, removals.c.fqdn == one.fqdn, removals.c.rtype == one.rtype
            connection.execute(update(removals).where(*at, removals.c.exact).values(dirty_since=moment))


def claim_at_new_names(connection: Connection, renamed: Collection[Host]) -> None:
    """After a rename, RRsets are ours at the new name only if their removal there was pending."""
    sets = of_hosts(connection, renamed)
    for host in renamed:
        for one in sets.get(host.id, ()):
            claimed = claim(connection, host, one.name(host.fqdn), one.rtype, one.data)
            change(connection, one.id, claimed=claimed, conflict=None)


def claim(connection: Connection, host: Host, fqdn: str, rtype: str, data: str) -> bool:
    """Whether the new RRset is already there as ours, with a pending removal; otherwise remember its values."""
    claimed = reclaim(connection, fqdn, rtype)
    if not claimed:
        remember_unclaimed(connection, host, fqdn, rtype, data)
    return claimed


def reclaim(connection: Connection, fqdn: str, rtype: str) -> bool:
    """Cancel the pending removal of an RRset. Returns whether it is still in the zone as ours."""
    at = removals.c.fqdn == fqdn, removals.c.rtype == rtype, removals.c.dirty_since.is_not(None)
    connection.execute(update(removals).where(*at, removals.c.exact).values(dirty_since=None))
    return connection.execute(delete(removals).where(*at, ~removals.c.exact)).rowcount > 0


def is_being_removed(connection: Connection, fqdn: str, rtype: str) -> bool:
    """Whether the RRset has a pending removal: it is in the zone as ours, or a part of it may be."""
    at = removals.c.fqdn == fqdn, removals.c.rtype == rtype, removals.c.dirty_since.is_not(None)
    return bool(connection.scalar(select(exists().where(*at))))


def remember_unclaimed(connection: Connection, host: Host, fqdn: str, rtype: str, data: str) -> None:
    """Remember the values of an RRset that is not known to be ours, because a lost message may publish them."""
    values = {"rtype": rtype, "data": data, "exact": True, "created": queries.now()}
    connection.execute(insert(removals).values(domain_id=host.domain_id, fqdn=fqdn, **values))
