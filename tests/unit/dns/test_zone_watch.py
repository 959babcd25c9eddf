# SPDX-License-Identifier: GPL-3.0-or-later
"""What is taken for a foreign change, and what is not: changes of ours that are under way."""

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from ddnsd.db import history, queries, records, set_aside
from ddnsd.db.base import Store
from ddnsd.db.pending import Confirmed, mark_confirmed
from ddnsd.db.rows import Host
from ddnsd.db.schema import events, hosts, removals
from ddnsd.db.watched import WatchedRows
from ddnsd.dns import errors, late_answers, zone_transfer, zone_watch
from ddnsd.dns.message import CNAME, DNAME, NS, A
from ddnsd.dns.places import addresses
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.zone_transfer import Record, State, Transfer, log_of
from ddnsd.dns.zone_watch import Budgets, ZoneWatch
from ddnsd.registry import accounts, domains

ZONE = "dyn.example.org"
FQDN = f"a.{ZONE}"
TXT = 16


def a(address: str) -> Record:
    (record,) = addresses(address, None)
    return record


class Primary:
    """A zone with a journal, instead of a name server."""

    def __init__(self) -> None:
        self.serial, self.whole_only, self.refuses = 1, False, False
        self.journal: list[tuple[str, Record, bool]] = []
        self.asked: list[int | None] = []
        self.before_answer: Any = None
        self.signing: bool | errors.DnsError = False

    async def signs_a_copy(self, _domain: object, _connection: object) -> bool:
        if isinstance(self.signing, errors.DnsError):
            raise self.signing
        return self.signing

    def change(self, *changes: tuple[str, Record, bool]) -> None:
        for one in changes:
            self.journal.append(one)
            self.serial += 1

    def state(self, since: int) -> dict[str, dict[Record, bool]]:
        found: dict[str, dict[Record, bool]] = {}
        for name, record, there in self.journal[since - 1 :]:
            found.setdefault(name, {})[record] = there
        return found

    async def fetch(self, _domain: object, since: int | None = None, _pacer: object = None) -> Transfer:
        self.asked.append(since)
        if self.refuses and since is not None:
            raise errors.Refusal("NOTIMP")
        if since is not None and since > self.serial:
            return Transfer(self.serial, False, {}, set())
        whole = since is None or self.whole_only
        found = self.state(1 if whole or since is None else since)
        if whole:
            found = {name: {r: True for r, there in some.items() if there} for name, some in found.items()}
        logs = {name: log_of(State(some, False)) for name, some in found.items() if some}
        others = {name for name, some in found.items() for rtype, _ in some if rtype in (CNAME, NS, DNAME)}
        return Transfer(self.serial, whole, logs, others)


class World:
    """A store, a zone, and a watch between them."""

    def __init__(self, store: Any, primary: Primary, domain: Any) -> None:
        self.store, self.primary, self.domain = store, primary, domain
        self.pushed: list[int] = []
        self.removals = 0

        async def serial() -> int:
            return primary.serial

        def push_removals() -> None:
            self.removals += 1

        async def name_servers() -> frozenset[str]:
            return frozenset({"ns.example.net"})

        sender: Any = SimpleNamespace(
            domain=domain,
            name_servers=name_servers,
            primary=SimpleNamespace(endpoint="there"),
            serial=serial,
            push_host=lambda host_id, bulk: self.pushed.append(host_id),
            push_removals=push_removals,
        )
        self.budgets = Budgets()
        self.watch = ZoneWatch(store, WatchedRows(store), sender, self.budgets)

    async def look(self, *, whole: bool = False) -> None:
        await self.watch.look(whole=whole)

    async def host(self, fqdn: str = FQDN) -> Host:
        found: Host | None = await self.store.read(lambda c: queries.host(c, fqdn))
        assert found is not None
        return found

    async def add(self, fqdn: str, ipv4: str | None, **more: Any) -> int:
        """A host that is published."""

        def work(c: Connection) -> int:
            host_id = queries.add_host(
                c,
                domain_id=self.domain.id,
                owner_id=self.domain.owner_id,
                fqdn=fqdn,
                name=fqdn.removesuffix("." + ZONE),
                secret_hash=fqdn.encode()[:32].ljust(32),
                ipv4=ipv4,
                claimed=True,
                **more,
            )
            mark_confirmed(c, [Confirmed(host_id, 1)])
            return host_id

        host_id: int = await self.store.transact(work)
        if ipv4:
            self.primary.change((fqdn, a(ipv4), True))
        return host_id

    async def wish(self, host_id: int, ipv4: str) -> None:
        """An update that is not sent yet."""

        def work(c: Connection) -> None:
            c.execute(update(hosts).where(hosts.c.id == host_id).values(ipv4=ipv4))
            queries.wish_again(c, [host_id])

        await self.store.transact(work)

    async def confirm(self, fqdn: str = FQDN) -> None:
        host = await self.host(fqdn)
        await self.store.transact(lambda c: mark_confirmed(c, [Confirmed(host.id, host.version)]))

    async def repairs(self, host_id: int) -> list[tuple[Any, Any]]:
        entries = await self.store.read(lambda c: history.page(c, host_id, 50))
        return [(e.before["zone"], e.after["zone"]) for e in entries if e.kind == "repaired"]

    async def is_pending(self, fqdn: str = FQDN) -> bool:
        return (await self.host(fqdn)).pending_since is not None


