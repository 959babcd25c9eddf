# SPDX-License-Identifier: GPL-3.0-or-later
"""What DNS does not have yet, for operators: hosts, RRsets and removals that are pending or set aside."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, literal, null, or_, select, true

from ddnsd.db.pending import ASKED_FOR
from ddnsd.db.schema import domains, hosts, pending, removals, set_aside
from ddnsd.db.set_aside import REMOVAL_NOTE

REFUSED, HELD, SKIPPED, WAITING = "refused", "held", "skipped", "waiting"
STATES = (REFUSED, HELD, SKIPPED, WAITING)
"""`refused` by the name server, `held` by a foreign record, `skipped` by an operator, `waiting` to be sent."""

HOST, RRSET, REMOVAL = "host", "RRset", "removal"


class Item(NamedTuple):
    """A host or an RRset that DNS does not have yet, or a removal that it has not done yet.

    `name` is a full name, `rtype` the type of an RRset or of its removal. Times are in microseconds: `since` (None:
    unknown) and `retry_at`, the next try (None: as soon as possible, or never if it is skipped). `tries` is the number
    of refusals. A waiting item has a reason only if its domain is frozen. `aside_id` is the id in `set_aside`, None
    while it waits.
    """

    zone: str
    name: str
    rtype: str | None
    kind: str
    state: str
    since: int | None
    tries: int
    retry_at: int | None
    reason: str | None
    aside_id: int | None

    @property
    def place(self) -> str:
        """The name, with the type of an RRset."""
        return " ".join(filter(None, (self.name, self.rtype)))


class Counts(NamedTuple):
    """Numbers of items by state. `since` is the time of the oldest one, None if it is unknown.

    `waiting_since` is that of the oldest one that waits to be sent, in a domain that is not frozen.
    """

    refused: int = 0
    held: int = 0
    skipped: int = 0
    waiting: int = 0
    since: int | None = None
    waiting_since: int | None = None

    @property
    def total(self) -> int:
        """Number of all items."""
        return self.refused + self.held + self.skipped + self.waiting


# ---- single items


def items(connection: Connection, domain_id: int | None = None, limit: int | None = None) -> list[Item]:
    """The first `limit` items, of one zone or of all: those set aside by state, then waiting hosts, then removals."""
    found: list[Item] = []
    for query in (_set_aside(), _waiting_hosts(), _waiting_removals()):
        part = query if domain_id is None else query.where(domains.c.id == domain_id)
        found += _read(connection.execute(part.limit(None if limit is None else limit - len(found))))
    return found


def refused(connection: Connection, limit: int) -> list[Item]:
    """The first `limit` items that name servers refuse."""
    query = _set_aside().where(~set_aside.c.held, ~set_aside.c.skipped)
    return list(_read(connection.execute(query.limit(limit))))


def set_aside_items(connection: Connection, domain_id: int | None = None) -> list[Item]:
    """The items that are set aside, of one zone or of all."""
    query = _set_aside()
    return list(_read(connection.execute(query if domain_id is None else query.where(domains.c.id == domain_id))))


def named(connection: Connection, name: str) -> list[Item]:
    """The items of this full name. A type after the name, as in `_x.example.org TXT`, selects one RRset."""
    fqdn, _, rtype = name.partition(" ")
    queries = (
        _set_aside().where(or_(set_aside.c.name == fqdn, set_aside.c.name.startswith(f"{fqdn} ", autoescape=True))),
        _waiting_hosts().where(hosts.c.fqdn == fqdn),
        _waiting_removals().where(removals.c.fqdn == fqdn),
    )
    found = [item for query in queries for item in _read(connection.execute(query))]
    return [item for item in found if not rtype or item.rtype == rtype.strip().upper()]


def _set_aside() -> Select[Any]:
    aside = set_aside.c
    query = select(
        domains.c.name.label("zone"),
        aside.name,
        case((aside.host_id.is_not(None), HOST), (aside.rrset_id.is_not(None), RRSET), else_=REMOVAL).label("kind"),
        case((aside.skipped, SKIPPED), (aside.held, HELD), else_=REFUSED).label("state"),
        aside.since,
        (aside.tries + 1).label("tries"),
        case((~aside.skipped, aside.retry_at)).label("retry_at"),
        aside.reason,
        aside.id.label("aside_id"),
    ).join_from(set_aside, domains)
    return query.order_by(aside.skipped, aside.held, domains.c.name, aside.name, aside.id)


def _waiting_hosts() -> Select[Any]:
    return _waiting(HOST, hosts.c.fqdn, pending.c.since).select_from(_HOSTS).order_by(domains.c.name, hosts.c.fqdn)


def _waiting_removals() -> Select[Any]:
    name = removals.c.fqdn.concat(func.coalesce(literal(" ").concat(removals.c.rtype), ""))
    query = _waiting(REMOVAL, name, removals.c.dirty_since).select_from(_REMOVALS).where(_DIRTY)
    return query.order_by(domains.c.name, removals.c.fqdn, removals.c.id)


_HOSTS = (
    pending.join(hosts, pending.c.host_id == hosts.c.id)
    .join(domains, domains.c.id == hosts.c.domain_id)
    .outerjoin(set_aside, set_aside.c.host_id == hosts.c.id)
)
_REMOVALS = removals.join(domains, domains.c.id == removals.c.domain_id).outerjoin(
    set_aside, set_aside.c.removal_id == removals.c.id
)
_DIRTY = removals.c.dirty_since.is_not(None)


_FROZEN = literal("frozen for maintenance").concat(func.coalesce(literal(": ").concat(domains.c.frozen_reason), ""))


def _waiting(kind: str, name: ColumnElement[str], since: ColumnElement[Any]) -> Select[Any]:
    query = select(
        domains.c.name.label("zone"),
        name.label("name"),
        literal(kind).label("kind"),
        literal(WAITING).label("state"),
        func.nullif(since, ASKED_FOR).label("since"),
        literal(0).label("tries"),
        null().label("retry_at"),
        case((domains.c.frozen_since.is_not(None), _FROZEN)).label("reason"),
        null().label("aside_id"),
    )
    return query.where(set_aside.c.id.is_(None))


def _read(found: Iterable[Any]) -> Iterator[Item]:
    for row in found:
        name, _, rtype = row.name.removesuffix(REMOVAL_NOTE).partition(" ")
        values = row._asdict() | {"name": name, "rtype": rtype or None}
        yield Item(**values)


# ---- numbers


def counts(connection: Connection, domain_id: int | None = None) -> dict[str, Counts]:
    """Numbers of items by zone, of one zone or of all; zones without items are missing."""
    found: dict[str, Counts] = {}
    for query in (_count_asides(), *_count_waiting()):
        part = query if domain_id is None else query.where(domains.c.id == domain_id)
        for zone, *row in connection.execute(part.group_by(domains.c.name)):
            found[zone] = _sum(found.get(zone, Counts()), Counts(*row))
    return dict(sorted(found.items()))


def _sum(one: Counts, other: Counts) -> Counts:
    return Counts(
        one.refused + other.refused,
        one.held + other.held,
        one.skipped + other.skipped,
        one.waiting + other.waiting,
        min(filter(None, (one.since, other.since)), default=None),
        min(filter(None, (one.waiting_since, other.waiting_since)), default=None),
    )


def _count_asides() -> Select[Any]:
    def number(which: ColumnElement[bool]) -> ColumnElement[int]:
        return func.sum(case((which, 1), else_=0))

    aside = set_aside.c
    return select(
        domains.c.name,
        number(and_(~aside.held, ~aside.skipped)),
        number(and_(aside.held, ~aside.skipped)),
        number(aside.skipped),
        literal(0),
        func.min(aside.since),
        null(),
    ).join_from(set_aside, domains)


def _count_waiting() -> Iterator[Select[Any]]:
    for places, since, which in ((_HOSTS, pending.c.since, true()), (_REMOVALS, removals.c.dirty_since, _DIRTY)):
        none = literal(0)
        known = func.nullif(since, ASKED_FOR)
        sent = case((domains.c.frozen_since.is_(None), known))
        query = select(domains.c.name, none, none, none, func.count(), func.min(known), func.min(sent))
        yield query.select_from(places).where(set_aside.c.id.is_(None), which)
