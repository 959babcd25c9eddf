# SPDX-License-Identifier: GPL-3.0-or-later
"""Administrators who change users, on both databases."""

import asyncio
from typing import Any

import pytest

from ddnsd.db import queries
from ddnsd.registry import account_removal, accounts
from ddnsd.registry.account_removal import Removal
from ddnsd.registry.errors import NotEmpty, Stale

PAIRS = (("ann", "bob"), ("bob", "ann"))


@pytest.fixture
async def store(store: Any) -> Any:
    for name in ("ann", "bob"):
        await store.transact(lambda c, name=name: accounts.add_user(c, name, admin=True))
    return store


async def administrators(store: Any) -> int:
    found = [await store.read(lambda c, name=name: queries.user(c, name)) for name in ("ann", "bob")]
    return sum(user is not None and user.admin and user.active for user in found)


@pytest.mark.parametrize("values", [{"admin": False}, {"active": False}])
async def test_one_of_two_who_take_each_others_rights_is_left(store: Any, values: dict[str, bool]) -> None:
    tries = (
        store.transact(lambda c, name=name, actor=actor: accounts.set_user(c, name, values, actor=actor))
        for name, actor in PAIRS
    )
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(answer) is Stale for answer in answers) == [False, True]
    assert await administrators(store) == 1


async def test_one_of_two_who_remove_each_other_is_left(store: Any) -> None:
    def remove(connection: Any, name: str, actor: str) -> None:
        account_removal.step(connection, Removal(name, actor, None))

    tries = (store.transact(lambda c, pair=pair: remove(c, *pair)) for pair in PAIRS)
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(answer) is Stale for answer in answers) == [False, True]
    assert await administrators(store) == 1


async def test_one_of_two_who_leave_at_once_stays(store: Any) -> None:
    names = [pair[0] for pair in PAIRS]
    tries = (
        store.transact(lambda c, name=name: account_removal.step(c, Removal(name, name, None, hosts=True, own=True)))
        for name in names
    )
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(answer) is NotEmpty for answer in answers) == [False, True]
    assert await administrators(store) == 1
