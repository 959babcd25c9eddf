# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of rows, by id, with the names of their owners."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Select, and_, func, or_, select, tuple_

from ddnsd.db import queries, records, rows
from ddnsd.db.bulk_hosts import related_of
from ddnsd.db.schema import contacts, domains, events, hosts, key_hosts, keys, tokens, users


class HostFilter(NamedTuple):
    """The filter of a page of hosts; None does not limit. `owner` and `domain` are names, `fqdns` full names.

    `oversees`: a filter by `domain` or `fqdns` also finds hosts of others in the domains of `owner_id`. A filter by
    `stack` does not, because it would tell the stacks of these hosts.
    `silent_days`: only hosts whose last request is so many days ago; without a request, their registration.
    `details`: with related names.
    """

    owner_id: int | None = None
    owner: str | None = None
    domain: str | None = None
    stack: str | None = None
    fqdns: Sequence[str] | None = None
    oversees: bool = False
    silent_days: int | None = None
    details: bool = False


DAY_MICROSECONDS = 24 * 3600 * 1_000_000

DOMAINS = 50
"""Maximum number of domains in one slice of a list of hosts."""


class OwnedHost(NamedTuple):
    """A host, its owner's name, its RRsets and its related names."""

    host: rows.Host
    owner: str
    rrsets: Sequence[rows.RRset] = ()
    related: Sequence[rows.Related] = ()


_HOST = queries.HOST.add_columns(users.c.name)


def host(connection: Connection, fqdn: str) -> OwnedHost | None:
    """The host with this name."""
    found = connection.execute(_HOST.where(hosts.c.fqdn == fqdn)).all()
    return next(iter(_with_related(connection, _with_rrsets(connection, map(_owned, found)))), None)


def page_of_hosts(connection: Connection, wanted: HostFilter, after: int, limit: int) -> list[OwnedHost]:
    """At most `limit` hosts with an id above `after`, by id."""
    ids = _ids(connection, wanted)
    if ids is None:
        return []
    query = _filtered(_HOST, *ids, wanted, after).limit(limit)
    page = _with_rrsets(connection, map(_owned, connection.execute(query)))
    return _with_related(connection, page) if wanted.details else page


def page_of_silent_hosts(
    connection: Connection, wanted: HostFilter, after: int, limit: int, span: int
) -> tuple[list[OwnedHost], int | None]:
    """At most `limit` silent ones of the `span` hosts above the id `after`, and the id to go on from; None at the end.

    Few hosts are silent, and no index of hosts knows which: `span` keeps the read short, and the last request for each
    host is found by its primary key.
    """
    ids = _ids(connection, wanted)
    if ids is None or wanted.silent_days is None:
        return [], None
    last_request = select(contacts.c.at).where(contacts.c.host_id == hosts.c.id).scalar_subquery()
    columns = select(hosts.c.id, func.coalesce(last_request, hosts.c.created)).join_from(hosts, domains)
    looked_at = connection.execute(_filtered(columns, *ids, wanted, after).limit(span)).all()
    since = queries.now() - wanted.silent_days * DAY_MICROSECONDS
    silent = [host_id for host_id, heard in looked_at if heard < since][:limit]
    found = connection.execute(_HOST.where(hosts.c.id.in_(silent)))
    page = _with_rrsets(connection, sorted(map(_owned, found), key=lambda owned: owned.host.id))
    page = _with_related(connection, page) if wanted.details else page
    if len(silent) == limit:
        return page, silent[-1]
    return page, looked_at[-1][0] if len(looked_at) == span else None


