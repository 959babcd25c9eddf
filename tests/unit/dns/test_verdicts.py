# SPDX-License-Identifier: GPL-3.0-or-later
"""What a zone's sender makes of refusals: whose they are, and who goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.update
import pytest
from sqlalchemy import Connection, insert, select, update
from support.ownership import SOLE_OWNER

from ddnsd.db import queries, records
from ddnsd.db.base import Store
from ddnsd.db.lookups import Lookups
from ddnsd.db.pending import Confirmed
from ddnsd.db.schema import domains, hosts, pending, removals, set_aside, users
from ddnsd.db.set_aside import Aside, counts, due_rrsets, put, skip, still_due
from ddnsd.db.watched import try_rrsets
from ddnsd.dns import errors
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.zone_sender import ZoneSender

ZONE = "dyn.example.org"
KEY = TsigKey.generate("key")
SECOND = 1_000_000

Rcode = Callable[[set[str]], str]


def all_of(rcode: str) -> Rcode:
    """Every message is answered so."""
    return lambda _: rcode


def none_of(*labels: str, rcode: str = "REFUSED") -> Rcode:
    """Messages that change one of these names are refused."""
    return lambda changed: rcode if changed & set(labels) else "NOERROR"


def only(*labels: str) -> Rcode:
    """Messages that change another name are refused."""
    return lambda changed: "REFUSED" if changed - set(labels) else "NOERROR"


@dataclass
class NameServer:
    """Answers UPDATE messages by the labels that they change; `messages` are these."""

    rcode: Rcode = field(default_factory=lambda: all_of("NOERROR"))
    messages: list[set[str]] = field(default_factory=list)
    endpoint: Endpoint = field(default_factory=lambda: Endpoint("192.0.2.1", 53))
    connections: int = 0
    serial: int = 1
    """How many messages were carried out: those without a host's name change nothing."""

    async def exchange(self, wire: bytes, seconds: float) -> bytes:
        message = dns.message.from_wire(wire, keyring=KEY.dnspython)
        if not isinstance(message, dns.update.UpdateMessage):
            return self._soa(message)
        changed = {rrset.name.to_text(omit_final_dot=True).removesuffix(f".{ZONE}") for rrset in message.update}
        self.messages.append(changed)
        await asyncio.sleep(0)
        response = dns.message.make_response(message)
        rcode = self.rcode(changed)
        self.serial += rcode == "NOERROR" and changed != {"_ddnsd-probe"}
        response.set_rcode(dns.rcode.from_text(rcode))
        return _signed(response, message)

    def _soa(self, question: dns.message.Message) -> bytes:
        response = dns.message.make_response(question)
        soa = f"ns.{ZONE}. me.{ZONE}. {self.serial} 1 1 1 1"
        response.answer.append(dns.rrset.from_text(f"{ZONE}.", 60, "IN", "SOA", soa))
        return _signed(response, question)


def _signed(response: dns.message.Message, question: dns.message.Message) -> bytes:
    response.use_tsig(KEY.dnspython)
    assert question.mac is not None
    response.request_mac = question.mac
    return response.to_wire()


def _fill(connection: Connection) -> None:
    connection.execute(insert(users).values(id=1, name="me", created=0))
    key = {"primary": "192.0.2.1:53", "key_name": KEY.name, "key_algorithm": KEY.algorithm, "key_secret": KEY.secret}
    connection.execute(insert(domains).values(id=1, owner_id=1, name=ZONE, created=0, **key))


def add(connection: Connection, *labels: str, **values: Any) -> list[int]:
    """Hosts that wait for DNS."""
    same = {"domain_id": 1, "owner_id": 1, "secret_hash": b"", "ipv4": "192.0.2.1", **values}
    return [queries.add_host(connection, fqdn=f"{label}.{ZONE}", name=label, **same) for label in labels]


