# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change leaves in its host's history: the fields that people know, before and after."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from ddnsd.db import history, host_edits
from ddnsd.db.history import Author, Entry
from ddnsd.db.rows import Host

FIELDS = (
    "fqdn",
    "ipv4",
    "ipv6",
    "wildcard",
    "comment",
    "ttl",
    "stack",
    "labels",
    "available",
    "owner_id",
    "abuse",
    "abuse_blocked",
)
FLAGS = frozenset({"wildcard", "available", "abuse", "abuse_blocked"})


def updated(host: Host, author: Author) -> Entry:
    """The entry of an update. `write_host_updates` fills in the addresses, and leaves it out where none changes."""
    return history.encoded(host.id, host.owner_id, "update", author, None, None)


def edited(
    connection: Connection, host: Host, values: Mapping[str, Any], author: Author, note: str | None = None
) -> None:
    """Remember an edit of the host, as it was before, that sets these columns."""
    after = host._replace(**{name: value for name, value in values.items() if name in FIELDS})
    owners = host_edits.user_names(connection, {host.owner_id, after.owner_id}) if "owner_id" in values else {}
    if entry := edit(host, after, author, owners, note):
        history.add(connection, [entry])


def registered(connection: Connection, host: Host, author: Author) -> None:
    """Remember how the host began."""
    history.add(connection, [beginning(host, author)])


def rotated(connection: Connection, host_id: int, owner_id: int, author: Author) -> None:
    """Remember a new secret."""
    history.add(connection, [history.entry(host_id, owner_id, "secret", author)])


def rotation(host: Host, author: Author) -> Entry:
    """The entry of a new secret."""
    return history.entry(host.id, host.owner_id, "secret", author)


def beginning(host: Host, author: Author) -> Entry:
    """The entry of a registration: what was given."""
    given = {name: value for name in ("ipv4", "ipv6", "wildcard", "comment") if (value := getattr(host, name))}
    return history.entry(host.id, host.owner_id, "register", author, None, _shown(given, {}))


def edit(before: Host, after: Host, author: Author, owners: Mapping[int, str], note: str | None = None) -> Entry | None:
    """The entry of an edit, with users' names by id; None where people see no difference."""
    names = [name for name in FIELDS if getattr(before, name) != getattr(after, name)]
    if not names:
        return None
    fields = ({name: getattr(host, name) for name in names} for host in (before, after))
    was, now = (_shown(values, owners) for values in fields)
    return history.entry(before.id, before.owner_id, _kind(names, after), author, was, now, note)


def _kind(names: Iterable[str], after: Host) -> str:
    if "abuse_blocked" in names or ("abuse" in names and not after.abuse):
        return "block" if after.abuse_blocked else "unblock"
    return "flag" if "abuse" in names else "edit"


def _shown(values: Mapping[str, Any], owners: Mapping[int, str]) -> dict[str, Any]:
    """The fields as `/api` shows them."""
    shown: dict[str, Any] = {name: bool(value) if name in FLAGS else value for name, value in values.items()}
    if "labels" in shown:
        shown["labels"] = json.loads(shown["labels"])
    if "owner_id" in shown:
        shown["owner"] = owners.get(shown.pop("owner_id"))
    return shown
