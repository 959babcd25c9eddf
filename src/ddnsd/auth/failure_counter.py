# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks a name for a source after many failed sign-ins, in bounded memory without the database."""

import hashlib
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_SECONDS = 60.0
FIRST_LOCK_SECONDS = 60.0
LONGEST_LOCK_SECONDS = 15 * 60.0
REMEMBERED = 20_000

CLIENT, SITE = 64, 48
"""Prefix lengths of the IPv6 networks that one client, and one site, can use."""

CLIENTS_PER_SITE = 4
"""Factor by which a site may fail more often than one of its clients."""

NAMES_PER_SOURCE = 5
"""Factor by which a source may fail more often with different names than with one name."""

_PROCESS = secrets.token_bytes(16)
"""Makes the hashes of names unpredictable: nobody can choose two names with the same hash."""


@dataclass(slots=True)
class _Record:
    failures: int = 0
    since: float = 0.0
    locked_until: float = 0.0
    lock: float = FIRST_LOCK_SECONDS


class FailureCounter:
    """`failures` within a minute lock the name for that source for a minute, the next time for two, up to fifteen.

    A source is an IPv4 address or an IPv6 network of `prefix` bits: a client can use a whole /64, and a site a /48. The
    caller limits the names.
    """

    def __init__(
        self,
        failures: int,
        *,
        prefix: int = CLIENT,
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prefix, self._clock = prefix, clock
        self._records: OrderedDict[bytes, _Record] = OrderedDict()
        self.use(failures, enabled=enabled)

    def use(self, failures: int, *, enabled: bool) -> None:
        """Apply this limit from now on; when disabled, all locks end."""
        self._limit, self._enabled = failures, enabled
        if not enabled:
            self._records.clear()

    def locked(self, name: str, source: str) -> bool:
        """Whether name and source are locked."""
        if not self._records:
            return False
        record = self._records.get(_key(name, source, self._prefix))
        return record is not None and self._clock() < record.locked_until

    def has_failed(self, name: str, source: str) -> bool:
        """Whether the source has failed with the name, and not succeeded since."""
        return _key(name, source, self._prefix) in self._records

    def failed(self, name: str, source: str) -> None:
        """Count a failure."""
        if not self._enabled:
            return
        key = _key(name, source, self._prefix)
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
            self._records.pop(_key(name, source, self._prefix), None)


class ClientAndSiteCounter:
    """Counts failures of clients, and of their sites (IPv6 /48) with a higher limit. An IPv4 address has no site."""

    def __init__(self, failures: int, *, enabled: bool = True) -> None:
        self._client, self._site = FailureCounter(failures), FailureCounter(failures, prefix=SITE)
        self.use(failures, enabled=enabled)

    def use(self, failures: int, *, enabled: bool) -> None:
        """Apply this limit for a client from now on; when disabled, all locks end."""
        self._client.use(failures, enabled=enabled)
        self._site.use(failures * CLIENTS_PER_SITE, enabled=enabled)

    def locked(self, name: str, source: str) -> bool:
        """Whether the name is locked for the client or its site."""
        return any(counter.locked(name, source) for counter in self._of(source))

    def has_failed(self, name: str, source: str) -> bool:
        """Whether the client or its site has failed with the name, and not succeeded since."""
        return any(counter.has_failed(name, source) for counter in self._of(source))

    def failed(self, name: str, source: str) -> None:
        """Count a failure."""
        for counter in self._of(source):
            counter.failed(name, source)

    def succeeded(self, name: str, source: str) -> None:
        """Reset the failures."""
        for counter in self._of(source):
            counter.succeeded(name, source)

    def _of(self, source: str) -> tuple[FailureCounter, ...]:
        return (self._client, self._site) if ":" in source else (self._client,)


def _key(name: str, source: str, prefix: int) -> bytes:
    """A short key for a name, which strangers choose and which can be long, and a source."""
    text = f"{network(source, prefix)}\0{name}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=12, key=_PROCESS).digest()


def network(source: str, prefix: int = CLIENT) -> str:
    """The source of an address: an IPv4 address, or the network of an IPv6 address."""
    if ":" not in source:
        return source
    address, host_bits = ipaddress.IPv6Address(source), 128 - prefix
    return str(address.ipv4_mapped or ipaddress.IPv6Network((int(address) >> host_bits << host_bits, prefix)))
