# SPDX-License-Identifier: GPL-3.0-or-later
"""One set of queries for both databases. `work` functions take a `Connection` and belong in a transaction."""

import random
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    true,
    update,
)

from ddnsd.db import pointer_marks, rows
from ddnsd.db.bulk_sql import Lines
from ddnsd.db.pending import ASKED_FOR, lock, mark_pending
from ddnsd.db.schema import (
    domains,
    events,
    hosts,
    identities,
    key_hosts,
    keys,
    memberships,
    passkeys,
    pending,
    related,
    removals,
    resends,
    sessions,
    set_aside,
    tokens,
    totp,
    users,
)
from ddnsd.db.wildcards import PREFIX

PAGE = 5000
"""Rows that are read at once where all are read."""


def now() -> int:
    """Microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


def _columns(table: Table, names: Sequence[str]) -> list[ColumnElement[Any]]:
    return [table.c[name] for name in names]


# ---- lookups by key -------------------------------------------------------------------------------------

HOST: Select[Any] = select(
    *_columns(hosts, rows.Host._fields[:-10]),
    domains.c.name,
    domains.c.owner_id,
    domains.c.available,
    domains.c.ttl,
    domains.c.query_credentials,
    domains.c.private_addresses,
    domains.c.dns_updates,
    users.c.active,
    users.c.withdrawn,
    pending.c.since,
).select_from(
    hosts.join(domains).join(users, users.c.id == hosts.c.owner_id).outerjoin(pending, pending.c.host_id == hosts.c.id)
)

FROZEN_DOMAINS = select(domains.c.id).where(domains.c.frozen_since.is_not(None))

# also whether it has related names (most have none, which saves a query), whether it is set aside, and its domain's
# generation: 0, which no sender has, while the domain is frozen
HOST_TO_SEND: Select[Any] = HOST.add_columns(
    exists().where(related.c.host_id == hosts.c.id),
    exists().where(set_aside.c.host_id == hosts.c.id),
    case((domains.c.frozen_since.is_not(None), literal_column("0")), else_=domains.c.generation),
)

KEY: Select[Any] = select(*_columns(keys, rows.Key._fields[:-1]), users.c.active).join_from(keys, users)

_stating, _promoting = identities.alias("stating"), identities.alias("promoting")
_STATED = func.coalesce(_stating.c.claims_at, literal_column("0"))  # lookups allow no parameter but their key
_GROUPS = (
    select(Lines(cast(_STATED, Text).concat(literal_column("' '")).concat(memberships.c.group)))
    .select_from(memberships.outerjoin(_stating, _stating.c.id == memberships.c.identity_id))
    .where(memberships.c.user_id == users.c.id)
    .scalar_subquery()
)
_ADMIN_AT = select(_promoting.c.claims_at).where(_promoting.c.id == users.c.admin_by).scalar_subquery()
RIGHTS = users.c.admin, _ADMIN_AT, _GROUPS
"""The fields of `rows.StatedRights`, in queries that have the user."""

_USER = users.c.name, users.c.active, *RIGHTS

TOKEN: Select[Any] = select(*_columns(tokens, rows.Token._fields[:-5]), *_USER).join_from(tokens, users)

TOKEN_WITH_HASH: Select[Any] = TOKEN.add_columns(tokens.c.hash)

HAS_SECOND_FACTOR = or_(exists().where(totp.c.user_id == users.c.id), exists().where(passkeys.c.user_id == users.c.id))
"""Whether a user has a second factor, in queries that have the user."""

SESSION: Select[Any] = select(
    *_columns(sessions, rows.Session._fields[:-6]), *_USER, HAS_SECOND_FACTOR.label("second_factor")
).join_from(sessions, users)

HOSTS_OF_KEY: Select[Any] = HOST.join(key_hosts, key_hosts.c.host_id == hosts.c.id).order_by(hosts.c.id)

DOMAIN: Select[Any] = select(*_columns(domains, rows.Domain._fields[:-1]), users.c.name).join_from(domains, users)

RELATED: Select[Any] = select(*_columns(related, rows.Related._fields))

USER: Select[Any] = select(*_columns(users, rows.User._fields))

SKIPPED_REMOVALS = select(set_aside.c.removal_id).where(set_aside.c.removal_id.is_not(None), set_aside.c.skipped)


# ---- reading --------------------------------------------------------------------------------------------------------


def domain(connection: Connection, name: str) -> rows.Domain | None:
    """The domain with this name."""
    row = connection.execute(DOMAIN.where(domains.c.name == name)).first()
    return rows.Domain._make(row) if row else None


def closest_domain(connection: Connection, fqdn: str) -> rows.Domain | None:
    """The domain that is `fqdn` or the longest ending of it."""
    found = [rows.Domain._make(row) for row in connection.execute(DOMAIN.where(domains.c.name.in_(rows.endings(fqdn))))]
    return max(found, key=lambda d: len(d.name), default=None)


def is_domain(connection: Connection, names: Sequence[str]) -> bool:
    """Whether one of the names is a domain."""
    return bool(connection.scalar(select(exists().where(domains.c.name.in_(names)))))


def all_domains(connection: Connection) -> list[rows.Domain]:
    """All domains, by name."""
    return [rows.Domain._make(row) for row in connection.execute(DOMAIN.order_by(domains.c.name))]


def is_frozen(connection: Connection, domain_id: int) -> bool:
    """Whether the domain is frozen for maintenance."""
    return connection.scalar(FROZEN_DOMAINS.where(domains.c.id == domain_id)) is not None


def user(connection: Connection, name: str) -> rows.User | None:
    """The user with this name."""
    row = connection.execute(USER.where(users.c.name == name)).first()
    return rows.User._make(row) if row else None


def rights(connection: Connection, user_id: int) -> rows.StatedRights:
    """The rights of a user."""
    return rows.StatedRights._make(connection.execute(select(*RIGHTS).where(users.c.id == user_id)).one())


def user_name(connection: Connection, user_id: int) -> str:
    """The name of the user with this id."""
    name: str = connection.execute(select(users.c.name).where(users.c.id == user_id)).scalar_one()
    return name


def user_count(connection: Connection) -> int:
    """Number of users."""
    return connection.scalar(select(func.count()).select_from(users)) or 0


def host(connection: Connection, fqdn: str) -> rows.Host | None:
    """The host with this name."""
    row = connection.execute(HOST.where(hosts.c.fqdn == fqdn)).first()
    return rows.Host._make(row) if row else None


def hosts_by_id(connection: Connection, ids: Iterable[int]) -> list[rows.Host]:
    """The hosts that still exist among `ids`."""
    return [
        rows.Host._make(row)
        for part in _parts(list(ids))
        for row in connection.execute(HOST.where(hosts.c.id.in_(part)))
    ]


def existing_hosts(connection: Connection, ids: Collection[int]) -> list[int]:
    """Those of the ids that are hosts."""
    return list(connection.scalars(select(hosts.c.id).where(hosts.c.id.in_(ids))))


def hosts_of_domain(connection: Connection, domain_id: int) -> Iterable[rows.Host]:
    """All hosts of a domain."""
    return map(rows.Host._make, connection.execute(HOST.where(hosts.c.domain_id == domain_id)))


def places(connection: Connection, domain_id: int, limit: int) -> list[tuple[str, str]]:
    """The names of a few published hosts, each with the type of its address."""
    query = select(hosts.c.fqdn, hosts.c.ipv4).where(
        hosts.c.domain_id == domain_id,
        hosts.c.claimed,
        hosts.c.alias.is_(None),
        or_(hosts.c.ipv4.is_not(None), hosts.c.ipv6.is_not(None)),
    )
    return [(row.fqdn, "A" if row.ipv4 else "AAAA") for row in connection.execute(query.limit(limit))]


def related_of(connection: Connection, host_ids: Iterable[int]) -> dict[int, list[rows.Related]]:
    """Related names by their host's id."""
    found: dict[int, list[rows.Related]] = {}
    for part in _parts(list(host_ids)):
        for row in connection.execute(_select(related, rows.Related._fields).where(related.c.host_id.in_(part))):
            found.setdefault(row.host_id, []).append(rows.Related._make(row))
    return found


