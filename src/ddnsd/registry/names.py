# SPDX-License-Identifier: GPL-3.0-or-later
"""Host and domain names: one validator for all protocols."""

import re
from collections.abc import Iterable

from ddnsd.registry.errors import Code, Reason

LENGTH = 253
"""Maximum characters of a full name: 255 octets in a message."""

LABEL_LENGTH = 63

DOMAIN_LENGTH = 189
"""Maximum characters of a domain's name, because hosts need names below it."""

REVERSE = (".in-addr.arpa", ".ip6.arpa")
"""Ends of the names of reverse zones."""

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*")


def fold(name: str) -> str:
    """The name as it is compared and stored: without surrounding spaces, in lower case, without a trailing dot."""
    stripped = name.strip()
    # lower() turns some characters beyond ASCII into letters: the Kelvin sign becomes k
    return (stripped.lower() if stripped.isascii() else stripped).removesuffix(".")


def problem(name: str) -> Reason | None:
    """Why a folded name is not a host name (RFC 952, RFC 1123, 253 octets, labels of 63), or None."""
    if len(name) <= LENGTH and _NAME.fullmatch(name):
        return None
    if not name:
        return Reason(Code.NAME_MISSING)
    if len(name) > LENGTH:
        return Reason(Code.NAME_TOO_LONG, limit=LENGTH)
    for label in name.split("."):
        if not label:
            return Reason(Code.LABEL_EMPTY)
        if len(label) > LABEL_LENGTH:
            return Reason(Code.LABEL_TOO_LONG, limit=LABEL_LENGTH)
        if not _LABEL.fullmatch(label):
            return Reason(Code.LABEL_CHARACTERS)
    return None


def owned_problem(name: str, owned: Iterable[str]) -> Reason | None:
    """Why a host of that folded name cannot have records at the `owned` names, or None.

    These are names below the host's: its wildcard, related names, owners of further records. A message with a name that
    is too long cannot be sent, and no host of the zone could be updated.
    """
    longest = max(owned, key=len, default=name)
    if len(longest) <= LENGTH:
        return None
    prefix = longest.removesuffix(name)
    if len(prefix) > LABEL_LENGTH + 1:
        return Reason(Code.NAME_TOO_LONG, limit=LENGTH)
    return Reason(Code.NAME_BELOW_TOO_LONG, prefix=prefix, length=len(longest), limit=LENGTH)


def domain_problem(name: str) -> Reason | None:
    """Why a folded name cannot be a domain's, or None. It needs a dot, and room for the names of hosts."""
    if found := problem(name):
        return found
    if "." not in name:
        return Reason(Code.DOMAIN_WITHOUT_DOT)
    return Reason(Code.DOMAIN_TOO_LONG, limit=DOMAIN_LENGTH) if len(name) > DOMAIN_LENGTH else None


def is_reverse(name: str) -> bool:
    """Whether a folded name is in the tree of reverse lookups, where names stand for addresses and have PTR records."""
    return f".{name}".endswith(REVERSE)


def is_full(name: str) -> bool:
    """Whether a folded name is a well-formed host name of at least two labels."""
    return "." in name and problem(name) is None
