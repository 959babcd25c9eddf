# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep long computations in the event loop short for others: slices, and a share of the processor's time."""

import asyncio
import time

SLICE_SECONDS = 0.002
"""Other tasks have their turn after so much work."""

REST = 3
"""The pause after a slice, as a multiple of it."""

MEASURED_SECONDS = 1.0
"""The time after which it is measured again how busy the process is."""

LEAST_BUSY = 0.25
"""A process that rests may spend more, so that it notices changes at once."""


class Pacer:
    """Divides one computation into slices, and adds up its processor time."""

    def __init__(self) -> None:
        self._spent = self._turned = 0.0
        self._began: float | None = time.thread_time()

    @property
    def spent(self) -> float:
        """Processor time in seconds."""
        return self._spent + (0.0 if self._began is None else time.thread_time() - self._began)

    def pause(self) -> None:
        """Stop the clock, before a wait."""
        self._spent, self._began = self.spent, None

    def resume(self) -> None:
        """Start the clock."""
        if self._began is None:
            self._began = time.thread_time()

    def add(self, seconds: float) -> None:
        """Add the time of another thread."""
        self._spent += seconds
        self._turned += seconds

    async def turn(self) -> None:
        """Wait for a moment if the slice is over."""
        used = self.spent - self._turned
        if used >= SLICE_SECONDS:
            self.pause()
            await asyncio.sleep(REST * used)
            self._turned = self._spent
            self.resume()


class Budget:
    """A share of the time of this process: the more one piece of work costs, the later is the next one."""

    def __init__(self, share: float, longest: float | None) -> None:
        self._share, self._longest = share, longest
        self._free = 0.0
        self._mark = time.monotonic(), time.process_time()
        self._busy = 1.0

    def allows(self, last: float) -> bool:
        """Whether the work may be done now; always, if it was done `longest` seconds ago (`last`)."""
        moment = time.monotonic()
        return moment >= self._free or (self._longest is not None and moment - last >= self._longest)

    def spend(self, seconds: float) -> None:
        """Note the cost of the work."""
        moment, process = time.monotonic(), time.process_time()
        if (wall := moment - self._mark[0]) >= MEASURED_SECONDS:
            self._busy = min(1.0, max(LEAST_BUSY, (process - self._mark[1]) / wall))
            self._mark = moment, process
        self._free = max(moment, self._free) + seconds / (self._share * self._busy)
