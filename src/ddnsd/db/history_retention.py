# SPDX-License-Identifier: GPL-3.0-or-later
"""Trim histories while the service runs, so that a flapping client does not fill the disk."""

import asyncio
from collections import Counter

from ddnsd.db import history
from ddnsd.db.base import Store

SECONDS = 60.0

PART = 200
"""Rows per transaction; changes wait for it."""

PAUSE_SECONDS = 0.02


class Trimmer:
    """Trims histories that have grown, by any process, since the last check."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: int | None = None
        self._added: Counter[int] = Counter()

    async def run(self) -> None:
        """Check the entries since the last call, and trim. Raises StoreDown."""
        if self._last is None:
            self._last = await self._store.read(history.last_id)
        last = self._last
        self._last, added = await self._store.read(lambda c: history.added_since(c, last))
        self._added.update(added)
        for host_id in [host_id for host_id, count in self._added.items() if count >= history.KEPT // 4]:
            await self._trim(host_id)
            del self._added[host_id]

    async def _trim(self, host_id: int) -> None:
        while True:
            removed = await self._store.transact(lambda c: history.trim(c, host_id, PART))
            if removed < PART:
                return
            await asyncio.sleep(PAUSE_SECONDS)
