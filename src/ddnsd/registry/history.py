# SPDX-License-Identifier: GPL-3.0-or-later
"""Add and read entries of hosts' histories. An entry has the fields before and after a change."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ddnsd.db import history, host_edits, last_seen
from ddnsd.db.base import Store
from ddnsd.db.history import SERVICE, Author, Entry, Shown
from ddnsd.db.last_seen import Contact
from ddnsd.db.rows import Host
from ddnsd.registry.last_seen import LastSeen
from ddnsd.registry.rows import Page, page_of

FIELDS = (
    "fqdn",
    "ipv4",
    "ipv6",
    "alias",
    "wildcard",
    "comment",
    "ttl",
    "stack",
    "protect",
    "ptr",
    "labels",
    "available",
    "owner_id",
    "abuse",
    "abuse_blocked",
    "block_reason",
    "blocked_by_domain",
    "quarantined",
)
FLAGS = frozenset(
    {"wildcard", "protect", "ptr", "available", "abuse", "abuse_blocked", "blocked_by_domain", "quarantined"}
)
BLOCKING = frozenset({"abuse_blocked", "block_reason", "blocked_by_domain", "quarantined"})


def updated(host: Host, author: Author) -> Entry:
    """The entry for an update. `write_host_updates` fills in the addresses, and drops it if none changes."""
    return history.encoded(host.id, host.owner_id, "update", author, None, None)


def edited(
    connection: Connection, host: Host, values: Mapping[str, Any], author: Author, note: str | None = None
) -> None:
    """Add an entry for an edit that sets these columns; `host` is the row before the edit."""
    after = host._replace(**{name: value for name, value in values.items() if name in FIELDS})
    owners = host_edits.user_names(connection, {host.owner_id, after.owner_id}) if "owner_id" in values else {}
    if entry := edit(host, after, author, owners, note):
        history.add(connection, [entry])


def registered(connection: Connection, host: Host, author: Author) -> None:
    """Add an entry for the registration of the host."""
    history.add(connection, [beginning(host, author)])


def rotated(connection: Connection, host_id: int, owner_id: int, author: Author) -> None:
    """Add an entry for a new secret."""
    history.add(connection, [history.entry(host_id, owner_id, "secret", author)])


def limited(connection: Connection, host: Host, note: str) -> None:
    """Add an entry that says why changes of the host are refused for a while."""
    history.add(connection, [history.entry(host.id, host.owner_id, "limit", SERVICE, None, None, note)])


def rotation(host: Host, author: Author) -> Entry:
    """The entry for a new secret."""
    return history.entry(host.id, host.owner_id, "secret", author)


def beginning(host: Host, author: Author) -> Entry:
    """The entry for a registration, with the given fields."""
    given = {name: value for name in ("ipv4", "ipv6", "alias", "wildcard", "comment") if (value := getattr(host, name))}
    return history.entry(host.id, host.owner_id, "register", author, None, _shown(given, {}))


def end(host: Host, author: Author) -> Entry:
    """The entry for the deletion of the host: webhooks learn of it from there."""
    had = {name: value for name in ("fqdn", "ipv4", "ipv6", "alias") if (value := getattr(host, name))}
    return history.entry(host.id, host.owner_id, "delete", author, _shown(had, {}))


def of_records(host: Host, author: Author, was: Mapping[str, Any], now: Mapping[str, Any]) -> Entry:
    """The entry for changed RRsets, by their keys."""
    return history.entry(host.id, host.owner_id, "edit", author, {"records": was}, {"records": now})


def of_related(host: Host, author: Author, was: Mapping[str, str | None], now: Mapping[str, str | None]) -> Entry:
    """The entry for changed related names: interface ids by label."""
    return history.entry(host.id, host.owner_id, "edit", author, {"related": was}, {"related": now})


def edit(before: Host, after: Host, author: Author, owners: Mapping[int, str], note: str | None = None) -> Entry | None:
    """The entry for an edit, or None if no field of `FIELDS` differs. `owners` are names of users by id."""
    names = [name for name in FIELDS if getattr(before, name) != getattr(after, name)]
    if not names:
        return None
    fields = ({name: getattr(host, name) for name in names} for host in (before, after))
    was, now = (_shown(values, owners) for values in fields)
    return history.entry(before.id, before.owner_id, _kind(names, after), author, was, now, note)


def _kind(names: Iterable[str], after: Host) -> str:
    if BLOCKING & set(names) or ("abuse" in names and not after.abuse):
        return "block" if after.abuse_blocked else "unblock"
    return "flag" if "abuse" in names else "edit"


def _shown(values: Mapping[str, Any], owners: Mapping[int, str]) -> dict[str, Any]:
    """The fields as the REST API shows them."""
    shown: dict[str, Any] = {name: bool(value) if name in FLAGS else value for name, value in values.items()}
    shown |= {family: text.split() for family in ("ipv4", "ipv6") if " " in (text := shown.get(family) or "")}
    if "labels" in shown:
        shown["labels"] = json.loads(shown["labels"])
    if "owner_id" in shown:
        shown["owner"] = owners.get(shown.pop("owner_id"))
    return shown


class HostActivity(NamedTuple):
    """The newest changes, the number of changes per day as (ISO date, count), and the last request, if any."""

    changes: list[Shown]
    per_day: list[tuple[str, int]]
    last_request: Contact | None


class HostHistory:
    """Reads the histories of hosts. With a `reader_id`, only entries from the time when that user owned the host."""

    def __init__(self, store: Store, last_seen: LastSeen) -> None:
        self._store, self._last_seen = store, last_seen

    async def activity(self, host_id: int, reader_id: int | None, *, recent: int, days: int) -> HostActivity:
        """The `recent` newest changes, the counts of the last `days` days, and the last request. Raises StoreDown."""
        changes, per_day, written = await self._store.read(
            lambda c: (
                history.page(c, host_id, recent, reader_id=reader_id),
                history.per_day(c, host_id, days, reader_id=reader_id),
                last_seen.of(c, [host_id]),
            )
        )
        return HostActivity(changes, per_day, self._last_seen.last(host_id, written.get(host_id)))

    async def page(self, host_id: int, reader_id: int | None, before: int | None, limit: int) -> Page[Shown]:
        """Changes with an id below `before`, newest first. Raises StoreDown."""
        found = await self._store.read(
            lambda c: history.page(c, host_id, limit + 1, before=before, reader_id=reader_id)
        )
        return page_of(found, limit)

    async def per_day(self, host_id: int, reader_id: int | None, days: int) -> list[tuple[str, int]]:
        """The number of changes on each of the last `days` days: (ISO date, count), oldest first. Raises StoreDown."""
        return await self._store.read(lambda c: history.per_day(c, host_id, days, reader_id=reader_id))

    async def last_request(self, host_id: int) -> Contact | None:
        """The last request for the host. Raises StoreDown."""
        written = await self._store.read(lambda c: last_seen.of(c, [host_id]))
        return self._last_seen.last(host_id, written.get(host_id))
