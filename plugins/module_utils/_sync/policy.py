# SPDX-License-Identifier: GPL-3.0-or-later
"""How many deletions a plan may hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Sequence

from .errors import Unsafe

_SHOWN = 20


@dataclass(frozen=True)
class Limits:
    """Deletions (and replacements) above either bound are refused; None is no bound."""

    percent: int | None = 30
    """Of the stack's registered hosts; one is always allowed unless it is the last."""
    count: int | None = 100

    @classmethod
    def parse(cls, text: str) -> Limits:
        """`20%`, `10` or `all`: this bound alone. Raises ValueError."""
        match = re.fullmatch(r"(\d{1,9})\s*(%?)", text.strip(), re.ASCII)
        if text.strip() == "all":
            return cls(percent=None, count=None)
        if not match or (match[2] and int(match[1]) > 100):
            raise ValueError(f"{text!r} is no limit: write a number of hosts, a percentage such as 20%, or all")
        return cls(int(match[1]), None) if match[2] else cls(None, int(match[1]))

    def check(self, deleted: Sequence[str], replaced: Sequence[str], *, registered: int, added: int) -> None:
        """Raises Unsafe when hosts are to go beyond the bounds.

        `registered` is how many hosts the stack has, `added` how many more the plan gives it. A replaced host counts
        as deleted, because it loses its secret and for a moment its name.
        """
        gone = len(deleted) + len(replaced)
        leaves_none = registered + added <= len(deleted)
        bound = self._bound(registered, leaves_none=leaves_none)
        if gone and bound is not None and gone > bound:
            names = sorted((*deleted, *replaced))
            raise Unsafe(_text(names, registered, bound, leaves_none=leaves_none), names)

    def _bound(self, registered: int, *, leaves_none: bool) -> int | None:
        bounds = [] if self.count is None else [self.count]
        if self.percent is not None:
            share = registered * self.percent // 100
            bounds.append(share if leaves_none or not self.percent else max(1, share))
        return min(bounds) if bounds else None


def _text(names: Sequence[str], registered: int, bound: int, *, leaves_none: bool) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    rest = ", which leaves none" if leaves_none else ""
    return (
        f"{len(names)} of {registered} registered hosts would be deleted or replaced{rest}; the limit allows {bound}: "
        f"{shown}{more}. Raise the limit, to {len(names)} or all, if this is meant"
    )
