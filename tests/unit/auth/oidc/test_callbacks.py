# SPDX-License-Identifier: GPL-3.0-or-later
"""Refused codes spend their own sign-in, and slow down those of their address."""

from ddnsd.auth.failure_counter import FailureCounter
from ddnsd.auth.oidc.callbacks import Callbacks
from ddnsd.auth.throttle import Turns


async def test_a_refused_code_spends_its_sign_in_alone() -> None:
    callbacks = Callbacks(FailureCounter(2), Turns(60.0, 0.0))
    callbacks.refused("one", "192.0.2.1")
    assert callbacks.is_spent("one")
    assert not callbacks.is_spent("another")
    assert [await callbacks.may_ask("192.0.2.1") for _ in range(3)] == [True] * 3


async def test_an_address_with_many_refused_codes_takes_turns() -> None:
    callbacks = Callbacks(FailureCounter(2), Turns(60.0, 0.0))
    for state in ("one", "two"):
        callbacks.refused(state, "192.0.2.1")
    assert [await callbacks.may_ask("192.0.2.1") for _ in range(3)] == [True, False, False]
    assert await callbacks.may_ask("192.0.2.2")
