# SPDX-License-Identifier: GPL-3.0-or-later
"""Log and count failed sign-ins.

The log has one line per name, source address and minute, in a form that the filters in `examples/fail2ban` read. A name
is logged only if such an account exists: a text that is no account's name may be a password in the wrong field. No
secret comes here at all.
"""

import hashlib
import time
from collections.abc import Callable
from enum import StrEnum

import structlog
from prometheus_client import Counter

WINDOW_SECONDS = 60.0
LINES = 1000
"""Maximum lines in a window, so that guesses from many networks do not fill the disk."""

UNKNOWN = "?"
"""In place of a name that no account has, and of an address that is not known."""

log = structlog.get_logger()


class Kind(StrEnum):
    """The kind of credentials that failed.

    PASSWORD  the password of a user, in the portal
    LOCKED    the same, refused without a check after many failures; only counted
    SECRET    the secret of a host or key, at the update paths
    TOKEN     a Bearer token
    """

    PASSWORD = "password"  # noqa: S105
    LOCKED = "locked"
    SECRET = "secret"  # noqa: S105
    TOKEN = "token"  # noqa: S105


FAILURES = Counter("ddnsd_failed_sign_ins_total", "Failed sign-ins, by kind of credentials", ["kind"])
_COUNTERS = {kind: FAILURES.labels(kind.value) for kind in Kind}


def count(kind: Kind) -> None:
    """Count a failure that is not logged."""
    _COUNTERS[kind].inc()


class FailedSignIns:
    """Logs failures, each name and source once in a window of a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._begun = clock, float("-inf")
        self._seen: set[bytes] = set()

    def note(self, kind: Kind, typed: str, source: str | None, *, account: str | None) -> bool:
        """Count a failure, and log it unless this name has failed from there in this minute. Returns whether it did.

        `typed` is the name that was given; `account` is the same if an account has this name, else None.
        """
        count(kind)
        moment = self._clock()
        if moment - self._begun >= WINDOW_SECONDS:
            self._begun = moment
            self._seen.clear()
        key = hashlib.blake2b(f"{kind}\0{source}\0{typed}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key in self._seen or len(self._seen) > LINES:
            return False
        self._seen.add(key)
        if len(self._seen) > LINES:
            log.warning("too many failed sign-ins to log", until="the next minute")
            return False
        log.warning("failed sign-in", kind=kind.value, source=source or UNKNOWN, user=account or UNKNOWN)
        return True
