# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of one zone that wait to be sent, and who waits for them."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice

Waiters = dict[int, list[asyncio.Future[None]]]


class Queue:
    """Two lanes that take turns: hosts of single changes, and those of bulk calls, which come in thousands."""

    def __init__(self) -> None:
        self._single: Waiters = {}
        self._bulk: Waiters = {}
        self._took_bulk = False

    def __bool__(self) -> bool:
        return bool(self._single or self._bulk)

    def ids(self) -> set[int]:
        """The hosts that wait."""
        return self._single.keys() | self._bulk.keys()

    def add(self, host_id: int, done: asyncio.Future[None] | None, *, bulk: bool) -> None:
        """Have the host sent; `done` hears of it. A host of both lanes waits in that of single changes."""
        if bulk and host_id not in self._single:
            waiters = self._bulk.setdefault(host_id, [])
        else:
            waiters = self._single.setdefault(host_id, self._bulk.pop(host_id, []))
        if done is not None:
            waiters.append(done)

    def take(self, limit: int) -> Waiters:
        """The next hosts to be sent, of the lane whose turn it is."""
        self._took_bulk = bool(self._bulk) and not (self._took_bulk and self._single)
        lane = self._bulk if self._took_bulk else self._single
        batch = dict(islice(lane.items(), limit))
        for host_id in batch:
            del lane[host_id]
        return batch

    def put_back(self, batch: Waiters) -> None:
        """What was taken last could not be sent: the hosts go to the front, with whoever still waits for them."""
        single: Waiters = {}
        bulk: Waiters = {}
        for host_id, waiters in batch.items():
            lane = bulk if self._took_bulk and host_id not in self._single else single
            again = self._single.pop(host_id, []) + self._bulk.pop(host_id, [])
            lane[host_id] = [w for w in waiters if not w.done()] + again
        self._single, self._bulk = single | self._single, bulk | self._bulk

    def give_up(self) -> Iterator[asyncio.Future[None]]:
        """Everyone who waits; the hosts stay."""
        for waiters in (*self._single.values(), *self._bulk.values()):
            yield from waiters
            waiters.clear()


def end(waiters: Iterable[asyncio.Future[None]], error: Exception | None = None) -> None:
    """Tell everyone who still waits."""
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
