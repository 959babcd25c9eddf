# SPDX-License-Identifier: GPL-3.0-or-later
"""Host and domain names: one validator for every door."""

import re
from collections.abc import Iterable

LENGTH = 253
"""Characters of a full name: 255 octets in a message."""

LABEL_LENGTH = 63

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def fold(name: str) -> str:
    """The name as it is compared and stored: no blanks around it, lower case, no trailing dot."""
    stripped = name.strip()
    # beyond ASCII lower() makes letters of what is none: the Kelvin sign becomes k
    return (stripped.lower() if stripped.isascii() else stripped).removesuffix(".")


def problem(name: str) -> str | None:
    """Why a folded name is not a host name (RFC 952, RFC 1123, 253 octets, labels of 63), or None."""
    if not name:
        return "A name is needed."
    if len(name) > LENGTH:
        return f"A full name has at most {LENGTH} characters."
    for label in name.split("."):
        if not label:
            return "A label is empty."
        if len(label) > LABEL_LENGTH:
            return f"A label has at most {LABEL_LENGTH} characters."
        if not _LABEL.fullmatch(label):
            return "A label has letters, digits and hyphens, and begins and ends with a letter or a digit."
    return None


def owned_problem(name: str, owned: Iterable[str]) -> str | None:
    """Why a host of that folded name cannot have records at the `owned` names, or None.

    They are made of its own: `*.` before it, related names, owners of further records. A message with one that is too
    long cannot be sent, so that no host of the zone would be updated any more.
    """
    longest = max(owned, key=len, default=name)
    if len(longest) <= LENGTH:
        return None
    before = longest.removesuffix(name)
    if len(before) > LABEL_LENGTH + 1:
        return f"A full name has at most {LENGTH} characters."
    return f"With {before} before it, the name has {len(longest)} characters: at most {LENGTH} are possible."


def domain_problem(name: str) -> str | None:
    """Why a folded name is not a domain's, or None: a host name of labels, with room for another label before it."""
    if found := problem(name):
        return found
    if "." not in name:
        return "A domain has at least one dot."
    return "A domain has at most 189 characters: hosts lie below it." if len(name) > 189 else None


def is_full(name: str) -> bool:
    """Whether a folded name is a well-formed host name of at least two labels."""
    return "." in name and problem(name) is None
