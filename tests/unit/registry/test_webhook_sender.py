# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sender reads, when it delivers, and what it gives up."""

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update
from support.servers.http_stub import Asked, Said, Web, web

from ddnsd.auth.claims_age import ClaimsAge
from ddnsd.auth.sealing import SealingKeys
from ddnsd.db import history, queries, webhooks
from ddnsd.db.base import Store
from ddnsd.db.history import SERVICE
from ddnsd.db.schema import contacts, domains, hosts, pending, users, webhook_deliveries
from ddnsd.registry import webhook_sender
from ddnsd.registry.webhook_sender import DAY, PURPOSE, WebhookSender
from ddnsd.registry.webhooks import address_rule
from ddnsd.webhooks import signing
from ddnsd.webhooks.client import Resolver

KEYS = SealingKeys([bytes(32)])
ALICE, BOB = 1, 2


@dataclass
class Target:
    """Answers with the status for the full name of a message, 200 if there is none."""

    web: Web
    statuses: dict[str, int] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, asked: Asked) -> Said:
        fqdn = asked.json["data"]["fqdn"]
        status = self.statuses.get(fqdn, 200)
        if status == 200:
            self.told.append((asked.json["type"], fqdn))
        return status, ""


@pytest.fixture
def target() -> Iterator[Target]:
    with web() as stand_in:
        found = Target(stand_in)
        stand_in.answer = found.answer
        yield found


def fill(connection: Connection) -> None:
    for number, name in ((ALICE, "alice"), (BOB, "bob")):
        connection.execute(insert(users).values(id=number, name=name, created=0))
    names = dict.fromkeys(("primary", "key_name", "key_algorithm", "key_secret"), "")
    connection.execute(insert(domains).values(id=1, owner_id=ALICE, name="example.org", created=0, **names))
    for number in range(1, 4):
        values = {"id": number, "fqdn": f"h{number}.example.org", "name": f"h{number}", "secret_hash": b""}
        connection.execute(insert(hosts).values(domain_id=1, owner_id=ALICE, created=0, **values))


@dataclass
class World:
    """A sender with hosts 1 to 3 of alice's, and webhooks."""

    store: Store
    target: Target
    sender: WebhookSender

    async def subscribe(self, user_id: int = ALICE, **given: Any) -> int:
        def work(connection: Connection) -> int:
            values = {"name": "w", "url": self.target.web.url, "types": "host.created host.updated host.deleted"}
            times = {"created": 0, "silent_days": 7, "silent_until": queries.now() - 7 * DAY}
            webhook_id = webhooks.add(connection, {"user_id": user_id, "sealed": "", **values, **times, **given})
            sealed = given.get("sealed") or KEYS.seal(PURPOSE, webhook_id, signing.new_secret())
            webhooks.change(connection, webhook_id, {"sealed": sealed})
            return webhook_id

        return await self.store.transact(work)

    async def happens(self, kind: str, *host_ids: int, **fields: Any) -> None:
        entries = [history.entry(number, ALICE, kind, SERVICE, fields or None) for number in host_ids]
        await self.store.transact(lambda c: history.add(c, entries))

    async def round(self) -> None:
        """A round, with all its deliveries."""
        await self.sender.run_round()
        while tasks := list(self.sender._tasks.values()):
            await asyncio.wait(tasks)

    async def skip_pauses(self, webhook_id: int) -> None:
        await self.store.transact(lambda c: webhooks.change(c, webhook_id, {"next_attempt": 0}))
        await self.store.transact(lambda c: c.execute(update(webhook_deliveries).values(next_attempt=0)))

    async def messages(self) -> list[Any]:
        query = select(webhook_deliveries).order_by(webhook_deliveries.c.id)
        return list(await self.store.read(lambda c: c.execute(query).all()))


@pytest.fixture
async def world(store: Store, target: Target) -> AsyncIterator[World]:
    await store.transact(fill)
    resolver = Resolver(address_rule([ipaddress.ip_network("127.0.0.0/8")]))
    sender = WebhookSender(store, KEYS, resolver, ClaimsAge())
    yield World(store, target, sender)
    await sender.stop()


async def test_only_what_somebody_wants_is_kept(world: World) -> None:
    await world.happens("update", 1)
    await world.subscribe()
    await world.subscribe(BOB)
    await world.happens("update", 2)
    await world.happens("secret", 2)
    await world.round()
    await world.round()
    assert world.target.told == [("host.updated", "h2.example.org")]
    assert [message.delivered for message in await world.messages()] == [True]


async def test_webhooks_of_different_age_read_together(world: World) -> None:
    await world.subscribe()
    await world.happens("update", 1)
    await world.subscribe()
    await world.happens("update", 2)
    await world.round()
    await world.round()
    cursors = await world.store.read(lambda c: webhooks.cursors(c, "history"))
    assert len(cursors) == 2
    assert len(set(cursors.values())) == 1
    assert sorted(fqdn for _, fqdn in world.target.told) == [f"h{n}.example.org" for n in (1, 2, 2)]


async def test_names_are_those_of_that_time(world: World) -> None:
    await world.subscribe()
    await world.happens("update", 1)
    await world.happens("edit", 1, fqdn="h1.example.org", labels={"fqdn": "x"})
    await world.store.transact(lambda c: c.execute(update(hosts).where(hosts.c.id == 1).values(fqdn="n.example.org")))
    await world.happens("update", 1)
    await world.happens("delete", 1, fqdn="n.example.org")
    await world.store.transact(lambda c: c.execute(delete(hosts).where(hosts.c.id == 1)))
    await world.round()
    names = [json.loads(message.body)["data"]["fqdn"] for message in await world.messages()]
    assert names == ["h1.example.org", "n.example.org", "n.example.org", "n.example.org"]


