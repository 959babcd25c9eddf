# SPDX-License-Identifier: GPL-3.0-or-later
"""Unchanged updates, judged by their rate."""

import time
from collections.abc import Callable, Iterable

HOUR_SECONDS = 3600.0


class RateLimiter:
    """Counts each family by itself: a client that sends IPv4 and IPv6 one after the other makes one event of it."""

    def __init__(self, per_hour: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = per_hour, clock
        self._counts: dict[tuple[int, str], tuple[float, int]] = {}
        self._cleaned = clock()

    def exceeded(self, host_id: int, families: Iterable[str]) -> bool:
        """Count an unchanged update; whether the host now has more in this hour than allowed."""
        if self._limit is None:
            return False
        moment = self._clock()
        self._clean(moment)
        highest = 0
        for family in families:
            since, count = self._counts.get((host_id, family), (moment, 0))
            if moment - since >= HOUR_SECONDS:
                since, count = moment, 0
            self._counts[host_id, family] = since, count + 1
            highest = max(highest, count + 1)
        return highest > self._limit

    def _clean(self, moment: float) -> None:
        if moment - self._cleaned >= HOUR_SECONDS:
            self._cleaned = moment
            self._counts = {k: v for k, v in self._counts.items() if moment - v[0] < HOUR_SECONDS}
