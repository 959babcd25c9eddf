# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress of a background worker, so that the watchdog also notices a task that hangs."""

import time


class Heartbeat:
    """A worker reports the start of each step, and when it is idle. A step that takes `seconds` hangs."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def step(self) -> None:
        """Note that the worker begins a step."""
        self._since = time.monotonic()

    def rest(self) -> None:
        """Note that the worker is idle."""
        self._since = None

    @property
    def alive(self) -> bool:
        """Whether the worker is idle, or its step is younger than the limit."""
        return self._since is None or time.monotonic() - self._since < self._seconds
