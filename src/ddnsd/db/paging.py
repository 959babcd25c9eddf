# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of rows, by id, with the names of their owners."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, select

from ddnsd.db import queries, rows
from ddnsd.db.schema import domains, events, hosts, key_hosts, keys, tokens, users


class HostFilter(NamedTuple):
    """The filter of a page of hosts; None does not limit. `owner` and `domain` are names, `fqdns` full names."""

    owner_id: int | None = None
    owner: str | None = None
    domain: str | None = None
    stack: str | None = None
    fqdns: Sequence[str] | None = None


class OwnedHost(NamedTuple):
    """A host and its owner's name."""

    host: rows.Host
    owner: str


_HOST = queries.HOST.add_columns(users.c.name)


def host(connection: Connection, fqdn: str) -> OwnedHost | None:
    """The host with this name."""
    row = connection.execute(_HOST.where(hosts.c.fqdn == fqdn)).first()
    return _owned(row) if row else None


def page_of_hosts(connection: Connection, wanted: HostFilter, after: int, limit: int) -> list[OwnedHost]:
    """At most `limit` hosts with an id above `after`, by id."""
    query = _HOST.where(hosts.c.id > after)
    limits = (
        (hosts.c.owner_id, wanted.owner_id),
        (users.c.name, wanted.owner),
        (domains.c.name, wanted.domain),
        (hosts.c.stack, wanted.stack),
    )
    for column, value in limits:
        if value is not None:
            query = query.where(column == value)
    if wanted.fqdns is not None:
        query = query.where(hosts.c.fqdn.in_(wanted.fqdns))
    return [_owned(row) for row in connection.execute(query.order_by(hosts.c.id).limit(limit))]


def _owned(row: Any) -> OwnedHost:
    *values, owner = row
    return OwnedHost(rows.Host._make(values), owner)


def host_counts(connection: Connection) -> dict[int, int]:
    """Numbers of hosts by domain id; domains without hosts are missing."""
    counted = select(hosts.c.domain_id, func.count()).group_by(hosts.c.domain_id)
    return {row[0]: row[1] for row in connection.execute(counted)}


def host_count(connection: Connection, domain_id: int) -> int:
    """Number of hosts of the domain."""
    return connection.scalar(select(func.count()).select_from(hosts).where(hosts.c.domain_id == domain_id)) or 0


def page_of_domains(connection: Connection, after: int, limit: int) -> list[rows.Domain]:
    """At most `limit` domains with an id above `after`, by id."""
    return _page(connection, queries.DOMAIN, domains.c.id, rows.Domain._make, after, limit)


def page_of_users(connection: Connection, after: int, limit: int) -> list[rows.User]:
    """At most `limit` users with an id above `after`, by id."""
    return _page(connection, queries.USER, users.c.id, rows.User._make, after, limit)


def page_of_tokens(connection: Connection, user_id: int, after: int, limit: int) -> list[rows.Token]:
    """At most `limit` tokens of the user with an id above `after`, by id."""
    own = queries.TOKEN.where(tokens.c.user_id == user_id)
    return _page(connection, own, tokens.c.id, rows.Token._make, after, limit)


def token(connection: Connection, token_id: int) -> rows.Token | None:
    """The token with this id."""
    row = connection.execute(queries.TOKEN.where(tokens.c.id == token_id)).first()
    return rows.Token._make(row) if row else None


def page_of_keys(connection: Connection, owner_id: int, after: int, limit: int) -> list[rows.Key]:
    """At most `limit` keys of the user with an id above `after`, by id."""
    own = queries.KEY.where(keys.c.owner_id == owner_id)
    return _page(connection, own, keys.c.id, rows.Key._make, after, limit)


def key(connection: Connection, login: str) -> rows.Key | None:
    """The key with this login."""
    row = connection.execute(queries.KEY.where(keys.c.login == login)).first()
    return rows.Key._make(row) if row else None


def hosts_of_keys(connection: Connection, key_ids: Iterable[int]) -> dict[int, list[rows.Host]]:
    """The hosts of each key, by the key's id, sorted by full name."""
    query = queries.HOST.add_columns(key_hosts.c.key_id).join(key_hosts, key_hosts.c.host_id == hosts.c.id)
    found: dict[int, list[rows.Host]] = {}
    for *values, key_id in connection.execute(
        query.where(key_hosts.c.key_id.in_(list(key_ids))).order_by(hosts.c.fqdn)
    ):
        found.setdefault(key_id, []).append(rows.Host._make(values))
    return found


class Happened(NamedTuple):
    """An entry of the audit trail."""

    id: int
    at: int
    actor: str
    action: str
    object: str
    source: str | None
    detail: str | None


def page_of_events(
    connection: Connection, *, reader_id: int | None, wanted: dict[str, str], before: int | None, limit: int
) -> list[Happened]:
    """At most `limit` entries with an id below `before`, newest first; `reader_id`: those that this user may read.

    `wanted` limits the columns `object`, `actor` and `action`.
    """
    query = select(*(events.c[name] for name in Happened._fields)).order_by(events.c.id.desc()).limit(limit)
    if reader_id is not None:
        query = query.where(events.c.owner_id == reader_id)
    if before is not None:
        query = query.where(events.c.id < before)
    for name, value in wanted.items():
        query = query.where(events.c[name] == value)
    return [Happened._make(row) for row in connection.execute(query)]


def _page(connection: Connection, query: Select[Any], identity: Any, make: Any, after: int, limit: int) -> list[Any]:
    found = connection.execute(query.where(identity > after).order_by(identity).limit(limit))
    return [make(row) for row in found]
