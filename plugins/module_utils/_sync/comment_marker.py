# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner's mark in a comment, for a server that has no field for it: `Front end [ddns:web-prod]`."""

from __future__ import annotations

import re

LONGEST = 255
"""Characters that a comment may have, with its mark."""

_MARKED = re.compile(r"(?:(.*) )?\[ddns:([A-Za-z0-9][A-Za-z0-9._-]{0,62})\]", re.DOTALL)


def encode(comment: str | None, stack: str | None) -> str:
    """The comment as it is kept. Raises ValueError when it is too long."""
    text = " ".join(part for part in (comment, f"[ddns:{stack}]" if stack else "") if part)
    if len(text) > LONGEST:
        marked = f" with the mark of stack {stack}" if stack else ""
        raise ValueError(f"the comment has {len(text)} characters{marked}, and {LONGEST} is the most: shorten it")
    return text


def decode(text: str | None) -> tuple[str | None, str | None]:
    """(comment, stack) of a comment as it is kept; an empty one is None."""
    found = _MARKED.fullmatch(text or "")
    return (found.group(1) or None, found.group(2)) if found else (text or None, None)
