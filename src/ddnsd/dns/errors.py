# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors between the service and a name server.

DnsError                the change is not known to be in DNS
  Unreachable           no connection: nothing was sent
    NoAnswer            sent, but no valid answer in time: the name server may still apply it
  Refusal               the name server answered with a refusal
    BadKey              it does not know our TSIG key
    BadSignature        the signature, its own or ours, does not match the key
    BadTime             its clock and ours differ by more than the fudge
    Frozen              it refuses every update of the zone
    PrerequisiteFailed  a name or RRset was not as the message required
    Unsendable          no message can contain it; nothing was sent
    ZoneRefused         it refuses every update of the zone
  DomainFrozen          the domain is frozen for maintenance: nothing was sent
  FenceLost             another process has taken over the zone, or somebody has changed the marker of its owner
NotAcknowledged         a change is stored, but the name server has not acknowledged it in time
  ChangeRefused         likewise, because the name server refuses this change
NameConflict            the name is in the zone and is not managed by the service
HostGone                the host was deleted in the meantime
DomainChanged           the primary or key of the domain has changed, or it is frozen now
NotOwner                another process sends the changes of the zone
"""

from ddnsd.dns.conflicts import Obstacle


class DnsError(Exception):
    """DNS error"""


class DomainFrozen(DnsError):
    """the domain is frozen for maintenance"""


class FenceLost(DnsError):
    """the zone has the marker of another owner"""

    def __init__(self) -> None:
        super().__init__(FenceLost.__doc__)


class Unreachable(DnsError):
    """the name server does not answer"""


class NoAnswer(Unreachable):
    """the name server does not answer"""


class Refusal(DnsError):
    """the name server refuses the message"""

    def __init__(self, rcode: str, text: str = "") -> None:
        super().__init__(text or f"the name server answers {rcode}")
        self.rcode = rcode


class BadKey(Refusal):
    """the name server does not know the TSIG key (BADKEY)"""


class BadSignature(Refusal):
    """the TSIG signature does not match the key (BADSIG)"""


class BadTime(Refusal):
    """the clocks of service and name server differ too much (BADTIME)"""


class Frozen(Refusal):
    """the name server refuses every update of the zone"""


class PrerequisiteFailed(Refusal):
    """a name or RRset is not as required"""


class Unsendable(Refusal):
    """no message can contain it"""

    def __init__(self, text: str) -> None:
        super().__init__("", text)


class ZoneRefused(Refusal):
    """the name server refuses every update of the zone"""


NOT_WRITTEN = "SERVFAIL"
"""The name server could not change the zone: too many records (max-records) of one host, or a full disk."""

ABOUT_ITEMS = frozenset({"REFUSED", "FORMERR", "NOTZONE", NOT_WRITTEN})
"""Answers that may concern a single record of the message."""


def may_be_about_items(error: Refusal) -> bool:
    """Whether a part of the message may be the reason, so that the others may succeed without it."""
    if isinstance(error, ZoneRefused):
        return False
    return isinstance(error, (PrerequisiteFailed, Unsendable)) or error.rcode in ABOUT_ITEMS


class NotAcknowledged(Exception):
    """the change is kept; the name server has not confirmed it"""


class ChangeRefused(NotAcknowledged):
    """the change is kept; the name server refuses it"""


class NameConflict(Exception):
    """the name is in the zone and is not ours"""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


class HostGone(Exception):
    """the host no longer exists"""


class DomainChanged(Exception):
    """the primary or key of the domain has changed, or it is frozen now"""


class NotOwner(Exception):
    """another process sends the changes of the zone"""
