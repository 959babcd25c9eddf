# SPDX-License-Identifier: GPL-3.0-or-later
"""Second primaries of domains: the one that a domain moves to, or its former one, which is kept up to date.

A *place* is a name with the type of an RRset there, or "" for its addresses. `mirror_places` has those of a second
primary that are known to be ours. A name with a CNAME record has two places.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Row,
    Select,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    tuple_,
    union,
    update,
)

from ddnsd.db import host_edits, primaries, queries
from ddnsd.db.bulk_hosts import among
from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.history import SERVICE
from ddnsd.db.pending import ASKED_FOR
from ddnsd.db.primaries import Owned
from ddnsd.db.rows import ANY_TARGET, Mirror
from ddnsd.db.schema import domains, hosts, mirror_places, mirrors, related, removals, rrsets
from ddnsd.db.wildcards import PREFIX

NEW, OLD = "new", "old"

PLACES = 400
"""Places per statement: SQLite limits the number of parameters."""

CNAME = "CNAME"

Place = tuple[str, str]

_MIRROR = select(*(mirrors.c[name] for name in Mirror._fields))
_PLACE = mirror_places.c.fqdn, mirror_places.c.rtype
_RRSET_NAME = case((rrsets.c.prefix == "", hosts.c.fqdn), else_=rrsets.c.prefix + "." + hosts.c.fqdn)


# ---- reading


def all_mirrors(connection: Connection) -> dict[str, Mirror]:
    """All second primaries, by the names of their domains."""
    found = connection.execute(_MIRROR.add_columns(domains.c.name).join_from(mirrors, domains))
    return {row[-1]: Mirror._make(row[:-1]) for row in found}


def of_domain(connection: Connection, domain_id: int) -> Mirror | None:
    """The second primary of the domain, locked until the end of the transaction."""
    row = connection.execute(_MIRROR.where(mirrors.c.domain_id == domain_id).with_for_update()).first()
    return Mirror._make(row) if row else None


def is_current(connection: Connection, mirror: Mirror, *, keep: bool = False) -> bool:
    """Whether it still has this role; with `keep` it keeps it until the end of the transaction."""
    query = select(mirrors.c.since).where(mirrors.c.domain_id == mirror.domain_id, mirrors.c.since == mirror.since)
    return connection.scalar(query.with_for_update(read=True) if keep else query) is not None


def places_at(connection: Connection, domain_id: int, names: Collection[str]) -> set[Place]:
    """The places at these names that are ours."""
    query = select(*_PLACE).where(mirror_places.c.domain_id == domain_id)
    found = connection.execute(query.where(among(connection, mirror_places.c.fqdn, names)))
    return {(row.fqdn, row.rtype) for row in found}


def left_places(connection: Connection, domain_id: int) -> list[Place]:
    """Our places that no host has any more."""
    query = select(*_PLACE).where(mirror_places.c.domain_id == domain_id).except_(_places(domain_id, claimed=False))
    return [(row[0], row[1]) for row in connection.execute(query)]


def _places(domain_id: int, *, claimed: bool) -> Select[tuple[str, str]]:
    """The places of the domain's hosts; with `claimed` only those that are ours at the primary in use."""
    mine = hosts.c.domain_id == domain_id, hosts.c.claimed if claimed else true()
    sets = hosts.c.domain_id == domain_id, rrsets.c.claimed if claimed else true()
    aliased = hosts.c.aliased if claimed else hosts.c.alias.is_not(None)
    found = union(
        select(hosts.c.fqdn, literal("")).where(*mine),
        select(hosts.c.fqdn, literal(CNAME)).where(*mine, aliased),
        select(literal(PREFIX) + hosts.c.fqdn, literal("")).where(*mine, hosts.c.wildcard),
        select(related.c.fqdn, literal("")).join_from(related, hosts).where(*mine),
        select(_RRSET_NAME, rrsets.c.rtype).join_from(rrsets, hosts).where(*sets),
    ).subquery()
    return select(*found.c)


# ---- changing


def begin(connection: Connection, domain_id: int, *, primary: str, key: tuple[str, str, str]) -> None:
    """Add a new second primary; `key` is the name, the algorithm and the secret of its key."""
    name, algorithm, secret = key
    values = {"primary": primary, "key_name": name, "key_algorithm": algorithm, "key_secret": secret, "role": NEW}
    connection.execute(insert(mirrors).values(domain_id=domain_id, since=queries.now(), **values))


def end(connection: Connection, domain_id: int) -> None:
    """Forget the second primary of the domain."""
    connection.execute(delete(mirrors).where(mirrors.c.domain_id == domain_id))


def move_back(connection: Connection, domain_id: int) -> None:
    """Let the domain move to its former primary."""
    back = update(mirrors).where(mirrors.c.domain_id == domain_id)
    connection.execute(back.values(role=NEW, since=queries.now(), seen=None, waiting=None, problem=None))


def report(connection: Connection, mirror: Mirror, waiting: int | None, problem: str | None) -> None:
    """Store how far it is."""
    same = mirrors.c.domain_id == mirror.domain_id, mirrors.c.since == mirror.since
    connection.execute(update(mirrors).where(*same).values(seen=queries.now(), waiting=waiting, problem=problem))


