# SPDX-License-Identifier: GPL-3.0-or-later
"""Bar charts of daily counts, as coordinates of an SVG."""

from typing import NamedTuple

WIDTH, HEIGHT, GAP = 600, 72, 4
LEAST = 2
"""Minimum height of the bar of a day with changes."""


class Bar(NamedTuple):
    """A day's bar: `day` is an ISO date, the rest are coordinates in a box of WIDTH × HEIGHT."""

    day: str
    changes: int
    x: float
    y: float
    width: float
    height: float


class Chart(NamedTuple):
    """The bars, their sum, and the largest of them."""

    bars: list[Bar]
    total: int
    most: int
    width: int = WIDTH
    height: int = HEIGHT


def chart(days: list[tuple[str, int]]) -> Chart:
    """Bars of (ISO date, count), in their order."""
    most = max((count for _, count in days), default=0)
    step = WIDTH / max(1, len(days))
    bars = []
    for number, (day, count) in enumerate(days):
        height = max(LEAST, round(HEIGHT * count / most, 1)) if count else 0
        bars.append(Bar(day, count, round(number * step + GAP / 2, 1), HEIGHT - height, round(step - GAP, 1), height))
    return Chart(bars, sum(count for _, count in days), most)