def related_of_domain(connection: Connection, domain_id: int) -> dict[int, list[rows.Related]]:
    """Related names of a whole domain by their host's id."""
    found: dict[int, list[rows.Related]] = {}
    query = _select(related, rows.Related._fields).join(hosts).where(hosts.c.domain_id == domain_id)
    for row in connection.execute(query):
        found.setdefault(row.host_id, []).append(rows.Related._make(row))
    return found


def taken(connection: Connection, fqdn: str) -> bool:
    """Whether a host or a related name has `fqdn`."""
    return bool(
        connection.scalar(select(exists().where(hosts.c.fqdn == fqdn) | exists().where(related.c.fqdn == fqdn)))
    )


def hosts_named(connection: Connection, names: Sequence[str]) -> list[rows.Host]:
    """The hosts among full `names`."""
    return [rows.Host._make(row) for row in connection.execute(HOST.where(hosts.c.fqdn.in_(names)))]


def host_within(connection: Connection, zone: str) -> str | None:
    """A host at or below the name, whose records a new zone of that name would hide; the one with the shortest name.

    Reverse names do not count: they move into the new zone.
    """
    query = select(hosts.c.fqdn).where(_within(hosts.c.fqdn, zone), hosts.c.reverse_of.is_(None))
    return connection.scalar(query.order_by(func.length(hosts.c.fqdn), hosts.c.fqdn).limit(1))


