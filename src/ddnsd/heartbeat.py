# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a background worker still makes progress, for the watchdog: a task that hangs has not ended."""

import time


class Heartbeat:
    """A worker says when a step of its work begins, and when it rests; no step takes `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def step(self) -> None:
        """The worker begins the next step."""
        self._since = time.monotonic()

    def rest(self) -> None:
        """The worker has nothing to do."""
        self._since = None

    @property
    def alive(self) -> bool:
        """Whether the worker rests, or the step is not older than it may be."""
        return self._since is None or time.monotonic() - self._since < self._seconds
