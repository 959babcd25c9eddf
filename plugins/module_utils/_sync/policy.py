# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits on deletions and changes in a plan."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Sequence

from .errors import Unsafe

_SHOWN = 20


@dataclass(frozen=True)
class Limits:
    """The most deletions and replacements that a plan may contain. None is no limit."""

    percent: int | None = 30
    """Percentage of the stack's registered hosts. One host is always allowed, unless it is the last."""
    count: int | None = 100

    @classmethod
    def parse(cls, text: str) -> Limits:
        """Parse `20%`, `10` or `all`. Raises ValueError."""
        match = re.fullmatch(r"(\d{1,9})\s*(%?)", text.strip(), re.ASCII)
        if text.strip() == "all":
            return cls(percent=None, count=None)
        if not match or (match[2] and int(match[1]) > 100):
            raise ValueError(f"{text!r} is not a limit: write a number of hosts, a percentage such as 20%, or all")
        return cls(int(match[1]), None) if match[2] else cls(None, int(match[1]))

    def __str__(self) -> str:
        if self.count is not None:
            return str(self.count)
        return "all" if self.percent is None else f"{self.percent}%"

    def check_changes(self, changed: Sequence[str], *, registered: int) -> None:
        """Raises Unsafe if more registered hosts are changed than allowed. A share above 0 allows at least one."""
        bound = self._bound(registered, leaves_none=False)
        if bound is not None and len(changed) > bound:
            text = f"{len(changed)} of {registered} registered hosts would be changed; the limit allows {bound}: "
            option = f"`--max-changes {len(changed)}` (`max_changes` in Ansible)"
            hint = f"use {option}, or raise `max_changes` of the stack"
            raise Unsafe(f"{text}{_named(sorted(changed))}. If this is intended, {hint}", sorted(changed))

    def check(self, deleted: Sequence[str], replaced: Sequence[str], *, registered: int, added: int) -> None:
        """Raises Unsafe if more hosts are deleted or replaced than allowed.

        `registered` is the number of hosts in the stack, `added` the number that the plan adds. A replaced host counts
        as deleted, because it loses its secret, and its name for a moment.
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


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _text(names: Sequence[str], registered: int, bound: int, *, leaves_none: bool) -> str:
    rest = ", so none would be left" if leaves_none else ""
    return (
        f"{len(names)} of {registered} registered hosts would be deleted or replaced{rest}; the limit allows {bound}: "
        f"{_named(names)}. If this is intended, use `--max-deletes {len(names)}` (`max_deletes` in Ansible)"
    )
