# SPDX-License-Identifier: GPL-3.0-or-later
"""Rights that come from claims of a provider end when the provider has not stated them for too long.

Groups and administrator rights that an administrator has given do not end.
"""

from dataclasses import dataclass
from typing import NamedTuple

from ddnsd.db import queries, rows

SESSION_HOURS = 12
HOUR = 3600 * 1_000_000
DAY = 24 * HOUR
WARN_DAYS = 7
"""How long before their end users are warned."""


class CurrentRights(NamedTuple):
    """The rights that a user has now. `lapsed`: they had more, which have ended."""

    admin: bool
    groups: frozenset[str]
    lapsed: bool = False

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes of credentials without limits of their own."""
        return frozenset({"read", "write", "admin"} if self.admin else {"read", "write"})


@dataclass
class ClaimsAge:
    """Maximum age of claims in microseconds, in browser sessions and for tokens; 0: any."""

    sessions: int = SESSION_HOURS * HOUR
    tokens: int = 0

    def in_session(self, stated: rows.StatedRights) -> CurrentRights:
        """The rights of a browser session."""
        return _rights(stated, self.sessions)

    def of_token(self, stated: rows.StatedRights) -> CurrentRights:
        """The rights of an API token, or of an access token that states none."""
        return _rights(stated, self.tokens)

    def end_of_token(self, stated: rows.StatedRights) -> int | None:
        """When the first right of the user's tokens ends, in microseconds since the epoch; None: never."""
        times = [moment for moment, _ in _groups(stated) if moment]
        if stated.admin and stated.admin_at is not None:
            times.append(stated.admin_at)
        return min(times) + self.tokens if self.tokens and times else None


def is_soon(end: int | None) -> bool:
    """Whether users are warned of this end now."""
    return end is not None and end < queries.now() + WARN_DAYS * DAY


def _rights(stated: rows.StatedRights, max_age: int) -> CurrentRights:
    oldest = queries.now() - max_age if max_age else 0
    every = _groups(stated)
    groups = frozenset(group for moment, group in every if not moment or moment > oldest)
    admin = bool(stated.admin) and (stated.admin_at is None or stated.admin_at > oldest)
    lapsed = admin != bool(stated.admin) or len(groups) < len({group for _, group in every})
    return CurrentRights(admin, groups, lapsed)


def _groups(stated: rows.StatedRights) -> list[tuple[int, str]]:
    parts = (line.partition(" ") for line in stated.groups.split("\n")) if stated.groups else ()
    return [(int(moment), group) for moment, _, group in parts]
