# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is sent to the zone of a frozen domain, also by a process that has not heard of the freeze."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import dns.message
import pytest
from sqlalchemy import Connection, insert, update
from support.ownership import SOLE_OWNER

from ddnsd.db import queries, queue, set_aside
from ddnsd.db.base import Store
from ddnsd.db.lookups import Lookups
from ddnsd.db.rows import Domain
from ddnsd.db.schema import domains, events, users
from ddnsd.db.schema import set_aside as asides
from ddnsd.db.set_aside import Aside
from ddnsd.dns import errors
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.zone_sender import ZoneSender
from ddnsd.registry.domains import Freeze, set_domain

KEY = TsigKey.generate("key")
ZONE = "dyn.example.org"
LATER = 60_000_000


class NameServer:
    """Accepts everything."""

    endpoint = "192.0.2.1:53"

    def __init__(self) -> None:
        self.messages = 0

    async def exchange(self, wire: bytes, _seconds: float) -> bytes:
        self.messages += 1
        message = dns.message.from_wire(wire, keyring=KEY.dnspython)
        answer = dns.message.make_response(message)
        answer.use_tsig(KEY.dnspython)
        assert message.mac is not None
        answer.request_mac = message.mac
        return answer.to_wire()


class Scene:
    """A zone with a host and a removal; the sender hears of changes of the domain when it asks, or by `refresh`."""

    def __init__(self, store: Store, domain: Domain) -> None:
        self.store, self.server = store, NameServer()
        self.confirmed = asyncio.Event()
        self.sender = ZoneSender(
            store,
            Lookups(cast(Any, store)),
            domain,
            cast(Any, self.server),
            SOLE_OWNER,
            confirmed=lambda _: self.confirmed.set(),
            refresh=self.refresh,
            deadline=5,
            default_ttl=60,
        )

    async def refresh(self) -> None:
        found = await self.store.read(lambda c: queries.domain(c, ZONE))
        assert found is not None
        self.sender.use(found, cast(Any, self.server))

    async def freeze(self, freeze: Freeze | None) -> None:
        await self.store.transact(lambda c: set_domain(c, ZONE, frozen=freeze))

    def push(self, host_id: int) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sender.push_host(host_id, done)
        return done

    def remove(self) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sender.push_removals(done, [f"gone.{ZONE}"])
        return done


def fill(connection: Connection) -> Domain:
    connection.execute(insert(users).values(id=1, name="me", created=0))
    key = {"primary": "192.0.2.1:53", "key_name": KEY.name, "key_algorithm": KEY.algorithm, "key_secret": KEY.secret}
    connection.execute(insert(domains).values(id=1, owner_id=1, name=ZONE, created=0, **key))
    add_host(connection)
    queries.add_removals(connection, [(f"gone.{ZONE}", "192.0.2.1", None, None)], domain_id=1)
    found = queries.domain(connection, ZONE)
    assert found is not None
    return found


def add_host(connection: Connection) -> int:
    host = {"fqdn": f"a.{ZONE}", "name": "a", "secret_hash": b"", "ipv4": "192.0.2.1"}
    return queries.add_host(connection, domain_id=1, owner_id=1, **host)


@pytest.fixture
async def scene(store: Store) -> AsyncIterator[Scene]:
    made = Scene(store, await store.transact(fill))
    task = asyncio.create_task(made.sender.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def outcome(done: asyncio.Future[None]) -> BaseException | None:
    async with asyncio.timeout(10):
        return (await asyncio.gather(done, return_exceptions=True))[0]


@pytest.mark.parametrize("known", [True, False])
async def test_nothing_is_sent_until_the_thaw(scene: Scene, known: bool) -> None:
    await scene.freeze(Freeze("a new disk"))
    if known:
        await scene.refresh()
    for done in (scene.push(1), scene.remove()):
        error = await outcome(done)
        assert isinstance(error, errors.NotAcknowledged)
        assert str(error) == f"{ZONE} is frozen for maintenance: a new disk"
    for call in (scene.sender.serial, scene.sender.name_servers, lambda: scene.sender.obstacles([f"b.{ZONE}"])):
        with pytest.raises(errors.DomainFrozen, match="frozen for maintenance"):
            await call()
    assert scene.server.messages == 0
    assert scene.sender.pending == 1
    await scene.freeze(None)
    await scene.refresh()  # the sender does not wait for another change
    async with asyncio.timeout(10):
        await scene.confirmed.wait()
    assert await outcome(scene.remove()) is None


async def test_a_removal_alone_waits_too(scene: Scene) -> None:
    await scene.freeze(Freeze())
    error = await outcome(scene.remove())
    assert (str(error), scene.server.messages) == (f"{ZONE} is frozen for maintenance", 0)


async def test_a_sweep_leaves_frozen_domains_out(store: Store) -> None:
    """Thousands of their rows would hide those of others."""
    await store.transact(fill)
    await store.transact(lambda c: set_aside.put(c, [Aside(1, "removal_id", 1, f"gone.{ZONE} (removal)", "REFUSED")]))
    await store.transact(lambda c: c.execute(update(asides).values(retry_at=0)))

    def due(connection: Connection) -> tuple[int, list[int]]:
        moment = queries.now() + LATER
        return len(queries.pending_hosts(connection, [1], moment, 10)), queries.dirty_removal_domains(
            connection, moment
        )

    assert await store.read(due) == (1, [1])
    await store.transact(lambda c: set_domain(c, ZONE, frozen=Freeze("a new disk")))
    assert await store.read(due) == (0, [])
    waiting = {item.name: item.reason for item in await store.read(queue.items)}
    assert waiting == {f"a.{ZONE}": "frozen for maintenance: a new disk", f"gone.{ZONE}": "REFUSED"}
    await store.transact(lambda c: set_domain(c, ZONE, frozen=Freeze()))
    assert (await store.read(queue.items))[-1].reason == "frozen for maintenance"
    await store.transact(lambda c: set_domain(c, ZONE, frozen=None))
    assert await store.read(due) == (1, [1])


async def test_a_freeze_keeps_its_time_and_is_told(store: Store) -> None:
    await store.transact(fill)
    first = await store.transact(lambda c: set_domain(c, ZONE, frozen=Freeze("one")))
    second = await store.transact(lambda c: set_domain(c, ZONE, frozen=Freeze("two"), comment="new"))
    assert first.frozen_since == second.frozen_since
    assert (first.frozen_reason, second.frozen_reason) == ("one", "two")
    await store.transact(lambda c: set_domain(c, ZONE, frozen=Freeze("two")))  # no change, no event
    third = await store.transact(lambda c: set_domain(c, ZONE, frozen=None))
    assert (third.frozen_since, third.frozen_reason, third.frozen) == (None, None, None)

    def told(connection: Connection) -> list[tuple[str, str | None]]:
        rows = connection.execute(events.select().order_by(events.c.id))
        return [(row.action, row.detail) for row in rows]

    expected = [
        ("domain.freeze", "one"),
        ("domain.freeze", "two"),
        ("domain.set", "comment"),
        ("domain.thaw", None),
    ]
    assert await store.read(told) == expected
