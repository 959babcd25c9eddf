# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks a name for a source after many failed sign-ins, in bounded memory without the database."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_SECONDS = 60.0
FIRST_LOCK_SECONDS = 60.0
LONGEST_LOCK_SECONDS = 15 * 60.0
REMEMBERED = 50_000
NAMES_PER_SOURCE = 5
"""Factor by which a source may fail more often with different names than with one name."""


@dataclass(slots=True)
class _Record:
    failures: int = 0
    since: float = 0.0
    locked_until: float = 0.0
    lock: float = FIRST_LOCK_SECONDS


class FailureCounter:
    """`failures` within a minute lock the name for that source for a minute, the next time for two, up to fifteen.

    A source is an IPv4 address or an IPv6 /64, because a client can use all of it. The caller limits the names.
    """

    def __init__(self, failures: int, *, enabled: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._enabled, self._clock = failures, enabled, clock
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()

    def locked(self, name: str, source: str) -> bool:
        """Whether name and source are locked."""
        if not self._records:
            return False
        record = self._records.get((name, network(source)))
        return record is not None and self._clock() < record.locked_until

    def failed(self, name: str, source: str) -> None:
        """Count a failure."""
        if not self._enabled:
            return
        key = name, network(source)
        record = self._records.setdefault(key, _Record())
        self._records.move_to_end(key)
        if len(self._records) > REMEMBERED:
            self._records.popitem(last=False)
        moment = self._clock()
        if moment - record.since > WINDOW_SECONDS:
            record.failures, record.since = 0, moment
        if moment - max(record.locked_until, record.since) > LONGEST_LOCK_SECONDS:
            record.lock = FIRST_LOCK_SECONDS
        record.failures += 1
        if record.failures >= self._limit:
            record.failures, record.locked_until = 0, moment + record.lock
            record.lock = min(2 * record.lock, LONGEST_LOCK_SECONDS)

    def succeeded(self, name: str, source: str) -> None:
        """Reset the failures."""
        if self._records:
            self._records.pop((name, network(source)), None)


def network(source: str) -> str:
    """The source of an address: an IPv4 address, or the /64 of an IPv6 address."""
    if ":" not in source:
        return source
    address = ipaddress.IPv6Address(source)
    return str(address.ipv4_mapped or ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
