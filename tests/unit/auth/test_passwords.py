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
from ddnsd.auth.caller import BadCredentials
from ddnsd.auth.failure_counter import NAMES_PER_SOURCE
from ddnsd.auth.passwords import Locked, Passwords, Weakness
from ddnsd.db import migrate, schema
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
    await store.transact(lambda c: accounts.set_user(c, "alice", {"active": False}))
    with pytest.raises(BadCredentials):
        await found.check("alice", RIGHT, None)


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
    assert not found._by_name._records
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
