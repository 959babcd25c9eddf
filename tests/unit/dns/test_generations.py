# SPDX-License-Identifier: GPL-3.0-or-later
"""What a former primary acknowledges says nothing about the one that a domain has now."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import dns.message
import dns.rdatatype
import dns.update
import pytest
from sqlalchemy import Connection, insert, select
from support.ownership import SOLE_OWNER

from ddnsd.db import primaries, queries, records, schema
from ddnsd.db.lookups import Lookups
from ddnsd.db.pending import Confirmed
from ddnsd.db.rows import Domain, Host
from ddnsd.db.sqlite import SqliteStore
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.zone_sender import ZoneSender

KEY = TsigKey.generate("key")
ZONE = "example.org"
FQDN = f"a.{ZONE}"


class NameServer:
    """Takes every message, and answers once it is let to."""

    endpoint = "192.0.2.1:53"

    def __init__(self) -> None:
        self.messages: list[dns.message.Message] = []
        self.answering, self.asked = asyncio.Event(), asyncio.Event()

    async def exchange(self, wire: bytes, _seconds: float) -> bytes:
        message = dns.message.from_wire(wire, keyring=KEY.dnspython)
        self.messages.append(message)
        self.asked.set()
        await self.answering.wait()
        answer = dns.message.make_response(message)
        return answer.to_wire()

    def required_free(self) -> bool:
        """Whether the last message required that the name owned no record (RFC 2136, 2.4.5)."""
        return any(
            rrset.name.to_text() == f"{FQDN}." and rrset.rdtype == dns.rdatatype.ANY
            for rrset in self.messages[-1].sections[dns.update.UpdateSection.PREREQ]
        )


class Scene:
    """A zone at an old primary; `move` gives it a new one in the store, and the sender hears of it when it asks."""

    def __init__(self, store: SqliteStore) -> None:
        self.store, self.old, self.new = store, NameServer(), NameServer()
        self.confirmed: list[Confirmed] = []
        self.acknowledged = asyncio.Event()
        self.sender: ZoneSender

    async def begin(self) -> None:
        self.sender = ZoneSender(
            self.store,
            Lookups(self.store),
            await self.domain(),
            cast(Any, self.old),
            SOLE_OWNER,
            confirmed=self.settle,
            refresh=self.refresh,
            deadline=5.0,
            default_ttl=60,
        )

    def settle(self, confirmed: Confirmed) -> None:
        self.confirmed.append(confirmed)
        self.acknowledged.set()

    async def domain(self) -> Domain:
        found = await self.store.read(lambda c: queries.domain(c, ZONE))
        assert found is not None
        return found

    async def host(self) -> Host:
        found = await self.store.read(lambda c: queries.host(c, FQDN))
        assert found is not None
        return found

    async def refresh(self) -> None:
        self.sender.use(await self.domain(), cast(Any, self.new))

    async def move(self) -> None:
        domain = await self.domain()
        await self.store.transact(lambda c: primaries.send_all_again(c, domain.id, primaries.NOTHING))


def fill(connection: Connection) -> None:
    schema.metadata.create_all(connection)
    connection.execute(insert(schema.users).values(id=1, name="me", created=0))
    key = {"primary": "", "key_name": KEY.name, "key_algorithm": KEY.algorithm, "key_secret": KEY.secret}
    connection.execute(insert(schema.domains).values(id=1, owner_id=1, name=ZONE, created=0, **key))
    host = {"fqdn": FQDN, "name": "a", "secret_hash": b"", "ipv4": "192.0.2.1"}
    assert queries.add_host(connection, domain_id=1, owner_id=1, **host) == 1


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    store = SqliteStore(f"sqlite:///{tmp_path}/d.db")
    await store.transact(fill)
    made = Scene(store)
    await made.begin()
    task = asyncio.create_task(made.sender.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.close()


async def until(event: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        await event.wait()


async def test_a_name_that_the_former_primary_gave_is_not_ours_at_the_new_one(scene: Scene) -> None:
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    scene.sender.push_host(1, done)
    await until(scene.old.asked)
    await scene.move()
    scene.old.answering.set()
    await until(scene.new.asked)
    assert scene.new.required_free()
    assert not (await scene.host()).claimed
    assert not done.done()
    scene.new.answering.set()
    async with asyncio.timeout(10):
        await done
    host = await scene.host()
    assert host.claimed
    assert scene.confirmed[-1] == Confirmed(1, host.version)


async def test_an_acknowledgement_of_the_former_primary_settles_an_older_version(scene: Scene) -> None:
    await scene.store.transact(lambda c: queries.mark_claimed(c, queries.hosts_by_id(c, [1])))
    scene.sender.push_host(1)
    await until(scene.old.asked)
    await scene.move()
    scene.old.answering.set()
    await until(scene.acknowledged)
    host = await scene.host()
    assert host.pending_since is not None
    assert scene.confirmed == [Confirmed(1, host.version - 1)]


async def test_rows_of_the_new_primary_are_never_sent_to_the_former_one(scene: Scene) -> None:
    await scene.move()
    scene.new.answering.set()
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    scene.sender.push_host(1, done)
    async with asyncio.timeout(10):
        await done
    assert scene.old.messages == []


async def test_a_message_goes_where_its_rows_belong(scene: Scene) -> None:
    """The sender hears of the change between two messages of one round."""
    scene.sender.push_host(1)
    await until(scene.old.asked)
    await scene.move()
    await scene.refresh()
    assert scene.sender.primary is cast(Any, scene.old)
    scene.old.answering.set()
    await until(scene.new.asked)
    assert scene.new.required_free()


async def test_a_removal_that_the_former_primary_carried_out_waits_for_the_new_one(scene: Scene) -> None:
    names = [(f"gone.{ZONE}", "192.0.2.9", None, None)]
    await scene.store.transact(lambda c: queries.add_removals(c, names, domain_id=1))

    async def waits() -> bool:
        return bool(await scene.store.read(lambda c: c.scalar(select(schema.removals.c.dirty_since.is_not(None)))))

    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    scene.sender.push_removals(done, [f"gone.{ZONE}"])
    await until(scene.old.asked)
    await scene.move()
    scene.old.answering.set()
    await until(scene.new.asked)
    assert await waits()
    assert "NONE A 192.0.2.9" in scene.new.messages[-1].to_text()  # our value alone, not the whole name
    scene.new.answering.set()
    async with asyncio.timeout(10):
        await done
    assert not await waits()


async def test_records_are_tried_again_at_the_new_primary(scene: Scene) -> None:
    def prepare(connection: Connection) -> None:
        records.add(connection, 1, prefix="_x", rtype="TXT", data='"x"', claimed=True)
        records.add(connection, 1, prefix="_y", rtype="TXT", data='"y"', conflict="somebody else's")

    await scene.store.transact(prepare)
    await scene.move()
    found = await scene.store.read(lambda c: records.of_host(c, 1))
    assert [(one.claimed, one.conflict) for one in found] == [(False, None)] * 2


async def test_what_the_new_primary_holds_of_ours_stays_ours(scene: Scene) -> None:
    def prepare(connection: Connection) -> None:
        records.add(connection, 1, id=5, prefix="_x", rtype="TXT", data='"x"')
        owned = primaries.Owned({1: FQDN}, [5], [])
        primaries.send_all_again(connection, 1, owned)

    await scene.store.transact(prepare)
    host = await scene.host()
    assert host.claimed
    assert host.pending_since is not None
    assert [one.claimed for one in await scene.store.read(lambda c: records.of_host(c, 1))] == [True]
