# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of single changes and of bulk calls take turns."""

import asyncio

import pytest

from ddnsd.dns.queue import Queue, Waiters, end


@pytest.fixture
async def futures() -> list[asyncio.Future[None]]:
    return [asyncio.get_running_loop().create_future() for _ in range(4)]


def filled(single: int, bulk: int) -> Queue:
    """Hosts 0, 1, … of single changes, and 100, 101, … of a bulk call."""
    queue = Queue()
    for host_id in range(single):
        queue.add(host_id, None, bulk=False)
    for host_id in range(100, 100 + bulk):
        queue.add(host_id, None, bulk=True)
    return queue


def taken(queue: Queue, limit: int) -> list[list[int]]:
    """The hosts of each batch until nothing waits."""
    batches = []
    while queue:
        batches.append(list(queue.take(limit)))
    return batches


@pytest.mark.parametrize(
    ("single", "bulk", "batches"),
    [
        (0, 0, []),
        (3, 0, [[0, 1], [2]]),
        (0, 3, [[100, 101], [102]]),
        (3, 3, [[100, 101], [0, 1], [102], [2]]),
        (1, 6, [[100, 101], [0], [102, 103], [104, 105]]),
    ],
)
def test_the_lanes_take_turns(single: int, bulk: int, batches: list[list[int]]) -> None:
    assert taken(filled(single, bulk), 2) == batches


def test_a_single_change_waits_for_one_bulk_batch_at_most() -> None:
    queue = filled(0, 10)
    for host_id in range(4):
        assert min(queue.take(2)) >= 100
        queue.add(host_id, None, bulk=False)
        assert list(queue.take(2)) == [host_id]


def test_a_host_of_both_lanes_waits_once_with_everybody(futures: list[asyncio.Future[None]]) -> None:
    queue = Queue()
    queue.add(7, futures[0], bulk=True)
    queue.add(7, futures[1], bulk=False)
    queue.add(7, futures[2], bulk=True)
    queue.add(8, futures[3], bulk=True)
    assert queue.ids() == {7, 8}
    assert queue.take(9) == {8: [futures[3]]}
    assert queue.take(9) == {7: futures[:3]}
    assert not queue


def test_what_is_put_back_goes_first_in_its_own_lane(futures: list[asyncio.Future[None]]) -> None:
    queue = filled(0, 4)
    queue.add(100, futures[0], bulk=True)
    queue.add(101, futures[1], bulk=True)
    batch = queue.take(2)
    futures[1].cancel()
    queue.add(1, None, bulk=False)
    queue.add(101, futures[2], bulk=False)
    queue.put_back(batch)
    assert queue.ids() == {1, 100, 101, 102, 103}
    first, second = queue.take(9), queue.take(9)
    assert list(first) == [101, 1]
    assert first[101] == [futures[2]]
    assert list(second) == [100, 102, 103]
    assert second[100] == [futures[0]]


def test_everybody_gives_up_and_the_hosts_stay(futures: list[asyncio.Future[None]]) -> None:
    queue = Queue()
    queue.add(1, futures[0], bulk=False)
    queue.add(2, futures[1], bulk=True)
    assert list(queue.give_up()) == futures[:2]
    assert queue.ids() == {1, 2}
    assert list(queue.give_up()) == []
    pending: list[Waiters] = [queue.take(9), queue.take(9)]
    assert pending == [{2: []}, {1: []}]


def test_the_end_is_told_once(futures: list[asyncio.Future[None]]) -> None:
    futures[0].cancel()
    end(futures[:2])
    end(futures[:3], ValueError("late"))
    assert futures[0].cancelled()
    assert futures[1].result() is None
    assert isinstance(futures[2].exception(), ValueError)
    assert not futures[3].done()
