# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the move of a domain to another primary is, as text for operators."""

from ddnsd.db.mirrors import NEW
from ddnsd.db.rows import Mirror

SILENT_MICROSECONDS = 60 * 1_000_000
"""The service reports more often."""


def progress(mirror: Mirror, now: int) -> str:
    """What happens with the second primary; `now` is in microseconds."""
    state = "not compared yet" if mirror.waiting is None else f"{mirror.waiting} hosts to send"
    if mirror.role == NEW:
        text = f"moves to {mirror.primary}, {state}"
    else:
        text = f"has moved; its former primary {mirror.primary} still gets every change, {state}"
    reason = problem(mirror, now)
    return f"{text}; problem: {reason}" if reason else text


def problem(mirror: Mirror, now: int) -> str | None:
    """Why the second primary is not up to date, or None."""
    if now - (mirror.seen or mirror.since) > SILENT_MICROSECONDS:
        return "the service has not reported for more than a minute; start it: only a running service fills a primary"
    return mirror.problem
