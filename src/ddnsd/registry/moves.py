# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the move of a domain to another primary is."""

from typing import NamedTuple, Self

from ddnsd.db.mirrors import NEW
from ddnsd.db.rows import Mirror

SILENT_MICROSECONDS = 60 * 1_000_000
"""The service reports more often."""

SILENT = "the service has not reported for more than a minute; start it: only a running service fills a primary"


class Move(NamedTuple):
    """A move: the second primary of a domain, and its role: `new` before the switch, `old` after it.

    `since` is the begin or the switch, in microseconds. `waiting` is the number of hosts that it does not have, or None
    before the first comparison. `problem` is the reason why it is not up to date, or None.
    """

    primary: str
    role: str
    since: int
    waiting: int | None
    problem: str | None

    @classmethod
    def of(cls, mirror: Mirror, now: int) -> Self:
        """The move at the time `now` (microseconds)."""
        silent = now - (mirror.seen or mirror.since) > SILENT_MICROSECONDS
        return cls(mirror.primary, mirror.role, mirror.since, mirror.waiting, SILENT if silent else mirror.problem)

    @property
    def is_switched(self) -> bool:
        """Whether the domain has its new primary."""
        return self.role != NEW

    def __str__(self) -> str:
        """For operators, after the name of the domain."""
        state = "not compared yet" if self.waiting is None else f"{self.waiting} hosts to send"
        if self.is_switched:
            text = f"has moved; its former primary {self.primary} still gets every change, {state}"
        else:
            text = f"moves to {self.primary}, {state}"
        return f"{text}; problem: {self.problem}" if self.problem else text