def _filtered(
    query: Select[Any], owner_id: int | None, domain_id: int | None, wanted: HostFilter, after: int
) -> Select[Any]:
    """The query in pages, with an index for one filter: the first that is given of full names, stack, owner, domain.

    These indexes have the ids in order, so that no page sorts all hosts of a user. `+ 0` hides a column from the
    planners, because SQLite's uses any index.
    """
    stack, fqdns = wanted.stack, wanted.fqdns
    host_id = hosts.c.id if fqdns is None else hosts.c.id + 0
    query = query.where(host_id > after, hosts.c.reverse_of.is_(None)).order_by(host_id)
    if fqdns is not None:
        query = query.where(hosts.c.fqdn.in_(fqdns))
    if stack is not None:
        query = query.where(hosts.c.stack == stack)
    if owner_id is not None and fqdns is not None and _oversees(wanted):
        query = query.where(or_(hosts.c.owner_id + 0 == owner_id, domains.c.owner_id == owner_id))
    elif owner_id is not None:
        column = hosts.c.owner_id if stack is None else hosts.c.owner_id + 0
        query = query.where(column == owner_id)
    if domain_id is not None:
        column = hosts.c.domain_id if stack is None and owner_id is None else hosts.c.domain_id + 0
        query = query.where(column == domain_id)
    return query


def _ids(connection: Connection, wanted: HostFilter) -> tuple[int | None, int | None] | None:
    """The ids of owner and domain; None if the filter matches nothing.

    PostgreSQL's planner knows how many hosts have an id, but not how many have the id that belongs to a name.
    """
    owner_id, domain_id = wanted.owner_id, None
    if wanted.domain is not None:
        named = select(domains.c.id, domains.c.owner_id).where(domains.c.name == wanted.domain)
        domain = connection.execute(named).first()
        if domain is None:
            return None
        domain_id = domain.id
        if _oversees(wanted) and domain.owner_id == owner_id:
            owner_id = None
    if wanted.owner is not None:
        found = connection.scalar(select(users.c.id).where(users.c.name == wanted.owner))
        if found is None or owner_id not in (None, found):
            return None
        owner_id = found
    return owner_id, domain_id


def _oversees(wanted: HostFilter) -> bool:
    return wanted.oversees and wanted.stack is None


class HostPosition(NamedTuple):
    """A position in the list of a user's hosts, by domain and name: after this host."""

    domain: str = ""
    name: str = ""


_LISTED = select(*(hosts.c[name] for name in rows.ListedHost._fields[:-2]))

_BY_NAME = hosts.c.domain_id, hosts.c.name


def _after(owner_id: int, domain_id: int | Column[int], name: str) -> ColumnElement[bool]:
    """The user's hosts in a domain with a name above `name`, for queries in the order of `_BY_NAME`.

    Only the index of these columns has this order. With `domain_id = …` and the order of names, PostgreSQL may read the
    index of all names instead: it expects a match soon, and reads the whole table if the user has none in the domain.
    """
    return and_(
        hosts.c.owner_id == owner_id,
        tuple_(*_BY_NAME) > tuple_(domain_id, name),
        hosts.c.domain_id <= domain_id,
        hosts.c.reverse_of.is_(None),
    )


def domains_of_hosts(
    connection: Connection, owner_id: int, domain_id: int | None, after: str, limit: int
) -> list[tuple[int, str, bool]]:
    """(id, name, available) of at most `limit` domains with hosts of the user, by name, from the name `after` on."""
    own = select(hosts.c.id).where(_after(owner_id, domains.c.id, ""))
    first = own.order_by(*_BY_NAME).limit(1).scalar_subquery()
    query = select(domains.c.id, domains.c.name, domains.c.available).where(domains.c.name >= after, first.is_not(None))
    if domain_id is not None:
        query = query.where(domains.c.id == domain_id)
    found = connection.execute(query.order_by(domains.c.name).limit(limit))
    return [(row.id, row.name, row.available) for row in found]


def slice_of_hosts(
    connection: Connection, owner_id: int, domain_id: int | None, after: HostPosition, limit: int
) -> tuple[list[rows.ListedHost], HostPosition | None]:
    """At most `limit` hosts of a user, sorted by domain and name, and the position after them; None at the end."""
    found: list[rows.ListedHost] = []
    around = domains_of_hosts(connection, owner_id, domain_id, after.domain, DOMAINS + 1)
    for number, domain, available in around[:DOMAINS]:
        query = _LISTED.where(_after(owner_id, number, after.name if domain == after.domain else ""))
        page = connection.execute(query.order_by(*_BY_NAME).limit(limit - len(found))).all()
        found += [rows.ListedHost._make((*row, domain, available)) for row in page]
        if len(found) == limit:
            return found, HostPosition(domain, found[-1].name)
    return found, HostPosition(around[DOMAINS][1]) if len(around) > DOMAINS else None


