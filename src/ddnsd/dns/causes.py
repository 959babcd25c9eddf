# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes why a zone differs from the database: one list for health answers, metrics and the portal."""

from dataclasses import dataclass
from typing import NamedTuple

from ddnsd.db.rows import Domain
from ddnsd.dns import errors
from ddnsd.dns.zone_sender import ZoneSender

UNKNOWN, UNREACHABLE, NOT_LOADED = "unknown", "unreachable", "not loaded"
FROZEN, REFUSING = "frozen", "refusing"
BEHIND, HELD_BACK = "behind", "held back"
KINDS = (UNKNOWN, UNREACHABLE, NOT_LOADED, FROZEN, REFUSING, BEHIND, HELD_BACK)

PROVEN = 2
"""After this many refused probes in a row, accepted messages prove that the primary refuses only the probe."""


NEXT_STEPS = {
    UNKNOWN: "Wait a few seconds",
    UNREACHABLE: "Start the name server (`systemctl status named`), or check the network",
    BEHIND: "See the log of the name server. Often its disk is full or read-only, or the zone's journal is damaged",
}
"""What to do, for kinds whose texts do not say it."""


class Cause(NamedTuple):
    """One cause: its kind, and a text for administrators."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.advice}"

    @property
    def advice(self) -> str:
        """The text, and the next step."""
        return ". ".join(filter(None, (self.text, NEXT_STEPS.get(self.kind))))


_OTHER_KEY = (
    "Database and name server have different keys: after a restored backup, or with another database, run `ddnsd "
    "domain provision`; on another primary, set its key by `ddnsd domain set ZONE --key-file FILE`"
)


def cause_of(error: errors.DnsError) -> Cause:
    """The cause of a failed exchange with the primary."""
    match error:
        case errors.Unreachable():
            return Cause(UNREACHABLE, str(error))
        case errors.Frozen():
            return Cause(FROZEN, str(error))
        case errors.BadTime():
            return Cause(REFUSING, f"{error}. Set the wrong one by NTP (`timedatectl` shows its state)")
        case errors.BadKey() | errors.BadSignature():
            return Cause(REFUSING, f"{error}. {_OTHER_KEY}")
        case _:
            return Cause(REFUSING, str(error))


def cause_of_query(error: errors.DnsError, domain: Domain) -> Cause:
    """The cause of a failed query for the zone's SOA. A name server answers SERVFAIL if it has not loaded the zone."""
    if not (isinstance(error, errors.Refusal) and error.rcode == "SERVFAIL"):
        return cause_of(error)
    text = f"{domain.primary}: SERVFAIL: it has not loaded the zone; its log shows the reason"
    if domain.provisioned:
        text += f". `ddnsd domain provision {domain.name}` repairs a damaged journal or a lost file"
    return Cause(NOT_LOADED, text)


@dataclass
class Health:
    """The state of a zone's primary.

    `answer` is the problem of its last answer, `updates` the reason why it refused the last probe; None for no problem.
    `asked_at` is when it was last asked for the serial, in seconds of the event loop's clock.
    """

    primary: str
    answer: Cause | None = Cause(UNKNOWN, "not asked yet")  # noqa: RUF009
    updates: Cause | None = None
    generation: int = 0
    connections: int = 0
    serial: int = 0
    asked_at: float = 0.0
    reconciled: float = 0.0
    repaired: int = 0
    _refusals: int = 0
    _acknowledged: int = 0

    @property
    def asked(self) -> bool:
        """Whether the primary has been asked."""
        return self.answer is None or self.answer.kind != UNKNOWN

    @property
    def problem(self) -> str | None:
        """The problem of the primary's answer, or None."""
        return None if self.answer is None else self.answer.text

    def accepted(self) -> None:
        """Note that the primary accepted a probe."""
        self.updates, self._refusals = None, 0

    def refused(self, cause: Cause, acknowledged: int) -> None:
        """Note that the primary refused a probe; `acknowledged` messages of the zone were accepted so far.

        Messages that it accepts between refused probes prove that it refuses only the probe. Then the results of the
        zone's own messages count.
        """
        self._refusals += 1
        if self._refusals <= PROVEN:
            self._acknowledged = acknowledged
        self.updates = cause if acknowledged == self._acknowledged else None


def causes(health: Health | None, sender: ZoneSender) -> list[Cause]:
    """All causes why the zone differs from the database, the first cause first. A frozen domain has none."""
    if sender.domain.frozen:
        return []
    if health is None:
        return [Cause(UNKNOWN, "not asked yet")]
    found = [cause for cause in (health.answer, health.updates) if cause is not None]
    if health.answer is not None and health.answer.kind == NOT_LOADED:
        found = [health.answer]
    if sender.problem is not None and not found:
        found.append(Cause(BEHIND, sender.problem))
    if refused := sender.refused:
        found.append(
            Cause(
                HELD_BACK,
                f"the name server refuses {refused} hosts, records or removals; `ddnsd queue list` shows them",
            )
        )
    return found
