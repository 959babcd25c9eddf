# SPDX-License-Identifier: GPL-3.0-or-later
"""Count events in memory, in windows of a fixed length."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")

MOST_KEYS = 20_000
"""Maximum number of keys that are remembered of an owner. The one without events for longest is forgotten first."""


class WindowCounter(Generic[K]):
    """Counts events by owner and key. A window begins with the first event, and ends after `seconds`."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._windows: dict[int, OrderedDict[K, tuple[float, int]]] = {}
        self._cleaned = clock()

    def add(self, owner: int, key: K, number: int = 1) -> int:
        """Count events, and return the number in this window."""
        moment = self._clock()
        self._clean(moment)
        windows = self._windows.get(owner)
        if windows is None:
            windows = self._windows[owner] = OrderedDict()
        since, before = windows.get(key, (moment, 0))
        if moment - since >= self._seconds:
            since, before = moment, 0
        windows[key] = since, before + number
        windows.move_to_end(key)
        if len(windows) > MOST_KEYS:
            windows.popitem(last=False)
        return before + number

    def number(self, owner: int, key: K) -> int:
        """The number in the current window."""
        since, number = self._windows.get(owner, OrderedDict()).get(key, (0.0, 0))
        return number if self._clock() - since < self._seconds else 0

    def highest(self, owner: int) -> int:
        """The highest number of any key of the owner in its current window."""
        return max((self.number(owner, key) for key in self._windows.get(owner, {})), default=0)

    def seconds_left(self, owner: int, key: K) -> int:
        """The seconds until the current window ends, at least 1."""
        since, _ = self._windows.get(owner, OrderedDict()).get(key, (self._clock() - self._seconds, 0))
        return max(1, math.ceil(since + self._seconds - self._clock()))

    def _clean(self, moment: float) -> None:
        if moment - self._cleaned < self._seconds:
            return
        self._cleaned = moment
        current = (
            (owner, OrderedDict(item for item in windows.items() if moment - item[1][0] < self._seconds))
            for owner, windows in self._windows.items()
        )
        self._windows = {owner: windows for owner, windows in current if windows}