@dataclass
class Zone:
    """A sender with its store and its name server; `confirmed` are ids of hosts that DNS holds."""

    store: Store
    sender: ZoneSender
    server: NameServer
    confirmed: set[int]

    async def push_host(self, *host_ids: int) -> list[BaseException | None]:
        """What becomes of each."""
        waiters = [asyncio.get_running_loop().create_future() for _ in host_ids]
        for host_id, done in zip(host_ids, waiters, strict=True):
            self.sender.push_host(host_id, done)
        outcomes: list[BaseException | None] = await asyncio.gather(*waiters, return_exceptions=True)
        return outcomes

    async def push_removals(self, *labels: str) -> BaseException | None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sender.push_removals(done, [f"{label}.{ZONE}" for label in labels])
        return (await asyncio.gather(done, return_exceptions=True))[0]

    async def idle(self) -> None:
        """Until nothing is left to be sent."""
        while self.sender._removals or self.sender._queue:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)

    async def aside(self) -> list[str]:
        """What is set aside."""
        return await self.store.read(lambda c: list(c.scalars(select(set_aside.c.name).order_by(set_aside.c.name))))


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[Zone]:
    await store.transact(_fill)
    domain = await store.read(lambda c: queries.domain(c, ZONE))
    assert domain is not None
    confirmed: set[int] = set()
    server = NameServer()

    async def refresh() -> None:
        return None

    def settle(one: Confirmed) -> None:
        confirmed.add(one.host_id)

    sender = ZoneSender(
        store,
        Lookups(cast(Any, store)),
        domain,
        cast(PrimaryConnection, server),
        SOLE_OWNER,
        confirmed=settle,
        refresh=refresh,
        deadline=5,
        default_ttl=60,
    )
    task = asyncio.create_task(sender.run())
    try:
        yield Zone(store, sender, server, confirmed)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def zone(store: Store) -> AsyncIterator[Zone]:
    async with running(store) as found:
        yield found


def labels(number: int) -> list[str]:
    return [f"h{n:03}" for n in range(number)]


async def test_a_batch_is_one_message(zone: Zone) -> None:
    ids = await zone.store.transact(lambda c: add(c, *labels(256), ipv6="2001:db8::1", claimed=True))
    assert await zone.push_host(*ids) == [None] * 256
    assert len(zone.server.messages) == 1
    assert zone.confirmed == set(ids)


@pytest.mark.parametrize(
    ("rcode", "refused"),
    [
        ("REFUSED", [7]),
        ("REFUSED", [40, 41, 42, 43]),
        ("REFUSED", [0, 128, 255]),
        ("REFUSED", list(range(0, 256, 16))),
        ("SERVFAIL", [7]),
        ("SERVFAIL", [0, 128, 255]),
    ],
)
async def test_refused_hosts_stop_no_others(zone: Zone, rcode: str, refused: list[int]) -> None:
    ids = await zone.store.transact(lambda c: add(c, *labels(256)))
    zone.server.rcode = none_of(*(f"h{n:03}" for n in refused), rcode=rcode)
    outcomes = await zone.push_host(*ids)
    assert [n for n, error in enumerate(outcomes) if error is not None] == refused
    assert {type(outcomes[n]) for n in refused} == {errors.ChangeRefused}
    assert zone.confirmed == {host_id for n, host_id in enumerate(ids) if n not in refused}
    assert await zone.aside() == [f"h{n:03}.{ZONE}" for n in refused]
    assert zone.sender.problem is None
    before = len(zone.server.messages)
    assert [error is None for error in await zone.push_host(*ids)] == [n not in refused for n in range(256)]
    # those that were refused go alone: (the others) + each of them + one question whether the zone is open, by slices
    assert len(zone.server.messages) - before <= 1 + len(refused) + 2 * (1 + len(refused) // 16)
    zone.server.rcode = all_of("NOERROR")
    assert await zone.push_host(*ids) == [None] * 256
    assert await zone.aside() == []


async def test_hundreds_of_refused_hosts_let_others_go_first(zone: Zone) -> None:
    (host,) = await zone.store.transact(lambda c: add(c, "a"))
    ids = await zone.store.transact(lambda c: add(c, *labels(256)))
    zone.server.rcode = none_of(*labels(256))
    refused = [asyncio.get_running_loop().create_future() for _ in ids]
    for host_id, done in zip(ids, refused, strict=True):
        zone.sender.push_host(host_id, done, bulk=True)
    while not zone.server.messages:  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0)
    assert await zone.push_host(host) == [None]
    assert len(zone.server.messages) < 120, "not after all of them, which are over 500"
    outcomes = await asyncio.gather(*refused, return_exceptions=True)
    assert {type(error) for error in outcomes} == {errors.ChangeRefused}
    assert len(await zone.aside()) == 256


