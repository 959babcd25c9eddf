# SPDX-License-Identifier: GPL-3.0-or-later
"""Reverse names of hosts: those that the hosts want, and the rows that the senders of the reverse zones publish.

    a host changes ─► a mark, in the same transaction ─► `advance`: `pointers`, and the rows of reverse names

A reverse name is a row of `hosts` in the domain of its reverse zone, with a PTR record and without addresses. So it is
sent, held, set aside, repaired and moved as a host is. Only `advance` creates, changes and deletes these rows.
"""

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, or_, select, update

from ddnsd.db import bulk_hosts, pointer_marks, queries
from ddnsd.db.bulk_hosts import NewRemoval, among
from ddnsd.db.pending import lock, mark_pending
from ddnsd.db.reverse_zones import ALL, OFF, ReverseZones, name_of
from ddnsd.db.rows import Domain, addresses_of, reversed_name
from ddnsd.db.schema import domains, hosts, pointer_pass, pointers, removals, rrsets, set_aside, users
from ddnsd.db.schema import pointer_marks as marks

PTR = "PTR"

MARKS = 500
"""Changed hosts per transaction."""

PASS = 500
"""Pointers per transaction after reverse zones have changed."""

ADVANCE_LOCK = "7233, 2"
"""Advisory lock of PostgreSQL: one process advances at a time."""


class Advanced(NamedTuple):
    """The result of `advance`: ids of new and changed reverse names by domain id, and domains with names to remove.

    `more`: there is more to do.
    """

    changed: Mapping[int, Sequence[int]]
    left: Collection[int]
    more: bool


class ReverseName(NamedTuple):
    """The reverse name that an address should have, for the host `target`."""

    domain: Domain
    fqdn: str
    target: str

    @property
    def data(self) -> str:
        """The value of its PTR record."""
        return self.target + "."


class Candidate(NamedTuple):
    """A host that wants the reverse name of an address; `proved`: it has shown that the address is its own."""

    address: str
    host_id: int
    fqdn: str
    proved: bool


class Present(NamedTuple):
    """A reverse name that there is, and its PTR record."""

    id: int
    domain_id: int
    fqdn: str
    address: str
    claimed: bool
    conflict: str | None
    rrset_id: int
    data: str
    set_claimed: bool
    set_conflict: str | None

    @property
    def is_held(self) -> bool:
        """Whether the zone has no record of ours, because a foreign record has the name."""
        return (self.conflict is not None and not self.claimed) or (
            self.set_conflict is not None and not self.set_claimed
        )


def is_due(connection: Connection) -> bool:
    """Whether there is something to compute."""
    return bool(connection.scalar(select(or_(*pointer_marks.are_due()))))


def advance(connection: Connection) -> Advanced:
    """Compute the next pointers and reverse names. If another process does it now, that one does the rest, too."""
    if connection.dialect.name == "postgresql":
        taken = connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({ADVANCE_LOCK})").scalar()
        if not taken:
            return Advanced({}, (), False)
    marked = connection.execute(select(marks).order_by(marks.c.id).limit(MARKS)).all()
    if marked:
        connection.execute(delete(marks).where(among(connection, marks.c.id, [row.id for row in marked])))
    touched = dict.fromkeys(_write_pointers(connection, {row.host_id for row in marked}))
    passed = _next_of_pass(connection)
    changed: dict[int, list[int]] = {}
    left: set[int] = set()
    for part in _parts([*(touched | dict.fromkeys(passed))]):
        _write_reverse_names(connection, part, changed, left)
    return Advanced(changed, left, len(marked) == MARKS or len(passed) == PASS)


def _write_pointers(connection: Connection, host_ids: Collection[int]) -> list[str]:
    """Write which reverse names the hosts want now. Returns all addresses that they had or have."""
    if not host_ids:
        return []
    query = select(hosts.c.id, hosts.c.ipv4, hosts.c.ipv6).join(users, users.c.id == hosts.c.owner_id)
    shown = hosts.c.ptr, hosts.c.alias.is_(None), ~hosts.c.abuse_blocked, ~users.c.withdrawn
    found = connection.execute(query.where(among(connection, hosts.c.id, host_ids), *shown).order_by(hosts.c.id))
    wanted = [(row.id, address) for row in found for text in (row.ipv4, row.ipv6) for address in addresses_of(text)]
    of_hosts = select(pointers).where(among(connection, pointers.c.host_id, host_ids))
    present = {(row.host_id, row.address): row.id for row in connection.execute(of_hosts)}
    if gone := [present[key] for key in present.keys() - set(wanted)]:
        connection.execute(delete(pointers).where(among(connection, pointers.c.id, gone)))
    if new := [{"host_id": key[0], "address": key[1]} for key in wanted if key not in present]:
        connection.execute(insert(pointers), new)
    return [address for _, address in [*present, *wanted]]


