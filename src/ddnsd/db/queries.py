# SPDX-License-Identifier: GPL-3.0-or-later
"""One set of queries for both databases. `work` functions take a `Connection` and belong in a transaction."""

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)

from ddnsd.db import rows
from ddnsd.db.pending import ASKED_FOR, lock, mark_pending
from ddnsd.db.schema import (
    domains,
    events,
    hosts,
    key_hosts,
    keys,
    memberships,
    pending,
    related,
    removals,
    sessions,
    set_aside,
    tokens,
    users,
)
from ddnsd.db.string_agg import Lines
from ddnsd.db.wildcards import PREFIX


def now() -> int:
    """Microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


def _columns(table: Table, names: Sequence[str]) -> list[ColumnElement[Any]]:
    return [table.c[name] for name in names]


# ---- what a lookup by key reads -------------------------------------------------------------------------------------

HOST: Select[Any] = select(
    *_columns(hosts, rows.Host._fields[:-8]),
    domains.c.name,
    domains.c.available,
    domains.c.ttl,
    domains.c.query_credentials,
    domains.c.private_addresses,
    users.c.active,
    users.c.withdrawn,
    pending.c.since,
).select_from(
    hosts.join(domains).join(users, users.c.id == hosts.c.owner_id).outerjoin(pending, pending.c.host_id == hosts.c.id)
)

# with whether it has related names (most have none, and nobody looks for them), whether it was set aside, and its
# domain's generation
HOST_TO_SEND: Select[Any] = HOST.add_columns(
    exists().where(related.c.host_id == hosts.c.id),
    exists().where(set_aside.c.host_id == hosts.c.id),
    domains.c.generation,
)

KEY: Select[Any] = select(*_columns(keys, rows.Key._fields[:-1]), users.c.active).join_from(keys, users)

_GROUPS = select(Lines(memberships.c.group)).where(memberships.c.user_id == users.c.id).scalar_subquery()
_USER = users.c.name, users.c.admin, users.c.active, _GROUPS

TOKEN: Select[Any] = select(*_columns(tokens, rows.Token._fields[:-4]), *_USER).join_from(tokens, users)

SESSION: Select[Any] = select(*_columns(sessions, rows.Session._fields[:-4]), *_USER).join_from(sessions, users)

HOSTS_OF_KEY: Select[Any] = HOST.join(key_hosts, key_hosts.c.host_id == hosts.c.id).order_by(hosts.c.id)

DOMAIN: Select[Any] = select(*_columns(domains, rows.Domain._fields[:-1]), users.c.name).join_from(domains, users)

RELATED: Select[Any] = select(*_columns(related, rows.Related._fields))

USER: Select[Any] = select(*_columns(users, rows.User._fields))


# ---- reading --------------------------------------------------------------------------------------------------------


def domain(connection: Connection, name: str) -> rows.Domain | None:
    """The domain of that name."""
    row = connection.execute(DOMAIN.where(domains.c.name == name)).first()
    return rows.Domain._make(row) if row else None


def closest_domain(connection: Connection, fqdn: str) -> rows.Domain | None:
    """The domain that is `fqdn` or the longest ending of it."""
    found = [rows.Domain._make(row) for row in connection.execute(DOMAIN.where(domains.c.name.in_(rows.endings(fqdn))))]
    return max(found, key=lambda d: len(d.name), default=None)


def is_domain(connection: Connection, names: Sequence[str]) -> bool:
    """Whether one of the names is a domain's."""
    return bool(connection.scalar(select(exists().where(domains.c.name.in_(names)))))


def all_domains(connection: Connection) -> list[rows.Domain]:
    """Every domain, by name."""
    return [rows.Domain._make(row) for row in connection.execute(DOMAIN.order_by(domains.c.name))]


def user(connection: Connection, name: str) -> rows.User | None:
    """The user of that name."""
    row = connection.execute(USER.where(users.c.name == name)).first()
    return rows.User._make(row) if row else None