@pytest.mark.parametrize("rcode", ["REFUSED", "FORMERR", "NOTZONE", "SERVFAIL", "NOTAUTH"])
async def test_a_zone_that_refuses_everything(zone: Zone, rcode: str) -> None:
    former = await zone.store.transact(lambda c: add(c, "a", "b", claimed=True))
    assert await zone.push_host(*former) == [None] * 2
    await zone.store.transact(lambda c: c.execute(pending.delete()))
    ids = await zone.store.transact(lambda c: add(c, *labels(256)))
    await zone.store.transact(
        lambda c: queries.add_removals(c, [(f"{x}.{ZONE}", "192.0.2.1", None, None) for x in labels(9)], domain_id=1)
    )
    before = len(zone.server.messages)
    zone.server.rcode = all_of(rcode)
    outcomes = await zone.push_host(*ids)
    assert {type(error) for error in outcomes} == {errors.NotAcknowledged}
    assert rcode in (zone.sender.problem or "")
    assert len(zone.server.messages) - before < 20
    assert await zone.aside() == []
    zone.server.rcode = all_of("NOERROR")
    assert await zone.push_host(*ids) == [None] * 256


async def test_what_leaves_does_not_wait_for_hosts_that_are_refused(zone: Zone) -> None:
    """The key may not update the host, nor the name that nobody has; nothing else is left to tell how the zone is."""
    names = [(f"{label}.{ZONE}", "192.0.2.1", None, None) for label in labels(3)]
    await zone.store.transact(lambda c: queries.add_removals(c, names, domain_id=1))
    (host,) = await zone.store.transact(lambda c: add(c, "a"))
    zone.server.rcode = only(*labels(3))
    zone.sender.push_host(host)
    assert await zone.push_removals(*labels(3)) is None
    assert await zone.aside() == []


async def test_a_host_that_cannot_be_written_is_set_aside_once_the_zone_is(zone: Zone) -> None:
    """A full disk looks the same until the name server takes another change."""
    ids = await zone.store.transact(lambda c: add(c, "a", "b", "c"))
    zone.server.rcode = none_of("a", rcode="SERVFAIL")
    assert [type(error) for error in await zone.push_host(ids[0])] == [errors.NotAcknowledged]
    assert await zone.aside() == []
    assert await zone.push_host(ids[1]) == [None]
    while await zone.aside() != [f"a.{ZONE}"]:  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0.01)
    assert await zone.push_host(ids[2]) == [None]


async def test_two_hosts_of_which_one_is_taken(zone: Zone) -> None:
    ids = await zone.store.transact(lambda c: add(c, "a", "b"))
    zone.server.rcode = only("b")
    assert [type(error) for error in await zone.push_host(*ids)] == [errors.ChangeRefused, type(None)]


async def test_a_key_with_rights_on_some_names(zone: Zone) -> None:
    ids = await zone.store.transact(lambda c: add(c, "a", "b", "c"))
    zone.server.rcode = only("a", "b")
    assert [error is None for error in await zone.push_host(*ids)] == [True, True, False]
    assert await zone.aside() == [f"c.{ZONE}"]


@pytest.mark.parametrize("broken", [{"ipv4": "not an address"}, {"fqdn": f"{'a.' * 119}{ZONE}", "wildcard": True}])
async def test_a_row_that_no_message_can_hold(zone: Zone, broken: dict[str, Any]) -> None:
    ids = await zone.store.transact(lambda c: add(c, "a", "b", "c"))
    await zone.store.transact(lambda c: c.execute(update(hosts).where(hosts.c.id == ids[1]).values(broken)))
    outcomes = await zone.push_host(*ids)
    assert [type(error) for error in outcomes] == [type(None), errors.ChangeRefused, type(None)]
    assert len(await zone.aside()) == 1


