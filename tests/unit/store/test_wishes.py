# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch of wishes, as both databases write it."""

from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from ddnsd.store import history, queries
from ddnsd.store.database import Store
from ddnsd.store.tables import domains, pending, users
from ddnsd.store.waiting import Settled, mark_settled
from ddnsd.store.wishes import Wish, is_single, write_wishes

HOSTS = 27
AUTHOR = history.Author("h", "192.0.2.1", "host")


def fill(connection: Connection) -> None:
    connection.execute(insert(users).values(id=1, name="me", created=0))
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    connection.execute(insert(domains).values(id=1, owner_id=1, name="example.org", created=0, **key))
    for n in range(HOSTS):
        name = {"name": f"h{n}", "fqdn": f"h{n}.example.org"}
        queries.add_host(connection, domain_id=1, owner_id=1, secret_hash=b"", claimed=True, **name)


@pytest.fixture(autouse=True)
async def filled(store: Store) -> None:
    await store.transact(fill)
    await store.transact(lambda c: mark_settled(c, [Settled(host_id, 1) for host_id in range(1, HOSTS + 1)]))


def wish(host_id: int, **values: Any) -> Wish:
    return Wish(host_id, values, False, history.entry(host_id, 1, "update", AUTHOR, None, values))


async def write(store: Store, wishes: list[Wish], settled: list[Settled] | None = None) -> None:
    run = store.execute if is_single(wishes) else store.transact
    await run(lambda c: write_wishes(c, wishes, settled or []))


async def waiting(store: Store) -> dict[int, int]:
    found = await store.read(lambda c: c.execute(select(pending.c.host_id, pending.c.version)).all())
    return dict(map(tuple, found))


async def entries(store: Store, host_id: int) -> list[Any]:
    found = await store.read(lambda c: history.page(c, host_id, 10))
    return [entry.after for entry in reversed(found)]


async def host(store: Store, host_id: int) -> Any:
    (found,) = await store.read(lambda c: queries.hosts_by_id(c, [host_id]))
    return found


@pytest.mark.parametrize("number", [1, 3, HOSTS])
async def test_a_batch_of_any_length(store: Store, number: int) -> None:
    assert await waiting(store) == {}
    await write(store, [wish(n, ipv4=f"10.0.{n // 256}.{n % 256}") for n in range(1, number + 1)])
    assert await waiting(store) == dict.fromkeys(range(1, number + 1), 2)
    for n in {1, number}:
        assert (await host(store, n)).ipv4 == f"10.0.{n // 256}.{n % 256}"
        assert await entries(store, n) == [{"ipv4": f"10.0.{n // 256}.{n % 256}"}]


async def test_of_several_for_a_host_the_last_one_counts_and_each_is_remembered(store: Store) -> None:
    await write(store, [wish(1, ipv4="10.0.0.1"), wish(2, ipv4="10.0.0.2"), wish(1, ipv4="10.0.0.3")])
    assert [(await host(store, n)).ipv4 for n in (1, 2)] == ["10.0.0.3", "10.0.0.2"]
    assert await entries(store, 1) == [{"ipv4": "10.0.0.1"}, {"ipv4": "10.0.0.3"}]


async def test_wishes_of_different_columns(store: Store) -> None:
    await write(store, [wish(1, ipv4="10.0.0.1"), wish(1, ipv6="2001:db8::1"), Wish(2, {"wildcard": True})])
    found = await host(store, 1)
    assert (found.ipv4, found.ipv6, found.version) == ("10.0.0.1", "2001:db8::1", 3)
    assert (await host(store, 2)).wildcard
    assert await waiting(store) == {1: 3, 2: 2}
    assert await entries(store, 2) == []


@pytest.mark.parametrize("others", [[], [Wish(4, {"wildcard": True})]])
async def test_what_dns_holds_waits_no_longer_unless_it_has_changed(store: Store, others: list[Wish]) -> None:
    await write(store, [wish(n, ipv4="10.0.0.1") for n in (1, 2, 3)])
    settled = [Settled(1, 2), Settled(2, 2), Settled(3, 1)]
    await write(store, [wish(2, ipv4="10.0.0.2"), *others], settled)
    assert await waiting(store) == {2: 3, 3: 2} | {other.host_id: 2 for other in others}


async def test_a_host_that_is_gone_waits_for_nothing(store: Store) -> None:
    await store.transact(lambda c: queries.delete_host(c, 1))
    await write(store, [wish(1, ipv4="10.0.0.1"), wish(2, ipv4="10.0.0.2")])
    assert await waiting(store) == {2: 2}
