# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a host's history: its changes, how many there were each day, and the last request."""

from typing import NamedTuple

from ddnsd.db import history, last_seen
from ddnsd.db.base import Store
from ddnsd.db.history import Shown
from ddnsd.db.last_seen import Contact
from ddnsd.registry.last_seen import LastSeen
from ddnsd.registry.paging import Page, page_of


class HostActivity(NamedTuple):
    """The newest changes, the number of changes of each day as (ISO date, count), and the last request if any."""

    changes: list[Shown]
    per_day: list[tuple[str, int]]
    last_request: Contact | None


class HostHistory:
    """Reads the histories of hosts. With a `reader_id` only entries from the time when that user owned the host."""

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
        """How many changes each of the last `days` days had, as (ISO date, count), oldest first. Raises StoreDown."""
        return await self._store.read(lambda c: history.per_day(c, host_id, days, reader_id=reader_id))

    async def last_request(self, host_id: int) -> Contact | None:
        """The last request for the host. Raises StoreDown."""
        written = await self._store.read(lambda c: last_seen.of(c, [host_id]))
        return self._last_seen.last(host_id, written.get(host_id))
