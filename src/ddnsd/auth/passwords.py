# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords of people: Argon2id hashes, checked in threads, a few at a time, because each takes 64 MiB."""

import asyncio
import hmac
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, unique
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from ddnsd.auth.caller import BadCredentials
from ddnsd.auth.failure_counter import NAMES_PER_SOURCE, FailureCounter
from ddnsd.db import identities
from ddnsd.db.base import Store

SHORTEST, LONGEST = 12, 256
AT_ONCE = 2
MOST_WAITING = 40
"""Maximum waiting checks, a few seconds' work; more are refused unchecked."""

NAME_LENGTH = 150


@unique
class Weakness(Enum):
    """Why a text may not be a password; the value is the English sentence, with the parameter `limit`."""

    TOO_SHORT = "A password has at least %(limit)s characters."
    TOO_LONG = "A password has at most %(limit)s characters."
    TOO_SIMPLE = "A password must not be the user name, or one repeated character."

    @property
    def parameters(self) -> dict[str, int]:
        """What the sentence needs."""
        limits = {Weakness.TOO_SHORT: SHORTEST, Weakness.TOO_LONG: LONGEST}
        return {"limit": limits[self]} if self in limits else {}

    def __str__(self) -> str:
        return self.value % self.parameters


class Locked(BadCredentials):
    """too many failures; try again in some minutes"""


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()  # RFC 9106, second recommended option


@cache
def _nobodys() -> str:
    return _hasher().hash("nobody's")


def weakness(password: str, name: str) -> Weakness | None:
    """The reason why this cannot be the user's password, or None."""
    if len(password) < SHORTEST:
        return Weakness.TOO_SHORT
    if len(password) > LONGEST:
        return Weakness.TOO_LONG
    folded = password.casefold()
    return Weakness.TOO_SIMPLE if len(set(folded)) < 3 or not folded.replace(name.casefold(), "").strip() else None


def hashed(password: str) -> str:
    """The hash of a password; takes a tenth of a second."""
    return _hasher().hash(_normal(password))


def hashed_secret(secret: str) -> str:
    """A fast hash of a generated password, until its first use: it is too long to guess."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(secret)


def _matches(stored: str, password: str) -> bool:
    try:
        return _hasher().verify(stored, _normal(password))
    except (Argon2Error, InvalidHashError):
        return False


def _normal(password: str) -> str:
    """The normalised password, independent of how a keyboard composes characters."""
    return unicodedata.normalize("NFKC", password)


class Passwords:
    """Sign-in with a password; `enabled` is the setting."""

    def __init__(self, store: Store, failures: int, *, rules: bool = True, enabled: bool = True) -> None:
        self._store, self.enabled = store, enabled
        self._by_name = FailureCounter(failures, enabled=rules)
        self._by_source = FailureCounter(failures * NAMES_PER_SOURCE, enabled=rules)
        self._turns, self._waiting = asyncio.Semaphore(AT_ONCE), 0

    async def check(self, name: str, password: str, client_ip: str | None) -> int:
        """The id of the active user of that name and password; `client_ip` is None where it is not known.

        Raises BadCredentials, Locked, StoreDown.
        """
        name, where = name.strip(), client_ip or ""
        self._refuse_locked(name, where)
        found = await self._check(name, password, where) if self.enabled else None
        if found is None:
            if len(name) <= NAME_LENGTH:  # other names have no user, and would fill the memory
                self._by_name.failed(name, where)
            if where:  # behind a front that does not send addresses there are many clients, not one source
                self._by_source.failed("", where)
            raise BadCredentials
        self._by_name.succeeded(name, where)
        return found

    def _refuse_locked(self, name: str, where: str) -> None:
        if self._by_name.locked(name, where) or self._by_source.locked("", where):
            raise Locked

    async def _check(self, name: str, password: str, where: str) -> int | None:
        if not 0 < len(name) <= NAME_LENGTH or not name.isprintable() or len(password) > LONGEST:
            return None
        row = await self._store.read(lambda c: identities.password_of(c, name))
        async with self._turn():
            self._refuse_locked(name, where)  # callers before this one may have failed
            right = await asyncio.to_thread(_matches, row[1] if row else _nobodys(), password)
            if row is None or not right:
                return None
            if _hasher().check_needs_rehash(row[1]):
                renewed = await asyncio.to_thread(hashed, password)
                await self._store.transact(lambda c: identities.renew_password(c, row[0], row[1], renewed))
        return row[0]

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= MOST_WAITING:
            raise Locked
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    async def hashed(self, password: str) -> str:
        """Run the function of this name outside of the event loop."""
        async with self._turns:
            return await asyncio.to_thread(hashed, password)


def same(one: str, other: str) -> bool:
    """Whether two typed passwords are equal."""
    return hmac.compare_digest(_normal(one).encode(), _normal(other).encode())
