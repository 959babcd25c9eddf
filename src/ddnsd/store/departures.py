# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that are to leave a zone, as its sender reads them."""

import re
from collections.abc import Sequence, Set

from sqlalchemy import Connection, select

from ddnsd.store.rows import Removal, RRset
from ddnsd.store.tables import hosts, related, removals, rrsets

_PREFIX = re.compile(r"^(?:_[^.]*\.)+")
"""The underscore labels with which a name of an RRset begins."""

_REMOVAL = select(*(removals.c[name] for name in Removal._fields))


def dirty(connection: Connection, domain_id: int, after: int, limit: int, *, exact: bool) -> tuple[list[Removal], int]:
    """Names that are to leave the zone among the next `limit` with an id above `after`; and the last id, 0 at the end.

    Where whole names leave, not those that a host has taken since.
    """
    query = _REMOVAL.where(
        removals.c.domain_id == domain_id,
        removals.c.id > after,
        removals.c.dirty_since.is_not(None),
        removals.c.exact == exact,
    )
    found = [Removal._make(row) for row in connection.execute(query.order_by(removals.c.id).limit(limit))]
    last = found[-1].id if len(found) == limit else 0
    if exact or not found:
        return found, last
    names = _standing(connection, [removal.fqdn for removal in found if removal.rtype is None])
    sets = _standing_sets(connection, {removal.fqdn for removal in found if removal.rtype is not None})
    standing = {(name, None) for name in names} | sets
    return [removal for removal in found if (removal.fqdn, removal.rtype) not in standing], last


def _standing(connection: Connection, names: Sequence[str]) -> set[str]:
    """Those of the names, and of the hosts' wildcards among them, that a host or a related name holds."""
    below = [name.removeprefix("*.") for name in names if name.startswith("*.")]
    wild = connection.scalars(select(hosts.c.fqdn).where(hosts.c.fqdn.in_(below), hosts.c.wildcard)) if below else ()
    found = {f"*.{fqdn}" for fqdn in wild}
    for column in (hosts.c.fqdn, related.c.fqdn):
        found.update(connection.scalars(select(column).where(column.in_(names))))
    return found


def _standing_sets(connection: Connection, names: Set[str]) -> Set[tuple[str, str | None]]:
    """(name, type) of the RRsets that hosts have at the names."""
    if not names:
        return set()
    around = {_PREFIX.sub("", name) for name in names}
    query = select(hosts.c.fqdn, *(rrsets.c[name] for name in RRset._fields)).join_from(rrsets, hosts)
    found = connection.execute(query.where(hosts.c.fqdn.in_(around), rrsets.c.conflict.is_(None)))
    return {((rrset := RRset._make(row)).name(fqdn), rrset.rtype) for fqdn, *row in found}


def former_values(connection: Connection, domain_id: int, names: Sequence[str]) -> list[Removal]:
    """What messages of ours that were given up may have left at the names."""
    query = _REMOVAL.where(removals.c.domain_id == domain_id, removals.c.exact, removals.c.fqdn.in_(names))
    return [Removal._make(row) for row in connection.execute(query)]