def _next_of_pass(connection: Connection) -> list[str]:
    """The next addresses of a pass over all pointers."""
    after = connection.scalar(select(pointer_pass.c.after_id))
    if after is None:
        return []
    query = select(pointers.c.id, pointers.c.address).where(pointers.c.id > after).order_by(pointers.c.id).limit(PASS)
    found = connection.execute(query).all()
    same = pointer_pass.c.after_id == after  # not begun anew meanwhile
    if len(found) == PASS:
        connection.execute(update(pointer_pass).where(same).values(after_id=found[-1].id))
    else:
        connection.execute(delete(pointer_pass).where(same))
    return [row.address for row in found]


def candidates(connection: Connection, addresses: Collection[str]) -> Iterator[Candidate]:
    """The hosts that want the reverse names of these addresses; of each address, the first one first."""
    columns = pointers.c.address, hosts.c.id, hosts.c.fqdn, hosts.c.proved_ipv4, hosts.c.proved_ipv6
    query = select(*columns).join_from(pointers, hosts, hosts.c.id == pointers.c.host_id)
    query = query.where(among(connection, pointers.c.address, addresses)).order_by(pointers.c.id)
    for row in connection.execute(query):
        proved = row.proved_ipv6 if ":" in row.address else row.proved_ipv4
        yield Candidate(row.address, row.id, row.fqdn, row.address in addresses_of(proved))


def reverse_zones(connection: Connection) -> ReverseZones:
    """All reverse zones."""
    query = queries.DOMAIN.where(domains.c.name.like("%.arpa"))
    return ReverseZones(Domain._make(row) for row in connection.execute(query))


def may_have(domain: Domain, candidate: Candidate) -> bool:
    """Whether the host may have a name in the reverse zone."""
    return domain.reverse == ALL or (domain.reverse != OFF and candidate.proved)


def present(connection: Connection, addresses: Collection[str]) -> list[Present]:
    """The reverse names of these addresses."""
    columns = hosts.c.id, hosts.c.domain_id, hosts.c.fqdn, hosts.c.reverse_of, hosts.c.claimed, hosts.c.conflict
    of_set = rrsets.c.id, rrsets.c.data, rrsets.c.claimed, rrsets.c.conflict
    query = select(*columns, *of_set).join_from(hosts, rrsets)
    return [
        Present._make(row) for row in connection.execute(query.where(among(connection, hosts.c.reverse_of, addresses)))
    ]


def _write_reverse_names(
    connection: Connection, addresses: Sequence[str], changed: dict[int, list[int]], left: set[int]
) -> None:
    """Create, change and delete the reverse names of the addresses. Adds to `changed` and `left` as in `Advanced`."""
    zones, wanted = reverse_zones(connection), dict[str, ReverseName]()
    for candidate in candidates(connection, addresses):
        domain = zones.of(candidate.address)
        if domain is not None and candidate.address not in wanted and may_have(domain, candidate):
            wanted[candidate.address] = ReverseName(domain, name_of(domain, candidate.address), candidate.fqdn)
    there = present(connection, addresses)
    lock(connection, [one.id for one in there])
    there = present(connection, addresses)  # as it is now that nobody changes it
    kept: dict[str, Present] = {}
    for one in there:
        new = wanted.get(one.address)
        if new is not None and (new.domain.id, new.fqdn) == (one.domain_id, one.fqdn):
            kept[one.address] = one
    gone = [one for one in there if kept.get(one.address) is not one]
    renewed = [one for one in kept.values() if one.data != wanted[one.address].data]
    _add_removals(connection, [*gone, *renewed])
    bulk_hosts.delete_hosts(connection, [one.id for one in gone])
    _change(connection, renewed, wanted)
    left.update(one.domain_id for one in (*gone, *renewed))
    for one in renewed:
        changed.setdefault(one.domain_id, []).append(one.id)
    for domain_id, host_id in _add(connection, {a: new for a, new in wanted.items() if a not in kept}):
        changed.setdefault(domain_id, []).append(host_id)


def _add_removals(connection: Connection, leaving: Sequence[Present]) -> None:
    """Remove exactly our records: somebody else may have one at the name, too."""
    ours = [one for one in leaving if not one.is_held]
    _forget_removals(connection, {(one.domain_id, one.fqdn, one.data) for one in ours})
    bulk_hosts.add_removals(
        connection, [NewRemoval(one.domain_id, one.fqdn, None, None, None, True, PTR, one.data) for one in ours]
    )


