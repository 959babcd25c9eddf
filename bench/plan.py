# SPDX-License-Identifier: GPL-3.0-or-later
"""How much is measured, and what is said meanwhile."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.figure import Figure, number

NAMES = (
    "changed",
    "nochg",
    "rules",
    "reverse",
    "dns-update",
    "upstream",
    "declared",
    "hosts",
    "pages",
    "memory",
    "large",
    "nodes",
    "zones",
    "signed",
    "idle",
)

LONG_NAMES = ("declared-many", "million", "capacity")
"""What is measured only when it is named: it takes too long for a run of everything."""


@dataclass(frozen=True)
class Plan:
    """`rounds` times `seconds` of each kind of load; `names` of what is measured; a folder on a disk."""

    names: frozenset[str]
    rounds: int
    seconds: float
    many: int
    large: int
    million: int
    directory: Path

    def has(self, *names: str) -> bool:
        """Whether one of them is to be measured."""
        return not self.names.isdisjoint(names)


def say(figures: Iterable[Figure]) -> None:
    """Print the newest value of each figure, on one line."""
    newest = (f"{f.name.strip('*')} {number(f.values[-1])} {f.unit}".rstrip() for f in figures)
    print("  " + " · ".join(newest), flush=True)
