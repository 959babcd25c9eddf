# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is stored about a user, as one JSON document. docs/data-protection.md describes it.

It has no secrets, no hashes of secrets and no seeds. It is made in parts from short reads, so its size needs no memory.
"""

import json
from collections.abc import AsyncGenerator
from typing import Any

from sqlalchemy import Connection

from ddnsd.db import account_data, queries
from ddnsd.db.account_data import Row
from ddnsd.db.base import Store
from ddnsd.db.history import Author
from ddnsd.db.rows import User
from ddnsd.registry.last_seen import LastSeen
from ddnsd.registry.moments import moment

FORMAT = 1
HOSTS, ENTRIES = 200, 1000
"""Hosts, and entries of a history or of the audit trail, per read."""

TIMES = frozenset(
    {
        "applied",
        "at",
        "authenticated",
        "changed",
        "claims_at",
        "created",
        "deadline",
        "decided",
        "ended",
        "expires",
        "frozen_since",
        "last_seen",
        "last_used",
        "lease_expires",
        "lease_since",
        "not_after",
        "not_before",
        "started",
        "updated_ipv4",
        "updated_ipv6",
    }
)
FLAGS = frozenset(
    {
        "abuse",
        "abuse_blocked",
        "active",
        "admin",
        "available",
        "blocked_by_domain",
        "dns_updates",
        "gss_hosts",
        "inline_signing",
        "private_addresses",
        "protect",
        "ptr",
        "public",
        "query_credentials",
        "tls",
        "tls_ipv4",
        "tls_ipv6",
        "used",
        "wildcard",
        "withdrawn",
    }
)
JSON = frozenset({"before", "after", "gives", "labels"})
"""Columns with JSON text."""

LISTS = {"tokens": ("scopes", "domains", "hosts", "stacks", "networks")}
"""Columns with words, by table."""


_NOTHING: Row = {}


class AccountExport:
    """Makes exports. The caller checks permissions."""

    def __init__(self, store: Store, last_seen: LastSeen) -> None:
        self._store, self._last_seen = store, last_seen

    async def parts(self, user: User, reader: Author | None = None) -> AsyncGenerator[str, None]:
        """Yield the document in parts. An administrator as `reader` is noted in the audit trail. Raises StoreDown."""
        if reader is not None:
            await self._store.transact(lambda c: _note(c, user, reader))
        await self._last_seen.write()
        head: dict[str, Any] = {"format": FORMAT, "exported": moment(queries.now())}
        row, tables = await self._store.read(
            lambda c: (account_data.user(c, user.id), account_data.of_user(c, user.id))
        )
        head |= {"user": _shown("users", row)}
        head |= {name: [_shown(name, one) for one in found] for name, found in tables.items()}
        yield json.dumps(head, indent=1).removesuffix("\n}")
        yield ',\n "hosts": ['
        async for part in self._hosts(user.id):
            yield part
        yield '],\n "events": ['
        separator = "\n  "
        async for event in self._events(user.id):
            yield separator + event
            separator = ",\n  "
        yield "]\n}\n"

    async def _hosts(self, user_id: int) -> AsyncGenerator[str, None]:
        after: int | None = 0
        separator = "\n  "
        while after is not None:
            begin = after
            found, after = await self._store.read(
                lambda c, a=begin: account_data.host_slice(c, user_id, a, HOSTS)  # type: ignore[misc]
            )
            for host in found:
                host_id = host.pop("id")
                yield separator + json.dumps(_shown("hosts", host)).removesuffix("}") + ', "history": ['
                separator = ",\n  "
                between = ""
                async for entry in self._history(host_id, user_id):
                    yield between + entry
                    between = ", "
                yield "]}"

    async def _history(self, host_id: int, user_id: int) -> AsyncGenerator[str, None]:
        after, found = 0, [_NOTHING]
        while found:
            found, after = await self._store.read(
                lambda c, a=after: account_data.history_slice(c, host_id, user_id, a, ENTRIES)  # type: ignore[misc]
            )
            for entry in found:
                yield json.dumps(_shown("history", entry))

    async def _events(self, user_id: int) -> AsyncGenerator[str, None]:
        after, found = 0, [_NOTHING]
        while found:
            found, after = await self._store.read(
                lambda c, a=after: account_data.event_slice(c, user_id, a, ENTRIES)  # type: ignore[misc]
            )
            for event in found:
                yield json.dumps(_shown("events", event))


def _note(connection: Connection, user: User, reader: Author) -> None:
    queries.add_event(connection, reader.actor, "user.export", user.name, reader.source, None, owner_id=user.id)


def _shown(table: str, row: Row) -> Row:
    return {name: _value(table, name, value) for name, value in row.items()}


def _value(table: str, name: str, value: Any) -> Any:
    """A value as the document has it."""
    if isinstance(value, dict):
        return _shown(name, value)
    if isinstance(value, list):
        return [_shown(name, one) if isinstance(one, dict) else one for one in value]
    if value is None:
        return None
    if name in TIMES:
        return moment(value)
    if name in FLAGS:
        return bool(value)
    if name in JSON:
        return json.loads(value)
    return value.split() if name in LISTS.get(table, ()) else value