async def test_refused_removals_stop_nobody(zone: Zone) -> None:
    names = [(f"{label}.{ZONE}", "192.0.2.1", None, None) for label in labels(300)]
    await zone.store.transact(lambda c: queries.add_removals(c, names, domain_id=1))
    (host,) = await zone.store.transact(lambda c: add(c, "a"))
    zone.server.rcode = none_of("h003", "h004", "h005", "h299")
    zone.sender.push_removals()
    refused, removed, pushed, unknown = await asyncio.gather(
        zone.push_removals("h004"), zone.push_removals("h006"), zone.push_host(host), zone.push_removals("unknown")
    )
    assert isinstance(refused, errors.ChangeRefused)
    assert (removed, pushed, unknown) == (None, [None], None)
    await zone.idle()
    assert await zone.aside() == [f"{label}.{ZONE} (removal)" for label in ("h003", "h004", "h005", "h299")]
    dirty = select(removals.c.fqdn).where(removals.c.dirty_since.is_not(None))
    assert len(await zone.store.read(lambda c: c.scalars(dirty).all())) == 4
    sent = len(zone.server.messages)
    zone.sender.push_removals()
    await zone.idle()
    assert len(zone.server.messages) == sent, "not before their time"
    await zone.store.transact(lambda c: c.execute(update(set_aside).values(retry_at=0)))
    zone.server.rcode = all_of("NOERROR")
    zone.sender.push_removals()
    while await zone.aside():  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0.01)


async def test_what_a_lost_message_may_have_left_goes_before_the_name_is_claimed(zone: Zone) -> None:
    await zone.store.transact(
        lambda c: queries.add_removals(c, [(f"a.{ZONE}", "192.0.2.9", None, None)], domain_id=1, exact=True)
    )
    (host,) = await zone.store.transact(lambda c: add(c, "a"))
    assert await zone.push_host(host) == [None]
    assert zone.server.messages == [{"a"}, {"a"}]


async def test_the_pause_grows(store: Store) -> None:
    await store.transact(_fill)
    (host,) = await store.transact(lambda c: add(c, "a"))
    pauses: dict[bool, list[int]] = {False: [], True: []}
    for held, found in pauses.items():
        await store.transact(lambda c: c.execute(set_aside.delete()))
        item = Aside(1, "host_id", host, f"a.{ZONE}", "why", held)
        for n in range(9):
            before = queries.now()
            news = await store.transact(lambda c, i=item: put(c, [i]))  # type: ignore[misc]
            assert bool(news) == (n == 0)
            retry_at = await store.read(lambda c: c.scalars(select(set_aside.c.retry_at)).one())
            found.append(round((retry_at - before) / SECOND))
            assert await store.transact(lambda c, i=item: put(c, [i])) == []  # type: ignore[misc]
            assert await store.read(lambda c: c.scalars(select(set_aside.c.retry_at)).one()) == retry_at
            await store.transact(lambda c: c.execute(update(set_aside).values(retry_at=0)))
    assert pauses == {
        False: [30, 60, 120, 240, 480, 960, 1920, 3600, 3600],
        True: [5, 10, 20, 40, 80, 160, 300, 300, 300],
    }


async def test_a_renamed_host_is_set_aside_in_its_new_domain(store: Store) -> None:
    await store.transact(_fill)
    (host,) = await store.transact(lambda c: add(c, "a"))
    same = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": "", "owner_id": 1, "created": 0}
    await store.transact(lambda c: c.execute(insert(domains).values(id=2, name="two.example.org", **same)))
    for domain_id in (1, 2):
        item = Aside(domain_id, "host_id", host, "a", "why")
        await store.transact(lambda c, i=item: put(c, [i]))  # type: ignore[misc]
    assert await store.read(counts) == {2: 1}