def user_name(connection: Connection, user_id: int) -> str:
    """The name of the user of that id."""
    name: str = connection.execute(select(users.c.name).where(users.c.id == user_id)).scalar_one()
    return name


def user_count(connection: Connection) -> int:
    """How many users there are."""
    return connection.scalar(select(func.count()).select_from(users)) or 0


def host(connection: Connection, fqdn: str) -> rows.Host | None:
    """The host of that name."""
    row = connection.execute(HOST.where(hosts.c.fqdn == fqdn)).first()
    return rows.Host._make(row) if row else None


def hosts_by_id(connection: Connection, ids: Iterable[int]) -> list[rows.Host]:
    """The hosts that still exist among `ids`."""
    return [
        rows.Host._make(row)
        for part in _parts(list(ids))
        for row in connection.execute(HOST.where(hosts.c.id.in_(part)))
    ]


def hosts_of_owner(connection: Connection, owner_id: int, domain_id: int | None) -> list[rows.Host]:
    """A user's hosts, of one domain or of all, sorted by domain and name."""
    query = HOST.where(hosts.c.owner_id == owner_id).order_by(domains.c.name, hosts.c.name)
    if domain_id is not None:
        query = query.where(hosts.c.domain_id == domain_id)
    return [rows.Host._make(row) for row in connection.execute(query)]


def hosts_of_domain(connection: Connection, domain_id: int) -> Iterable[rows.Host]:
    """Every host of a domain."""
    return map(rows.Host._make, connection.execute(HOST.where(hosts.c.domain_id == domain_id)))


