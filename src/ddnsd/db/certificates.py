# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders of certificates for hosts. Each order is a row; the host is locked before a new one is added."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, case, delete, func, insert, or_, select, update

from ddnsd.db.clock import time_of
from ddnsd.db.rows import Host
from ddnsd.db.schema import certificates, history, hosts

DAY = 86_400 * 1_000_000

ENDING_DAYS = (30, 7)
"""Within how many days certificates end that `Totals` counts."""

EXPIRING = "expiring"
"""The kind of an entry in a history: the certificate ends soon, and has not been renewed."""


class Order(NamedTuple):
    """An order; times are microseconds since the epoch.

    `ended` is None while it is under way. Then it has either a `problem`, or a `chain` with the time in which the
    certificate is valid. `names` are separated by blanks.
    """

    id: int
    host_id: int
    domain_id: int
    fqdn: str
    names: str
    csr_hash: bytes
    requested_by: str
    started: int
    deadline: int
    ended: int | None
    problem: str | None
    chain: str | None
    not_before: int | None
    not_after: int | None


class Issued(NamedTuple):
    """A chain in PEM, and the time in which its first certificate is valid, in microseconds since the epoch."""

    chain: str
    not_before: int
    not_after: int


class Totals(NamedTuple):
    """Hosts with a certificate that is valid now, and the first time at which one of these ends, or None.

    `ending` has, for each of ENDING_DAYS, the number of those that end so soon and should have been renewed already.
    """

    number: int
    first_end: int | None
    ending: Mapping[int, int]


class Ending(NamedTuple):
    """A certificate that ends soon, and its host."""

    id: int
    host_id: int
    owner_id: int
    fqdn: str
    names: str
    not_after: int


_ORDER: Select[tuple[int]] = select(*(certificates.c[name] for name in Order._fields))


def now(connection: Connection) -> int:
    """The time of the database: nodes compare their deadlines by it."""
    return int(connection.scalar(select(time_of(connection))) or 0)


def find(connection: Connection, order_id: int) -> Order | None:
    """The order with this id."""
    return _first(connection, _ORDER.where(certificates.c.id == order_id))


def under_way(connection: Connection, host: Host, moment: int) -> Order | None:
    """The host's order that has not ended."""
    waiting = certificates.c.ended.is_(None), certificates.c.deadline > moment
    return _first(connection, _of(connection, host).where(*waiting))


def current(connection: Connection, host: Host) -> Order | None:
    """The newest order of the host, under its current name, that brought a certificate."""
    return _first(connection, _of(connection, host).where(certificates.c.chain.is_not(None)))


def latest(connection: Connection, host: Host) -> Order | None:
    """The newest order of the host under its current name."""
    return _first(connection, _of(connection, host))


def issued_for(connection: Connection, host: Host, csr_hash: bytes, since: int) -> Order | None:
    """The newest order for this request that brought a certificate after `since`."""
    same = certificates.c.csr_hash == csr_hash, certificates.c.chain.is_not(None), certificates.c.ended >= since
    return _first(connection, _of(connection, host).where(*same))


def issued_of_name(connection: Connection, fqdn: str, since: int) -> list[int]:
    """When certificates for the host's name were ordered after `since`, oldest first."""
    return _times(connection, certificates.c.fqdn == fqdn, certificates.c.chain.is_not(None), since)


def issued_in_domain(connection: Connection, domain_id: int, since: int, limit: int) -> list[int]:
    """When the last `limit` certificates in the domain were ordered after `since`, oldest first."""
    query = select(certificates.c.started).where(
        certificates.c.domain_id == domain_id, certificates.c.chain.is_not(None), certificates.c.started >= since
    )
    return sorted(connection.scalars(query.order_by(certificates.c.started.desc()).limit(limit)))


def failed_of_name(connection: Connection, fqdn: str, since: int) -> list[int]:
    """When orders for the host's name began that failed, after `since`, oldest first. Lost ones count, too."""
    return _times(connection, certificates.c.fqdn == fqdn, certificates.c.chain.is_(None), since)


def _times(connection: Connection, of: ColumnElement[bool], kind: ColumnElement[bool], since: int) -> list[int]:
    query = select(certificates.c.started).where(of, kind, certificates.c.started >= since)
    return list(connection.scalars(query.order_by(certificates.c.started)))


def begin(
    connection: Connection, host: Host, *, names: str, csr_hash: bytes, requested_by: str, started: int, deadline: int
) -> int:
    """Add an order. Returns its id."""
    values = {"host_id": host.id, "domain_id": host.domain_id, "fqdn": host.fqdn, "names": names, "csr_hash": csr_hash}
    times = {"requested_by": requested_by, "started": started, "deadline": deadline}
    done = connection.execute(insert(certificates).values(**values, **times))
    assert done.inserted_primary_key is not None
    return int(done.inserted_primary_key[0])


