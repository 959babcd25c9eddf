# SPDX-License-Identifier: GPL-3.0-or-later
"""Pauses grow with the duration of calls, within limits."""

from ddnsd.gathering import Gathering


def test_pauses() -> None:
    gathering = Gathering(0.002, 0.010)
    assert gathering.seconds == 0.002
    gathering.note(0.003)
    assert gathering.seconds == 0.006
    gathering.note(3.0)
    assert gathering.seconds == 0.010
    gathering.note(0.0)
    assert gathering.seconds == 0.002
