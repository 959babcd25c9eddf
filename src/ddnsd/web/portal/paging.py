# SPDX-License-Identifier: GPL-3.0-or-later
"""Links between the pages of a list."""

from typing import NamedTuple

from ddnsd.registry.inputs import row_id
from ddnsd.web.portal.request import PageRequest

LARGEST = 10**8
"""The largest number of a page."""


class PageLinks(NamedTuple):
    """URLs of the first page and the next page; None if there is no such page, or if it is this one."""

    first: str | None
    following: str | None


def paginate(page: PageRequest, cursor: object | None, parameter: str = "after") -> PageLinks:
    """The links of a list whose next page begins at `cursor`; `parameter` is the name of the cursor in the query."""
    first = page.url(**{parameter: None}) if page.query.get(parameter) else None
    return PageLinks(first, None if cursor is None else page.url(**{parameter: cursor}))


def page_number(page: PageRequest) -> int:
    """The page number of the query; 1 if it has no valid number."""
    return max(1, min(row_id(page.query.get("page", "")) or 1, LARGEST))
