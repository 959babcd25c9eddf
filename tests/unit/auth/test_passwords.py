# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords: whom they let in, how often one may try, and which are none."""

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from ddnsd.auth import passwords
from ddnsd.auth.account_backoff import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    RESET_SECONDS,
    SOURCES,
    AccountBackoff,
)
from ddnsd.auth.caller import BadCredentials
from ddnsd.auth.failure_counter import CLIENTS_PER_SITE, NAMES_PER_SOURCE
from ddnsd.auth.passwords import Locked, Passwords, Suspended, Weakness
from ddnsd.db import migrate, schema, second_factors
from ddnsd.db.sqlite import SqliteStore
from ddnsd.registry import accounts
from ddnsd.registry import identities as registry_members

RIGHT = "correct horse battery"
WEAK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that take no time, where they are only to differ."""
    monkeypatch.setattr(passwords, "_hasher", lambda: WEAK)
    monkeypatch.setattr(passwords, "_nobodys", lambda: WEAK.hash("nobody's"))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    url = f"sqlite:///{tmp_path}/ddnsd.db"
    await migrate.upgrade(url)
    opened = SqliteStore(url)
    for name in ("alice", "bob"):
        await opened.transact(partial(accounts.add_user, name=name))
    await opened.transact(lambda c: registry_members.set_password(c, "alice", WEAK.hash(RIGHT)))
    yield opened
    await opened.close()


async def test_the_right_one_lets_in(store: SqliteStore) -> None:
    found = Passwords(store, 3)
    for _ in range(2):
        assert await found.check(" alice ", RIGHT, "192.0.2.1") == 1
    kept = await store.read(lambda c: c.scalar(select(schema.passwords.c.hash)))
    assert kept is not None
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")  # renewed as strong as new ones
    await store.transact(lambda c: accounts.set_user(c, "alice", {"active": False, "suspension_reason": "Spam"}))
    with pytest.raises(Suspended) as refused:
        await found.check("alice", RIGHT, None)
    assert refused.value.reason == "Spam"
    with pytest.raises(BadCredentials) as unknown:  # who guesses does not learn it
        await found.check("alice", "wrong", None)
    assert not isinstance(unknown.value, Suspended)


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("name", ["alice", "bob", "carol", "", "x" * 151, "a\0b", "Alice"])
async def test_others_do_not(store: SqliteStore, name: str) -> None:
    found = Passwords(store, 3)
    for password in ("", "wrong", RIGHT + " ", RIGHT.upper(), "x" * 300) + ((RIGHT,) if name != "alice" else ()):
        with pytest.raises(BadCredentials):
            await found.check(name, password, f"192.0.2.{len(password) % 250}")


@pytest.mark.usefixtures("cheap")
async def test_one_may_try_so_often(store: SqliteStore) -> None:
    found = Passwords(store, 3)
    for _ in range(3):
        with pytest.raises(BadCredentials):
            await found.check("alice", "wrong", "192.0.2.1")
    with pytest.raises(Locked):
        await found.check("alice", RIGHT, "192.0.2.1")
    assert await found.check("alice", RIGHT, "192.0.2.2") == 1
    for number in range(3 * NAMES_PER_SOURCE):
        with pytest.raises(BadCredentials):
            await found.check(f"nobody{number}", "wrong", "192.0.2.2")
    with pytest.raises(Locked):
        await found.check("alice", RIGHT, "192.0.2.2")


@pytest.mark.usefixtures("cheap")
async def test_clients_whose_address_is_not_known_are_not_one_source(store: SqliteStore) -> None:
    found = Passwords(store, 3)
    for number in range(3 * NAMES_PER_SOURCE):
        with pytest.raises(BadCredentials):
            await found.check(f"nobody{number}", "wrong", None)
    assert await found.check("alice", RIGHT, None) == 1
    for _ in range(3):
        with pytest.raises(BadCredentials):
            await found.check("alice", "wrong", None)
    with pytest.raises(Locked):
        await found.check("alice", RIGHT, None)


@pytest.mark.usefixtures("cheap")
async def test_endless_names_are_not_kept(store: SqliteStore) -> None:
    found = Passwords(store, 1)
    for number in range(NAMES_PER_SOURCE):
        with pytest.raises(BadCredentials):
            await found.check("x" * 60_000 + str(number), "wrong", "192.0.2.1")
    assert not found._by_name._client._records
    assert not found._backoff._failures
    with pytest.raises(Locked):
        await found.check("alice", RIGHT, "192.0.2.1")


async def test_trying_many_at_once_gains_nothing(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []

    def matches(stored: str, password: str) -> bool:
        looked_at.append(password)
        return False

    monkeypatch.setattr(passwords, "_matches", matches)
    found = Passwords(store, 3)
    tries = (found.check("alice", f"guess{number}", "192.0.2.1") for number in range(30))
    answers = [type(answer) for answer in await asyncio.gather(*tries, return_exceptions=True)]
    assert len(looked_at) < 3 + passwords.AT_ONCE  # at most one turn was under way beside the last that counted
    assert answers.count(BadCredentials) == len(looked_at)
    assert answers.count(Locked) == 30 - len(looked_at)


@pytest.mark.usefixtures("cheap")
async def test_a_long_queue_is_refused(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()
    monkeypatch.setattr(passwords, "_matches", lambda stored, password: held.wait(10) and password == RIGHT)
    monkeypatch.setattr(passwords, "MOST_WAITING", 4)
    found, everybody = Passwords(store, 3), passwords.AT_ONCE + passwords.MOST_WAITING
    tries = [asyncio.create_task(found.check("alice", RIGHT, f"192.0.2.{number}")) for number in range(everybody + 9)]
    async with asyncio.timeout(10):
        while sum(task.done() for task in tries) < 9:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    held.set()
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert answers.count(1) == everybody
    assert sum(type(answer) is Locked for answer in answers) == 9
    assert await found.check("alice", RIGHT, "192.0.2.200") == 1


async def test_they_can_be_switched_off(store: SqliteStore) -> None:
    with pytest.raises(BadCredentials):
        await Passwords(store, 3, enabled=False).check("alice", RIGHT, None)


async def test_however_it_is_typed(store: SqliteStore) -> None:
    composed, decomposed = "Pass\u00ebwort f\u00fcr alle", "Passe\u0308wort fu\u0308r alle"
    await store.transact(lambda c: registry_members.set_password(c, "bob", passwords.hashed(composed)))
    assert await Passwords(store, 3).check("bob", decomposed, None) == 2
    assert passwords.same(composed, decomposed)
    assert not passwords.same(composed, composed.upper())


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", Weakness.TOO_SHORT),
        ("x" * 257, Weakness.TOO_LONG),
        ("a" * 20, Weakness.TOO_SIMPLE),
        ("abababababab", Weakness.TOO_SIMPLE),
        ("alicealicealice", Weakness.TOO_SIMPLE),
        (RIGHT, None),
        ("Zwölf Zeichen", None),
    ],
)
def test_passwords_that_are_none(password: str, reason: Weakness | None) -> None:
    assert passwords.weakness(password, "alice") == reason


# ---- guesses from many sources


class Clock:
    """A clock that waiting does not move."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def answer(found: Passwords, source: str, cookie: str = "", password: str = "wrong") -> type | int:
    """The id of alice, or the class of the error."""
    try:
        return await found.check("alice", password, source, cookie)
    except BadCredentials as error:
        return type(error)


