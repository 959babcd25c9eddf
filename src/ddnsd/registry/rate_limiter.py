# SPDX-License-Identifier: GPL-3.0-or-later
"""Limit the rate of unchanged updates."""

import time
from collections.abc import Callable, Iterable

from ddnsd.registry.window_counter import WindowCounter

HOUR_SECONDS = 3600.0


class RateLimiter:
    """Counts unchanged updates per host and family, so that updates of IPv4 and IPv6 in turn count only once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._counter: WindowCounter[str] = WindowCounter(HOUR_SECONDS, clock)

    def exceeded(self, host_id: int, families: Iterable[str], limit: int | None) -> bool:
        """Count an unchanged update. Returns whether the host has exceeded the limit (None: no limit) for this hour."""
        if limit is None:
            return False
        return max(self._counter.add(host_id, family) for family in families) > limit