def related_within(connection: Connection, zone: str) -> tuple[str, str] | None:
    """The same for a related name, with its host."""
    query = select(related.c.fqdn, hosts.c.fqdn).join_from(related, hosts).where(_within(related.c.fqdn, zone))
    row = connection.execute(query.limit(1)).first()
    return (row[0], row[1]) if row else None


def _within(column: Column[str], zone: str) -> ColumnElement[bool]:
    return (column == zone) | column.endswith("." + zone)


def pending_hosts(
    connection: Connection, domain_ids: Collection[int], before: int, limit: int
) -> list[tuple[int, int, int]]:
    """(domain id, host id, since) of hosts of these domains that have been pending since before `before`, oldest first.

    Without hosts set aside that are not due, unless they have changed since, and without those of frozen domains.
    """
    query = select(hosts.c.domain_id, hosts.c.id, pending.c.since).join_from(
        pending, hosts, pending.c.host_id == hosts.c.id
    )
    later = exists().where(
        set_aside.c.host_id == pending.c.host_id, set_aside.c.retry_at > now(), pending.c.since == ASKED_FOR
    )
    of_domains = hosts.c.domain_id.in_(domain_ids), hosts.c.domain_id.not_in(FROZEN_DOMAINS)
    query = query.where(*of_domains, pending.c.since < before, ~later).order_by(pending.c.since)
    found = connection.execute(query.limit(limit))
    return [(row.domain_id, row.id, row.since) for row in found]


def some_published(connection: Connection, domain_id: int, number: int) -> list[int]:
    """Ids of some published hosts, different ones each time."""
    mine = hosts.c.domain_id == domain_id
    first, last = connection.execute(select(func.min(hosts.c.id), func.max(hosts.c.id)).where(mine)).one()
    if first is None:
        return []
    held = mine, hosts.c.claimed, hosts.c.conflict.is_(None), hosts.c.id.not_in(select(pending.c.host_id))
    begin = random.randint(first, last)
    beyond, rest = (
        select(hosts.c.id).where(*held, part).order_by(hosts.c.id).limit(number)
        for part in (hosts.c.id >= begin, hosts.c.id < begin)
    )
    found = [*connection.scalars(beyond)]
    return (found if len(found) == number else [*found, *connection.scalars(rest)])[:number]


def host_count(connection: Connection) -> int:
    """Number of all hosts."""
    return connection.scalar(select(func.count()).select_from(hosts).where(hosts.c.reverse_of.is_(None))) or 0


def pending_count(connection: Connection) -> int:
    """Number of pending hosts, without those in conflict with a foreign record."""
    waiting = select(func.count()).select_from(pending.join(hosts, pending.c.host_id == hosts.c.id))
    return connection.scalar(waiting.where(hosts.c.conflict.is_(None))) or 0


def has_unfinished_work(connection: Connection) -> bool:
    """Whether anything is pending, set aside, or to be sent again, in any zone."""
    waiting = (
        exists().select_from(pending),
        exists().where(removals.c.dirty_since.is_not(None)),
        exists().select_from(set_aside),
        exists().select_from(resends),
        *pointer_marks.are_due(),
    )
    return bool(connection.scalar(select(or_(*waiting))))


