# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotas that differ from the settings, and what users have of the things that quotas limit."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, delete, func, insert, or_, select, true, update

from ddnsd.db import queries
from ddnsd.db.idempotency import is_expired
from ddnsd.db.schema import answers, domains, hosts, keys, memberships, quotas, tokens, users


class Override(NamedTuple):
    """A quota of a user, a group or a domain, or of everybody if all three are None. A `limit` of 0 is no limit."""

    id: int
    user_id: int | None
    group: str | None
    domain_id: int | None
    name: str
    limit: int


class Named(NamedTuple):
    """An override with the names of user and domain."""

    id: int
    user: str | None
    group: str | None
    domain: str | None
    name: str
    limit: int


class Owner(NamedTuple):
    """What of a user decides about quotas."""

    id: int
    admin: bool
    groups: frozenset[str] = frozenset()


_OVERRIDE = select(*(quotas.c[name] for name in Override._fields))
_EVERYBODY = and_(quotas.c.user_id.is_(None), quotas.c.group.is_(None), quotas.c.domain_id.is_(None))


def everything(connection: Connection) -> list[Override]:
    """All overrides."""
    return [Override._make(row) for row in connection.execute(_OVERRIDE.order_by(quotas.c.id))]


def named(connection: Connection, after: int, limit: int) -> list[Named]:
    """Overrides with an id above `after`, without those of everybody."""
    query = (
        select(
            quotas.c.id,
            users.c.name.label("user"),
            quotas.c.group,
            domains.c.name.label("domain"),
            quotas.c.name,
            quotas.c.limit,
        )
        .outerjoin_from(quotas, users, users.c.id == quotas.c.user_id)
        .outerjoin(domains, domains.c.id == quotas.c.domain_id)
        .where(quotas.c.id > after, ~_EVERYBODY)
    )
    return [Named._make(row) for row in connection.execute(query.order_by(quotas.c.id).limit(limit))]


def of_user(connection: Connection, user_id: int) -> list[Override]:
    """The overrides that can apply to the user: their own, those of their groups, of domains and of everybody."""
    groups = select(memberships.c.group).where(memberships.c.user_id == user_id)
    applies = or_(quotas.c.user_id == user_id, quotas.c.group.in_(groups), quotas.c.domain_id.is_not(None), _EVERYBODY)
    return [Override._make(row) for row in connection.execute(_OVERRIDE.where(applies))]


def put(connection: Connection, subject: dict[str, Any], name: str, limit: int | None) -> bool:
    """Set an override of the subject, which is a column with its value; None removes it. Returns whether it changed."""
    where = [*(quotas.c[column] == value for column, value in subject.items()), quotas.c.name == name]
    before = connection.scalar(select(quotas.c.limit).where(*where).with_for_update())
    if before == limit:
        return False
    if limit is None:
        connection.execute(delete(quotas).where(*where))
    elif before is None:
        connection.execute(insert(quotas).values(name=name, limit=limit, **subject))
    else:
        connection.execute(update(quotas).where(*where).values(limit=limit))
    return True


# ---- users


def is_admin(connection: Connection, user_id: int) -> bool:
    """Whether the user is an administrator."""
    return bool(connection.scalar(select(users.c.admin).where(users.c.id == user_id)))


def owner(connection: Connection, user_id: int) -> Owner:
    """The user with their groups."""
    groups = connection.scalars(select(memberships.c.group).where(memberships.c.user_id == user_id))
    return Owner(user_id, is_admin(connection, user_id), frozenset(groups))


def lock(connection: Connection, user_id: int) -> None:
    """Let no other transaction count and add for this user until the end of this one. SQLite has one at a time."""
    if connection.dialect.name == "postgresql":
        # not against references to the user, so that updates of their hosts do not wait
        connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update(key_share=True))


# ---- what they have


def hosts_of(connection: Connection, user_id: int, *where: ColumnElement[bool], most: int) -> int:
    """The number of the user's hosts, counted up to `most`."""
    own = hosts.c.owner_id == user_id, hosts.c.reverse_of.is_(None)
    some = select(hosts.c.id).where(*own, *where).limit(most).subquery()
    return connection.scalar(select(func.count()).select_from(some)) or 0


def in_domain(domain_id: int) -> ColumnElement[bool]:
    """The condition for hosts of a domain."""
    return hosts.c.domain_id == domain_id


def not_in(domain_ids: Collection[int]) -> ColumnElement[bool]:
    """The condition for hosts of other domains."""
    return hosts.c.domain_id.not_in(domain_ids) if domain_ids else true()


def tokens_of(connection: Connection, user_id: int) -> int:
    """The number of the user's tokens that have not expired."""
    return _count(connection, tokens, and_(tokens.c.user_id == user_id, _is_lasting()))


def _is_lasting() -> ColumnElement[bool]:
    return or_(tokens.c.expires.is_(None), tokens.c.expires > queries.now())


def keys_of(connection: Connection, user_id: int) -> int:
    """The number of the user's keys."""
    return _count(connection, keys, keys.c.owner_id == user_id)


def _count(connection: Connection, table: Table, condition: ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).select_from(table).where(condition)) or 0


class Stored(NamedTuple):
    """The characters of a user's stored answers, and when the oldest one was stored."""

    size: int
    oldest: int | None


def answers_of(connection: Connection, user_id: int) -> Stored:
    """The stored answers that have not expired."""
    query = select(func.coalesce(func.sum(answers.c.size), 0), func.min(answers.c.created))
    size, oldest = connection.execute(query.where(answers.c.user_id == user_id, ~is_expired())).one()
    return Stored(int(size), oldest)


# ---- the most that anybody has


def largest(connection: Connection) -> dict[str, int]:
    """The most hosts, tokens and keys of a user who is no administrator, by name of the quota."""

    def most(table: Table, column: ColumnElement[Any], *where: ColumnElement[bool]) -> Select[Any]:
        number = select(func.count().label("number")).select_from(table.join(users, users.c.id == column))
        return select(func.max(number.where(~users.c.admin, *where).group_by(column).subquery().c.number))

    counted = {
        "hosts_per_user": most(hosts, hosts.c.owner_id, hosts.c.reverse_of.is_(None)),
        "tokens_per_user": most(tokens, tokens.c.user_id, _is_lasting()),
        "keys_per_user": most(keys, keys.c.owner_id),
    }
    return {name: connection.scalar(query) or 0 for name, query in counted.items()}
