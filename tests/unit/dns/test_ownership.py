# SPDX-License-Identifier: GPL-3.0-or-later
"""Leases of zones among the nodes of one PostgreSQL database."""

from collections.abc import AsyncIterator, Callable, Iterable

import pytest
from sqlalchemy import Connection, insert

from ddnsd.db.postgres import PostgresStore
from ddnsd.db.schema import domains, users
from ddnsd.dns.ownership import Change, ZoneLeases


@pytest.fixture
async def store(new_database: Callable[[], str]) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(new_database())
    yield store
    await store.close()


def _with_zone(connection: Connection) -> None:
    connection.execute(insert(users).values(id=1, name="ann", created=0))
    key = {"primary": "127.0.0.1", "key_name": "k", "key_algorithm": "hmac-sha256", "key_secret": "c2VjcmV0"}
    connection.execute(insert(domains).values(id=1, owner_id=1, name="example.org", created=0, **key))


def changed(*, gained: Iterable[int] = (), first: Iterable[int] = ()) -> Change:
    return Change(frozenset(gained), frozenset(first), frozenset())


async def test_a_zone_is_new_only_to_its_first_owner(store: PostgresStore) -> None:
    await store.transact(_with_zone)
    one, two = ZoneLeases(store), ZoneLeases(store)
    assert await one.renew() == changed(gained={1}, first={1})
    assert await one.renew() == changed()
    await one.stop()
    assert await two.renew() == changed(gained={1})