@pytest.fixture
async def world(store: Store, monkeypatch: pytest.MonkeyPatch) -> World:
    def furnish(c: Connection) -> Any:
        owner = accounts.new_user(c, "alice")
        return domains.add_domain(c, ZONE, owner, TsigKey.generate("key"), "192.0.2.53:53", public=True)

    await store.transact(furnish)
    (domain,) = await store.read(queries.all_domains)
    primary = Primary()
    monkeypatch.setattr(zone_transfer, "fetch", primary.fetch)
    monkeypatch.setattr(late_answers, "signs_a_copy", primary.signs_a_copy)
    monkeypatch.setattr(zone_watch, "SECOND_LOOK_SECONDS", 0.0)
    return World(store, primary, domain)


async def test_a_foreign_change_is_sent_again_and_told(world: World) -> None:
    host_id = await world.add(FQDN, "192.0.2.1")
    await world.look()
    assert world.pushed == []
    world.primary.change((FQDN, a("192.0.2.1"), False), (FQDN, a("192.0.2.200"), True))
    assert world.watch.is_due(world.primary.serial)
    await world.look()
    assert world.pushed == [host_id]
    assert await world.is_pending()
    assert await world.repairs(host_id) == [({FQDN: ["192.0.2.200"]}, {FQDN: ["192.0.2.1"]})]
    assert world.watch.take_repaired() == 1
    told = await world.store.read(lambda c: c.execute(select(events.c.action, events.c.detail)).all())
    assert ("host.repaired", f"{FQDN}: 192.0.2.200 instead of 192.0.2.1") in [tuple(row) for row in told]
    world.primary.change((FQDN, a("192.0.2.200"), False), (FQDN, a("192.0.2.1"), True))  # by our sender
    await world.confirm()
    await world.look()
    assert world.pushed == [host_id]
    assert not world.watch.is_due(world.primary.serial)


async def test_the_same_difference_is_told_once_and_repaired_each_time(world: World) -> None:
    host_id = await world.add(FQDN, "192.0.2.1")
    await world.look()
    for number in (1, 2, 3):
        world.primary.change((FQDN, a("192.0.2.1"), False))
        await world.look()
        assert world.pushed == [host_id] * number
        world.primary.change((FQDN, a("192.0.2.1"), True))
        await world.confirm()
    assert len(await world.repairs(host_id)) == 1


async def test_a_change_of_ours_that_is_not_sent_yet(world: World) -> None:
    host_id = await world.add(FQDN, "192.0.2.1")
    await world.look()
    await world.wish(host_id, "192.0.2.2")
    world.primary.change((FQDN, a("192.0.2.1"), False), (FQDN, a("192.0.2.3"), True))  # of an older update of ours
    await world.look()
    assert world.pushed == []
    world.primary.change((FQDN, a("192.0.2.3"), False), (FQDN, a("192.0.2.2"), True))
    await world.confirm()
    await world.look()
    assert await world.repairs(host_id) == []
    assert not world.watch.is_due(world.primary.serial)


async def test_a_foreign_change_after_our_message_and_before_its_mark(world: World) -> None:
    host_id = await world.add(FQDN, "192.0.2.1")
    await world.look()
    await world.wish(host_id, "192.0.2.2")
    world.primary.change((FQDN, a("192.0.2.1"), False), (FQDN, a("192.0.2.2"), True))
    world.primary.change((FQDN, a("192.0.2.2"), False), (FQDN, a("192.0.2.200"), True))
    await world.look()
    assert world.pushed == [], "it may be a message of ours that the database does not know yet"
    await world.confirm()
    await world.look()
    assert await world.repairs(host_id) == [({FQDN: ["192.0.2.200"]}, {FQDN: ["192.0.2.2"]})]


