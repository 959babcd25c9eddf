# SPDX-License-Identifier: GPL-3.0-or-later
"""Times as text."""

from datetime import UTC, datetime


def moment(microseconds: int | None) -> str | None:
    """A time as RFC 3339 text in UTC; None for None."""
    if microseconds is None:
        return None
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest:06}Z"
