# SPDX-License-Identifier: GPL-3.0-or-later
"""Search, filter and sort a user's hosts, by pages."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, case, false, func, not_, or_, select

from ddnsd.db import queries, rows
from ddnsd.db.schema import domains, hosts, pending


class View(NamedTuple):
    """Which hosts and in which order; `text` is part of a name, of a comment, or the beginning of an address.

    `state` is one of `STATES`, `order` one of `ORDERS`; "" does not limit, nor does an owner of None. `comments`: also
    search comments; only their owner may find out what they contain.
    """

    owner_id: int | None
    text: str = ""
    domain: str = ""
    stack: str = ""
    state: str = ""
    order: str = "name"
    descending: bool = False
    comments: bool = True


class Part(NamedTuple):
    """A page of hosts, and the number of matches."""

    hosts: list[rows.Host]
    total: int


class Facets(NamedTuple):
    """Numbers of a user's hosts by domain, stack and state."""

    domains: dict[str, int]
    stacks: dict[str, int]
    states: dict[str, int]


_BLOCKED = or_(hosts.c.abuse, hosts.c.abuse_blocked)
_ADDRESS = or_(*(column.is_not(None) for column in (hosts.c.ipv4, hosts.c.ipv6, hosts.c.alias)))
_PENDING = hosts.c.id.in_(select(pending.c.host_id))

STATES: dict[str, ColumnElement[bool]] = {
    "blocked": _BLOCKED,
    "conflict": hosts.c.conflict.is_not(None),
    "pending": and_(_PENDING, hosts.c.conflict.is_(None)),
    "off": not_(hosts.c.available),
    "faults": hosts.c.client_faults > 0,
    "empty": not_(_ADDRESS),
    "current": and_(_ADDRESS, not_(_BLOCKED), hosts.c.conflict.is_(None), hosts.c.available, not_(_PENDING)),
}

_V4, _V6 = func.coalesce(hosts.c.updated_ipv4, 0), func.coalesce(hosts.c.updated_ipv6, 0)

ORDERS: dict[str, ColumnElement[Any]] = {
    "name": hosts.c.fqdn,
    "updated": case((_V4 > _V6, _V4), else_=_V6),
    "created": hosts.c.created,
}


def page(connection: Connection, view: View, limit: int, offset: int) -> Part:
    """At most `limit` of the hosts, after `offset` of them."""
    order = ORDERS[view.order]
    ordered = (order.desc(), hosts.c.id.desc()) if view.descending else (order, hosts.c.id)
    part = _of(select(hosts.c.id), view).order_by(*ordered).limit(limit).offset(offset)
    if view.text:  # a second search would take as long again
        counted = connection.execute(part.add_columns(func.count().over())).all()
        ids, total = [row[0] for row in counted], counted[0][1] if counted else None
    else:
        ids, total = list(connection.scalars(part)), None
    if total is None:
        total = connection.scalar(_of(select(func.count()), view)) or 0
    found = {row[0]: rows.Host._make(row) for row in connection.execute(queries.HOST.where(hosts.c.id.in_(ids)))}
    return Part([found[host_id] for host_id in ids], total)


def facets(connection: Connection, owner_id: int) -> Facets:
    """The values by which the user's hosts can be filtered."""
    counts = (
        select(hosts.c.domain_id, func.count().label("count"))
        .where(hosts.c.owner_id == owner_id, hosts.c.reverse_of.is_(None))
        .group_by(hosts.c.domain_id)
        .subquery()
    )
    of_domains = select(domains.c.name, counts.c.count).join(counts, counts.c.domain_id == domains.c.id)
    of_stacks = (
        select(hosts.c.stack, func.count())
        .where(hosts.c.owner_id == owner_id, hosts.c.stack.is_not(None))
        .group_by(hosts.c.stack)
        .order_by(hosts.c.stack)
    )
    sums = (func.count().filter(fits) for fits in STATES.values())
    own = hosts.c.owner_id == owner_id, hosts.c.reverse_of.is_(None)
    counted = connection.execute(select(*sums).select_from(hosts).where(*own)).one()
    return Facets(
        {row[0]: row[1] for row in connection.execute(of_domains.order_by(domains.c.name))},
        {row[0]: row[1] for row in connection.execute(of_stacks)},
        dict(zip(STATES, counted, strict=True)),
    )


def _of(query: Select[Any], view: View) -> Select[Any]:
    """The query for the hosts of the view, with only the joins that it needs."""
    fits: list[ColumnElement[bool]] = [hosts.c.reverse_of.is_(None)]
    if view.owner_id is not None:
        fits.append(hosts.c.owner_id == view.owner_id)
    if view.text:
        fits.append(_holding(view.text, comments=view.comments))
    if view.domain:
        fits.append(domains.c.name == view.domain)
    if view.stack:
        fits.append(hosts.c.stack == view.stack)
    if view.state:
        fits.append(STATES.get(view.state, false()))
    return query.select_from(hosts.join(domains) if view.domain else hosts).where(*fits)


def _holding(text: str, *, comments: bool) -> ColumnElement[bool]:
    folded = text.lower()
    return or_(
        hosts.c.fqdn.contains(folded, autoescape=True),
        hosts.c.comment.icontains(text, autoescape=True) if comments else false(),
        *(column.startswith(folded, autoescape=True) for column in (hosts.c.ipv4, hosts.c.ipv6, hosts.c.alias)),
        *(column.contains(f" {folded}", autoescape=True) for column in (hosts.c.ipv4, hosts.c.ipv6)),
    )
