# SPDX-License-Identifier: GPL-3.0-or-later
"""Serials that secondaries take for newer ones."""

import time

import pytest

from ddnsd.dns.serials import JUMP, beyond, went_back


def test_serials_wrap() -> None:
    assert went_back(5, 4)
    assert went_back(1, 2**32 - 1)
    assert not went_back(2**32 - 1, 1)
    assert not went_back(5, 5)
    assert not went_back(0, 4)


@pytest.mark.parametrize("known", [1, 2**31, 2**32 - 1, 2**32 - JUMP, 1_795_935_571])
def test_a_serial_beyond_is_higher_than_those_that_may_have_followed(known: int) -> None:
    found = beyond(known)
    assert 0 < found < 2**32
    assert went_back(found, (known + JUMP - 1) % 2**32)


def test_the_clock_is_the_serial_of_a_zone_that_is_far_behind() -> None:
    assert abs(beyond(int(time.time()) - 2 * JUMP) - time.time()) < 5