@pytest.mark.usefixtures("cheap")
async def test_a_site_is_limited_as_its_clients_are(store: SqliteStore) -> None:
    found = Passwords(store, 3)
    for number in range(3 * CLIENTS_PER_SITE):
        with pytest.raises(BadCredentials):
            await found.check(f"user{number}", "wrong", f"2001:db8:1:{number:x}::1")
        with pytest.raises(BadCredentials):
            await found.check("bob" if number % 2 else "carol", "wrong", f"2001:db8:1:{number:x}::1")
    for number in range(3 * CLIENTS_PER_SITE * (NAMES_PER_SOURCE - 2)):
        with pytest.raises(BadCredentials):
            await found.check(f"nobody{number}", "wrong", f"2001:db8:1:{number:x}::1")
    assert await answer(found, "2001:db8:1:ffff::1", password=RIGHT) is Locked
    assert await answer(found, "2001:db8:2::1", password=RIGHT) == 1


async def test_an_account_is_slowed_down_softly() -> None:
    clock = Clock()
    backoff = AccountBackoff(10, clock=clock, sleep=clock.sleep)
    for _ in range(10 * SOURCES):
        assert not backoff.slows("alice")
        backoff.failed("alice")
    assert backoff.slows("alice")
    assert not backoff.slows("bob")
    assert [await backoff.take("alice") for _ in range(2)] == [True, True]
    assert clock.slept == [0.0, FIRST_PAUSE_SECONDS]
    for _ in range(1000):
        backoff.failed("alice")
    clock.now += 60
    assert [await backoff.take("alice") for _ in range(2)] == [True, False]  # the next turn is half a minute later
    clock.now += LONGEST_PAUSE_SECONDS
    assert await backoff.take("alice")
    clock.now += RESET_SECONDS
    assert not backoff.slows("alice")


