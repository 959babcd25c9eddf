# SPDX-License-Identifier: GPL-3.0-or-later
"""Pending removals of a zone, for its sender."""

import re
from collections.abc import Sequence, Set

from sqlalchemy import ColumnElement, Connection, or_, select

from ddnsd.db.queries import SKIPPED_REMOVALS
from ddnsd.db.rows import Removal, RRset
from ddnsd.db.schema import hosts, related, removals, rrsets, set_aside
from ddnsd.db.wildcards import wildcards_among

_PREFIX = re.compile(r"^(?:[^.]*\.)*_[^.]*\.")
"""The labels of an RRset's name up to the last underscore label. Names of hosts have none."""

_REMOVAL = select(*(removals.c[name] for name in Removal._fields))


_SET_ASIDE = select(set_aside.c.removal_id).where(set_aside.c.removal_id.is_not(None))


def dirty(connection: Connection, domain_id: int, after: int, limit: int) -> tuple[list[Removal], int]:
    """Pending removals among the next `limit` ids above `after`, and the last of these ids (0 at the end).

    Without whole names that a host has taken since, and without removals set aside.
    """
    found = _found(connection, domain_id, removals.c.id > after, removals.c.id.not_in(_SET_ASIDE), limit=limit)
    last = found[-1].id if len(found) == limit else 0
    return _without_standing(connection, found), last


def names_among(connection: Connection, domain_id: int, names: Sequence[str]) -> set[str]:
    """Those of these names that were removed from the zone, or will be."""
    query = select(removals.c.fqdn).where(removals.c.domain_id == domain_id, removals.c.fqdn.in_(names))
    return set(connection.scalars(query))


def due(connection: Connection, domain_id: int, moment: int, limit: int) -> list[Removal]:
    """Removals set aside that are due now."""
    by_now = _SET_ASIDE.where(set_aside.c.retry_at <= moment)
    return _without_standing(connection, _found(connection, domain_id, removals.c.id.in_(by_now), limit=limit))


def dirty_at(connection: Connection, domain_id: int, names: Sequence[str], *, exact: bool = False) -> list[Removal]:
    """Pending removals at these names, including those set aside but not skipped.

    With `exact` only removals of single values.
    """
    at = [removals.c.fqdn.in_(names), removals.c.id.not_in(SKIPPED_REMOVALS), *([removals.c.exact] if exact else [])]
    return _without_standing(connection, _found(connection, domain_id, *at))


def _found(
    connection: Connection, domain_id: int, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[Removal]:
    query = _REMOVAL.where(removals.c.domain_id == domain_id, removals.c.dirty_since.is_not(None), *conditions)
    return [Removal._make(row) for row in connection.execute(query.order_by(removals.c.id).limit(limit))]


def _without_standing(connection: Connection, found: Sequence[Removal]) -> list[Removal]:
    whole = [removal for removal in found if not removal.exact]
    names = _names_in_use(connection, [removal.fqdn for removal in whole if removal.rtype is None]) if whole else set()
    sets = _standing_sets(connection, {removal.fqdn for removal in whole if removal.rtype is not None})
    in_use = {(name, None) for name in names} | sets
    return [removal for removal in found if removal.exact or (removal.fqdn, removal.rtype) not in in_use]


def _names_in_use(connection: Connection, names: Sequence[str]) -> set[str]:
    """Those of the names, including hosts' wildcards, that a host or a related name has."""
    found = wildcards_among(connection, names)
    for column in (hosts.c.fqdn, related.c.fqdn):
        found.update(connection.scalars(select(column).where(column.in_(names))))
    return found


def _standing_sets(connection: Connection, names: Set[str]) -> Set[tuple[str, str | None]]:
    """(name, type) of the RRsets that hosts have at the names."""
    if not names:
        return set()
    around = {_PREFIX.sub("", name) for name in names}
    query = select(hosts.c.fqdn, *(rrsets.c[name] for name in RRset._fields)).join_from(rrsets, hosts)
    stands = or_(rrsets.c.conflict.is_(None), rrsets.c.claimed)
    found = connection.execute(query.where(hosts.c.fqdn.in_(around), stands))
    return {((rrset := RRset._make(row)).name(fqdn), rrset.rtype) for fqdn, *row in found}


def former_values(connection: Connection, domain_id: int, names: Sequence[str]) -> list[Removal]:
    """Values that abandoned messages may have left at the names."""
    query = _REMOVAL.where(removals.c.domain_id == domain_id, removals.c.exact, removals.c.fqdn.in_(names))
    return [Removal._make(row) for row in connection.execute(query.order_by(removals.c.id))]
