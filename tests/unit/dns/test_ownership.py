# SPDX-License-Identifier: GPL-3.0-or-later
"""Leases of zones among the nodes of one PostgreSQL database."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from ddnsd.db.leases import LEASE_SECONDS
from ddnsd.db.postgres import PostgresStore
from ddnsd.db.schema import domains, users, zone_leases
from ddnsd.dns.ownership import RENEW_SECONDS, SILENT_SECONDS, Change, ZoneLeases


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


def _shortened(connection: Connection, seconds: float) -> None:
    """All leases end so much earlier, as those of an owner that has been silent for that time."""
    connection.execute(update(zone_leases).values(expires=zone_leases.c.expires - int(seconds * 1_000_000)))


async def test_a_silent_owner_is_followed_when_its_lease_ends(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.transact(_with_zone)
    began = time.monotonic()
    owner, other = ZoneLeases(store), ZoneLeases(store)
    await owner.renew()
    await other.renew()
    known = other.owned_since(1)
    assert began < owner.owned_since(1) < known < time.monotonic()
    await other.renew()
    assert other.owned_since(1) == known, "the owner renews its lease"

    await store.transact(lambda c: _shortened(c, SILENT_SECONDS + 0.5))
    await other.renew()
    left = LEASE_SECONDS - SILENT_SECONDS - 0.5
    assert RENEW_SECONDS < other.owned_since(1) - time.monotonic() <= left + RENEW_SECONDS
    assert other.owned_since(2) > time.monotonic(), "no node owns it"

    await store.transact(lambda c: _shortened(c, LEASE_SECONDS))
    await owner.stop()
    before = time.monotonic()
    await other.renew()
    assert before < other.owned_since(1) < time.monotonic(), "taken over"
    later = time.monotonic() + SILENT_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert other.owned_since(1) == 0.0, "without its database a node knows nothing of the others"


async def test_a_slow_read_does_not_hide_that_the_owner_is_silent(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.transact(_with_zone)
    await ZoneLeases(store).renew()
    other, transact = ZoneLeases(store), store.transact

    async def slowly(work: Callable[[Connection], Any]) -> Any:
        found = await transact(work)
        await asyncio.sleep(0.5)
        return found

    await store.transact(lambda c: _shortened(c, SILENT_SECONDS - 0.3))
    monkeypatch.setattr(store, "transact", slowly)
    await other.renew()
    assert other.owned_since(1) > time.monotonic()
