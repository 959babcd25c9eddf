# SPDX-License-Identifier: GPL-3.0-or-later
"""Webhooks, their messages, and which node sends them."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, delete, exists, func, insert, or_, select, update

from ddnsd.db import outbox
from ddnsd.db.bulk_hosts import among
from ddnsd.db.bulk_sql import delete_keys, insert_into
from ddnsd.db.clock import time_of
from ddnsd.db.outbox import Cursor
from ddnsd.db.queries import RIGHTS, SKIPPED_REMOVALS
from ddnsd.db.rows import StatedRights
from ddnsd.db.schema import (
    contacts,
    history,
    hosts,
    pending,
    removals,
    users,
    webhook_cursors,
    webhook_deliveries,
    webhook_sender,
    webhooks,
)
from ddnsd.db.wildcards import wildcard_name

SECOND = 1_000_000


class Webhook(NamedTuple):
    """A webhook with its owner, whose rights are as in `StatedRights`; `types`, `domains`, `hosts` are blank-separated.

    Times are microseconds since the epoch.
    """

    id: int
    user_id: int
    name: str
    url: str
    types: str
    domains: str
    hosts: str
    all_owners: bool
    silent_days: int
    silent_until: int
    sealed: str
    former_sealed: str | None
    former_until: int | None
    active: bool
    stopped: str | None
    failures: int
    next_attempt: int
    problem: str | None
    last_success: int | None
    created: int
    user: str
    admin: bool
    admin_at: int | None
    groups: str | None

    @property
    def rights(self) -> StatedRights:
        """The rights of the owner."""
        return StatedRights(self.admin, self.admin_at, self.groups)


class Delivery(NamedTuple):
    """A message of a webhook.

    `due` is None while it waits for DNS, `ended` while it is not delivered and not given up.
    """

    id: int
    webhook_id: int
    message_id: str
    type: str
    subject: str
    fqdn: str | None
    body: str
    created: int
    due: int | None
    next_attempt: int
    tries: int
    status: int | None
    problem: str | None
    ended: int | None
    delivered: bool

    @property
    def state(self) -> str:
        """`waiting` for DNS, `due`, `delivered` or `failed`."""
        if self.ended is None:
            return "waiting" if self.due is None else "due"
        return "delivered" if self.delivered else "failed"


class Waiting(NamedTuple):
    """A message that waits for DNS."""

    id: int
    subject: str
    fqdn: str | None


class Message(NamedTuple):
    """A new message."""

    webhook_id: int
    message_id: str
    type: str
    subject: str
    fqdn: str | None
    body: str
    created: int
    due: int | None


class Silent(NamedTuple):
    """A host without requests since `at`."""

    host_id: int
    owner_id: int
    fqdn: str
    at: int


_WEBHOOK: Select[Any] = select(*(webhooks.c[name] for name in Webhook._fields[:-4]), users.c.name, *RIGHTS).join_from(
    webhooks, users
)
_DELIVERY: Select[Any] = select(*(webhook_deliveries.c[name] for name in Delivery._fields))
_OPEN = webhook_deliveries.c.ended.is_(None)


# ---- webhooks


def find(connection: Connection, webhook_id: int, *, live: bool = False) -> Webhook | None:
    """The webhook with this id; with `live` only if it is active, and its owner is."""
    query = _WEBHOOK.where(webhooks.c.id == webhook_id)
    row = connection.execute(query.where(webhooks.c.active, users.c.active) if live else query).first()
    return Webhook._make(row) if row else None


def page(connection: Connection, user_id: int, after: int, limit: int) -> list[Webhook]:
    """At most `limit` webhooks of the user with an id above `after`, by id."""
    query = _WEBHOOK.where(webhooks.c.user_id == user_id, webhooks.c.id > after).order_by(webhooks.c.id).limit(limit)
    return [Webhook._make(row) for row in connection.execute(query)]


def count(connection: Connection, user_id: int) -> int:
    """Number of webhooks of the user."""
    return connection.scalar(select(func.count()).where(webhooks.c.user_id == user_id)) or 0


def add(connection: Connection, values: Mapping[str, Any]) -> int:
    """Add a webhook, which reads what is written from now on. Returns its id."""
    done = connection.execute(insert(webhooks).values(**values))
    assert done.inserted_primary_key is not None
    webhook_id = int(done.inserted_primary_key[0])
    begin(connection, webhook_id)
    return webhook_id


def begin(connection: Connection, webhook_id: int) -> None:
    """Let the webhook read what is written from now on."""
    for source in outbox.SOURCES:
        outbox.put(connection, source, outbox.end(connection, source), [webhook_id])


def change(connection: Connection, webhook_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of a webhook."""
    connection.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(**values))


