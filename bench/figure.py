# SPDX-License-Identifier: GPL-3.0-or-later
"""A measured figure, and what is asked of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Figure:
    """Values of one thing, one per round; `required` and `aim` are lower bounds, or upper ones when `less`.

    The median counts, or with `always` the worst. With `never`, a run with another value than zero fails.
    """

    name: str
    unit: str = ""
    required: float | None = None
    aim: float | None = None
    less: bool = False
    always: bool = False
    never: bool = False
    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> float:
        """Note one round's value, and answer it."""
        self.values.append(value)
        return value

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def verdict(self) -> str:
        """`aim`, `met`, `missed`, or nothing where nothing is asked."""
        if self.required is None:
            return ""
        if self._reaches(self.required):
            return "aim" if self.aim is not None and self._reaches(self.aim) else "met"
        return "missed"

    @property
    def broken(self) -> bool:
        """Whether the service did what it must never do, in a single round: then the run fails."""
        return self.never and any(self.values)

    def _reaches(self, bound: float) -> bool:
        worst = max(self.values) if self.less else min(self.values)
        value = worst if self.always else self.median
        return value <= bound if self.less else value >= bound

    def cells(self) -> list[str]:
        """A row of the report's table."""
        sign = "≤" if self.less else "≥"
        bounds = [f"{sign} {b:g} {self.unit}".rstrip() if b is not None else "" for b in (self.required, self.aim)]
        spread = f"{number(min(self.values))} – {number(max(self.values))}" if len(self.values) > 1 else ""
        return [self.name, f"**{number(self.median)}** {self.unit}".rstrip(), spread, *bounds, self.verdict]


@dataclass
class Section:
    """A part of the report: a heading, what was done, and its figures."""

    title: str
    text: str
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def missed(sections: Iterable[Section]) -> list[str]:
    """The names of the figures that are below what is required."""
    return [figure.name for section in sections for figure in section.figures if figure.verdict == "missed"]
