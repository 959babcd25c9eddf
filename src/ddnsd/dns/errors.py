# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong between us and a name server.

DnsError                the change is not known to be in DNS
  Unreachable           no connection: nothing was sent
    NoAnswer            sent, but no answer in time, or not an answer: it may still be carried out
  Refusal               the name server answered, and did not do it
    BadKey              it does not know our TSIG key
    BadSignature        the signature, its own or ours, does not fit the key
    BadTime             its clock and ours differ by more than the fudge
    Frozen              it refuses every update of the zone
    PrerequisiteFailed  a name or RRset was not as the message required
    Unsendable          no message can say it; nothing was sent
    ZoneRefused         it takes no update of the zone, whatever the message holds
NotAcknowledged         a caller's change is kept, but DNS has not confirmed it in time
  ChangeRefused         likewise: the name server refuses this very change
NameConflict            the name stands in the zone, and it is not ours
HostGone                the host was deleted meanwhile
DomainChanged           the domain has another primary or key than was used
"""


class DnsError(Exception):
    """DNS error"""


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
    """the TSIG signature does not fit the key (BADSIG)"""


class BadTime(Refusal):
    """the clocks of service and name server differ too much (BADTIME)"""


class Frozen(Refusal):
    """the name server refuses every update of the zone"""


class PrerequisiteFailed(Refusal):
    """a name or RRset is not as required"""


class Unsendable(Refusal):
    """no message can say it"""

    def __init__(self, text: str) -> None:
        super().__init__("", text)


class ZoneRefused(Refusal):
    """the name server refuses every update of the zone"""


NOT_WRITTEN = "SERVFAIL"
"""The name server could not change the zone: too many records (max-records) of one host, or a full disk."""

ABOUT_ITEMS = frozenset({"REFUSED", "FORMERR", "NOTZONE", NOT_WRITTEN})
"""Answers that may be about a single record of the message."""


def may_be_about_items(error: Refusal) -> bool:
    """Whether a part of the message may be at fault, so that the other parts may do without it."""
    if isinstance(error, ZoneRefused):
        return False
    return isinstance(error, (PrerequisiteFailed, Unsendable)) or error.rcode in ABOUT_ITEMS


class NotAcknowledged(Exception):
    """the change is kept; the name server has not confirmed it"""


class ChangeRefused(NotAcknowledged):
    """the change is kept; the name server refuses it"""


class NameConflict(Exception):
    """the name stands in the zone and is not ours"""


class HostGone(Exception):
    """the host does not exist any more"""


class DomainChanged(Exception):
    """the domain has another primary or key meanwhile"""
