# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's hosts as an overview lists them: searched, filtered, sorted, by pages."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, case, false, func, not_, or_, select

from ddnsd.store import queries, rows
from ddnsd.store.tables import domains, hosts, pending


class View(NamedTuple):
    """Which hosts and in which order; `text` is part of a name, of a comment, or the beginning of an address.

    `state` is one of `STATES`, `order` one of `ORDERS`; "" does not limit, nor does an owner of None.
    """

    owner_id: int | None
    text: str = ""
    domain: str = ""
    stack: str = ""
    state: str = ""
    order: str = "name"
    descending: bool = False


class Part(NamedTuple):
    """A page of them, and how many fit the view."""

    hosts: list[rows.Host]
    total: int


class Facets(NamedTuple):
    """How many hosts a user has in each domain, with each stack, and in each state."""

    domains: dict[str, int]
    stacks: dict[str, int]
    states: dict[str, int]


_BLOCKED = or_(hosts.c.abuse, hosts.c.abuse_blocked)
_ADDRESS = or_(hosts.c.ipv4.is_not(None), hosts.c.ipv6.is_not(None))
_WAITS = and_(pending.c.host_id.is_not(None), hosts.c.conflict.is_(None))

STATES: dict[str, ColumnElement[bool]] = {
    "blocked": _BLOCKED,
    "conflict": hosts.c.conflict.is_not(None),
    "pending": _WAITS,
    "off": not_(hosts.c.available),
    "faults": hosts.c.client_faults > 0,
    "empty": not_(_ADDRESS),
    "current": and_(
        _ADDRESS, not_(_BLOCKED), hosts.c.conflict.is_(None), hosts.c.available, pending.c.host_id.is_(None)
    ),
}

_V4, _V6 = func.coalesce(hosts.c.updated_ipv4, 0), func.coalesce(hosts.c.updated_ipv6, 0)

ORDERS: dict[str, ColumnElement[Any]] = {
    "name": hosts.c.fqdn,
    "updated": case((_V4 > _V6, _V4), else_=_V6),
    "created": hosts.c.created,
}

_FROM = hosts.outerjoin(pending, pending.c.host_id == hosts.c.id)


def page(connection: Connection, view: View, limit: int, offset: int) -> Part:
    """At most `limit` of the hosts, after `offset` of them."""
    fits = _fitting(view)
    total = connection.scalar(_of(select(func.count()), view).where(*fits)) or 0
    order = ORDERS[view.order]
    ordered = (order.desc(), hosts.c.id.desc()) if view.descending else (order, hosts.c.id)
    chosen = _of(select(hosts.c.id), view).where(*fits).order_by(*ordered).limit(limit).offset(offset)
    ids = connection.scalars(chosen).all()
    found = {row[0]: rows.Host._make(row) for row in connection.execute(queries.HOST.where(hosts.c.id.in_(ids)))}
    return Part([found[host_id] for host_id in ids], total)


def facets(connection: Connection, owner_id: int) -> Facets:
    """What the user's hosts can be filtered by."""
    of_domains = (
        select(domains.c.name, func.count())
        .join_from(hosts, domains)
        .where(hosts.c.owner_id == owner_id)
        .group_by(domains.c.name)
        .order_by(domains.c.name)
    )
    of_stacks = (
        select(hosts.c.stack, func.count())
        .where(hosts.c.owner_id == owner_id, hosts.c.stack.is_not(None))
        .group_by(hosts.c.stack)
        .order_by(hosts.c.stack)
    )
    sums = (func.coalesce(func.sum(case((fits, 1), else_=0)), 0) for fits in STATES.values())
    counted = connection.execute(select(*sums).select_from(_FROM).where(hosts.c.owner_id == owner_id)).one()
    return Facets(
        {row[0]: row[1] for row in connection.execute(of_domains)},
        {row[0]: row[1] for row in connection.execute(of_stacks)},
        dict(zip(STATES, map(int, counted), strict=True)),
    )


def _of(query: Select[Any], view: View) -> Select[Any]:
    """The tables that the view needs, and no other: what is not asked for is not joined."""
    joined = _FROM if view.state else hosts
    return query.select_from(joined.join(domains) if view.domain else joined)


def _fitting(view: View) -> list[ColumnElement[bool]]:
    fits: list[ColumnElement[bool]] = [] if view.owner_id is None else [hosts.c.owner_id == view.owner_id]
    if view.text:
        fits.append(_holding(view.text))
    if view.domain:
        fits.append(domains.c.name == view.domain)
    if view.stack:
        fits.append(hosts.c.stack == view.stack)
    if view.state:
        fits.append(STATES.get(view.state, false()))
    return fits


def _holding(text: str) -> ColumnElement[bool]:
    folded = text.lower()
    return or_(
        hosts.c.fqdn.contains(folded, autoescape=True),
        hosts.c.comment.icontains(text, autoescape=True),
        hosts.c.ipv4.startswith(folded, autoescape=True),
        hosts.c.ipv6.startswith(folded, autoescape=True),
    )
