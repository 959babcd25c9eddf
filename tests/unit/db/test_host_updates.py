# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch of wishes, as both databases write it."""

import asyncio
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from ddnsd.db import history, queries
from ddnsd.db.base import Store
from ddnsd.db.host_updates import IF_INFERRED, HostUpdate, is_single, write_host_updates
from ddnsd.db.pending import Confirmed, mark_confirmed
from ddnsd.db.schema import domains, pending, users
from ddnsd.dns.records import combine

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
    await store.transact(lambda c: mark_confirmed(c, [Confirmed(host_id, 1) for host_id in range(1, HOSTS + 1)]))


def change(host_id: int, **values: Any) -> HostUpdate:
    return HostUpdate(host_id, values, False, history.entry(host_id, 1, "update", AUTHOR))


async def write(store: Store, host_updates: list[HostUpdate], confirmed: list[Confirmed] | None = None) -> None:
    """Write until no row is locked by somebody else, as the writer does."""
    run = store.execute if is_single(host_updates) else store.transact
    skipped = await run(lambda c: write_host_updates(c, host_updates, confirmed or []))
    there = await store.read(lambda c: queries.existing_hosts(c, skipped)) if skipped else []
    if there:
        await write(store, [item for item in host_updates if item.host_id in there], confirmed)


async def waiting(store: Store) -> dict[int, int]:
    found = await store.read(lambda c: c.execute(select(pending.c.host_id, pending.c.version)).all())
    return dict(map(tuple, found))


async def entries(store: Store, host_id: int) -> list[Any]:
    found = await store.read(lambda c: history.page(c, host_id, 10))
    return [entry.after for entry in reversed(found)]


async def told(store: Store, host_id: int) -> list[tuple[Any, Any]]:
    found = await store.read(lambda c: history.page(c, host_id, 10))
    return [(entry.before, entry.after) for entry in reversed(found)]


async def host(store: Store, host_id: int) -> Any:
    (found,) = await store.read(lambda c: queries.hosts_by_id(c, [host_id]))
    return found


@pytest.mark.parametrize("number", [1, 3, HOSTS])
async def test_a_batch_of_any_length(store: Store, number: int) -> None:
    assert await waiting(store) == {}
    await write(store, [change(n, ipv4=f"10.0.{n // 256}.{n % 256}") for n in range(1, number + 1)])
    assert await waiting(store) == dict.fromkeys(range(1, number + 1), 2)
    for n in {1, number}:
        assert (await host(store, n)).ipv4 == f"10.0.{n // 256}.{n % 256}"
        assert await entries(store, n) == [{"ipv4": f"10.0.{n // 256}.{n % 256}"}]


async def test_of_several_for_a_host_the_last_one_counts_and_each_is_remembered(store: Store) -> None:
    await write(store, [change(1, ipv4="10.0.0.1"), change(2, ipv4="10.0.0.2"), change(1, ipv4="10.0.0.3")])
    assert [(await host(store, n)).ipv4 for n in (1, 2)] == ["10.0.0.3", "10.0.0.2"]
    assert await entries(store, 1) == [{"ipv4": "10.0.0.1"}, {"ipv4": "10.0.0.3"}]


async def test_wishes_of_different_columns(store: Store) -> None:
    await write(store, [change(1, ipv4="10.0.0.1"), change(1, ipv6="2001:db8::1"), HostUpdate(2, {"wildcard": True})])
    found = await host(store, 1)
    assert (found.ipv4, found.ipv6, found.version) == ("10.0.0.1", "2001:db8::1", 3)
    assert (await host(store, 2)).wildcard
    assert await waiting(store) == {1: 3, 2: 2}
    assert await entries(store, 2) == []


@pytest.mark.parametrize("others", [[], [HostUpdate(4, {"wildcard": True})]])
async def test_what_dns_holds_waits_no_longer_unless_it_has_changed(store: Store, others: list[HostUpdate]) -> None:
    await write(store, [change(n, ipv4="10.0.0.1") for n in (1, 2, 3)])
    confirmed = [Confirmed(1, 2), Confirmed(2, 2), Confirmed(3, 1)]
    await write(store, [change(2, ipv4="10.0.0.2"), *others], confirmed)
    assert await waiting(store) == {2: 3, 3: 2} | {other.host_id: 2 for other in others}


def both(host_id: int, ipv4: str, ipv6: str) -> HostUpdate:
    return change(host_id, ipv4=ipv4, ipv6=ipv6, prefix="2001:db8::/64", interface_id=ipv6)


@pytest.mark.parametrize("others", [[], [HostUpdate(4, {"wildcard": True})]], ids=["alone", "beside another shape"])
async def test_an_entry_tells_the_addresses_that_changed_from_what_they_were(
    store: Store, others: list[HostUpdate]
) -> None:
    await write(store, [both(1, "10.0.0.1", "2001:db8::1"), *others])
    await write(store, [both(1, "10.0.0.2", "2001:db8::1"), *others])
    await write(store, [both(1, "10.0.0.2", "2001:db8::1"), *others])
    await write(store, [change(1, ipv4=None, prefix="2001:db8:1::/64"), *others])
    assert await told(store, 1) == [
        ({"ipv4": None, "ipv6": None}, {"ipv4": "10.0.0.1", "ipv6": "2001:db8::1"}),
        ({"ipv4": "10.0.0.1"}, {"ipv4": "10.0.0.2"}),
        ({"ipv4": "10.0.0.2", "prefix": "2001:db8::/64"}, {"ipv4": None, "prefix": "2001:db8:1::/64"}),
    ]


