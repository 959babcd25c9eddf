# SPDX-License-Identifier: GPL-3.0-or-later
"""The last request for each host: time, address, client, and answer."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, UpdateBase, delete, exists, select

from ddnsd.db.bulk_sql import Given, delete_found, for_each, insert_into
from ddnsd.db.history import agent_text
from ddnsd.db.schema import contacts, hosts


class Contact(NamedTuple):
    """A request; `at` in microseconds, `agent` unchanged until it is written, `word` the answer."""

    at: int
    source: str | None
    agent: str | None
    word: str
    tls: bool


def write(connection: Connection, seen: Mapping[int, Contact]) -> None:
    """Store requests that are newer than the stored ones, by host id."""
    rows = [
        (host_id, *contact._replace(agent=agent_text(contact.agent or "")))
        for host_id, contact in sorted(seen.items())  # in a fixed order, so that two processes cannot deadlock
    ]
    for_each(connection, _write, ("host_id", *Contact._fields), rows)


def _write(given: Given) -> UpdateBase:
    row = select(*given.values()).where(given["host_id"].is_not(None))
    statement = insert_into(given.dialect, contacts).from_select(list(given), row)
    new = {name: statement.excluded[name] for name in Contact._fields}
    newer = statement.excluded.at >= contacts.c.at
    return statement.on_conflict_do_update(index_elements=[contacts.c.host_id], set_=new, where=newer)


def of(connection: Connection, host_ids: Collection[int]) -> dict[int, Contact]:
    """The last request for each of these hosts (at most 500); hosts without a request are missing."""
    columns = [contacts.c[name] for name in Contact._fields]
    query = select(contacts.c.host_id, *columns).where(contacts.c.host_id.in_(list(host_ids)))
    return {row[0]: Contact._make(row[1:]) for row in connection.execute(query)}


def strangers(connection: Connection, after: int, limit: int) -> list[int]:
    """Ids above `after` of at most `limit` deleted hosts that still have a contact, sorted."""
    host = select(hosts.c.id).where(hosts.c.id == contacts.c.host_id)
    query = select(contacts.c.host_id).where(contacts.c.host_id > after, ~exists(host))
    return list(connection.scalars(query.order_by(contacts.c.host_id).limit(limit)))


def old(connection: Connection, after: int, before: int, limit: int) -> list[int]:
    """Ids above `after` of at most `limit` hosts whose last request came before `before`, sorted.

    It reads the whole table: use it outside of writes.
    """
    query = select(contacts.c.host_id).where(contacts.c.host_id > after, contacts.c.at < before)
    return list(connection.scalars(query.order_by(contacts.c.host_id).limit(limit)))


def forget_old(connection: Connection, host_ids: Sequence[int], before: int) -> int:
    """Remove the contacts of these hosts from before `before`. Returns the number."""
    found = select(contacts.c.host_id).where(contacts.c.host_id.in_(list(host_ids)), contacts.c.at < before)
    return delete_found(connection, contacts.c.host_id, found)


def forget(connection: Connection, host_ids: Collection[int]) -> int:
    """Remove the contacts of these hosts (at most 500). Returns the number."""
    return connection.execute(delete(contacts).where(contacts.c.host_id.in_(list(host_ids)))).rowcount