def remove(connection: Connection, webhook_id: int) -> None:
    """Delete a webhook with its messages."""
    connection.execute(delete(webhooks).where(webhooks.c.id == webhook_id))


def note_silent(connection: Connection, webhook: Webhook, until: int) -> bool:
    """Note that hosts with a last request until then were told. Returns False if somebody else has noted it."""
    same = webhooks.c.id == webhook.id, webhooks.c.silent_until == webhook.silent_until
    return connection.execute(update(webhooks).where(*same).values(silent_until=until)).rowcount == 1


def live(connection: Connection) -> list[Webhook]:
    """The webhooks that are active and whose owners are."""
    query = _WEBHOOK.where(webhooks.c.active, users.c.active).order_by(webhooks.c.id)
    return [Webhook._make(row) for row in connection.execute(query)]


def cursors(connection: Connection, source: str) -> dict[int, Cursor]:
    """The cursors of all webhooks, by id."""
    columns = (webhook_cursors.c[name] for name in Cursor._fields)
    query = select(webhook_cursors.c.webhook_id, *columns).where(webhook_cursors.c.source == source)
    return {row[0]: Cursor._make(row[1:]) for row in connection.execute(query)}


# ---- what messages say


def names_at(connection: Connection, entries: Sequence[Any]) -> dict[int, str]:
    """The full names that hosts had after these entries of their histories, by the entry's id.

    An entry of a host that was deleted without an entry of its own, because DNS never had it, has none.
    """
    host_ids = {entry.host_id for entry in entries}
    named = select(hosts.c.id, hosts.c.fqdn).where(among(connection, hosts.c.id, host_ids))
    current: dict[int, str] = {row.id: row.fqdn for row in connection.execute(named)}
    later: dict[int, list[Any]] = {}
    renamed = or_(history.c.kind == "delete", history.c.before.like('%"fqdn":%'))
    query = select(history.c.id, history.c.host_id, history.c.kind, history.c.before).where(
        among(connection, history.c.host_id, host_ids), history.c.id >= min(entry.id for entry in entries), renamed
    )
    for row in connection.execute(query.order_by(history.c.id)):
        later.setdefault(row.host_id, []).append(row)
    found: dict[int, str] = {}
    for entry in entries:
        changes = later.get(entry.host_id, ())
        following = (row for row in changes if row.id > entry.id or (row.id == entry.id and row.kind == "delete"))
        before = next((name for row in following if (name := _fqdn(row.before))), None)
        if (name := before or current.get(entry.host_id)) is not None:
            found[entry.id] = name
    return found


def _fqdn(text: str | None) -> str | None:
    value = json.loads(text or "{}").get("fqdn")
    return value if isinstance(value, str) else None


def silent(connection: Connection, owner_id: int | None, after: int, until: int, limit: int) -> list[Silent]:
    """At most `limit` hosts whose last request was after `after`, and at `until` or before, the oldest first.

    Those of one owner, or all.

    It may read all last requests: use it outside of writes.
    """
    columns = contacts.c.host_id, hosts.c.owner_id, hosts.c.fqdn, contacts.c.at
    query = select(*columns).join_from(contacts, hosts, hosts.c.id == contacts.c.host_id)
    query = query.where(contacts.c.at > after, contacts.c.at <= until).order_by(contacts.c.at).limit(limit)
    if owner_id is not None:
        query = query.where(hosts.c.owner_id == owner_id)
    return [Silent._make(row) for row in connection.execute(query)]


class DnsProgress(NamedTuple):
    """Which of some names are in DNS as the database says: `waiting` are not; `unknown` neither exist nor did."""

    waiting: frozenset[str]
    unknown: frozenset[str]


def dns_progress(connection: Connection, names: Collection[str]) -> DnsProgress:
    """Compare the names of hosts, which may be deleted, with what DNS is known to have."""
    at = {wildcard_name(name): name for name in names} | {name: name for name in names}
    late = select(hosts.c.fqdn).join_from(hosts, pending, pending.c.host_id == hosts.c.id)
    waiting = set(connection.scalars(late.where(among(connection, hosts.c.fqdn, names))))
    there = set(connection.scalars(select(hosts.c.fqdn).where(among(connection, hosts.c.fqdn, names))))
    left = select(removals.c.fqdn, removals.c.dirty_since, removals.c.id.in_(SKIPPED_REMOVALS))
    for fqdn, dirty_since, skipped in connection.execute(left.where(among(connection, removals.c.fqdn, list(at)))):
        there.add(at[fqdn])
        if dirty_since is not None and not skipped:
            waiting.add(at[fqdn])
    return DnsProgress(frozenset(waiting), frozenset(set(names) - there))


