# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts and lists for administrators, of the objects of all users."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, func, or_, select

from ddnsd.db import queries, rows
from ddnsd.db.schema import domains, hosts, memberships, users


class Counts(NamedTuple):
    """Numbers of objects; `blocked` hosts are flagged or blocked, `faulty` hosts have client faults."""

    users: int
    domains: int
    hosts: int
    blocked: int
    conflicts: int
    faulty: int


class Account(NamedTuple):
    """A user, with the numbers of their objects."""

    user: rows.User
    hosts: int
    domains: int


class Group(NamedTuple):
    """A group: its number of users, and its domains."""

    name: str
    members: int
    domains: tuple[str, ...]


def counts(connection: Connection) -> Counts:
    """All numbers, in one query."""
    of_hosts = select(func.count()).select_from(hosts).where(hosts.c.reverse_of.is_(None))
    parts = (
        select(func.count()).select_from(users),
        select(func.count()).select_from(domains),
        of_hosts,
        of_hosts.where(or_(hosts.c.abuse, hosts.c.abuse_blocked)),
        of_hosts.where(hosts.c.conflict.is_not(None)),
        of_hosts.where(hosts.c.client_faults > 0),
    )
    row = connection.execute(select(*(part.scalar_subquery() for part in parts))).one()
    return Counts(*map(int, row))


def accounts(connection: Connection, text: str, after: str, limit: int) -> list[Account]:
    """At most `limit` users with `text` in their name and a name above `after`, by name."""
    own = hosts.c.owner_id == users.c.id, hosts.c.reverse_of.is_(None)
    own_hosts = select(func.count()).select_from(hosts).where(*own).scalar_subquery()
    own_domains = select(func.count()).select_from(domains).where(domains.c.owner_id == users.c.id).scalar_subquery()
    query = queries.USER.add_columns(own_hosts, own_domains).where(users.c.name > after)
    if text:
        query = query.where(users.c.name.icontains(text, autoescape=True))
    found = connection.execute(query.order_by(users.c.name).limit(limit))
    return [Account(rows.User._make(row[:-2]), row[-2], row[-1]) for row in found]


def user_names(connection: Connection, ids: Collection[int]) -> dict[int, str]:
    """The names of these users (500 at most), by id."""
    query = select(users.c.id, users.c.name).where(users.c.id.in_(list(ids)))
    return {row[0]: row[1] for row in connection.execute(query)}


def groups(connection: Connection, limit: int) -> list[Group]:
    """At most `limit` groups that a user has or a domain is for, by name."""
    sizes = select(memberships.c.group, func.count(func.distinct(memberships.c.user_id)))
    members = {row[0]: row[1] for row in connection.execute(sizes.group_by(memberships.c.group).limit(limit))}
    limited = select(domains.c.group, domains.c.name).where(domains.c.group.is_not(None)).order_by(domains.c.name)
    for_it: dict[str, list[str]] = {}
    for group, name in connection.execute(limited.limit(limit)):
        for_it.setdefault(group, []).append(name)
    names = sorted(members.keys() | for_it.keys())[:limit]
    return [Group(name, members.get(name, 0), tuple(for_it.get(name, ()))) for name in names]