def places(connection: Connection, domain_id: int, limit: int) -> list[tuple[str, str]]:
    """The names of a few hosts that DNS holds, each with the type of its address."""
    query = select(hosts.c.fqdn, hosts.c.ipv4).where(
        hosts.c.domain_id == domain_id, hosts.c.claimed, or_(hosts.c.ipv4.is_not(None), hosts.c.ipv6.is_not(None))
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
    """Whether a host or a related name holds `fqdn`."""
    return bool(
        connection.scalar(select(exists().where(hosts.c.fqdn == fqdn) | exists().where(related.c.fqdn == fqdn)))
    )


def hosts_named(connection: Connection, names: Sequence[str]) -> list[rows.Host]:
    """The hosts among full `names`."""
    return [rows.Host._make(row) for row in connection.execute(HOST.where(hosts.c.fqdn.in_(names)))]


def host_within(connection: Connection, zone: str) -> str | None:
    """A host at or below the name, whose records a new zone of that name would hide; the one with the shortest name."""
    query = select(hosts.c.fqdn).where(_within(hosts.c.fqdn, zone))
    return connection.scalar(query.order_by(func.length(hosts.c.fqdn), hosts.c.fqdn).limit(1))


def related_within(connection: Connection, zone: str) -> tuple[str, str] | None:
    """Likewise a related name, and its host."""
    query = select(related.c.fqdn, hosts.c.fqdn).join_from(related, hosts).where(_within(related.c.fqdn, zone))
    row = connection.execute(query.limit(1)).first()
    return (row[0], row[1]) if row else None


def _within(column: Column[str], zone: str) -> ColumnElement[bool]:
    return (column == zone) | column.endswith("." + zone)


def pending_hosts(connection: Connection, before: int, limit: int = 5000) -> list[tuple[int, int, int]]:
    """(domain id, host id, since when) of hosts of which DNS is not known to hold the row since before `before`.

    Without those that were set aside, until they are due, unless they have changed since.
    """
    query = select(hosts.c.domain_id, hosts.c.id, pending.c.since).join_from(
        pending, hosts, pending.c.host_id == hosts.c.id
    )
    later = exists().where(
        set_aside.c.host_id == pending.c.host_id, set_aside.c.retry_at > now(), pending.c.since == ASKED_FOR
    )
    query = query.where(pending.c.since < before, ~later).order_by(pending.c.since)
    found = connection.execute(query.limit(limit))
    return [(row.domain_id, row.id, row.since) for row in found]


def some_published(connection: Connection, domain_id: int, number: int) -> list[int]:
    """Ids of some hosts, others each time, that DNS holds."""
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


def pending_count(connection: Connection) -> int:
    """Of how many hosts DNS is not known to hold the row, without those whose names foreign records have."""
    waiting = select(func.count()).select_from(pending.join(hosts, pending.c.host_id == hosts.c.id))
    return connection.scalar(waiting.where(hosts.c.conflict.is_(None))) or 0


def late_count(connection: Connection, domain_id: int, before: int) -> int:
    """How many hosts and removals of the domain have waited for DNS since before `before`."""
    late = pending.c.since < before, pending.c.since > ASKED_FOR
    of_hosts = select(func.count()).select_from(pending.join(hosts, pending.c.host_id == hosts.c.id))
    of_removals = select(func.count()).where(
        removals.c.domain_id == domain_id, removals.c.dirty_since < before, removals.c.dirty_since > ASKED_FOR
    )
    found = connection.scalar(of_hosts.where(hosts.c.domain_id == domain_id, *late)) or 0
    return found + (connection.scalar(of_removals) or 0)


def dirty_removal_domains(connection: Connection, before: int) -> list[int]:
    """Ids of the domains with names that are still to leave since before `before`.

    Without those that were set aside, until they are due.
    """
    later = exists().where(set_aside.c.removal_id == removals.c.id, set_aside.c.retry_at > now())
    query = select(removals.c.domain_id).where(removals.c.dirty_since < before, ~later)
    return list(connection.scalars(query.distinct()))


def removed_names(connection: Connection, domain_id: int) -> list[rows.Removal]:
    """Names that have left the zone, or would have if the name server did not refuse to remove them."""
    refused = select(set_aside.c.removal_id).where(set_aside.c.removal_id.is_not(None))
    query = _select(removals, rows.Removal._fields).where(
        removals.c.domain_id == domain_id, removals.c.dirty_since.is_(None) | removals.c.id.in_(refused)
    )
    return [rows.Removal._make(row) for row in connection.execute(query)]


# ---- changing -------------------------------------------------------------------------------------------------------


def names_locked(connection: Connection, host_ids: set[int]) -> dict[int, str]:
    """The names of hosts by id, which nobody changes until the transaction ends."""
    lock(connection, host_ids)
    found = connection.execute(select(hosts.c.id, hosts.c.fqdn).where(hosts.c.id.in_(host_ids)))
    return {row.id: row.fqdn for row in found}


def remember_unclaimed(connection: Connection, host_ids: Sequence[int]) -> None:
    """Keep the addresses of hosts that are about to change while a message that was given up may still claim them.

    That message would leave them at a name which then seems to be somebody else's: see `removals.former_values`.
    """
    moment = now()
    for part in _parts(list(host_ids)):
        for name, only in ((hosts.c.fqdn, true()), (literal(PREFIX) + hosts.c.fqdn, hosts.c.wildcard)):
            former = select(hosts.c.domain_id, name, hosts.c.ipv4, hosts.c.ipv6, true(), literal(moment)).where(
                hosts.c.id.in_(part),
                only,
                ~hosts.c.claimed,
                hosts.c.conflict.is_(None),
                or_(hosts.c.ipv4.is_not(None), hosts.c.ipv6.is_not(None)),
            )
            into = ["domain_id", "fqdn", "ipv4", "ipv6", "exact", "created"]
            connection.execute(insert(removals).from_select(into, former))


def set_host(connection: Connection, host_id: int, **values: Any) -> None:
    """Change columns that DNS does not show."""
    connection.execute(update(hosts).where(hosts.c.id == host_id).values(**values))


def wish_again(connection: Connection, host_ids: Iterable[int]) -> None:
    """Have the hosts' records sent once more, as soon as possible: also of hosts that were set aside."""
    ids = list(host_ids)
    for part in _parts(ids):
        connection.execute(update(hosts).where(hosts.c.id.in_(part)).values(version=hosts.c.version + 1))
        connection.execute(update(set_aside).where(set_aside.c.host_id.in_(part)).values(retry_at=now(), tries=0))
    mark_pending(connection, ids, ASKED_FOR)


def mark_claimed(connection: Connection, sent: Iterable[rows.Host]) -> None:
    """The hosts' names in the zone are ours: those that they were sent with, should one be renamed meanwhile."""
    mark_claimed_names(connection, {host.id: host.fqdn for host in sent})


def mark_claimed_names(connection: Connection, names: Mapping[int, str]) -> None:
    """Likewise, of full names by host id."""
    for part in _parts(list(names)):
        where = hosts.c.id.in_(part), hosts.c.fqdn.in_([names[host_id] for host_id in part])
        connection.execute(update(hosts).where(*where).values(claimed=True, conflict=None))


def count_faults(connection: Connection, faults: Iterable[tuple[int, str]]) -> None:
    """Add one to `client_faults` or `server_faults` for each (host id, column)."""
    for host_id, column in faults:
        counter: Column[int] = hosts.c[column]
        connection.execute(update(hosts).where(hosts.c.id == host_id).values({column: counter + 1}))


def add_host(connection: Connection, **values: Any) -> int:
    """Insert a host that waits for DNS; answers its id. IntegrityError when the name is taken."""
    moment = now()
    result = connection.execute(insert(hosts).values(created=moment, **values))
    assert result.inserted_primary_key is not None
    host_id = int(result.inserted_primary_key[0])
    mark_pending(connection, [host_id], moment)
    return host_id


def delete_host(connection: Connection, host_id: int) -> None:
    """Delete the row, its related names and its places in keys."""
    connection.execute(delete(hosts).where(hosts.c.id == host_id))
    connection.execute(delete(pending).where(pending.c.host_id == host_id))


def add_removals(
    connection: Connection, names: Iterable[tuple[str, str | None, str | None]], *, domain_id: int, exact: bool = False
) -> None:
    """Have (fqdn, ipv4, ipv6) leave the zone."""
    moment = now()
    connection.execute(
        insert(removals),
        [
            {
                "domain_id": domain_id,
                "fqdn": fqdn,
                "ipv4": v4,
                "ipv6": v6,
                "exact": exact,
                "dirty_since": moment,
                "created": moment,
            }
            for fqdn, v4, v6 in names
        ],
    )


def settle_removals(connection: Connection, ids: Iterable[int]) -> None:
    """The names have left the zone."""
    for part in _parts(list(ids)):
        connection.execute(update(removals).where(removals.c.id.in_(part)).values(dirty_since=None))


def remove_again(connection: Connection, ids: Iterable[int]) -> None:
    """Names that have come back are to leave once more."""
    for part in _parts(list(ids)):
        connection.execute(update(removals).where(removals.c.id.in_(part)).values(dirty_since=ASKED_FOR))


def reclaim(connection: Connection, fqdn: str) -> bool:
    """Take a name that was about to leave the zone: whether it still stands there as ours."""
    waiting = removals.c.dirty_since.is_not(None), ~removals.c.exact, removals.c.rtype.is_(None)
    return connection.execute(delete(removals).where(removals.c.fqdn == fqdn, *waiting)).rowcount > 0


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
    """Append to the audit trail; `owner_id` is the user who may read it beside the administrators."""
    connection.execute(
        insert(events).values(
            at=now(), actor=actor, action=action, object=subject, owner_id=owner_id, source=source, detail=detail
        )
    )


def _select(table: Table, names: Sequence[str]) -> Select[Any]:
    return select(*_columns(table, names))


def _parts(ids: list[int], size: int = 500) -> Iterable[list[int]]:
    """SQLite bounds the number of parameters of a statement."""
    return (ids[i : i + size] for i in range(0, len(ids), size))
