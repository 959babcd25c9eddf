# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories of hosts: one row per change, with before and after, author and address."""

import json
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, UpdateBase, exists, func, insert, select, update

from ddnsd.db import outbox
from ddnsd.db.bulk_sql import Given, delete_found, for_each
from ddnsd.db.schema import history, hosts

KEPT = 1000
"""Entries that remain when a host's history is trimmed."""

DAY_MICROSECONDS = 86_400 * 1_000_000
AGENT_LENGTH = 120
NOTE_LENGTH = 255

ADDRESSES = ("ipv4", "ipv6", "prefix")
"""Columns of a host in the entry of an update."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Author(NamedTuple):
    """The author of a change, and their credentials.

    `actor` is a user, a host or the login of a key; `ddnsd` is the service. `via` says with which credentials: host,
    key, token, user (signed in) or service; `name` is that of the key or token. `agent` is the unchanged
    user agent of the client.
    """

    actor: str
    source: str | None = None
    via: str = "user"
    name: str | None = None
    agent: str = ""


SERVICE = Author("ddnsd", via="service")


class Entry(NamedTuple):
    """A row; `before` and `after` are JSON objects of the fields that changed, `at` is in microseconds."""

    host_id: int
    owner_id: int
    at: int
    kind: str
    before: str | None
    after: str | None
    note: str | None
    actor: str
    via: str
    via_name: str | None
    source: str | None
    agent: str | None


class Shown(NamedTuple):
    """An entry of a history."""

    id: int
    at: int
    kind: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    note: str | None
    actor: str
    via: str
    via_name: str | None
    source: str | None
    agent: str | None


def entry(
    host_id: int,
    owner_id: int,
    kind: str,
    author: Author,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    note: str | None = None,
) -> Entry:
    """A new entry with the current time."""
    was, now = (None if fields is None else _encode(fields) for fields in (before, after))
    return encoded(host_id, owner_id, kind, author, was, now, note)


def encoded(
    host_id: int,
    owner_id: int,
    kind: str,
    author: Author,
    before: str | None,
    after: str | None,
    note: str | None = None,
) -> Entry:
    """A new entry with the current time, from fields in JSON."""
    actor, source, via, name, agent = author
    return Entry(
        host_id,
        owner_id,
        time.time_ns() // 1000,
        kind,
        before,
        after,
        note and note[:NOTE_LENGTH],
        actor,
        via,
        name,
        source,
        agent_text(agent),
    )


def agent_text(agent: str) -> str | None:
    """The stored part of a user agent: at most 120 printable characters."""
    if not agent.isprintable():
        agent = "".join(c for c in agent if c.isprintable())
    return agent[:AGENT_LENGTH] or None


# ---- writing


def add(connection: Connection, entries: Sequence[Entry]) -> None:
    """Append entries in one statement."""
    for_each(connection, _append, Entry._fields, entries)


def has_any(connection: Connection, entries: Sequence[Entry]) -> bool:
    """Whether one of the entries exists, ignoring the fields before and after."""
    keys = [history.c[name] for name in Entry._fields if name not in ("before", "after")]
    moments = {entry.at for entry in entries}
    query = select(*keys).where(history.c.host_id.in_({entry.host_id for entry in entries}), history.c.at.in_(moments))
    wanted = {tuple(getattr(entry, key.name) for key in keys) for entry in entries}
    return not wanted.isdisjoint(tuple(row) for row in connection.execute(query))


def _append(given: Given) -> UpdateBase:
    return insert(history).from_select(list(given), select(*given.values()))


def trim(connection: Connection, host_id: int, limit: int, kept: int = KEPT) -> int:
    """Remove at most `limit` of the host's oldest entries, so that the `kept` newest stay. Returns the number."""
    of_host = select(history.c.id).where(history.c.host_id == host_id)
    last = connection.scalar(of_host.order_by(history.c.id.desc()).offset(kept).limit(1))
    if last is None:
        return 0
    oldest = of_host.where(history.c.id <= last).order_by(history.c.id).limit(limit)
    return delete_found(connection, history.c.id, oldest)


def crowded(connection: Connection, kept: int = KEPT) -> list[int]:
    """Ids of hosts with more entries than the limit."""
    counted = select(history.c.host_id).group_by(history.c.host_id).having(func.count() > kept)
    return list(connection.scalars(counted))


def added_since(connection: Connection, after: int) -> tuple[int, dict[int, int]]:
    """The last id, and the number of entries per host with an id above `after`."""
    query = select(history.c.host_id, func.count(), func.max(history.c.id)).where(history.c.id > after)
    found = connection.execute(query.group_by(history.c.host_id)).all()
    return max((row[2] for row in found), default=after), {row[0]: row[1] for row in found}


