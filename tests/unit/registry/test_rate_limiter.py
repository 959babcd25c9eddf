# SPDX-License-Identifier: GPL-3.0-or-later
"""Unchanged updates are judged by their rate, a burst of both families as one."""

from ddnsd.registry.rate_limiter import RateLimiter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_more_than_allowed_in_an_hour() -> None:
    clock = Clock()
    rate = RateLimiter(clock)
    assert [rate.exceeded(1, ["ipv4"], 3) for _ in range(4)] == [False, False, False, True]
    assert not rate.exceeded(2, ["ipv4"], 3)
    clock.now = 3600
    assert not rate.exceeded(1, ["ipv4"], 3)


def test_two_families_are_counted_apart() -> None:
    rate = RateLimiter(Clock())
    for _ in range(3):
        assert not rate.exceeded(1, ["ipv4"], 3)
        assert not rate.exceeded(1, ["ipv6"], 3)
    assert rate.exceeded(1, ["ipv6"], 3)


def test_without_a_rule() -> None:
    rate = RateLimiter()
    assert not any(rate.exceeded(1, ["ipv4"], None) for _ in range(2000))
