# SPDX-License-Identifier: GPL-3.0-or-later
"""Remembers the last request for each host, and writes it some seconds later: no request ever waits for that.

What repeats is written now and then, and a wrong secret never: neither must make the database work.
"""

from typing import TypeVar

from ddnsd.db import last_seen, queries
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.history import agent_text
from ddnsd.db.last_seen import Contact

T = TypeVar("T")

SECONDS = 3.0
"""How often what was remembered is written."""

REPEAT_MICROSECONDS = 5 * 60 * 1_000_000
"""How long an answer that repeats what is written, to the same address, is not written again."""

REMEMBERED = 100_000
"""Hosts at most, also while the database is down."""

PART = 500


class LastSeen:
    """What one process was last asked for, and what of it is to be written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: dict[int, Contact] = {}
        self._given: dict[int, tuple[int, str | None, str]] = {}  # when, where and what was last to be written
        self._due: dict[int, Contact] = {}

    def note(self, host_id: int, client_ip: str | None, agent: str, word: str, tls: bool) -> None:
        """Remember a request for the host."""
        contact = Contact(queries.now(), client_ip, agent_text(agent), word, tls)
        _put(self._last, host_id, contact)
        if word == "badauth" or self._repeats(host_id, contact):
            return
        if len(self._due) < REMEMBERED or host_id in self._due:
            self._due[host_id] = contact
            _put(self._given, host_id, (contact.at, client_ip, word))

    def _repeats(self, host_id: int, contact: Contact) -> bool:
        at, client_ip, word = self._given.get(host_id, (0, None, ""))
        same = (contact.source, contact.word) == (client_ip, word) and word != "good"
        return same and contact.at - at < REPEAT_MICROSECONDS

    def last(self, host_id: int, written: Contact | None) -> Contact | None:
        """The last request that is known here, where `written` is what the database has."""
        known = [contact for contact in (written, self._last.get(host_id)) if contact is not None]
        return max(known, key=lambda contact: contact.at, default=None)

    async def write(self) -> None:
        """Write what is remembered. Raises StoreDown, and remembers it on."""
        seen, self._due = self._due, {}
        left = sorted(seen)
        try:
            while left:
                part = {host_id: seen[host_id] for host_id in left[:PART]}
                await self._store.transact(lambda c, p=part: last_seen.write(c, p))  # type: ignore[misc]
                left = left[PART:]
        except StoreDown:
            self._due = {host_id: seen[host_id] for host_id in left} | self._due
            raise


def _put(kept: dict[int, T], host_id: int, value: T) -> None:
    """Keep the value as the newest one; the oldest goes where there are too many."""
    kept.pop(host_id, None)
    kept[host_id] = value
    if len(kept) > REMEMBERED:
        del kept[next(iter(kept))]