def late_count(connection: Connection, domain_id: int, before: int) -> int:
    """Number of the domain's hosts and removals that have been pending since before `before`, without skipped ones."""
    late = pending.c.since < before, pending.c.since > ASKED_FOR
    of_hosts = select(func.count()).select_from(pending.join(hosts, pending.c.host_id == hosts.c.id))
    of_removals = select(func.count()).where(
        removals.c.domain_id == domain_id,
        removals.c.dirty_since < before,
        removals.c.dirty_since > ASKED_FOR,
        removals.c.id.not_in(SKIPPED_REMOVALS),
    )
    found = connection.scalar(of_hosts.where(hosts.c.domain_id == domain_id, *late)) or 0
    return found + (connection.scalar(of_removals) or 0)


def dirty_removal_domains(connection: Connection, before: int) -> list[int]:
    """Ids of domains with removals that have been pending since before `before`.

    Without removals set aside that are not due, and without frozen domains.
    """
    later = exists().where(set_aside.c.removal_id == removals.c.id, set_aside.c.retry_at > now())
    thawed = removals.c.domain_id.not_in(FROZEN_DOMAINS)
    query = select(removals.c.domain_id).where(removals.c.dirty_since < before, ~later, thawed)
    return list(connection.scalars(query.distinct()))


def removed_names(connection: Connection, domain_id: int) -> list[rows.Removal]:
    """Names that were removed from the zone, or whose removal the name server refuses, unless it is skipped."""
    refused = select(set_aside.c.removal_id).where(set_aside.c.removal_id.is_not(None), ~set_aside.c.skipped)
    query = _select(removals, rows.Removal._fields).where(
        removals.c.domain_id == domain_id, removals.c.dirty_since.is_(None) | removals.c.id.in_(refused)
    )
    return [rows.Removal._make(row) for row in connection.execute(query)]


# ---- changing -------------------------------------------------------------------------------------------------------


def names_locked(connection: Connection, host_ids: set[int]) -> dict[int, str]:
    """The names of hosts by id, locked until the end of the transaction."""
    lock(connection, host_ids)
    found = connection.execute(select(hosts.c.id, hosts.c.fqdn).where(hosts.c.id.in_(host_ids)))
    return {row.id: row.fqdn for row in found}


def remember_unclaimed(connection: Connection, host_ids: Sequence[int]) -> None:
    """Remember the addresses of hosts that are about to change while an abandoned message may still publish them.

    That message would leave them at a name that then seems to belong to somebody else: see `removals.former_values`.
    """
    moment = now()
    ipv4 = func.coalesce(hosts.c.quarantine_ipv4, hosts.c.ipv4)
    ipv6 = func.coalesce(hosts.c.quarantine_ipv6, hosts.c.ipv6)
    for part in _parts(list(host_ids)):
        for name, only in ((hosts.c.fqdn, true()), (literal(PREFIX) + hosts.c.fqdn, hosts.c.wildcard)):
            former = select(hosts.c.domain_id, name, ipv4, ipv6, hosts.c.alias, true(), literal(moment)).where(
                hosts.c.id.in_(part),
                only,
                ~hosts.c.claimed,
                hosts.c.conflict.is_(None),
                or_(ipv4.is_not(None), ipv6.is_not(None), hosts.c.alias.is_not(None)),
            )
            into = ["domain_id", "fqdn", "ipv4", "ipv6", "alias", "exact", "created"]
            connection.execute(insert(removals).from_select(into, former))


def set_host(connection: Connection, host_id: int, **values: Any) -> None:
    """Change columns that do not affect DNS."""
    connection.execute(update(hosts).where(hosts.c.id == host_id).values(**values))


def wish_again(connection: Connection, host_ids: Iterable[int]) -> None:
    """Mark the hosts as pending, to be sent as soon as possible, also if they are set aside."""
    ids = list(host_ids)
    for part in _parts(ids):
        connection.execute(update(hosts).where(hosts.c.id.in_(part)).values(version=hosts.c.version + 1))
        due = update(set_aside).where(set_aside.c.host_id.in_(part))
        connection.execute(due.values(retry_at=now(), tries=0, skipped=False))
    mark_pending(connection, ids, ASKED_FOR)