async def test_an_rrset_waits_for_its_host(store: Store) -> None:
    await store.transact(_fill)
    (host,) = await store.transact(lambda c: add(c, "a", has_rrsets=True))
    await store.transact(lambda c: records.add(c, host, id=7, prefix="_x", rtype="TXT", data='"x"', conflict="why"))
    await store.transact(lambda c: put(c, [Aside(1, "rrset_id", 7, f"_x.a.{ZONE} TXT", "why")]))
    assert await store.read(lambda c: due_rrsets(c, 9)) == []
    await store.transact(lambda c: c.execute(update(set_aside).values(retry_at=0)))
    assert await store.read(lambda c: due_rrsets(c, 9)) == [(1, host, 7)]
    await store.transact(lambda c: put(c, [Aside(1, "host_id", host, f"a.{ZONE}", "why", held=True)]))
    assert await store.read(lambda c: due_rrsets(c, 9)) == []


async def test_a_skipped_rrset_is_not_due_whatever_happens_in_the_zone(store: Store) -> None:
    await store.transact(_fill)
    (host,) = await store.transact(lambda c: add(c, "a", has_rrsets=True))
    for number in (7, 8):
        await store.transact(
            lambda c, n=number: records.add(c, host, id=n, prefix=f"_{n}", rtype="TXT", data='"x"', conflict="why")  # type: ignore[misc]
        )
        item = Aside(1, "rrset_id", number, f"_{number}.a.{ZONE} TXT", "why")
        await store.transact(lambda c, i=item: put(c, [i]))  # type: ignore[misc]
    await store.transact(lambda c: c.execute(update(set_aside).values(retry_at=0)))
    (first, _) = await store.read(lambda c: c.scalars(select(set_aside.c.id).order_by(set_aside.c.id)).all())
    await store.transact(lambda c: skip(c, [first]))
    await store.transact(lambda c: try_rrsets(c, [7, 8]))
    assert await store.read(lambda c: due_rrsets(c, 9)) == [(1, host, 8)]
    assert await store.read(lambda c: still_due(c, [7, 8])) == {8}


async def test_what_is_gone_is_not_set_aside(store: Store) -> None:
    await store.transact(_fill)
    assert await store.transact(lambda c: put(c, [Aside(1, "host_id", 77, f"a.{ZONE}", "why")])) == []
    (host,) = await store.transact(lambda c: add(c, "a"))
    await store.transact(lambda c: put(c, [Aside(1, "host_id", host, f"a.{ZONE}", "why")]))
    await store.transact(lambda c: queries.delete_host(c, host))
    assert await store.read(lambda c: c.scalars(select(set_aside.c.id)).all()) == []


class Slow(NameServer):
    """It needs 5 ms for each host, and does one message after the other, also those that nobody waits for."""

    free = 0.0
    abandoned = 0

    async def exchange(self, wire: bytes, seconds: float) -> bytes:
        loop = asyncio.get_running_loop()
        message = dns.message.from_wire(wire, keyring=KEY.dnspython)
        self.free = max(self.free, loop.time()) + 0.005 * len({rrset.name for rrset in message.sections[2]})
        if self.free - loop.time() > seconds:
            await asyncio.sleep(seconds)
            self.abandoned += 1
            raise errors.NoAnswer("too slow")
        await asyncio.sleep(self.free - loop.time())
        return await super().exchange(wire, seconds)


async def test_messages_get_smaller_until_a_slow_name_server_answers_in_time(store: Store) -> None:
    async with running(store) as zone:
        slow = Slow()
        zone.sender.primary, zone.sender._latest = cast(Any, slow), (zone.sender.domain, cast(Any, slow))
        zone.sender._deadline = 0.5
        ids = await store.transact(lambda c: add(c, *(f"h{n}" for n in range(400))))
        for host_id in ids:
            zone.sender.push_host(host_id)
        async with asyncio.timeout(20):
            while zone.confirmed != set(ids):  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.05)
        assert 0 < slow.abandoned < 4
