# SPDX-License-Identifier: GPL-3.0-or-later
"""Slow down guesses of random secrets, without refusing the right secret.

Failures are counted in memory, by name and source. Above the limit, a wrong pair that was seen a moment ago is refused
from memory. All other guesses share one read of the database at a time, with a pause between two reads. The right
secret uses the same read, so it waits at most for that pause.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from ddnsd.auth.caller import BadCredentials
from ddnsd.auth.failure_counter import NAMES_PER_SOURCE, FailureCounter
from ddnsd.db.lookups import Lookup, Lookups

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore
    from ddnsd.db.sqlite import SqliteStore

PAUSE_SECONDS = 0.1
"""Pause between two shared reads; the maximum wait of the right secret."""

MEMORY_SECONDS = 1.0
"""How long a wrong pair is refused from memory. Another node may have made it right."""

REMEMBERED = 20_000

R = TypeVar("R")


class _Reads:
    """Shared reads: one at a time for all waiting callers, with a pause between two."""

    def __init__(self) -> None:
        self._waiting: dict[Lookup[Any], dict[Any, list[asyncio.Future[list[Any]]]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._last = float("-inf")

    async def join(self, lookup: Lookup[R], key: Any) -> list[R]:
        """The rows of `key`, read after this call. Raises StoreDown."""
        future: asyncio.Future[list[R]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(lookup, {}).setdefault(key, []).append(future)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while self._waiting:
                await asyncio.sleep(max(0.0, self._last + PAUSE_SECONDS - clock()))
                waiting, self._waiting = self._waiting, {}
                self._last = clock()
                for lookup, keys in waiting.items():
                    await _answer(lookup, keys)
        finally:
            self._task = None


async def _answer(lookup: Lookup[Any], keys: dict[Any, list[asyncio.Future[list[Any]]]]) -> None:
    found: dict[Any, list[Any]] = {}
    failure: Exception | None = None
    try:
        found = await lookup.many(list(keys))
    except Exception as error:  # also for a bug: waiting callers must get an answer
        failure = error
    for key, futures in keys.items():
        for future in futures:
            if future.done():
                continue
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(found.get(key, []))


class SharedLookup(Generic[R]):
    """A lookup whose callers share reads with those of the other shared lookups."""

    def __init__(self, lookup: Lookup[R], reads: _Reads) -> None:
        self._lookup, self._reads = lookup, reads

    async def all(self, key: Any) -> list[R]:
        """All rows with this key. Raises StoreDown."""
        return await self._reads.join(self._lookup, key)

    async def one(self, key: Any) -> R | None:
        """The only row with this key, or None. Raises StoreDown."""
        rows = await self.all(key)
        return rows[0] if rows else None


class SharedLookups:
    """The lookups for authentication, with shared reads."""

    def __init__(self, lookups: Lookups) -> None:
        reads = _Reads()
        self.host = SharedLookup(lookups.host, reads)
        self.key = SharedLookup(lookups.key, reads)
        self.host_by_id = SharedLookup(lookups.host_by_id, reads)
        self.fleet_keys = SharedLookup(lookups.fleet_keys, reads)
        self.fleet_device = SharedLookup(lookups.fleet_device, reads)
        self.host_by_secret = SharedLookup(lookups.host_by_secret, reads)
        self.key_by_secret = SharedLookup(lookups.key_by_secret, reads)
        self.token = SharedLookup(lookups.token, reads)
        self.enrolment = SharedLookup(lookups.enrolment, reads)


class Guess(NamedTuple):
    """One sign-in: `rows` is the source of lookups; `changes` is the number of writes before them."""

    name: str
    secret: str
    client_ip: str
    rows: Lookups | SharedLookups
    slowed: bool
    changes: int


class LoginThrottle:
    """Slow down guesses after `failures` in a minute for a name from a source, or after many with several names.

    A source is an IPv4 address or an IPv6 /64. With `enabled` False nothing is counted.
    """

    def __init__(
        self,
        store: "SqliteStore | PostgresStore",
        lookups: Lookups,
        failures: int,
        *,
        enabled: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._direct, self._shared, self._clock = store, lookups, SharedLookups(lookups), clock
        self._by_name = FailureCounter(failures, enabled=enabled, clock=clock)
        self._by_source = FailureCounter(failures * NAMES_PER_SOURCE, enabled=enabled, clock=clock)
        self._wrong: OrderedDict[bytes, tuple[float, int, int | None, bool]] = OrderedDict()

    def use(self, failures: int, *, enabled: bool) -> None:
        """Apply this limit of failures from now on."""
        self._by_name.use(failures, enabled=enabled)
        self._by_source.use(failures * NAMES_PER_SOURCE, enabled=enabled)

    def begin(self, name: str, secret: str, client_ip: str) -> Guess:
        """The lookups for this name and secret. Raises BadCredentials for a remembered wrong pair."""
        slowed = self._by_name.locked(name, client_ip) or self._by_source.locked("", client_ip)
        if slowed:
            self._refuse_known(name, secret)
        return Guess(name, secret, client_ip, self._shared if slowed else self._direct, slowed, self._store.changes)

    def _refuse_known(self, name: str, secret: str) -> None:
        until, changes, host_id, known = self._wrong.get(_pair(name, secret), (float("-inf"), 0, None, False))
        if self._clock() < until and changes == self._store.changes:
            raise BadCredentials(host_id, known=known)

    def failed(self, guess: Guess, error: BadCredentials | None = None, *, wrong: bool = True) -> None:
        """Count a failure; `wrong`: the pair does not exist and is remembered, with what `error` says of the name."""
        self._by_name.failed(guess.name, guess.client_ip)
        self._by_source.failed("", guess.client_ip)
        if wrong:
            key = _pair(guess.name, guess.secret)
            host_id, known = (error.host_id, error.known) if error is not None else (None, False)
            self._wrong[key] = self._clock() + MEMORY_SECONDS, guess.changes, host_id, known
            self._wrong.move_to_end(key)
            if len(self._wrong) > REMEMBERED:
                self._wrong.popitem(last=False)

    def succeeded(self, guess: Guess) -> None:
        """Reset the failures of the name from the source, except in slow mode: somebody else may be guessing."""
        if not guess.slowed:
            self._by_name.succeeded(guess.name, guess.client_ip)


def _pair(name: str, secret: str) -> bytes:
    return hashlib.sha256(f"{name}\0{secret}".encode("utf-8", "surrogatepass")).digest()


class Turns:
    """Turns of those who have failed often, by source or account; only a few may wait."""

    def __init__(
        self,
        pause: float,
        longest: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pause, self._longest, self._clock, self._sleep = pause, longest, clock, sleep
        self._next: OrderedDict[str, float] = OrderedDict()

    async def take(self, key: str, pause: float | None = None) -> bool:
        """Wait for a turn; the next one is `pause` seconds later. False if too many wait already."""
        moment = self._clock()
        turn = max(self._next.get(key, moment), moment)
        if turn - moment > self._longest:
            return False
        self._next[key] = turn + (self._pause if pause is None else pause)
        self._next.move_to_end(key)
        while len(self._next) > REMEMBERED:
            self._next.popitem(last=False)
        await self._sleep(turn - moment)
        return True