def last_id(connection: Connection) -> int:
    """The id of the newest entry, or 0."""
    return connection.scalar(select(func.max(history.c.id))) or 0


def forget(connection: Connection, before: int, limit: int) -> int:
    """Remove entries older than `before` among the `limit` oldest ones. Returns the number."""
    oldest = select(history.c.id, history.c.at).where(outbox.is_read(connection, "history"))
    found = oldest.order_by(history.c.id).limit(limit).subquery()
    return delete_found(connection, history.c.id, select(found.c.id).where(found.c.at < before))


def strangers(connection: Connection, after: int, limit: int) -> list[int]:
    """Ids above `after` of at most `limit` deleted hosts with entries that no webhook needs, sorted."""
    unneeded = _of_deleted(), outbox.is_read(connection, "history")
    query = select(history.c.host_id).distinct().where(history.c.host_id > after, *unneeded)
    return list(connection.scalars(query.order_by(history.c.host_id).limit(limit)))


def forget_hosts(connection: Connection, host_ids: Collection[int], limit: int) -> int:
    """Remove at most `limit` entries of these hosts (at most 500) that no webhook needs. Returns the number."""
    of_hosts = history.c.host_id.in_(list(host_ids)), outbox.is_read(connection, "history")
    return delete_found(connection, history.c.id, select(history.c.id).where(*of_hosts).limit(limit))


def disown_strangers(connection: Connection) -> None:
    """Give entries of deleted hosts a negative host id, which no new host gets. It reads the whole table."""
    connection.execute(update(history).where(history.c.host_id > 0, _of_deleted()).values(host_id=-history.c.host_id))


def _of_deleted() -> ColumnElement[bool]:
    return ~exists(select(hosts.c.id).where(hosts.c.id == history.c.host_id))


# ---- reading


def page(
    connection: Connection, host_id: int, limit: int, *, before: int | None = None, reader_id: int | None = None
) -> list[Shown]:
    """At most `limit` entries of a host with an id below `before`, newest first.

    With `reader_id` only those that this user may read, of the time when they owned the host.
    """
    names = [name for name in Shown._fields if name != "id"]
    query = select(history.c.id, *(history.c[name] for name in names)).where(*_of(host_id, reader_id))
    if before is not None:
        query = query.where(history.c.id < before)
    found = connection.execute(query.order_by(history.c.id.desc()).limit(limit))
    return [Shown._make(row)._replace(before=_decoded(row.before), after=_decoded(row.after)) for row in found]


def former_values(connection: Connection, host_ids: Sequence[int]) -> dict[int, set[str]]:
    """All addresses, targets of aliases and values of RRsets in the histories of hosts, by host id."""
    found: dict[int, set[str]] = {}
    for begin in range(0, len(host_ids), 500):
        query = select(history.c.host_id, history.c.before, history.c.after)
        for host_id, *fields in connection.execute(query.where(history.c.host_id.in_(host_ids[begin : begin + 500]))):
            for values in (_decoded(text) or {} for text in fields):
                had = [a for family in ("ipv4", "ipv6") if (text := values.get(family)) for a in _listed(text)]
                had += [values["alias"]] if values.get("alias") else []
                had += (value for one in values.get("records", {}).values() if one for value in one["values"])
                found.setdefault(host_id, set()).update(value for value in had if isinstance(value, str))
    return found


def _listed(value: str | list[str]) -> list[str]:
    return value.split() if isinstance(value, str) else value


def per_day(
    connection: Connection, host_id: int, days: int, *, reader_id: int | None = None, now: int | None = None
) -> list[tuple[str, int]]:
    """Number of entries on each of the last `days` days, as (ISO date, count), oldest first; UTC."""
    today = (time.time_ns() // 1000 if now is None else now) // DAY_MICROSECONDS
    first = today - days + 1
    query = select(history.c.at).where(*_of(host_id, reader_id), history.c.at >= first * DAY_MICROSECONDS)
    counts = Counter(at // DAY_MICROSECONDS for at in connection.scalars(query))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return [((epoch + timedelta(days=day)).date().isoformat(), counts[day]) for day in range(first, today + 1)]


def _of(host_id: int, reader_id: int | None) -> list[Any]:
    mine = [] if reader_id is None else [history.c.owner_id == reader_id]
    return [history.c.host_id == host_id, *mine]


def _decoded(text: str | None) -> Mapping[str, Any] | None:
    return None if text is None else json.loads(text)
