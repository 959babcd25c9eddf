# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue of one zone: pending hosts, and the callers that wait for them."""

import asyncio
from collections.abc import Container, Iterable, Iterator
from itertools import islice

Waiters = dict[int, list[asyncio.Future[None]]]

SLOW = 16
"""Number of hosts taken from the slow lane at once; each has its own message."""


class Queue:
    """Three lanes that take turns: hosts of single changes, hosts of bulk calls, and slow hosts.

    Slow hosts are those that the name server refused the last time.
    """

    def __init__(self) -> None:
        self._single: Waiters = {}
        self._bulk: Waiters = {}
        self._slow: Waiters = {}
        self._took: Waiters = self._single

    def __bool__(self) -> bool:
        return bool(self._single or self._bulk or self._slow)

    def ids(self) -> set[int]:
        """The pending hosts."""
        return self._single.keys() | self._bulk.keys() | self._slow.keys()

    def add(self, host_id: int, done: asyncio.Future[None] | None, *, bulk: bool) -> None:
        """Add the host; `done` gets the outcome. A host of both lanes waits in the lane of single changes."""
        if host_id in self._slow:
            waiters = self._slow[host_id]
        elif bulk and host_id not in self._single:
            waiters = self._bulk.setdefault(host_id, [])
        else:
            waiters = self._single.setdefault(host_id, self._bulk.pop(host_id, []))
        if done is not None:
            waiters.append(done)

    def take(self, limit: int) -> Waiters:
        """Take the next hosts, from the lane whose turn it is."""
        lanes = [self._single, self._bulk, self._slow]
        at = next(n for n, lane in enumerate(lanes) if lane is self._took)
        turns = (lanes[(at + n) % len(lanes)] for n in range(1, len(lanes) + 1))
        self._took = next((lane for lane in turns if lane), self._took)
        batch = dict(islice(self._took.items(), min(limit, SLOW) if self._took is self._slow else limit))
        for host_id in batch:
            del self._took[host_id]
        return batch

    def slow_down(self, batch: Waiters) -> None:
        """Put taken hosts into the slow lane, where each has its own message."""
        for host_id, waiters in batch.items():
            again = self._single.pop(host_id, []) + self._bulk.pop(host_id, [])
            self._slow.setdefault(host_id, []).extend(waiters + again)

    def put_back(self, batch: Waiters) -> None:
        """Put the last taken hosts back to the front, with their waiting callers."""
        lanes = [self._slow, self._single, self._took]
        fronts: list[Waiters] = [{}, {}, {}]
        for host_id, waiters in batch.items():
            home = next((n for n, lane in enumerate(lanes) if host_id in lane), 2)
            again = [w for lane in (self._single, self._bulk, self._slow) for w in lane.pop(host_id, [])]
            fronts[home][host_id] = [w for w in waiters if not w.done()] + again
        for lane, front in zip(lanes, fronts, strict=True):
            behind = dict(lane)
            lane.clear()
            lane.update(front | behind)

    def take_all(self) -> Waiters:
        """Take all hosts with their waiting callers."""
        taken = self._slow | self._bulk | self._single
        for lane in (self._slow, self._bulk, self._single):
            lane.clear()
        return taken

    def give_up(self, host_ids: Container[int] | None = None) -> Iterator[asyncio.Future[None]]:
        """Take the waiting callers, all or those of these hosts; the hosts stay."""
        for host_id, waiters in (*self._single.items(), *self._bulk.items(), *self._slow.items()):
            if host_ids is None or host_id in host_ids:
                yield from waiters
                waiters.clear()


def end(waiters: Iterable[asyncio.Future[None]], error: Exception | None = None) -> None:
    """End all waiting callers with this error."""
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
