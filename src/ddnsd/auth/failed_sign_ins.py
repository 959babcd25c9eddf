# SPDX-License-Identifier: GPL-3.0-or-later
"""Log and count failed sign-ins, and record those against an account in its security log.

The log has one line per name, source address and minute, in a form that the filters in `examples/fail2ban` read. A name
is logged only if such an account exists: a text that is no account's name may be a password in the wrong field. No
secret comes here at all.
"""

import hashlib
import time
from collections import Counter as Numbers
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

import structlog
from prometheus_client import Counter
from sqlalchemy import Connection

from ddnsd.db import queries
from ddnsd.db.base import Store, StoreDown

WINDOW_SECONDS = 60.0
LINES = 1000
"""Maximum lines in a window, so that guesses from many networks do not fill the disk."""

EVENTS = 10
"""Maximum events of an account in a window: guesses from many networks must not fill the database."""

SECONDS = 5.0
"""How often events are written. Not at once: else the time of an answer would tell whether an account exists."""

ACTION = "session.fail"

UNKNOWN = "?"
"""In place of a name that no account has, and of an address that is not known."""

log = structlog.get_logger()


class Kind(StrEnum):
    """The kind of credentials that failed.

    PASSWORD  the password of a user, in the portal
    CODE      the second factor, after the right password
    PASSKEY   a passkey, alone or after the right password
    LOCKED    one of these, refused without a check after many failures; only counted
    SECRET    the secret of a host or key, at the update paths
    TOKEN     a Bearer token
    """

    PASSWORD = "password"  # noqa: S105
    CODE = "code"
    PASSKEY = "passkey"
    LOCKED = "locked"
    SECRET = "secret"  # noqa: S105
    TOKEN = "token"  # noqa: S105


FAILURES = Counter("ddnsd_failed_sign_ins_total", "Failed sign-ins, by kind of credentials", ["kind"])
_COUNTERS = {kind: FAILURES.labels(kind.value) for kind in Kind}


def count(kind: Kind) -> None:
    """Count a failure that is not logged."""
    _COUNTERS[kind].inc()


class _Event(NamedTuple):
    """A failed sign-in against an account."""

    user: str
    user_id: int
    source: str | None
    kind: Kind


class FailedSignIns:
    """Logs failures, each name and source once in a window of a minute. Without a store it records no events."""

    def __init__(self, store: Store | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock, self._begun = store, clock, float("-inf")
        self._seen: set[bytes] = set()
        self._events: list[_Event] = []
        self._of_account: Numbers[int] = Numbers()

    def note(
        self, kind: Kind, typed: str, source: str | None, *, account: str | None, user_id: int | None = None
    ) -> bool:
        """Count a failure, and log it unless this name has failed from there in this minute. Returns whether it did.

        `typed` is the name that was given; `account` is the same if an account has this name, else None. With the id of
        its user, the next `write` records it in their security log.
        """
        count(kind)
        moment = self._clock()
        if moment - self._begun >= WINDOW_SECONDS:
            self._begun = moment
            self._seen.clear()
            self._of_account.clear()
        key = hashlib.blake2b(f"{kind}\0{source}\0{typed}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key in self._seen or len(self._seen) > LINES:
            return False
        self._seen.add(key)
        if len(self._seen) > LINES:
            log.warning("too many failed sign-ins to log", until="the next minute")
            return False
        log.warning("failed sign-in", kind=kind.value, source=source or UNKNOWN, user=account or UNKNOWN)
        if self._store is not None and account is not None and user_id is not None:
            self._of_account[user_id] += 1
            if self._of_account[user_id] <= EVENTS and len(self._events) < LINES:
                self._events.append(_Event(account, user_id, source, kind))
        return True

    async def write(self) -> None:
        """Record the events. Raises StoreDown; then it keeps them for the next call."""
        events, self._events = self._events, []
        if not events or self._store is None:
            return
        try:
            await self._store.transact(lambda c: _record(c, events))
        except StoreDown:
            self._events = events + self._events
            raise


def _record(connection: Connection, events: Sequence[_Event]) -> None:
    for event in events:
        user = queries.user(connection, event.user)
        if user is not None and user.id == event.user_id:
            kind = event.kind.value
            queries.add_event(connection, UNKNOWN, ACTION, event.user, event.source, kind, owner_id=event.user_id)
