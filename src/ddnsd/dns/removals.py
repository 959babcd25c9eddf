# SPDX-License-Identifier: GPL-3.0-or-later
"""Pending removals of a zone, and the callers that wait for them.

A round sends one message of names that callers wait for, and one of all others by id, so that hosts are sent in
between. After a refusal messages shrink to a quarter of the names, down to single ones. Names that are refused alone
are set aside. After an accepted message they grow again.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from ddnsd.db import queries, removals
from ddnsd.db.base import Store
from ddnsd.db.rows import Domain, Removal
from ddnsd.dns.errors import ChangeRefused, DomainChanged, Refusal
from ddnsd.dns.packing import first_part
from ddnsd.dns.queue import end

T = TypeVar("T")

NAMES = 256
"""Names per read."""

DUE = 16
"""Names set aside that are retried per round, each in its own message."""

SINGLE = 16
"""Names sent per round, each in its own message, while the name server refuses them."""


class Sends(Protocol):
    """Sends the messages; raises errors that concern more than the names of one message."""

    async def send(self, names: Sequence[Removal]) -> Refusal | None:
        """Send one message. Returns the refusal, or None if it was accepted and stored."""

    async def set_aside(self, refused: Sequence[tuple[Removal, Refusal]]) -> None:
        """Set aside these names; the name server refuses each of them alone."""


class RemovalWaiter:
    """A caller that waits for the removal of names."""

    def __init__(self, done: asyncio.Future[None], names: Iterable[str]) -> None:
        self.done, self._open = done, set(names)

    def left(self, name: str, error: Exception | None) -> None:
        """Note that the name was removed or refused; the first error ends the wait."""
        self._open.discard(name)
        if error is not None or not self._open:
            end([self.done], error)


class ZoneRemovals:
    """The removals of one zone; true while there is something to send."""

    def __init__(self, store: Store, domain: Domain) -> None:
        self._store, self._domain_id, self._zone = store, domain.id, domain.name
        self._due = False
        self._after: int | None = None  # the last id of the current pass
        self._asked: dict[str, list[RemovalWaiter]] = {}
        self._sent: set[int] = set()  # while callers wait: a sent removal may stay pending
        self._most = NAMES

    def __bool__(self) -> bool:
        return self._due or self._after is not None or bool(self._asked)

    def add(self, done: asyncio.Future[None] | None = None, names: Collection[str] = ()) -> None:
        """Note that the database has removals; `done` gets the outcome of these `names`."""
        if done is None:
            self._due = True
            return
        if not names:
            end([done])
            return
        waiter = RemovalWaiter(done, names)
        for name in names:
            self._asked.setdefault(name, []).append(waiter)

    def take_all(self) -> dict[RemovalWaiter, list[str]]:
        """Take all waiting callers with their names, and forget what is to do."""
        asked, self._asked = self._asked, {}
        self._due, self._after, self._most = False, None, NAMES
        self._sent.clear()
        names: dict[RemovalWaiter, list[str]] = {}
        for name, waiters in asked.items():
            for waiter in waiters:
                names.setdefault(waiter, []).append(name)
        return names

    def give_up(self) -> list[asyncio.Future[None]]:
        """Take the waiting callers; the names stay."""
        waiters = [waiter.done for waiting in self._asked.values() for waiter in waiting]
        self._due = self._due or bool(self._asked)
        self._asked.clear()
        return waiters

    async def remove(self, sender: Sends) -> None:
        """Send the messages of one round."""
        if self._asked:
            await self._send_asked(sender)
        if self._due or self._after is not None:
            await self._send_next(sender)

    async def _send_asked(self, sender: Sends) -> None:
        names = list(islice(self._asked, NAMES))
        found = await self._read(lambda c: removals.dirty_at(c, self._domain_id, names))
        found = [removal for removal in found if removal.id not in self._sent]
        settled = set(names) - {removal.fqdn for removal in found}
        number, refused = await self._send(found, sender)
        self._sent.update(removal.id for removal in found[:number])
        settled |= {removal.fqdn for removal in found[:number]} - {removal.fqdn for removal in found[number:]}
        for removal, error in refused:
            self._tell(removal.fqdn, ChangeRefused(str(error)))
            self._due = True  # other removals at this name
        for name in settled:
            self._tell(name)
        if not self._asked:
            self._sent.clear()

    async def _read(self, query: Callable[[Connection], T]) -> T:
        """Run the query. Raises DomainChanged if the domain is frozen now."""

        def work(connection: Connection) -> T:
            if queries.is_frozen(connection, self._domain_id):
                raise DomainChanged
            return query(connection)

        return await self._store.read(work)

    def _tell(self, name: str, error: Exception | None = None) -> None:
        for waiter in self._asked.pop(name, ()):
            waiter.left(name, error)

    async def _send(self, found: Sequence[Removal], sender: Sends) -> tuple[int, Sequence[tuple[Removal, Refusal]]]:
        """Send the first of them. Returns (number of finished names, the refused ones)."""
        if not found:
            return 0, ()
        if self._most == 1:
            return await self._send_single(found[:SINGLE], sender)
        part = first_part(found, self._zone)[: self._most]
        error = await sender.send(part)
        if error is None:
            self._most = min(NAMES, 2 * self._most)
            return len(part), ()
        self._most = max(1, len(part) // 4)
        return 0, ()

    async def _send_single(
        self, found: Sequence[Removal], sender: Sends
    ) -> tuple[int, Sequence[tuple[Removal, Refusal]]]:
        """Send single names until one is accepted."""
        refused: list[tuple[Removal, Refusal]] = []
        for removal in found:
            error = await sender.send([removal])
            if error is None:
                self._most = 2
                break
            refused.append((removal, error))
        await sender.set_aside(refused)
        return min(len(refused) + 1, len(found)), refused

    async def _send_next(self, sender: Sends) -> None:
        if self._after is None:
            self._after, self._due = 0, False
        after = self._after
        found, last = await self._read(lambda c: removals.dirty(c, self._domain_id, after, NAMES))
        number, _ = await self._send(found, sender)
        if number < len(found):
            self._after = found[number - 1].id if number else after
            return
        self._after = last or None
        if self._after is None and await self._try_again(sender):
            self._due = True

    async def _try_again(self, sender: Sends) -> bool:
        """Retry names set aside that are due. Returns whether there may be more."""
        moment = queries.now()
        due = await self._read(lambda c: removals.due(c, self._domain_id, moment, DUE))
        answers = [(removal, await sender.send([removal])) for removal in due]
        await sender.set_aside([(removal, error) for removal, error in answers if error is not None])
        return len(due) == DUE
