# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that are to leave a zone: who waits for it, and how far the service has come."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ddnsd.store import departures
from ddnsd.store.database import Store
from ddnsd.store.rows import Removal
from ddnsd.zones.fit import first_part
from ddnsd.zones.queue import end

NAMES = 256
"""Names that are read at once."""

Send = Callable[[Sequence[Removal]], Awaitable[None]]


@dataclass
class _Pass:
    """One pass over all names: first those that leave `exact`ly, then the others, by id `after` the last one sent."""

    waiters: list[asyncio.Future[None]]
    exact: bool = True
    after: int = 0


class Leaving:
    """The names of one zone; true while there are some."""

    def __init__(self, store: Store, domain_id: int) -> None:
        self._store, self._domain_id = store, domain_id
        self._due = False
        self._waiters: list[asyncio.Future[None]] = []
        self._pass: _Pass | None = None

    def __bool__(self) -> bool:
        return self._due or self._pass is not None

    def add(self, done: asyncio.Future[None] | None) -> None:
        """The store has names that leave; `done` hears when none of them is left."""
        self._due = True
        if done is not None:
            self._waiters.append(done)

    def give_up(self) -> list[asyncio.Future[None]]:
        """Everyone who waits; the names stay."""
        waiters, self._waiters = self._waiters, []
        return waiters

    async def remove(self, send: Send) -> None:
        """Send one message of names, so that hosts have their turn as well.

        Names of which only certain addresses leave go all at once: a host may be about to claim such a name.
        """
        if self._pass is None:
            self._pass, self._waiters, self._due = _Pass(self._waiters), [], False
        current = self._pass
        try:
            while not await self._send_some(current, send):
                pass
        except BaseException:
            self._waiters = [w for w in current.waiters if not w.done()] + self._waiters
            self._pass, self._due = None, True
            raise

    async def _send_some(self, current: _Pass, send: Send) -> bool:
        """Whether that is all for now."""
        found, last = await self._store.read(
            lambda c: departures.dirty(c, self._domain_id, current.after, NAMES, exact=current.exact)
        )
        names = first_part(found)
        if names:
            await send(names)
        current.after = names[-1].id if len(names) < len(found) else last
        if current.after:
            return not current.exact
        if current.exact:
            current.exact = False
            return False
        end(current.waiters)
        self._pass = None
        return True
