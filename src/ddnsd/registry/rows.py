# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows that the registry returns, and pages of them. Web imports them from here, not from `ddnsd.db`."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from ddnsd.db.abuse_reports import AbuseReport
from ddnsd.db.denylist import Denial
from ddnsd.db.domain_requests import DomainRequest
from ddnsd.db.history import Author
from ddnsd.db.history import Shown as HistoryEntry
from ddnsd.db.idempotency import LeasedCall
from ddnsd.db.last_seen import Contact
from ddnsd.db.paging import Happened, HostFilter, OwnedHost
from ddnsd.db.queue import STATES as QUEUE_STATES
from ddnsd.db.queue import Counts as QueueCounts
from ddnsd.db.rows import DhcpKey, Domain, Host, Key, ListedHost, Related, RRset, Token, User
from ddnsd.db.stacks import Lease
from ddnsd.db.stacks import Stack as StackRow
from ddnsd.db.webhooks import Delivery, Webhook

__all__ = [
    "QUEUE_STATES",
    "AbuseReport",
    "Author",
    "Contact",
    "Delivery",
    "Denial",
    "DhcpKey",
    "Domain",
    "DomainRequest",
    "Happened",
    "HistoryEntry",
    "Host",
    "HostFilter",
    "Key",
    "Lease",
    "LeasedCall",
    "ListedHost",
    "OwnedHost",
    "QueueCounts",
    "RRset",
    "Related",
    "StackRow",
    "Token",
    "User",
    "Webhook",
]


class Identified(Protocol):
    """A row with an id."""

    @property
    def id(self) -> int:
        """The id, which is the cursor."""


T = TypeVar("T")
Row = TypeVar("Row", bound=Identified)


class Page(NamedTuple, Generic[T]):
    """A page of a list; `next` is the cursor of the next page, or None at the end."""

    items: list[T]
    next: int | None


def page_of(found: Sequence[Row], limit: int, visible: Callable[[Row], bool] | None = None) -> Page[Row]:
    """The page from up to `limit + 1` rows. Rows that are not `visible` only make the page shorter."""
    rows = list(found[:limit])
    cursor = rows[-1].id if len(found) > limit else None
    return Page(rows if visible is None else [row for row in rows if visible(row)], cursor)
