# SPDX-License-Identifier: GPL-3.0-or-later
"""How long group reads, group commits and notifications wait for more to share the next one."""

FACTOR = 2.0
"""A pause is so many times as long as the last call took."""


class Gathering:
    """A pause between two calls, which grows with their duration.

    Calls that take long share a busy database or processor. Then fewer and larger ones cost less, and waiting adds
    little to what callers wait for anyway.
    """

    def __init__(self, least: float, most: float) -> None:
        """The limits in seconds."""
        self._least, self._most = least, most
        self.seconds = least

    def note(self, took: float) -> None:
        """Note the duration of a call, in seconds."""
        self.seconds = min(max(self._least, FACTOR * took), self._most)
