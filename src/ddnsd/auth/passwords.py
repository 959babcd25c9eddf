# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords of people: Argon2id hashes, checked in threads, a few at a time, because each takes 64 MiB."""

import asyncio
import hmac
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import Enum, unique
from functools import cache
from typing import NamedTuple

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from ddnsd.auth import known_browsers
from ddnsd.auth.account_backoff import AccountBackoff
from ddnsd.auth.caller import BadCredentials
from ddnsd.auth.failed_sign_ins import FailedSignIns, Kind, count
from ddnsd.auth.failure_counter import NAMES_PER_SOURCE, ClientAndSiteCounter, FailureCounter
from ddnsd.db import identities, queries
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


class Suspended(BadCredentials):
    """the password is right, but the user is disabled; `reason` says why, if an administrator gave one"""

    def __init__(self, reason: str | None) -> None:
        super().__init__()
        self.reason = reason


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


class _Queue:
    """Checks of hashes, some at once; a few more may wait."""

    def __init__(self, at_once: int) -> None:
        self._turns, self._waiting = asyncio.Semaphore(at_once), 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A turn. Raises Locked if too many wait."""
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


@contextmanager
def _counted() -> Iterator[None]:
    """Count a sign-in that is refused without a check."""
    try:
        yield
    except Locked:
        count(Kind.LOCKED)
        raise


class _LoginTry(NamedTuple):
    """A sign-in; `browser` is the id of a browser in which this user has signed in before.

    `slowed`: it had to wait for a turn of its account.
    """

    name: str
    source: str
    browser: str | None
    slowed: bool


class Passwords:
    """Sign-in with a password; `enabled` is the setting.

    Failures are counted by name and by source. A browser in which the user has signed in before is counted by itself,
    and has its own queue: strangers who guess do not lock it out.
    """

    def __init__(
        self,
        store: Store,
        failures: int,
        *,
        rules: bool = True,
        enabled: bool = True,
        failed: FailedSignIns | None = None,
    ) -> None:
        self._store, self.enabled, self._log = store, enabled, failed or FailedSignIns()
        self._by_name, self._by_source = ClientAndSiteCounter(failures), ClientAndSiteCounter(failures)
        self._by_browser, self._backoff = FailureCounter(failures), AccountBackoff(failures)
        self._strangers, self._known, self._hashing = _Queue(AT_ONCE), _Queue(1), asyncio.Semaphore(1)
        self._codes = _Queue(1)
        self.use(failures, enabled=rules)

    def use(self, failures: int, *, enabled: bool) -> None:
        """Apply this limit of failures from now on."""
        self._by_source.use(failures * NAMES_PER_SOURCE, enabled=enabled)
        for counter in (self._by_name, self._by_browser, self._backoff):
            counter.use(failures, enabled=enabled)

    async def check(self, name: str, password: str, client_ip: str | None, cookie: str = "") -> int:
        """The id of the active user of that name and password.

        `client_ip` is None where it is not known, `cookie` is that of `known_browsers`. For a user with a second factor
        it does not reset the failures: `check_code` does. Raises BadCredentials, Locked, Suspended, StoreDown.
        """
        with _counted():
            login = await self._begin(name.strip(), client_ip, cookie)
            found = await self._check(login, password) if self.enabled else None
        if found is None:
            self._failed(login)
            await self._tell(Kind.PASSWORD, login)
            raise BadCredentials
        if not found.second_factor:
            self._succeeded(login)
        if not found.active:
            raise Suspended(found.suspension_reason)
        return found.user_id

    async def check_code(
        self,
        name: str,
        client_ip: str | None,
        cookie: str,
        is_right: Callable[[], Awaitable[bool]],
        kind: Kind = Kind.CODE,
    ) -> None:
        """Check the second factor of a user whose password was right; a wrong one is a failed sign-in.

        Raises BadCredentials, Locked, and what `is_right` raises.
        """
        with _counted():
            login = await self._begin(name, client_ip, cookie)
            async with self._codes.turn():  # one at a time, so that each guess is counted before the next one
                self._refuse_locked(login)
                right = await is_right()
                if not right:
                    self._failed(login)
        if not right:
            await self._tell(kind, login)
            raise BadCredentials
        self._succeeded(login)

    async def _begin(self, name: str, client_ip: str | None, cookie: str) -> _LoginTry:
        """The sign-in, after it has waited for its turn. Raises Locked, StoreDown."""
        browser = await self._known_browser(name, cookie)
        login = _LoginTry(name, client_ip or "", browser, browser is None and self._backoff.slows(name))
        self._refuse_locked(login)
        if login.slowed:
            failed_before = self._by_name.has_failed(name, login.source)
            if not await self._backoff.take(name, failed_before=failed_before):
                raise Locked
        return login

    async def new_cookie(self, name: str) -> str:
        """The cookie of `known_browsers` after a sign-in; "" if the password is gone. Raises StoreDown."""
        row = await self._store.read(lambda c: identities.password_of(c, name.strip()))
        return known_browsers.new_cookie(name.strip(), row.hash) if row else ""

    async def _known_browser(self, name: str, cookie: str) -> str | None:
        """The id of the browser, if the user has signed in there before and it has not failed too often since."""
        browser = known_browsers.browser_of(cookie)
        if browser is None or not _is_name(name) or self._by_browser.locked(name, browser):
            return None
        row = await self._store.read(lambda c: identities.password_of(c, name))
        return browser if row is not None and known_browsers.is_valid(cookie, name, row.hash) else None

    def _refuse_locked(self, login: _LoginTry) -> None:
        name, source, browser, slowed = login
        if browser is not None:
            locked = self._by_browser.locked(name, browser)
        else:
            locked = self._by_name.locked(name, source) or self._by_source.locked("", source)
        if locked or (browser is None and not slowed and self._backoff.slows(name)):
            raise Locked

    def _failed(self, login: _LoginTry) -> None:
        name, source, browser, _ = login
        if browser is not None:
            self._by_browser.failed(name, browser)
            return
        if len(name) <= NAME_LENGTH:  # other names have no user, and would fill the memory
            self._backoff.failed(name)
            self._by_name.failed(name, source)
        if source:  # behind a front that does not send addresses there are many clients, not one source
            self._by_source.failed("", source)

    async def _tell(self, kind: Kind, login: _LoginTry) -> None:
        """Log the failure. It names an account that exists, also one without a password."""
        name, source = login.name, login.source or None
        user = await self._store.read(lambda c: queries.user(c, name)) if _is_name(name) else None
        self._log.note(kind, name, source, account=user and user.name, user_id=user and user.id)

    def _succeeded(self, login: _LoginTry) -> None:
        name, source, browser, _ = login
        if browser is not None:
            self._by_browser.succeeded(name, browser)
        else:
            self._by_name.succeeded(name, source)

    async def _check(self, login: _LoginTry, password: str) -> identities.StoredPassword | None:
        name = login.name
        if not _is_name(name) or len(password) > LONGEST:
            return None
        row = await self._store.read(lambda c: identities.password_of(c, name))
        async with (self._strangers if login.browser is None else self._known).turn():
            self._refuse_locked(login)  # callers before this one may have failed
            right = await asyncio.to_thread(_matches, row.hash if row else _nobodys(), password)
            if row is None or not right:
                return None
            if _hasher().check_needs_rehash(row.hash):
                renewed = await asyncio.to_thread(hashed, password)
                await self._store.transact(lambda c: identities.renew_password(c, row.user_id, row.hash, renewed))
        return row

    async def hashed(self, password: str) -> str:
        """Run the function of this name outside of the event loop."""
        async with self._hashing:
            return await asyncio.to_thread(hashed, password)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= NAME_LENGTH and name.isprintable()


def same(one: str, other: str) -> bool:
    """Whether two typed passwords are equal."""
    return hmac.compare_digest(_normal(one).encode(), _normal(other).encode())