def renew(connection: Connection, order_id: int, deadline: int) -> None:
    """Say that the order is still under way."""
    connection.execute(update(certificates).where(certificates.c.id == order_id).values(deadline=deadline))


def finish(connection: Connection, order_id: int, moment: int, issued: Issued | None, problem: str | None) -> None:
    """End an order with a certificate or a problem."""
    values = {"ended": moment, "problem": problem} | (issued._asdict() if issued is not None else {})
    connection.execute(update(certificates).where(certificates.c.id == order_id).values(**values))


def totals(connection: Connection, moment: int) -> Totals:
    """Certificates of existing hosts, without those that newer ones replaced. It reads the whole table."""
    ending = (func.coalesce(func.sum(case((_is_late(moment, days), 1), else_=0)), 0) for days in ENDING_DAYS)
    query = select(func.count(), func.min(certificates.c.not_after), *ending).join_from(
        certificates, hosts, _of_host(connection)
    )
    row = connection.execute(query.where(_NEWEST, certificates.c.not_after > moment)).one()
    return Totals(row[0], row[1], dict(zip(ENDING_DAYS, row[2:], strict=True)))


def unnoticed(connection: Connection, moment: int, days: int, after: int, limit: int) -> list[Ending]:
    """At most `limit` certificates with ids above `after`, sorted, that end within `days` and should have been renewed.

    Without those whose host has an entry EXPIRING since the order. It reads the whole table: use it outside of writes.
    """
    told = select(history.c.id).where(
        history.c.host_id == hosts.c.id, history.c.kind == EXPIRING, history.c.at > certificates.c.started
    )
    columns = (certificates.c.id, hosts.c.id, hosts.c.owner_id, hosts.c.fqdn)
    query = select(*columns, certificates.c.names, certificates.c.not_after).join_from(
        certificates, hosts, _of_host(connection)
    )
    wanted = _NEWEST, certificates.c.id > after, _is_late(moment, days), ~told.exists()
    return [
        Ending._make(row) for row in connection.execute(query.where(*wanted).order_by(certificates.c.id).limit(limit))
    ]


def _is_late(moment: int, days: int) -> ColumnElement[bool]:
    """Whether a valid certificate ends within `days` and has less than a third of its time left.

    By the second condition, certificates that last only a few days are not always late.
    """
    left, whole = certificates.c.not_after - moment, certificates.c.not_after - certificates.c.not_before
    return and_(left > 0, left <= days * DAY, left * 3 <= whole)


def outdated(connection: Connection, after: int, before: int, limit: int) -> list[int]:
    """At most `limit` ids above `after`, sorted: of orders from before `before` that are no host's newest chain."""
    kept = select(certificates.c.id).join_from(certificates, hosts, _of_host(connection)).where(_NEWEST)
    old = certificates.c.id > after, certificates.c.started < before, certificates.c.id.not_in(kept)
    return list(connection.scalars(select(certificates.c.id).where(*old).order_by(certificates.c.id).limit(limit)))


def forget(connection: Connection, ids: Sequence[int]) -> int:
    """Delete these orders. Returns the number."""
    return connection.execute(delete(certificates).where(certificates.c.id.in_(ids))).rowcount


_later = certificates.alias("later")
_NEWEST = and_(
    certificates.c.chain.is_not(None),
    ~select(_later.c.id)
    .where(
        _later.c.host_id == certificates.c.host_id,
        _later.c.fqdn == certificates.c.fqdn,
        _later.c.chain.is_not(None),
        or_(
            _later.c.started > certificates.c.started,
            and_(_later.c.started == certificates.c.started, _later.c.id > certificates.c.id),
        ),
    )
    .exists(),
)


def _of(connection: Connection, host: Host) -> Select[tuple[int]]:
    """The orders of the host under its current name, newest first."""
    mine = [certificates.c.fqdn == host.fqdn, certificates.c.host_id == host.id]
    if _uses_ids_again(connection):
        mine.append(certificates.c.started >= host.created)
    return _ORDER.where(*mine).order_by(certificates.c.started.desc(), certificates.c.id.desc())


def _of_host(connection: Connection) -> ColumnElement[bool]:
    """The condition of `_of`, for all hosts."""
    same = [hosts.c.id == certificates.c.host_id, hosts.c.fqdn == certificates.c.fqdn]
    if _uses_ids_again(connection):
        same.append(hosts.c.created <= certificates.c.started)
    return and_(*same)


def _uses_ids_again(connection: Connection) -> bool:
    """Whether a new host may get the id of a deleted one. Only then times are compared: clocks of nodes may differ."""
    return connection.dialect.name == "sqlite"


def _first(connection: Connection, query: Select[tuple[int]]) -> Order | None:
    row = connection.execute(query.limit(1)).first()
    return Order._make(row) if row else None
