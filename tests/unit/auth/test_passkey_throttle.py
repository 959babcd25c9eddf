# SPDX-License-Identifier: GPL-3.0-or-later
"""Failed sign-ins with passkeys delay their own source, and nobody else."""

import pytest

from ddnsd.auth.failed_sign_ins import FAILURES, FailedSignIns, Kind
from ddnsd.auth.failure_counter import FailureCounter
from ddnsd.auth.passkey_throttle import LONGEST_TURN, TURN_SECONDS, PasskeyThrottle
from ddnsd.auth.throttle import Turns


class Clock:
    now = 1000.0
    waited = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waited += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> PasskeyThrottle:
    turns = Turns(TURN_SECONDS, LONGEST_TURN, clock=clock, sleep=clock.sleep)
    return PasskeyThrottle(FailureCounter(3, clock=clock), FailedSignIns(clock=clock), turns)


async def test_a_source_that_fails_takes_turns(throttle: PasskeyThrottle, clock: Clock) -> None:
    for _ in range(3):
        assert await throttle.failed("192.0.2.1")
    assert clock.waited == 0
    turns = int(LONGEST_TURN / TURN_SECONDS)
    answers = [await throttle.failed("192.0.2.1") for _ in range(2 * turns)]
    assert turns <= sum(answers) <= turns + 1
    assert clock.waited > 0
    waited = clock.waited
    assert await throttle.failed("192.0.2.2")
    for _ in range(10):
        assert await throttle.failed(None)
    assert clock.waited == waited
    clock.now += 16 * 60
    assert await throttle.failed("192.0.2.1")
    assert clock.waited == waited


async def test_failures_are_counted_by_kind(throttle: PasskeyThrottle) -> None:
    def count(kind: Kind) -> float:
        return next(s.value for m in FAILURES.collect() for s in m.samples if s.labels.get("kind") == kind.value)

    before = count(Kind.PASSKEY)
    await throttle.failed("2001:db8::1", "alice", 7)
    await throttle.failed(None)
    assert count(Kind.PASSKEY) == before + 2