def are_deleted(connection: Connection, host_ids: Collection[int]) -> set[int]:
    """Those of the hosts whose histories say that they were deleted."""
    query = select(history.c.host_id).where(among(connection, history.c.host_id, host_ids), history.c.kind == "delete")
    return set(connection.scalars(query))


# ---- messages


def add_messages(connection: Connection, messages: Sequence[Message]) -> None:
    """Add new messages."""
    if messages:
        connection.execute(insert(webhook_deliveries), [message._asdict() for message in messages])


def add_ended(
    connection: Connection, message: Message, ended: int, status: int | None, problem: str | None
) -> Delivery:
    """Add a message that was sent once already."""
    end = {"ended": ended, "tries": 1, "status": status, "problem": problem, "delivered": problem is None}
    done = connection.execute(insert(webhook_deliveries).values(**message._asdict(), **end))
    assert done.inserted_primary_key is not None
    found = delivery(connection, message.webhook_id, done.inserted_primary_key[0])
    assert found is not None
    return found


class OpenCount(NamedTuple):
    """Messages of a webhook that are neither delivered nor given up: all, and those that do not wait for DNS."""

    total: int
    due: int


def open_counts(connection: Connection) -> dict[int, OpenCount]:
    """The numbers of open messages by webhook; webhooks without are missing."""
    counted = func.count(), func.count(webhook_deliveries.c.due)
    query = select(webhook_deliveries.c.webhook_id, *counted).where(_OPEN).group_by(webhook_deliveries.c.webhook_id)
    return {row[0]: OpenCount(row[1], row[2]) for row in connection.execute(query)}


def waiting(connection: Connection, after: int, limit: int) -> list[Waiting]:
    """At most `limit` messages with an id above `after` that wait for DNS, by id."""
    query = select(*(webhook_deliveries.c[name] for name in Waiting._fields))
    query = query.where(_OPEN, webhook_deliveries.c.due.is_(None), webhook_deliveries.c.id > after)
    found = connection.execute(query.order_by(webhook_deliveries.c.id).limit(limit))
    return [Waiting._make(row) for row in found]


def set_due(connection: Connection, ids: Collection[int], moment: int) -> None:
    """Let these messages be delivered."""
    for part in _parts(ids):
        connection.execute(update(webhook_deliveries).where(webhook_deliveries.c.id.in_(part)).values(due=moment))


def due(connection: Connection, webhook_id: int, moment: int, limit: int) -> list[Delivery]:
    """At most `limit` messages to deliver now, of each subject the first one, if it is due.

    Those that were refused least come first, so that one that is always refused does not hold up the others.
    """
    earlier = webhook_deliveries.alias("earlier")
    first = ~exists().where(
        earlier.c.webhook_id == webhook_deliveries.c.webhook_id,
        earlier.c.subject == webhook_deliveries.c.subject,
        earlier.c.id < webhook_deliveries.c.id,
        earlier.c.ended.is_(None),
    )
    now = webhook_deliveries.c.due.is_not(None), webhook_deliveries.c.next_attempt <= moment
    query = _DELIVERY.where(webhook_deliveries.c.webhook_id == webhook_id, _OPEN, *now, first)
    found = connection.execute(query.order_by(webhook_deliveries.c.tries, webhook_deliveries.c.id).limit(limit))
    return [Delivery._make(row) for row in found]


def have_due(connection: Connection, webhook_ids: Collection[int], moment: int) -> list[int]:
    """Those of the webhooks with messages that are due."""
    now = webhook_deliveries.c.due.is_not(None), webhook_deliveries.c.next_attempt <= moment
    query = select(webhook_deliveries.c.webhook_id).distinct().where(_OPEN, *now)
    return sorted(set(webhook_ids).intersection(connection.scalars(query)))


