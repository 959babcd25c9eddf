# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows that the registry returns. Web imports them from here, and nothing from `ddnsd.db`."""

from ddnsd.db.denylist import Denial
from ddnsd.db.domain_requests import DomainRequest
from ddnsd.db.history import Author
from ddnsd.db.history import Shown as HistoryEntry
from ddnsd.db.last_seen import Contact
from ddnsd.db.paging import Happened, HostFilter, OwnedHost
from ddnsd.db.rows import Domain, Host, Key, Related, RRset, Token, User

__all__ = [
    "Author",
    "Contact",
    "Denial",
    "Domain",
    "DomainRequest",
    "Happened",
    "HistoryEntry",
    "Host",
    "HostFilter",
    "Key",
    "OwnedHost",
    "RRset",
    "Related",
    "Token",
    "User",
]
