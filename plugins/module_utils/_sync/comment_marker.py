# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores the stack in a host's comment, for a server without a field for it: `Front end [ddns:web-prod]`."""

from __future__ import annotations

import re

LONGEST = 255
"""The most characters in a comment, including the marker."""

_MARKED = re.compile(r"(?:(.*) )?\[ddns:([A-Za-z0-9][A-Za-z0-9._-]{0,62})\]", re.DOTALL)


def encode(comment: str | None, stack: str | None) -> str:
    """The comment to store, with the marker. Raises ValueError if it is too long."""
    text = " ".join(part for part in (comment, f"[ddns:{stack}]" if stack else "") if part)
    if len(text) > LONGEST:
        marked = f" with the marker of stack {stack}" if stack else ""
        raise ValueError(f"the comment has {len(text)} characters{marked}; shorten it to at most {LONGEST}")
    return text


def decode(text: str | None) -> tuple[str | None, str | None]:
    """Comment and stack of a stored comment; None if empty."""
    found = _MARKED.fullmatch(text or "")
    return (found.group(1) or None, found.group(2)) if found else (text or None, None)
