# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a zone does not follow the store: one list for health answers, metrics and the portal."""

from dataclasses import dataclass
from typing import NamedTuple

from ddnsd.dns import errors
from ddnsd.dns.zone_sender import ZoneSender

UNKNOWN, UNREACHABLE, FROZEN, REFUSING = "unknown", "unreachable", "frozen", "refusing"
BEHIND, HELD_BACK = "behind", "held back"
KINDS = (UNKNOWN, UNREACHABLE, FROZEN, REFUSING, BEHIND, HELD_BACK)

PROVEN = 2
"""Refused probes in a row after which messages that the primary accepts prove that it refuses the probe alone."""


class Cause(NamedTuple):
    """One reason: its kind, and the words for an administrator."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def cause_of(error: errors.DnsError) -> Cause:
    """What an exchange with the primary shows that failed."""
    match error:
        case errors.Unreachable():
            return Cause(UNREACHABLE, str(error))
        case errors.Frozen():
            return Cause(FROZEN, str(error))
        case _:
            return Cause(REFUSING, str(error))


@dataclass
class Health:
    """What is known of a zone's primary.

    `answer` is what was wrong with its last answer, `updates` why it refused the last probe; both are None while all
    is well.
    """

    primary: str
    answer: Cause | None = Cause(UNKNOWN, "not asked yet")  # noqa: RUF009
    updates: Cause | None = None
    generation: int = 0
    connections: int = 0
    serial: int = 0
    reconciled: float = 0.0
    repaired: int = 0
    _refusals: int = 0
    _acknowledged: int = 0

    @property
    def asked(self) -> bool:
        """Whether anything is known."""
        return self.answer is None or self.answer.kind != UNKNOWN

    @property
    def problem(self) -> str | None:
        """Why the primary does not answer as it should, None while it does."""
        return None if self.answer is None else self.answer.text

    def accepted(self) -> None:
        """The primary took a probe."""
        self.updates, self._refusals = None, 0

    def refused(self, cause: Cause, acknowledged: int) -> None:
        """The primary refused a probe; `acknowledged` messages of the zone were accepted so far.

        Messages that it accepts between refused probes prove that it refuses the probe alone. The zone's own messages
        then tell how it is.
        """
        self._refusals += 1
        if self._refusals <= PROVEN:
            self._acknowledged = acknowledged
        self.updates = cause if acknowledged == self._acknowledged else None


def causes(health: Health | None, sender: ZoneSender) -> list[Cause]:
    """Everything that keeps the zone from following the store, the first cause first."""
    if health is None:
        return [Cause(UNKNOWN, "not asked yet")]
    found = [cause for cause in (health.answer, health.updates) if cause is not None]
    if sender.problem is not None and not found:
        found.append(Cause(BEHIND, sender.problem))
    if refused := sender.refused:
        found.append(Cause(HELD_BACK, f"the name server refuses {refused} hosts, records or removals, each alone"))
    return found