async def test_a_row_that_is_newer_than_the_transfer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change is sent and marked between reading the zone and reading the row."""
    host_id = await world.add(FQDN, "192.0.2.1")
    other = await world.add(f"b.{ZONE}", "192.0.2.1")
    await world.look()
    world.primary.change((FQDN, a("192.0.2.1"), False), (FQDN, a("192.0.2.3"), True))
    fetch = world.primary.fetch

    async def late(domain: object, since: int | None = None, pacer: object = None) -> Transfer:
        found = await fetch(domain, since, pacer)
        if len(world.primary.asked) == 2:
            await world.wish(host_id, "192.0.2.2")
            world.primary.change((FQDN, a("192.0.2.3"), False), (FQDN, a("192.0.2.2"), True))
            await world.confirm()
        return found

    monkeypatch.setattr(zone_transfer, "fetch", late)
    await world.look()
    assert len(world.primary.asked) == 3, "it was different, so there was a second look"
    assert (world.pushed, await world.repairs(host_id), await world.repairs(other)) == ([], [], [])


@pytest.mark.parametrize("whole_only", [False, True])
async def test_a_whole_zone(world: World, whole_only: bool) -> None:
    world.primary.whole_only = whole_only
    there, missing = await world.add(FQDN, "192.0.2.1"), await world.add(f"b.{ZONE}", "192.0.2.1")
    pending = await world.add(f"c.{ZONE}", "192.0.2.1")
    world.primary.change((f"b.{ZONE}", a("192.0.2.1"), False), (f"foreign.{ZONE}", a("192.0.2.9"), True))
    await world.wish(pending, "192.0.2.2")
    await world.look()
    assert world.pushed == [missing]
    assert await world.repairs(there) == await world.repairs(pending) == []
    assert await world.repairs(missing) == [({f"b.{ZONE}": []}, {f"b.{ZONE}": ["192.0.2.1"]})]


async def test_a_name_server_without_differences(world: World) -> None:
    host_id = await world.add(FQDN, "192.0.2.1")
    world.primary.refuses = True
    await world.look()
    world.primary.change((FQDN, a("192.0.2.1"), False))
    await world.look()
    assert world.primary.asked == [None, 2, None]
    assert world.pushed == [host_id]


async def test_an_older_zone_came_back(world: World) -> None:
    host_id = await world.add(FQDN, "192.0.2.1")
    world.primary.change((f"x.{ZONE}", a("192.0.2.1"), True))
    await world.look()
    world.primary.journal, world.primary.serial = [], 1
    await world.look()
    assert world.primary.asked == [None, 3, None]
    assert world.pushed == [host_id]


async def test_wildcards_and_records(world: World) -> None:
    host_id = await world.add(FQDN, "192.0.2.1", wildcard=True, has_rrsets=True)
    await world.store.transact(lambda c: records.add(c, host_id, prefix="_x", rtype="TXT", data='"one"', claimed=True))
    one = (TXT, b"\x03one")
    world.primary.change((f"*.{FQDN}", a("192.0.2.1"), True), (f"_x.{FQDN}", one, True))
    await world.look()
    assert world.pushed == []
    world.primary.change((f"*.{FQDN}", a("192.0.2.1"), False), (f"_x.{FQDN}", one, False))
    world.primary.change((f"_x.{FQDN}", (TXT, b"\x03two"), True), (f"_y.{FQDN}", one, True))
    await world.look()
    ((found, wanted),) = await world.repairs(host_id)
    assert found == {f"*.{FQDN}": [], f"_x.{FQDN} TXT": ['"two"']}
    assert wanted == {f"*.{FQDN}": ["192.0.2.1"], f"_x.{FQDN} TXT": ['"one"']}


@pytest.mark.parametrize(("name", "rtype"), [(f"b.{FQDN}", CNAME), (FQDN, NS), (FQDN, DNAME), (ZONE, DNAME)])
async def test_foreign_records_that_hold_a_host_are_not_told_as_repairs(world: World, name: str, rtype: int) -> None:
    fqdn = f"b.{FQDN}"
    host_id = await world.add(fqdn, "192.0.2.1")
    await world.look()
    world.primary.change((fqdn, a("192.0.2.1"), False), (name, (rtype, b""), True))
    await world.look()
    assert world.pushed == [host_id], "the sender finds the record, and holds the host"
    assert await world.repairs(host_id) == []
    held = update(hosts).where(hosts.c.id == host_id).values(conflict="held")
    await world.store.transact(lambda c: c.execute(held) and None)
    await world.look()
    assert world.pushed == [host_id]
    world.primary.change((name, (rtype, b""), False))
    await world.look()
    assert world.pushed == [host_id] * 2, "its name may be free again"


async def test_removed_names(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    back, other = f"back.{ZONE}", f"other.{ZONE}"

    async def ask(_primary: object, _key: object, name: str, rtype: str, _seconds: float) -> list[str]:
        there = world.primary.state(1).get(name, {})
        return [zone_transfer.text(*r) for r, is_there in there.items() if is_there and (r[0] == A) == (rtype == "A")]

    monkeypatch.setattr(zone_watch, "ask", ask)

    def leave(c: Connection) -> None:
        queries.add_removals(
            c, [(back, "192.0.2.1", None, None), (other, "192.0.2.1", None, None)], domain_id=world.domain.id
        )
        queries.settle_removals(c, c.scalars(select(removals.c.id)).all())

    await world.store.transact(leave)
    await world.look()
    world.primary.change((back, a("192.0.2.1"), True), (other, a("192.0.2.1"), True), (other, a("192.0.2.2"), True))
    await world.look()
    dirty = select(removals.c.fqdn).where(removals.c.dirty_since.is_not(None))
    assert await world.store.read(lambda c: list(c.scalars(dirty))) == [back]
    assert (world.removals, world.watch.take_repaired()) == (1, 1)


async def test_a_zone_that_cannot_be_transferred_is_left_for_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> Transfer:
        raise errors.Refusal("REFUSED")

    monkeypatch.setattr(zone_transfer, "fetch", refused)
    assert world.watch.is_due(1)
    await world.look()
    assert not world.watch.is_due(2)


async def test_many_differences_are_repaired_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zone_watch, "BATCH", 2)
    missing = [await world.add(f"n{n}.{ZONE}", "192.0.2.1") for n in range(5)]
    world.primary.journal, world.primary.serial = [], 1
    await world.look()
    assert sorted(world.pushed) == missing
    assert not world.watch.is_due(1)


async def test_a_pending_host_is_looked_at_later_and_one_that_is_set_aside_is_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending, refused = await world.add(FQDN, None), await world.add(f"b.{ZONE}", None)
    await world.look()
    for host_id in (pending, refused):
        await world.wish(host_id, "192.0.2.2")
    host = await world.host(f"b.{ZONE}")
    await world.store.transact(lambda c: set_aside.put_host(c, host, "REFUSED"))
    world.primary.change((FQDN, a("192.0.2.9"), True), (f"b.{ZONE}", a("192.0.2.9"), True))
    await world.look()
    assert not world.watch.is_due(world.primary.serial)
    monkeypatch.setattr(zone_watch, "WAITING_SECONDS", 0.0)
    assert world.watch.is_due(world.primary.serial)
    await world.confirm()
    await world.look()
    assert world.pushed == [pending]
    assert not world.watch.is_due(world.primary.serial)


async def test_inline_signing_is_noted_with_each_whole_comparison(world: World) -> None:
    async def noted() -> bool:
        domain = await world.store.read(lambda c: queries.domain(c, ZONE))
        world.watch.sender.domain = domain
        return bool(domain.inline_signing)

    refused = errors.Refusal("REFUSED")
    for signing, expected in ((False, False), (True, True), (refused, True), (True, True), (False, False)):
        world.primary.signing = signing
        await world.look(whole=True)
        assert await noted() is expected
    world.primary.signing = True
    world.primary.change((f"x.{ZONE}", a("192.0.2.1"), True))
    await world.look()
    assert await noted() is False


async def test_a_comparison_that_cannot_wait_delays_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[str] = []
    for name in ("whole", "differences"):
        monkeypatch.setattr(getattr(world.budgets, name), "spend", lambda _, name=name: spent.append(name))
    await world.add(FQDN, "192.0.2.1")
    await world.look()  # the first one
    await world.look(whole=True)
    assert spent == []
    world.primary.change((FQDN, a("192.0.2.1"), False))
    await world.look()
    assert spent == ["differences"]