def set_delivery(connection: Connection, delivery_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of a message."""
    connection.execute(update(webhook_deliveries).where(webhook_deliveries.c.id == delivery_id).values(**values))


def give_up(connection: Connection, ids: Collection[int], moment: int, problem: str) -> None:
    """End these messages without delivery."""
    for part in _parts(ids):
        chosen = update(webhook_deliveries).where(webhook_deliveries.c.id.in_(part), _OPEN)
        connection.execute(chosen.values(ended=moment, problem=problem))


def give_up_all(connection: Connection, webhook_id: int, moment: int, problem: str) -> None:
    """End all open messages of the webhook without delivery."""
    mine = update(webhook_deliveries).where(webhook_deliveries.c.webhook_id == webhook_id, _OPEN)
    connection.execute(mine.values(ended=moment, problem=problem))


def expired(connection: Connection, due_before: int, created_before: int, limit: int) -> tuple[list[int], list[int]]:
    """At most `limit` ids of open messages that are due since before the first time; and of those that wait for DNS
    since before the second one."""
    old = webhook_deliveries.c.due < due_before
    never = and_(webhook_deliveries.c.due.is_(None), webhook_deliveries.c.created < created_before)
    found = (select(webhook_deliveries.c.id).where(_OPEN, kind).limit(limit) for kind in (old, never))
    late, waiting_ids = (list(connection.scalars(query)) for query in found)
    return late, waiting_ids


def page_of_deliveries(connection: Connection, webhook_id: int, before: int | None, limit: int) -> list[Delivery]:
    """At most `limit` messages of the webhook with an id below `before`, newest first."""
    query = _DELIVERY.where(webhook_deliveries.c.webhook_id == webhook_id)
    if before is not None:
        query = query.where(webhook_deliveries.c.id < before)
    found = connection.execute(query.order_by(webhook_deliveries.c.id.desc()).limit(limit))
    return [Delivery._make(row) for row in found]


def delivery(connection: Connection, webhook_id: int, delivery_id: int) -> Delivery | None:
    """A message of the webhook."""
    mine = webhook_deliveries.c.webhook_id == webhook_id, webhook_deliveries.c.id == delivery_id
    row = connection.execute(_DELIVERY.where(*mine)).first()
    return Delivery._make(row) if row else None


def outdated(connection: Connection, webhook_id: int, kept: int, limit: int) -> list[int]:
    """At most `limit` ids of ended messages of the webhook, without the `kept` newest messages."""
    mine = select(webhook_deliveries.c.id).where(webhook_deliveries.c.webhook_id == webhook_id)
    last = connection.scalar(mine.order_by(webhook_deliveries.c.id.desc()).offset(kept).limit(1))
    if last is None:
        return []
    return list(connection.scalars(mine.where(webhook_deliveries.c.id <= last, ~_OPEN).limit(limit)))


def old_deliveries(connection: Connection, after: int, before: int, limit: int) -> list[int]:
    """At most `limit` ids above `after` of messages that ended before `before`, sorted. It may read the whole table."""
    old = webhook_deliveries.c.id > after, webhook_deliveries.c.ended < before
    query = select(webhook_deliveries.c.id).where(*old).order_by(webhook_deliveries.c.id).limit(limit)
    return list(connection.scalars(query))


def forget(connection: Connection, ids: Sequence[int]) -> int:
    """Delete these messages. Returns the number."""
    return delete_keys(connection, webhook_deliveries.c.id, ids)


def _parts(ids: Iterable[int], size: int = 500) -> Iterable[list[int]]:
    found = list(ids)
    return (found[begin : begin + size] for begin in range(0, len(found), size))


# ---- the sender, on PostgreSQL

LEASE_SECONDS = 10.0

_ONE = 1


def take_lease(connection: Connection, node: str) -> bool:
    """Become or stay the node that sends, for LEASE_SECONDS. Returns whether it is this one."""
    moment = time_of(connection)
    expires = moment + int(LEASE_SECONDS * SECOND)
    statement = insert_into(connection.dialect.name, webhook_sender).values(id=_ONE, node=node, expires=expires)
    taken = statement.on_conflict_do_update(
        index_elements=["id"],
        set_={"node": node, "expires": expires},
        where=or_(webhook_sender.c.node == node, webhook_sender.c.expires < moment),
    )
    return connection.execute(taken.returning(webhook_sender.c.id)).first() is not None


def sending_node(connection: Connection) -> str | None:
    """The node that sent last."""
    return connection.scalar(select(webhook_sender.c.node))


def end_lease(connection: Connection, node: str) -> None:
    """Let another node send at once, instead of this one."""
    connection.execute(delete(webhook_sender).where(webhook_sender.c.node == node))