@pytest.mark.usefixtures("cheap")
async def test_forty_guesses_from_forty_networks(store: SqliteStore) -> None:
    clock, found = Clock(), Passwords(store, 3)
    found._backoff = AccountBackoff(3, clock=clock, sleep=clock.sleep)
    cookie = await found.new_cookie("alice")
    answers = [await answer(found, f"2001:db8:{number:x}::1") for number in range(40)]
    assert BadCredentials in answers
    assert answers[-1] is Locked
    assert await answer(found, "198.51.100.1", password=RIGHT) is Locked
    assert await answer(found, "198.51.100.1", cookie, RIGHT) == 1  # a known browser does not wait
    clock.now += LONGEST_PAUSE_SECONDS
    assert await answer(found, "198.51.100.1", password=RIGHT) == 1  # and others have their turns


@pytest.mark.usefixtures("cheap")
async def test_sources_that_have_failed_hold_up_no_others(store: SqliteStore) -> None:
    clock, found = Clock(), Passwords(store, 3)
    found._backoff = AccountBackoff(3, clock=clock, sleep=clock.sleep)
    sources = [f"192.0.2.{number}" for number in range(3 * SOURCES)]
    assert {await answer(found, source) for source in sources} == {BadCredentials}
    again = [await answer(found, source) for _ in range(2) for source in sources]
    assert (again[0], again[-1]) == (BadCredentials, Locked)  # many wait for their turns
    assert await answer(found, sources[-1], password=RIGHT) is Locked
    assert await answer(found, "198.51.100.1", password=RIGHT) == 1