def wish_all_again(connection: Connection) -> None:
    """Mark all hosts as pending, as `wish_again` does."""
    last = 0
    while ids := list(connection.scalars(select(hosts.c.id).where(hosts.c.id > last).order_by(hosts.c.id).limit(PAGE))):
        wish_again(connection, ids)
        last = ids[-1]


def mark_claimed(connection: Connection, sent: Iterable[rows.Host]) -> None:
    """Mark the hosts' names as ours, unless they were renamed after sending."""
    mark_claimed_names(connection, {host.id: host.fqdn for host in sent})


def mark_claimed_names(connection: Connection, names: Mapping[int, str]) -> None:
    """Mark names as ours, from full names by host id."""
    for part in _parts(list(names)):
        # with the bare column, SQLite's search in the index of names looks for each id with each name
        fqdn = hosts.c.fqdn.concat("")
        where = hosts.c.id.in_(part), fqdn.in_([names[host_id] for host_id in part])
        connection.execute(update(hosts).where(*where).values(claimed=True, conflict=None))


def forget_aliases(connection: Connection, host_ids: Sequence[int]) -> None:
    """Note that no CNAME record of ours is at the names of hosts that have no alias."""
    for part in _parts(list(host_ids)):
        where = hosts.c.id.in_(part), hosts.c.alias.is_(None)
        connection.execute(update(hosts).where(*where).values(aliased=False))


def count_faults(connection: Connection, faults: Iterable[tuple[int, str]]) -> None:
    """Add one to `client_faults` or `server_faults` for each (host id, column)."""
    for host_id, column in faults:
        counter: Column[int] = hosts.c[column]
        connection.execute(update(hosts).where(hosts.c.id == host_id).values({column: counter + 1}))


def add_host(connection: Connection, **values: Any) -> int:
    """Insert a pending host. Returns its id. Raises IntegrityError if the name is taken."""
    moment = now()
    result = connection.execute(insert(hosts).values(created=moment, **values))
    assert result.inserted_primary_key is not None
    host_id = int(result.inserted_primary_key[0])
    mark_pending(connection, [host_id], moment)
    pointer_marks.mark(connection, [host_id])
    return host_id


def delete_host(connection: Connection, host_id: int) -> None:
    """Delete the host, its related names and its entries in keys."""
    pointer_marks.mark(connection, [host_id])
    connection.execute(delete(hosts).where(hosts.c.id == host_id))
    connection.execute(delete(pending).where(pending.c.host_id == host_id))


def add_removals(
    connection: Connection,
    names: Iterable[tuple[str, str | None, str | None, str | None]],
    *,
    domain_id: int,
    exact: bool = False,
) -> None:
    """Add a pending removal of (fqdn, ipv4, ipv6, alias)."""
    moment = now()
    connection.execute(
        insert(removals),
        [
            {
                "domain_id": domain_id,
                "fqdn": fqdn,
                "ipv4": v4,
                "ipv6": v6,
                "alias": alias,
                "exact": exact,
                "dirty_since": moment,
                "created": moment,
            }
            for fqdn, v4, v6, alias in names
        ],
    )


def settle_removals(connection: Connection, ids: Iterable[int]) -> None:
    """Mark removals as finished."""
    for part in _parts(list(ids)):
        connection.execute(update(removals).where(removals.c.id.in_(part)).values(dirty_since=None))


def remove_again(connection: Connection, ids: Iterable[int]) -> None:
    """Mark finished removals as pending again."""
    for part in _parts(list(ids)):
        connection.execute(update(removals).where(removals.c.id.in_(part)).values(dirty_since=ASKED_FOR))


def add_event(
    connection: Connection,
    actor: str,
    action: str,
    subject: str,
    source: str | None,
    detail: str | None,
    *,
    owner_id: int | None = None,
) -> None:
    """Append to the audit trail; `owner_id` is the user who may read it, as administrators may."""
    connection.execute(
        insert(events).values(
            at=now(), actor=actor, action=action, object=subject, owner_id=owner_id, source=source, detail=detail
        )
    )


def _select(table: Table, names: Sequence[str]) -> Select[Any]:
    return select(*_columns(table, names))


def _parts(ids: list[int], size: int = 500) -> Iterable[list[int]]:
    """Split a list: SQLite limits the number of parameters."""
    return (ids[i : i + size] for i in range(0, len(ids), size))
