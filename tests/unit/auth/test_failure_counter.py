# SPDX-License-Identifier: GPL-3.0-or-later
"""Many failed sign-ins lock a name for a source, longer each time."""

import tracemalloc

from ddnsd.auth.failure_counter import REMEMBERED, FailureCounter


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(guard: FailureCounter, times: int, name: str = "h", client_ip: str = "s") -> None:
    for _ in range(times):
        guard.failed(name, client_ip)


def test_ten_failures_in_a_minute_lock_for_a_minute() -> None:
    clock = Clock()
    guard = FailureCounter(10, clock=clock)
    fail(guard, 9)
    assert not guard.locked("h", "s")
    fail(guard, 1)
    assert guard.locked("h", "s")
    assert not guard.locked("h", "another source")
    assert not guard.locked("another name", "s")
    clock.now += 59
    assert guard.locked("h", "s")
    clock.now += 2
    assert not guard.locked("h", "s")


def test_locks_double_up_to_fifteen_minutes() -> None:
    clock = Clock()
    guard = FailureCounter(2, clock=clock)
    lengths = []
    for _ in range(6):
        fail(guard, 2)
        begin = clock.now
        while guard.locked("h", "s"):
            clock.now += 1
        lengths.append(clock.now - begin)
    assert lengths == [60, 120, 240, 480, 900, 900]


def test_old_failures_and_successes_are_forgotten() -> None:
    clock = Clock()
    guard = FailureCounter(2, clock=clock)
    fail(guard, 1)
    clock.now += 61
    fail(guard, 1)
    assert not guard.locked("h", "s")
    guard.succeeded("h", "s")
    fail(guard, 1)
    assert not guard.locked("h", "s")


def test_memory_is_bounded_and_rules_can_be_off() -> None:
    guard = FailureCounter(1)
    for n in range(REMEMBERED + 10):
        guard.failed(f"h{n}", "s")
    assert not guard.locked("h0", "s")
    assert guard.locked(f"h{REMEMBERED + 9}", "s")
    off = FailureCounter(1, enabled=False)
    fail(off, 100)
    assert not off.locked("h", "s")


def test_a_full_table_of_long_names_is_small() -> None:
    guard = FailureCounter(10)
    tracemalloc.start()
    try:
        for n in range(3 * REMEMBERED):
            guard.failed(f"h{n}".ljust(500, "x"), f"2001:db8:{n % 65536:x}::1")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 10_000_000


def test_a_source_of_ipv6_is_its_64() -> None:
    guard = FailureCounter(2)
    for client_ip in ("2001:db8::1", "2001:db8::ffff:1"):
        guard.failed("h", client_ip)
    assert guard.locked("h", "2001:db8:0:0:2::3")
    assert not guard.locked("h", "2001:db8:0:1::1")
    guard.succeeded("h", "2001:db8::9")
    assert not guard.locked("h", "2001:db8::1")
    for client_ip in ("192.0.2.1", "::ffff:192.0.2.1"):
        guard.failed("h", client_ip)
    assert guard.locked("h", "192.0.2.1")
    assert not guard.locked("h", "192.0.2.2")
