# SPDX-License-Identifier: GPL-3.0-or-later
"""Remembers the last request for each host, and writes it some seconds later: no request ever waits for that."""

from ddnsd.store import contacts, queries
from ddnsd.store.contacts import Contact
from ddnsd.store.database import Store, StoreDown

SECONDS = 3.0
"""How often what was remembered is written."""

REMEMBERED = 100_000
"""Hosts at most while the database is down."""

PART = 500


class Contacts:
    """What one process was asked for since it last wrote."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[int, Contact] = {}

    def note(self, host_id: int, source: str | None, agent: str, word: str, tls: bool) -> None:
        """Remember a request for the host."""
        if len(self._seen) < REMEMBERED or host_id in self._seen:
            self._seen[host_id] = Contact(queries.now(), source, agent, word, tls)

    def recent(self, host_id: int) -> Contact | None:
        """What is not written yet of the host."""
        return self._seen.get(host_id)

    async def write(self) -> None:
        """Write what is remembered. Raises StoreDown, and remembers it on."""
        seen, self._seen = self._seen, {}
        left = sorted(seen)
        try:
            while left:
                part = {host_id: seen[host_id] for host_id in left[:PART]}
                await self._store.transact(lambda c, p=part: contacts.write(c, p))  # type: ignore[misc]
                left = left[PART:]
        except StoreDown:
            self._seen = {host_id: seen[host_id] for host_id in left} | self._seen
            raise
