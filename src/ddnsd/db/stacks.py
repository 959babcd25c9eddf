# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks of users: what they contain, and the lease of the one who applies a declaration.

A stack exists while hosts or domains name it, or while it has a row. Times of leases are those of the database, because
several nodes may use it.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, or_, select, tuple_, update

from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.clock import time_of
from ddnsd.db.schema import domains, hosts, stacks, users

LEASE_MICROSECONDS = 60 * 1_000_000

NOTHING = "{}"
_NO_LEASE = dict.fromkeys(("lease", "lease_holder", "lease_commit", "lease_since", "lease_expires"))


class Lease(NamedTuple):
    """Who applies a declaration, since when, and until when without a renewal. `now` is the time of the database."""

    holder: str
    since: int
    expires: int
    now: int

    @property
    def seconds(self) -> int:
        """Seconds since its beginning."""
        return max(0, (self.now - self.since) // 1_000_000)


class Apply(NamedTuple):
    """The last apply with a lease that has changed hosts."""

    at: int
    by: str
    commit: str | None


class Rules(NamedTuple):
    """What limits how hosts leave a stack; `gives` is as in `Stack`."""

    protect: bool
    gives: Mapping[str, str]


class Stack(NamedTuple):
    """A stack of a user, and the numbers of its hosts and domains.

    `gives` has the names of hosts that other stacks may take over, and these stacks.
    """

    name: str
    owner: str
    hosts: int
    domains: int
    protect: bool = False
    gives: Mapping[str, str] = MappingProxyType({})
    last_apply: Apply | None = None
    lease: Lease | None = None


def stacks_of(connection: Connection, owner_id: int | None, name: str | None = None) -> list[Stack]:
    """The stacks of the user, or of all users, by owner and name; with `name` only that one."""
    found: dict[tuple[str, str], Stack] = {}
    for row in connection.execute(_rows(connection, owner_id, name)):
        last = Apply(row.applied, row.applied_by, row.applied_commit) if row.applied is not None else None
        held = row.lease is not None and row.lease_expires > row.now
        lease = Lease(row.lease_holder, row.lease_since, row.lease_expires, row.now) if held else None
        gives = json.loads(row.gives)
        found[row.owner, row.name] = Stack(row.name, row.owner, 0, 0, bool(row.protect), gives, last, lease)
    for table in (hosts, domains):
        for row in connection.execute(_counts(table, owner_id, name)):
            stack = found.get((row.owner, row.stack)) or Stack(row.stack, row.owner, 0, 0)
            found[row.owner, row.stack] = stack._replace(**{table.name: row.number})
    return [found[key] for key in sorted(found)]


def _rows(connection: Connection, owner_id: int | None, name: str | None) -> Any:
    columns = [column for column in stacks.c if column.name not in ("id", "owner_id")]
    query = select(*columns, users.c.name.label("owner"), time_of(connection).label("now"))
    query = query.join(users, users.c.id == stacks.c.owner_id)
    return _chosen(query, stacks.c.owner_id, stacks.c.name, owner_id, name)


def _counts(table: Table, owner_id: int | None, name: str | None) -> Any:
    query = select(users.c.name.label("owner"), table.c.stack, func.count().label("number"))
    query = query.select_from(table.join(users, users.c.id == table.c.owner_id)).where(table.c.stack.is_not(None))
    query = _chosen(query, table.c.owner_id, table.c.stack, owner_id, name)
    return query.group_by(users.c.name, table.c.stack)


def _chosen(query: Any, owner: ColumnElement[int], stack: ColumnElement[str], owner_id: int | None, name: Any) -> Any:
    if owner_id is not None:
        query = query.where(owner == owner_id)
    return query if name is None else query.where(stack == name)


def rules(connection: Connection, named: Collection[tuple[int, str]]) -> dict[tuple[int, str], Rules]:
    """The rules of those of the (owner's id, name) that have some."""
    if not named:
        return {}
    query = select(stacks.c.owner_id, stacks.c.name, stacks.c.protect, stacks.c.gives)
    query = query.where(or_(stacks.c.protect, stacks.c.gives != NOTHING))
    query = query.where(tuple_(stacks.c.owner_id, stacks.c.name).in_(list(named)))
    return {
        (row.owner_id, row.name): Rules(bool(row.protect), json.loads(row.gives)) for row in connection.execute(query)
    }


def given_to(connection: Connection, owner_id: int, patterns: Collection[str]) -> frozenset[str]:
    """The names of hosts that stacks of the user give to stacks that match one of the patterns."""
    query = select(stacks.c.gives).where(stacks.c.owner_id == owner_id, stacks.c.gives != NOTHING)
    given = [pair for gives in connection.scalars(query) for pair in json.loads(gives).items()]
    return frozenset(fqdn for fqdn, stack in given if any(fnmatchcase(stack, pattern) for pattern in patterns))


def set_rules(connection: Connection, owner_id: int, name: str, protect: bool | None, gives: Any) -> None:
    """Set the rules of the stack that are given, each in full."""
    _keep_row(connection, owner_id, name)
    text = None if gives is None else json.dumps(gives, sort_keys=True)
    values = {column: value for column, value in (("protect", protect), ("gives", text)) if value is not None}
    connection.execute(_row(owner_id, name, update(stacks)).values(**values))


def rename(connection: Connection, owner_id: int, name: str, new: str) -> int:
    """Give all hosts and domains of the stack to the stack `new`, which has none. Returns the number of hosts.

    The protection and the last apply go with them. A lease of `new` stays.
    """
    row = connection.execute(_row(owner_id, name, select(stacks))).first()
    if row is not None:
        _keep_row(connection, owner_id, new)
        kept = {key: getattr(row, key) for key in ("protect", "gives", "applied", "applied_by", "applied_commit")}
        connection.execute(_row(owner_id, new, update(stacks)).values(**kept))
        connection.execute(delete(stacks).where(stacks.c.id == row.id))
    moved = [update(table).where(table.c.owner_id == owner_id, table.c.stack == name) for table in (hosts, domains)]
    counts = [connection.execute(statement.values(stack=new)).rowcount for statement in moved]
    return counts[0]


# ---- leases


def lock(connection: Connection, owner_id: int, names: Sequence[str]) -> None:
    """Lock the rows of these stacks until the end of the transaction."""
    query = select(stacks.c.id).where(stacks.c.owner_id == owner_id, stacks.c.name.in_(names))
    connection.execute(query.order_by(stacks.c.id).with_for_update()).all()


def acquire(connection: Connection, owner_id: int, name: str, lease: str, holder: str, commit: str | None) -> bool:
    """Take the lease, unless somebody holds it."""
    _keep_row(connection, owner_id, name)
    now = time_of(connection)
    values = {
        "lease": lease,
        "lease_holder": holder,
        "lease_commit": commit,
        "lease_since": now,
        "lease_expires": _end(now),
    }
    free = or_(stacks.c.lease.is_(None), stacks.c.lease_expires <= now)
    return connection.execute(_row(owner_id, name, update(stacks)).where(free).values(**values)).rowcount > 0


def renew(connection: Connection, owner_id: int, name: str, lease: str) -> bool:
    """Renew the lease, if it has not expired."""
    now = time_of(connection)
    mine = _row(owner_id, name, update(stacks)).where(stacks.c.lease == lease, stacks.c.lease_expires > now)
    return connection.execute(mine.values(lease_expires=_end(now))).rowcount > 0


def release(connection: Connection, owner_id: int, name: str, lease: str | None = None) -> bool:
    """Give the lease back; without `lease`, take it from its holder. Returns whether there was one."""
    given = _row(owner_id, name, update(stacks)).where(stacks.c.lease.is_not(None))
    if lease is not None:
        given = given.where(stacks.c.lease == lease)
    return connection.execute(given.values(**_NO_LEASE)).rowcount > 0


def note_apply(connection: Connection, owner_id: int, lease: str) -> str | None:
    """Note the time of a call with a lease. Returns the name of the stack, or None if the lease has expired.

    The row stays locked, so nobody gets the lease before the end of the transaction.
    """
    now = time_of(connection)
    mine = update(stacks).where(stacks.c.owner_id == owner_id, stacks.c.lease == lease, stacks.c.lease_expires > now)
    values = {"applied": now, "applied_by": stacks.c.lease_holder, "applied_commit": stacks.c.lease_commit}
    found: str | None = connection.scalar(mine.values(**values).returning(stacks.c.name))
    return found


def forget_empty(connection: Connection, owner_id: int) -> None:
    """Delete the user's rows of stacks without hosts, domains, rules and lease."""

    def named_in(table: Table) -> ColumnElement[bool]:
        return exists().where(table.c.owner_id == owner_id, table.c.stack == stacks.c.name)

    plain = and_(~stacks.c.protect, stacks.c.gives == NOTHING)
    unused = and_(plain, or_(stacks.c.lease.is_(None), stacks.c.lease_expires <= time_of(connection)))
    own = delete(stacks).where(stacks.c.owner_id == owner_id, unused)
    connection.execute(own.where(~named_in(hosts), ~named_in(domains)))


def count(connection: Connection, owner_id: int) -> int:
    """The number of the user's rows."""
    return connection.scalar(select(func.count()).where(stacks.c.owner_id == owner_id)) or 0


def _keep_row(connection: Connection, owner_id: int, name: str) -> None:
    row = insert_into(connection.dialect.name, stacks).values(owner_id=owner_id, name=name)
    connection.execute(row.on_conflict_do_nothing())


def _row(owner_id: int, name: str, statement: Any) -> Any:
    return statement.where(stacks.c.owner_id == owner_id, stacks.c.name == name)


def _end(now: ColumnElement[int]) -> ColumnElement[int]:
    return now + LEASE_MICROSECONDS
