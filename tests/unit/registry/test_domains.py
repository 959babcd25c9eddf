# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain and a host whose names meet, at the same moment."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.db.rows import Domain, User
from ddnsd.db.schema import domains, hosts, users
from ddnsd.dns import primary_check
from ddnsd.dns.bind.control import ZoneOptions
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.writer import Outcomes
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.domain_zones import Zones
from ddnsd.registry.domains import add_domain
from ddnsd.registry.errors import Invalid, Taken
from ddnsd.registry.hosts import Hosts, NewHost
from ddnsd.registry.policy import Policy

OWNER = User(1, "me", admin=True, active=True, created=0)
KEY = TsigKey.generate("k")


def fill(connection: Connection) -> None:
    connection.execute(insert(users).values(id=1, name="me", created=0))
    add_domain(connection, "example.org", OWNER, KEY, "127.0.0.1:53")


class Acknowledging:
    """A writer whose name servers take everything at once."""

    async def name_servers(self, _domain_id: int) -> frozenset[str]:
        return frozenset()

    async def push_bulk(self, hosts: dict[int, list[int]], _left: object, *, bulk: bool) -> Outcomes:
        assert not bulk
        return {("host", host_id): None for ids in hosts.values() for host_id in ids}


async def register(store: Store, domain: Domain, fqdn: str) -> None:
    writer: Any = Acknowledging()
    await Hosts(store, writer, Policy()).register(domain, NewHost(fqdn, 1, "me", b"", AddressUpdate("192.0.2.1")))


async def domain_named(store: Store, name: str) -> Domain:
    found = await store.read(lambda c: queries.domain(c, name))
    assert found is not None
    return found


async def test_of_a_domain_and_a_host_below_it_one_is_refused(store: Store) -> None:
    await store.transact(fill)
    domain = await domain_named(store, "example.org")

    async def attempt(work: Awaitable[Any]) -> bool:
        try:
            await work
        except Invalid:
            return False
        return True

    for n in range(25):
        name = f"lab{n}.example.org"
        made = store.transact(lambda c, m=name: add_domain(c, m, OWNER, KEY, "127.0.0.1:53"))  # type: ignore[misc]
        host = register(store, domain, f"vm.{name}")
        first, second = (made, host) if n % 2 else (host, made)
        assert sorted(await asyncio.gather(attempt(first), attempt(second))) == [False, True]
    misplaced = select(hosts.c.fqdn).join(domains, hosts.c.fqdn.endswith("." + domains.c.name))
    assert await store.read(lambda c: c.execute(misplaced.where(hosts.c.domain_id != domains.c.id)).all()) == []


class SlowBind:
    """A BIND on which a zone takes so long that a host is registered meanwhile."""

    options = ZoneOptions()

    def __init__(self, store: Store, domain: Domain, served: set[str]) -> None:
        self._store, self._domain, self.zones = store, domain, served
        self._loop = asyncio.get_running_loop()

    def serves(self, zone: str) -> bool:
        return zone in self.zones

    def provision(self, zone: str, _algorithm: str, _policy: str | None) -> TsigKey:
        self.zones.add(zone)
        work = register(self._store, self._domain, f"vm.{zone}")
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
        return KEY

    def withdraw(self, zone: str) -> None:
        self.zones.remove(zone)


@pytest.mark.parametrize("served", [set(), {"lab.example.org"}], ids=["a new zone", "a zone that was there"])
async def test_a_new_zone_does_not_stay_over_a_host_that_came_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch, served: set[str]
) -> None:
    async def accepts_updates(*_: object) -> None:
        """The zone does."""

    monkeypatch.setattr(primary_check, "accepts_updates", accepts_updates)
    await store.transact(fill)
    before = set(served)
    bind: Any = SlowBind(store, await domain_named(store, "example.org"), set(served))
    with pytest.raises(Taken, match=r"vm\.lab\.example\.org"):
        await Zones(store, bind, "127.0.0.1:53").add("lab.example.org", "me", columns={}, actor="me")
    assert bind.zones == before