def _forget_removals(connection: Connection, records: Collection[tuple[int, str, str]]) -> None:
    """Delete removals of the same records, given as (domain id, full name, value)."""
    if not records:
        return
    columns = removals.c.id, removals.c.domain_id, removals.c.fqdn, removals.c.data
    query = select(*columns).where(
        among(connection, removals.c.fqdn, {fqdn for _, fqdn, _ in records}), removals.c.rtype == PTR, removals.c.exact
    )
    same = [row.id for row in connection.execute(query) if (row.domain_id, row.fqdn, row.data) in records]
    if same:
        connection.execute(delete(removals).where(among(connection, removals.c.id, same)))


def _change(connection: Connection, renewed: Sequence[Present], wanted: Mapping[str, ReverseName]) -> None:
    """Give reverse names to other hosts. A record is ours only when the name server has accepted it."""
    if not renewed:
        return
    for one in renewed:
        new = wanted[one.address].data
        values = {"data": new, "claimed": False, "conflict": None}
        connection.execute(update(rrsets).where(rrsets.c.id == one.rrset_id).values(values))
        same = removals.c.domain_id == one.domain_id, removals.c.fqdn == one.fqdn, removals.c.data == new
        connection.execute(update(removals).where(*same, removals.c.exact).values(dirty_since=None))
    ids = [one.id for one in renewed]
    aside = set_aside.c.rrset_id, [one.rrset_id for one in renewed]
    connection.execute(delete(set_aside).where(among(connection, *aside)))
    connection.execute(update(hosts).where(among(connection, hosts.c.id, ids)).values(version=hosts.c.version + 1))
    mark_pending(connection, ids, queries.now())


def _add(connection: Connection, missing: Mapping[str, ReverseName]) -> Iterator[tuple[int, int]]:
    """Create reverse names by address. Yields (domain id, host id)."""
    if not missing:
        return
    names = {new.fqdn for new in missing.values()}
    taken = set(connection.scalars(select(hosts.c.fqdn).where(among(connection, hosts.c.fqdn, names))))
    new = {one.fqdn: (address, one) for address, one in missing.items() if one.fqdn not in taken}
    if not new:
        return
    columns = "fqdn", "name", "domain_id", "owner_id", "secret_hash", "available", "has_rrsets", "reverse_of"
    ids = bulk_hosts.insert_hosts(
        connection,
        (*columns, "reversed_name"),
        [
            (
                fqdn,
                label := fqdn.removesuffix("." + one.domain.name),
                one.domain.id,
                one.domain.owner_id,
                secrets.token_bytes(32),  # of no secret that anybody knows
                False,
                True,
                address,
                reversed_name(fqdn) if "." in label else None,
            )
            for fqdn, (address, one) in new.items()
        ],
    )
    values = [{"host_id": ids[fqdn], "prefix": "", "rtype": PTR, "data": one.data} for fqdn, (_, one) in new.items()]
    connection.execute(insert(rrsets), values)
    for fqdn, (_, one) in new.items():
        same = removals.c.domain_id == one.domain.id, removals.c.fqdn == fqdn, removals.c.data == one.data
        connection.execute(update(removals).where(*same, removals.c.exact).values(dirty_since=None))
        yield one.domain.id, ids[fqdn]


def set_owner(connection: Connection, domain_id: int, owner_id: int) -> None:
    """Give the reverse names of a domain to its new owner."""
    of_domain = hosts.c.domain_id == domain_id, hosts.c.reverse_of.is_not(None)
    connection.execute(update(hosts).where(*of_domain).values(owner_id=owner_id))


def give_up(connection: Connection, domain_id: int, records: Sequence[tuple[int, str, Sequence[str]]]) -> None:
    """Note that records of reverse names, as (id of the RRset, full name, values), may not be ours any more.

    If they are still in the zone, they are removed before they are written again.
    """
    _forget_removals(connection, {(domain_id, fqdn, value) for _, fqdn, values in records for value in values})
    moment = queries.now()
    for rrset_id, fqdn, values in records:
        connection.execute(update(rrsets).where(rrsets.c.id == rrset_id).values(claimed=False))
        former = {"domain_id": domain_id, "fqdn": fqdn, "rtype": PTR, "exact": True, "created": moment}
        connection.execute(insert(removals), [former | {"data": value} for value in values])


def _parts(items: Sequence[str]) -> Iterable[Sequence[str]]:
    return (items[begin : begin + bulk_hosts.SLICE] for begin in range(0, len(items), bulk_hosts.SLICE))