async def test_a_new_host_that_dns_never_had_is_not_told(world: World) -> None:
    await world.subscribe()
    await world.store.transact(lambda c: c.execute(insert(pending).values(host_id=1, version=1, since=0)))
    await world.happens("register", 1)
    await world.round()
    assert [message.due for message in await world.messages()] == [None]
    await world.store.transact(lambda c: c.execute(delete(hosts).where(hosts.c.id == 1)))  # as `take_back` does
    await world.round()
    assert await world.messages() == []
    assert world.target.told == []


async def test_a_message_that_is_refused_delays_only_its_host(world: World) -> None:
    webhook_id = await world.subscribe()
    world.target.statuses["h1.example.org"] = 500
    await world.happens("update", 1, 2, 1, 3)
    await world.round()
    await world.skip_pauses(webhook_id)
    await world.round()
    assert sorted(world.target.told) == [("host.updated", "h2.example.org"), ("host.updated", "h3.example.org")]
    world.target.statuses.clear()
    await world.skip_pauses(webhook_id)
    await world.round()
    assert world.target.told[2:] == [("host.updated", "h1.example.org")] * 2


async def test_later_messages_come_before_one_that_was_refused(world: World) -> None:
    webhook_id = await world.subscribe()
    world.target.statuses["h1.example.org"] = 500
    await world.happens("update", 1)
    await world.round()
    await world.happens("update", 2, 3)
    for _ in range(2):
        await world.skip_pauses(webhook_id)
        await world.round()
    assert sorted(world.target.told) == [("host.updated", "h2.example.org"), ("host.updated", "h3.example.org")]


async def test_messages_are_given_up_after_a_day(world: World) -> None:
    webhook_id = await world.subscribe()
    world.target.statuses["h1.example.org"] = 500
    await world.happens("update", 1, 1)
    await world.round()
    old = queries.now() - DAY - 1
    await world.store.transact(lambda c: c.execute(update(webhook_deliveries).values(due=old)))
    await world.skip_pauses(webhook_id)
    world.sender._next_minute = 0.0
    await world.round()
    found = await world.messages()
    assert [(message.delivered, message.problem) for message in found] == [(False, "not delivered within a day")] * 2
    assert all(message.ended for message in found)


async def test_a_webhook_whose_target_fails_reads_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_sender, "MOST_DUE", 3)
    monkeypatch.setattr(webhook_sender, "ROWS", 2)
    monkeypatch.setattr(webhook_sender, "PARTS", 1)
    webhook_id = await world.subscribe()
    world.target.statuses["h1.example.org"] = 503
    for _ in range(6):
        await world.happens("update", 1, 1)
        await world.round()
    assert len(await world.messages()) == 4
    world.target.statuses.clear()
    for _ in range(8):
        await world.skip_pauses(webhook_id)
        await world.round()
    assert len(world.target.told) == 12


async def test_silent_hosts_are_told_once(world: World) -> None:
    await world.subscribe(types="host.silent")
    now = queries.now()
    requests = [(1, now - 8 * DAY), (2, now - 6 * DAY), (3, now)]
    for number, at in requests:
        values = {"host_id": number, "at": at, "word": "good"}
        await world.store.transact(lambda c, v=values: c.execute(insert(contacts).values(**v)))  # type: ignore[misc]
    live = await world.store.read(webhooks.live)
    await world.store.transact(lambda c: webhooks.change(c, live[0].id, {"silent_until": now - 9 * DAY}))
    for _ in range(2):
        world.sender._next_hour = 0.0
        await world.round()
    assert world.target.told == [("host.silent", "h1.example.org")]
    (message,) = await world.messages()
    assert json.loads(message.body)["data"].keys() == {"fqdn", "last_request"}


async def test_an_administrator_learns_of_all_hosts_as_long_as_they_are_one(world: World) -> None:
    await world.subscribe(BOB, all_owners=True)
    await world.happens("update", 1)
    await world.round()
    await world.store.transact(lambda c: c.execute(update(users).where(users.c.id == BOB).values(admin=True)))
    await world.happens("update", 2)
    await world.round()
    assert world.target.told == [("host.updated", "h2.example.org")]
    await world.store.transact(lambda c: c.execute(update(users).where(users.c.id == BOB).values(active=False)))
    await world.happens("update", 3)
    await world.round()
    assert len(world.target.told) == 1


async def test_a_secret_of_another_key(world: World) -> None:
    webhook_id = await world.subscribe(sealed=SealingKeys([b"x" * 32]).seal(PURPOSE, 1, "whsec_eA=="))
    await world.happens("update", 1)
    await world.round()
    found = await world.store.read(lambda c: webhooks.find(c, webhook_id))
    assert found is not None
    assert (found.failures, found.problem) == (1, "the secret cannot be decrypted; replace it")
    assert world.target.told == []


def test_pauses_grow() -> None:
    seconds = [webhook_sender.pause(failures) / 1_000_000 for failures in range(1, 100)]
    assert seconds[:8] == [5, 10, 20, 40, 80, 160, 320, 640]
    assert set(seconds[8:]) == {900}