def _with_rrsets(connection: Connection, found: Iterable[OwnedHost]) -> list[OwnedHost]:
    page = list(found)
    sets = records.of_hosts(connection, [owned.host for owned in page])
    return [owned._replace(rrsets=sets[owned.host.id]) if owned.host.id in sets else owned for owned in page]


def _with_related(connection: Connection, page: list[OwnedHost]) -> list[OwnedHost]:
    names = related_of(connection, [owned.host.id for owned in page])
    return [owned._replace(related=names.get(owned.host.id, ())) for owned in page]


def _owned(row: Any) -> OwnedHost:
    *values, owner = row
    return OwnedHost(rows.Host._make(values), owner)


def host_counts(connection: Connection) -> dict[int, int]:
    """Numbers of hosts by domain id; domains without hosts are missing."""
    counted = select(hosts.c.domain_id, func.count()).where(hosts.c.reverse_of.is_(None)).group_by(hosts.c.domain_id)
    return {row[0]: row[1] for row in connection.execute(counted)}


def host_count(connection: Connection, domain_id: int) -> int:
    """Number of hosts of the domain."""
    mine = hosts.c.domain_id == domain_id, hosts.c.reverse_of.is_(None)
    return connection.scalar(select(func.count()).select_from(hosts).where(*mine)) or 0


def page_of_domains(connection: Connection, after: int, limit: int) -> list[rows.Domain]:
    """At most `limit` domains with an id above `after`, by id."""
    return _page(connection, queries.DOMAIN, domains.c.id, rows.Domain._make, after, limit)


def domains_by_name(connection: Connection, after: str, limit: int, *, owner_id: int, own: bool) -> list[rows.Domain]:
    """At most `limit` domains with a name above `after`, by name: those of the user, or with `own` false all others."""
    owned = domains.c.owner_id == owner_id if own else domains.c.owner_id != owner_id
    query = queries.DOMAIN.where(domains.c.name > after, owned).order_by(domains.c.name).limit(limit)
    return [rows.Domain._make(row) for row in connection.execute(query)]


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


def token_of_hash(connection: Connection, hashed: bytes) -> rows.Token | None:
    """The token with this stored hash."""
    row = connection.execute(queries.TOKEN.where(tokens.c.hash == hashed)).first()
    return rows.Token._make(row) if row else None


def names_of_descendants(connection: Connection, token_id: int) -> list[str]:
    """The names of the tokens that were created with this one, or with one of those."""
    made = select(tokens.c.id, tokens.c.name).where(tokens.c.parent_id == token_id).cte(recursive=True)
    made = made.union_all(select(tokens.c.id, tokens.c.name).where(tokens.c.parent_id == made.c.id))
    return list(connection.scalars(select(made.c.name).order_by(made.c.id)))


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
    connection: Connection,
    *,
    reader_id: int | None,
    wanted: dict[str, str],
    before: int | None,
    limit: int,
    actions: Collection[str] = (),
) -> list[Happened]:
    """At most `limit` entries with an id below `before`, newest first; `reader_id`: those that this user may read.

    `wanted` limits the columns `object`, `actor` and `action`; `actions` are the only ones, unless it is empty.
    """
    query = select(*(events.c[name] for name in Happened._fields)).order_by(events.c.id.desc()).limit(limit)
    if reader_id is not None:
        query = query.where(events.c.owner_id == reader_id)
    if before is not None:
        query = query.where(events.c.id < before)
    if actions:
        query = query.where(events.c.action.in_(actions))
    for name, value in wanted.items():
        query = query.where(events.c[name] == value)
    return [Happened._make(row) for row in connection.execute(query)]


def _page(connection: Connection, query: Select[Any], identity: Any, make: Any, after: int, limit: int) -> list[Any]:
    found = connection.execute(query.where(identity > after).order_by(identity).limit(limit))
    return [make(row) for row in found]