async def test_guesses_at_once_from_many_networks(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    monkeypatch.setattr(passwords, "_matches", lambda stored, password: looked_at.append(password))
    found = Passwords(store, 3)
    await asyncio.gather(*(answer(found, f"2001:db8:{number:x}::1") for number in range(30)))
    assert len(looked_at) < 3 * SOURCES + passwords.AT_ONCE


@pytest.mark.usefixtures("cheap")
async def test_a_stranger_at_the_same_address_does_not_lock_out_a_known_browser(store: SqliteStore) -> None:
    found = Passwords(store, 3)
    cookie = await found.new_cookie("alice")
    assert [await answer(found, "192.0.2.1") for _ in range(4)] == [*[BadCredentials] * 3, Locked]
    assert await answer(found, "192.0.2.1", password=RIGHT) is Locked
    assert await answer(found, "192.0.2.1", cookie, RIGHT) == 1


@pytest.mark.usefixtures("cheap")
async def test_a_known_browser_may_not_guess_for_ever(store: SqliteStore) -> None:
    found = Passwords(store, 3)
    cookie = await found.new_cookie("alice")
    answers = [await answer(found, "192.0.2.1", cookie) for _ in range(7)]
    assert answers == [
        *[BadCredentials] * 6,
        Locked,
    ]  # after three, it counts as a stranger
    assert await answer(found, "192.0.2.1", cookie, RIGHT) is Locked


@pytest.mark.usefixtures("cheap")
async def test_cookies_that_prove_nothing(store: SqliteStore) -> None:
    found = Passwords(store, 3)
    await store.transact(lambda c: registry_members.set_password(c, "bob", WEAK.hash(RIGHT)))
    cookie, of_bob = await found.new_cookie("alice"), await found.new_cookie("bob")
    browser, _, proof = cookie.partition(".")
    for bad in ("", "x", cookie[:-1], f"{browser[::-1]}.{proof}", of_bob, "ü" * 22 + "." + proof, f"{browser}.ü"):
        assert await found._known_browser("alice", bad) is None
    assert await found._known_browser("bob", cookie) is None
    assert await found._known_browser("alice", cookie) == browser
    await store.transact(lambda c: registry_members.set_password(c, "alice", WEAK.hash(RIGHT)))
    assert await found._known_browser("alice", cookie) is None  # it ends with the password
    assert await found.new_cookie("nobody") == ""


@pytest.mark.usefixtures("cheap")
async def test_known_browsers_have_their_own_queue(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty slow guessers keep all turns of strangers."""
    found = Passwords(store, 1000)
    cookie, held = await found.new_cookie("alice"), threading.Event()
    monkeypatch.setattr(passwords, "_matches", lambda stored, password: password == RIGHT or not held.wait(10))
    guesses = [asyncio.create_task(found.check("bob", "wrong", f"192.0.2.{number}")) for number in range(60)]
    async with asyncio.timeout(10):
        while not any(task.done() for task in guesses):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await answer(found, "198.51.100.1", password=RIGHT) is Locked
    assert await answer(found, "198.51.100.1", cookie, RIGHT) == 1
    held.set()
    await asyncio.gather(*guesses, return_exceptions=True)


# ---- the second factor


async def wrong() -> bool:
    return False


async def right() -> bool:
    return True


async def with_app(store: SqliteStore) -> None:
    await store.transact(lambda c: second_factors.set_app(c, 1, "sealed", 0))


async def test_the_right_password_does_not_reset_wrong_codes(store: SqliteStore, cheap: None) -> None:
    await with_app(store)
    found = Passwords(store, 3)
    for _ in range(3):
        assert await found.check("alice", RIGHT, "192.0.2.1") == 1
        with pytest.raises(BadCredentials):
            await found.check_code("alice", "192.0.2.1", "", wrong)
    with pytest.raises(Locked):
        await found.check_code("alice", "192.0.2.1", "", right)
    with pytest.raises(Locked):
        await found.check("alice", RIGHT, "192.0.2.1")


async def test_the_right_code_resets_failures(store: SqliteStore, cheap: None) -> None:
    await with_app(store)
    found = Passwords(store, 3)
    for _ in range(2):
        for _ in range(2):
            with pytest.raises(BadCredentials):
                await found.check_code("alice", "192.0.2.1", "", wrong)
        await found.check_code("alice", "192.0.2.1", "", right)


async def test_codes_that_are_guessed_at_once_are_all_counted(store: SqliteStore) -> None:
    found, tried = Passwords(store, 3), []

    async def guess() -> bool:
        tried.append(1)
        await asyncio.sleep(0)
        return False

    done = await asyncio.gather(
        *(found.check_code("alice", "192.0.2.1", "", guess) for _ in range(20)), return_exceptions=True
    )
    assert len(tried) == 3
    assert [type(one) for one in done] == [BadCredentials] * 3 + [Locked] * 17