async def test_wishes_of_a_host_are_written_in_their_order_whatever_they_name(store: Store) -> None:
    first, second, third = ("10.0.0.1", "2001:db8::1"), "10.0.0.2", ("10.0.0.3", "2001:db8::3")
    await write(store, [both(1, *first), change(1, ipv4=second), both(1, *third), change(1, ipv4="10.0.0.4")])
    found = await host(store, 1)
    assert (found.ipv4, found.ipv6, found.interface_id) == ("10.0.0.4", "2001:db8::3", "2001:db8::3")
    assert await told(store, 1) == [
        ({"ipv4": None, "ipv6": None}, {"ipv4": "10.0.0.1", "ipv6": "2001:db8::1"}),
        ({"ipv4": "10.0.0.1"}, {"ipv4": "10.0.0.2"}),
        ({"ipv4": "10.0.0.2", "ipv6": "2001:db8::1"}, {"ipv4": "10.0.0.3", "ipv6": "2001:db8::3"}),
        ({"ipv4": "10.0.0.3"}, {"ipv4": "10.0.0.4"}),
    ]
    await write(store, [change(1, ipv4="10.0.0.5"), both(1, *first)])
    assert ((await host(store, 1)).ipv4, (await host(store, 1)).ipv6) == first


async def test_wishes_that_meet_in_the_store_end_as_one_of_them(store: Store) -> None:
    pairs = [(f"10.0.0.{n}", f"2001:db8::{n}") for n in range(1, 9)]
    await asyncio.gather(*(write(store, [both(1, *pair)]) for pair in pairs))
    found = await host(store, 1)
    assert (found.ipv4, found.ipv6) in pairs
    entries = await told(store, 1)
    assert len(entries) == len(pairs)
    assert all(later[0] == earlier[1] for earlier, later in pairwise(entries))


async def test_a_prefix_keeps_the_interface_id_that_the_row_has_when_it_is_written(store: Store) -> None:
    await write(store, [both(1, "10.0.0.1", "2001:db8::a")])
    prefix = HostUpdate(
        n := 1, {"prefix": "2001:db8:1::/64"}, False, change(n).entry, partial(combine, "2001:db8:1::/64")
    )
    await write(store, [both(1, "10.0.0.1", "2001:db8::b"), prefix, prefix._replace(host_id=2)])
    assert (await host(store, 1)).ipv6 == "2001:db8:1::b"
    assert ((await host(store, 2)).prefix, (await host(store, 2)).ipv6) == ("2001:db8:1::/64", None)
    assert (await told(store, 1))[-1] == ({"ipv6": "2001:db8::b"}, {"ipv6": "2001:db8:1::b"})


@pytest.mark.parametrize("others", [[], [HostUpdate(4, {"wildcard": True})]], ids=["alone", "beside another shape"])
async def test_a_guess_is_dropped_unless_it_was_confirmed_meanwhile(store: Store, others: list[HostUpdate]) -> None:
    for host_id in (1, 2, 3):
        await store.transact(lambda c, n=host_id: queries.set_host(c, n, ipv4="10.0.0.1", inferred="ipv4"))  # type: ignore[misc]
    await store.transact(lambda c: queries.set_host(c, 3, ipv4=None, ipv6="2001:db8::1", inferred="ipv6"))
    await write(store, [change(2, ipv4="10.0.0.2", inferred=None)])
    v6 = {"ipv6": "2001:db8::7", "inferred": None, IF_INFERRED: "ipv4"}
    await write(store, [change(1, **v6), change(2, **v6), *others])
    await write(store, [change(3, ipv4="10.0.0.3", inferred=None, **{IF_INFERRED: "ipv6"}), *others])
    rows = [await host(store, n) for n in (1, 2, 3)]
    addresses = [(row.ipv4, row.ipv6, row.inferred) for row in rows]
    assert addresses == [(None, "2001:db8::7", None), ("10.0.0.2", "2001:db8::7", None), ("10.0.0.3", None, None)]
    assert await told(store, 1) == [({"ipv4": "10.0.0.1", "ipv6": None}, {"ipv4": None, "ipv6": "2001:db8::7"})]
    assert (await told(store, 2))[-1] == ({"ipv6": None}, {"ipv6": "2001:db8::7"})


@pytest.mark.parametrize("others", [[], [HostUpdate(4, {"wildcard": True})]], ids=["alone", "beside another shape"])
async def test_a_host_that_became_static_meanwhile_keeps_its_addresses(store: Store, others: list[HostUpdate]) -> None:
    await store.transact(lambda c: queries.set_host(c, 1, alias="front.example.net.", aliased=True))
    await store.transact(lambda c: queries.set_host(c, 2, ipv4="10.0.0.8 10.0.0.9"))
    await write(store, [both(n, "10.0.0.1", "2001:db8::1") for n in (1, 2, 3)] + others)
    rows = [await host(store, n) for n in (1, 2, 3)]
    assert [(row.ipv4, row.ipv6) for row in rows] == [
        (None, None),
        ("10.0.0.8 10.0.0.9", None),
        ("10.0.0.1", "2001:db8::1"),
    ]
    assert await told(store, 1) == await told(store, 2) == []


async def test_a_host_that_is_gone_waits_for_nothing(store: Store) -> None:
    await store.transact(lambda c: queries.delete_host(c, 1))
    await write(store, [change(1, ipv4="10.0.0.1"), change(2, ipv4="10.0.0.2")])
    assert await waiting(store) == {2: 2}
