# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of a list, by cursor."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar


class Identified(Protocol):
    """A row with an id."""

    @property
    def id(self) -> int:
        """The id, which is the cursor."""


T = TypeVar("T")
Row = TypeVar("Row", bound=Identified)


class Page(NamedTuple, Generic[T]):
    """Some items of a list; `next` is the cursor of the next page, None at the end."""

    items: list[T]
    next: int | None


def page_of(found: Sequence[Row], limit: int, visible: Callable[[Row], bool] | None = None) -> Page[Row]:
    """The page from up to `limit + 1` rows. Rows that are not `visible` make the page shorter, not the list."""
    rows = list(found[:limit])
    cursor = rows[-1].id if len(found) > limit else None
    return Page(rows if visible is None else [row for row in rows if visible(row)], cursor)
