# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether this node can serve: its database accepts writes, and its workers run. Name servers do not count."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ddnsd.db import write_checks
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.lookups import Lookups
from ddnsd.dns.writer import Writer

FRESH_SECONDS = 1.0
"""Probes within this time share one write, because frequent writes wear out disks."""

WRITE_SECONDS = 2.5
READ_SECONDS = 2.0


class Ready(NamedTuple):
    """The problem of the database, or None if it accepts writes, and the workers that do not run."""

    store: str | None
    workers: Sequence[str]


class Readiness:
    """Tests the database on request, at most once a second. `trouble` returns a worker that has ended or hangs."""

    def __init__(self, store: Store, lookups: Lookups, trouble: Callable[[], str | None], writer: Writer) -> None:
        self._store, self._lookups, self._trouble, self._writer = store, lookups, trouble, writer
        self._look: asyncio.Task[Ready] | None = None
        self._began = 0.0

    async def look(self) -> Ready:
        """The current state, never older than a second. Answers within three seconds."""
        moment = asyncio.get_running_loop().time()
        if self._look is None or (self._look.done() and moment - self._began > FRESH_SECONDS):
            self._began = moment
            self._look = asyncio.create_task(self._ask())
        found = await asyncio.shield(self._look)
        trouble = self._trouble()
        return found if trouble is None else found._replace(workers=[*found.workers, trouble])

    async def _ask(self) -> Ready:
        store, lookups = await asyncio.gather(self._write(), self._read())
        workers = [] if lookups is None else [lookups]
        if self._writer.stuck:
            workers.append("writer: a transaction hangs")
        return Ready(store, workers)

    async def _write(self) -> str | None:
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._store.transact(write_checks.write)
        except TimeoutError:
            return f"the database has not accepted a write within {WRITE_SECONDS} seconds"
        except StoreDown as error:
            return f"the database does not accept writes: {error}"
        return None

    async def _read(self) -> str | None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._lookups.host.one("")
        except TimeoutError:
            return "lookups: no answer within two seconds"
        except StoreDown as error:
            return f"lookups: {error}"
        return None
