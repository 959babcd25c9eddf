# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the last request for each host in memory, and write it some seconds later, so that no request waits.

To spare the database, repeated answers are written rarely, and requests with a wrong secret never.
"""

from typing import TypeVar

from ddnsd.db import last_seen, queries
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.history import agent_text
from ddnsd.db.last_seen import Contact

T = TypeVar("T")

SECONDS = 3.0
"""How often new entries are written."""

REPEAT_MICROSECONDS = 5 * 60 * 1_000_000
"""How long an answer is not written again, if it repeats the written one to the same address."""

REMEMBERED = 100_000
"""Maximum number of hosts in memory, also while the database is down."""

PART = 500


class LastSeen:
    """The last requests to this process, and those that must still be written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: dict[int, Contact] = {}
        self._given: dict[int, tuple[int, str | None, str]] = {}  # time, client and answer of the last entry to write
        self._due: dict[int, Contact] = {}

    def note(self, host_id: int, client_ip: str | None, agent: str, word: str, tls: bool) -> None:
        """Add a request for the host."""
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
        """The last known request; `written` is the one in the database."""
        known = [contact for contact in (written, self._last.get(host_id)) if contact is not None]
        return max(known, key=lambda contact: contact.at, default=None)

    async def write(self) -> None:
        """Write the new entries. Raises StoreDown; entries that are not written are kept."""
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
    """Add the value as the newest, and delete the oldest if there are too many."""
    kept.pop(host_id, None)
    kept[host_id] = value
    if len(kept) > REMEMBERED:
        del kept[next(iter(kept))]