def add_places(connection: Connection, domain_id: int, places: Iterable[Place]) -> None:
    """Note that these places are ours."""
    new = [{"domain_id": domain_id, "fqdn": fqdn, "rtype": rtype} for fqdn, rtype in places]
    if new:
        connection.execute(insert_into(connection.dialect.name, mirror_places).on_conflict_do_nothing(), new)


def forget_places(connection: Connection, domain_id: int, places: Sequence[Place]) -> None:
    """Note that these places are not ours any more."""
    mine = mirror_places.c.domain_id == domain_id
    for begin in range(0, len(places), PLACES):
        some = tuple_(*_PLACE).in_(places[begin : begin + PLACES])
        connection.execute(delete(mirror_places).where(mine, some))


def switch(connection: Connection, mirror: Mirror) -> bool:
    """Exchange the primary of the domain and this one; every host is then sent to the new one.

    Returns False, and changes nothing, if the move has ended or the domain is frozen.
    """
    name = connection.scalar(select(domains.c.name).where(domains.c.id == mirror.domain_id))
    domain = host_edits.locked_domain(connection, name) if name is not None else None
    current = of_domain(connection, mirror.domain_id)
    if domain is None or domain.frozen or current is None or (current.since, current.role) != (mirror.since, NEW):
        return False
    left, owned = left_places(connection, domain.id), _owned(connection, domain.id)
    connection.execute(delete(mirror_places).where(mirror_places.c.domain_id == domain.id))
    _note_places_in_use(connection, domain.id)
    primaries.send_all_again(connection, domain.id, owned)
    aliases = [fqdn for fqdn, rtype in left if rtype == CNAME]
    had = update(hosts).where(hosts.c.domain_id == domain.id, among(connection, hosts.c.fqdn, aliases))
    connection.execute(had.values(aliased=True))
    _remove(connection, domain.id, [place for place in left if place[1] != CNAME], frozenset(aliases))
    old = {"primary": domain.primary, "key_name": domain.key_name}
    old |= {"key_algorithm": domain.key_algorithm, "key_secret": domain.key_secret, "role": OLD}
    exchanged = update(mirrors).where(mirrors.c.domain_id == domain.id)
    connection.execute(exchanged.values(since=queries.now(), waiting=None, problem=None, **old))
    new = {column: getattr(mirror, column) for column in ("primary", "key_name", "key_algorithm", "key_secret")}
    host_edits.set_domain(connection, domain.id, **new)
    detail = f"from {domain.primary} to {mirror.primary}"
    queries.add_event(connection, SERVICE.actor, "domain.moved", domain.name, None, detail, owner_id=domain.owner_id)
    return True


def _owned(connection: Connection, domain_id: int) -> Owned:
    """The hosts and RRsets whose places are ours."""
    ours = select(mirror_places.c.fqdn).where(mirror_places.c.domain_id == domain_id, mirror_places.c.rtype == "")
    below = select(related.c.host_id).where(related.c.fqdn.in_(ours))
    has = or_(hosts.c.fqdn.in_(ours), (literal(PREFIX) + hosts.c.fqdn).in_(ours), hosts.c.id.in_(below))
    found = select(hosts.c.id, hosts.c.fqdn).where(hosts.c.domain_id == domain_id, has)
    at = (mirror_places.c.fqdn == _RRSET_NAME) & (mirror_places.c.rtype == rrsets.c.rtype)
    sets = select(rrsets.c.id).join_from(rrsets, hosts).join(mirror_places, at)
    sets = sets.where(hosts.c.domain_id == domain_id, mirror_places.c.domain_id == domain_id)
    names = {row.id: row.fqdn for row in _in_pages(connection, found, hosts.c.id)}
    return Owned(names, [row.id for row in _in_pages(connection, sets, rrsets.c.id)], ())


def _in_pages(connection: Connection, query: Select[Any], key: Column[int]) -> Iterator[Row[Any]]:
    """The rows of a query by its first column, `key`, in parts, so that other tasks have their turn."""
    last = 0
    while part := connection.execute(query.where(key > last).order_by(key).limit(queries.PAGE)).all():
        yield from part
        last = part[-1][0]


def _note_places_in_use(connection: Connection, domain_id: int) -> None:
    """Note what is ours at the primary in use, also what is still to be removed there."""
    waiting = removals.c.domain_id == domain_id, removals.c.dirty_since.is_not(None), ~removals.c.exact
    leaving: Select[tuple[str, str]] = select(removals.c.fqdn, func.coalesce(removals.c.rtype, "")).where(*waiting)
    aliases = select(removals.c.fqdn, literal(CNAME)).where(*waiting, removals.c.alias.is_not(None))
    places = union(_places(domain_id, claimed=True), leaving, aliases).subquery()
    rows = select(literal(domain_id), *places.c)
    connection.execute(insert(mirror_places).from_select(["domain_id", "fqdn", "rtype"], rows))


def _remove(connection: Connection, domain_id: int, places: Sequence[Place], aliases: Set[str]) -> None:
    """Add removals of places that are ours and that no host has; `aliases` are names with a CNAME record."""
    values = [
        {
            "domain_id": domain_id,
            "fqdn": fqdn,
            "alias": ANY_TARGET if fqdn in aliases and not rtype else None,
            "rtype": rtype or None,
            "exact": False,
            "dirty_since": ASKED_FOR,
            "created": queries.now(),
        }
        for fqdn, rtype in places
    ]
    if values:
        connection.execute(insert(removals), values)
