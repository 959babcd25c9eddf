# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts whose addresses alternate, because two or more clients update them in turn.

Updates do nothing for this: a periodic task looks at histories that have grown. An episode is a row of `flapping`, and
ends when the addresses have not alternated for `PERIOD_MICROSECONDS`.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, select, update

from ddnsd.db import history, queries
from ddnsd.db.base import Store
from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.history import SERVICE, Shown
from ddnsd.db.schema import flapping, hosts

CHANGES = 8
"""Minimum number of new entries after which a host is examined."""

RETURNS = 6
"""Minimum number of changes back to an earlier address."""

PERIOD_MICROSECONDS = 3 * 3600 * 1_000_000
"""Older changes do not count."""

ENTRIES = 40
"""Newest entries that are examined."""

AT_ONCE = 200
"""Maximum number of hosts that are examined in one run; the others are examined later."""

PAUSE_SECONDS = 0.005

NOTE_LENGTH = 255

ACTION = "host.flapping"


class Client(NamedTuple):
    """The author of a change."""

    source: str | None
    agent: str | None

    def __str__(self) -> str:
        return f"{self.source or '-'} ({self.agent})" if self.agent else self.source or "-"


class Alternation(NamedTuple):
    """The time of the last change back to an earlier address, and the clients by address."""

    at: int
    clients: Mapping[str, set[Client]]

    @property
    def note(self) -> str:
        """The addresses with their clients."""
        texts = [f"{address} from {' and '.join(sorted(map(str, by)))}" for address, by in sorted(self.clients.items())]
        note = "; ".join(texts)
        return note if len(note) <= NOTE_LENGTH else note[: NOTE_LENGTH - 1] + "…"


def find(connection: Connection, host_id: int) -> Alternation | None:
    """The alternation of the host's addresses, from entries that its owner may read; None without one."""
    owner_id = connection.scalar(select(hosts.c.owner_id).where(hosts.c.id == host_id))
    return alternation(history.page(connection, host_id, ENTRIES, reader_id=owner_id or 0), queries.now())


def alternation(entries: Iterable[Shown], now: int) -> Alternation | None:
    """The alternation in entries of a host, newest first; None if there is none, or if one client made all changes."""
    recent = [entry for entry in entries if entry.at > now - PERIOD_MICROSECONDS][::-1]
    return next(filter(None, (_of_family(recent, family) for family in ("ipv4", "ipv6"))), None)


def _of_family(entries: Iterable[Shown], family: str) -> Alternation | None:
    earlier: set[str] = set()
    clients: dict[str, set[Client]] = {}
    returns = at = 0
    for entry, before, after in _changes(entries, family):
        if before is not None:
            earlier.add(before)
        if after is None:
            continue
        if after in earlier:
            returns, at = returns + 1, entry.at
            clients.setdefault(after, set()).add(Client(entry.source, entry.agent))
        earlier.add(after)
    several = len(clients) > 1 and len(set[Client]().union(*clients.values())) > 1
    return Alternation(at, clients) if returns >= RETURNS and several else None


def _changes(entries: Iterable[Shown], family: str) -> Iterator[tuple[Shown, Any, Any]]:
    """(entry, former address, new address) of the changes of that family."""
    for entry in entries:
        before, after = entry.before or {}, entry.after or {}
        if family in after:
            yield entry, before.get(family), after[family]


# ---- episodes


def since(connection: Connection, host_id: int) -> int | None:
    """When the host's episode began; None without one."""
    return connection.scalar(select(flapping.c.since).where(flapping.c.host_id == host_id))


def record(connection: Connection, host_id: int, found: Alternation) -> bool:
    """Store that the host's addresses alternate. Returns whether an episode begins: its owner gets one report."""
    host = connection.execute(select(hosts.c.id, hosts.c.fqdn, hosts.c.owner_id).where(hosts.c.id == host_id)).first()
    if host is None:
        return False
    values = {"host_id": host_id, "since": queries.now(), "seen": found.at}
    statement = insert_into(connection.dialect.name, flapping).values(values).on_conflict_do_nothing()
    if not connection.execute(statement).rowcount:
        connection.execute(update(flapping).where(flapping.c.host_id == host_id).values(seen=found.at))
        return False
    history.add(connection, [history.entry(host_id, host.owner_id, "flapping", SERVICE, note=found.note)])
    queries.add_event(connection, SERVICE.actor, ACTION, host.fqdn, None, found.note, owner_id=host.owner_id)
    return True


def end(connection: Connection, before: int) -> int:
    """End episodes without an alternation since `before`. Returns the number."""
    return connection.execute(delete(flapping).where(flapping.c.seen < before)).rowcount


class FlappingDetector:
    """Examines hosts after new entries of their histories, by any process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._added: Counter[int] = Counter()

    def note(self, added: Mapping[int, int]) -> None:
        """Add numbers of new entries by host id."""
        self._added.update(added)

    async def run(self) -> None:
        """Examine hosts with enough new entries, those that wait longest first, and end episodes. Raises StoreDown."""
        due = [host_id for host_id, count in self._added.items() if count >= CHANGES][:AT_ONCE]
        for host_id in due:
            await self._examine(host_id)
            del self._added[host_id]
            await asyncio.sleep(PAUSE_SECONDS)
        before = queries.now() - PERIOD_MICROSECONDS
        if await self._store.read(
            lambda c: c.scalar(select(flapping.c.host_id).where(flapping.c.seen < before).limit(1))
        ):
            await self._store.transact(lambda c: end(c, before))

    async def _examine(self, host_id: int) -> None:
        if (found := await self._store.read(lambda c: find(c, host_id))) is not None:
            await self._store.transact(lambda c: record(c, host_id, found))
