# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests for domains as both databases keep them."""

import pytest
from sqlalchemy import insert

from ddnsd.db import domain_requests, schema
from ddnsd.db.base import Store


@pytest.fixture
async def store(store: Store) -> Store:
    users = [{"id": number, "name": f"u{number}", "created": 0} for number in (1, 2)]
    await store.transact(lambda c: c.execute(insert(schema.users), users))
    return store


async def test_the_newest_are_listed_and_so_is_what_waits(store: Store) -> None:
    rows = [
        {"user_id": 2 if n == 9 else 1, "name": f"n{n}.example.org", "reason": "", "created": n, "state": state}
        for n, state in enumerate(["withdrawn", "open", *["withdrawn"] * 6, "open", "open", "declined"])
    ]
    await store.transact(lambda c: c.execute(insert(schema.domain_requests), rows))
    found = await store.read(lambda c: domain_requests.latest(c, 5, user_id=1))
    assert [request.created for request in found] == [10, 8, 7, 6, 1]
    assert [request.user for request in await store.read(lambda c: domain_requests.latest(c, 5, user_id=2))] == ["u2"]
