# SPDX-License-Identifier: GPL-3.0-or-later
"""Two users take a name and one below it at the same moment, on two nodes: one of them gets it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.db.connect import open_store
from ddnsd.db.history import Author
from ddnsd.db.rows import endings
from ddnsd.db.schema import domains, hosts, related, users
from ddnsd.dns.conflicts import Kind
from ddnsd.dns.errors import NameConflict
from ddnsd.dns.writer import Outcomes
from ddnsd.registry import change_store, changes
from ddnsd.registry.changes import Call, Changes, Decided
from ddnsd.registry.errors import RegistryError
from ddnsd.registry.policy import Policy
from ddnsd.registry.validation import Change, Status, Verb

ZONE = "example.org"
ALICE, BOB = 1, 2
NAMES = {ALICE: "alice", BOB: "bob"}
ADDRESS = {"ipv4": "192.0.2.1"}


def fill(connection: Connection) -> None:
    for user_id, name in NAMES.items():
        connection.execute(insert(users).values(id=user_id, name=name, created=0))
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    connection.execute(insert(domains).values(id=1, owner_id=ALICE, name=ZONE, public=True, created=0, **key))
    for owner_id, name in ((ALICE, "of-alice"), (BOB, "of-bob")):
        fields = {"fqdn": f"{name}.{ZONE}", "name": name, "secret_hash": b"", "claimed": True}
        host_id = queries.add_host(connection, domain_id=1, owner_id=owner_id, **fields)
        if owner_id == ALICE:
            label = f"lab.{name}.{ZONE}"
            connection.execute(insert(related).values(host_id=host_id, fqdn=label, interface_id="::1"))


class Acknowledging:
    """A writer whose name server accepts everything, except for the names that it refuses."""

    def __init__(self, refused: set[str], store: Store) -> None:
        self._refused, self._store = refused, store

    async def name_servers(self, _domain_id: int) -> frozenset[str]:
        return frozenset()

    async def obstacles(self, _domain_id: int, _names: Sequence[str]) -> dict[str, Any]:
        return {}

    async def push_bulk(self, given: dict[int, list[int]], _left: object, *, bulk: bool) -> Outcomes:
        del bulk
        ids = [host_id for of_domain in given.values() for host_id in of_domain]
        named = await self._store.read(lambda c: {h.id: h.fqdn for h in queries.hosts_by_id(c, ids)})
        conflict = NameConflict(Kind.ALIAS.at("x"))
        return {("host", i): conflict if named[i] in self._refused else None for i in ids}

    def push_removals_later(self, _domain_id: int) -> None:
        pass


@dataclass
class Nodes:
    """Two nodes on one database; the changes of alice are made at the first, those of bob at the second."""

    stores: tuple[Store, Store]

    async def call(self, user_id: int, given: Sequence[Change], refused: set[str]) -> list[Exception | None]:
        """The errors of the changes."""
        store = self.stores[user_id - 1]
        writer: Any = Acknowledging(refused, store)
        domain = await store.read(lambda c: queries.domain(c, ZONE))
        call = Call(
            given,
            False,
            Decided(user_id, domain=domain),
            NAMES[user_id],
            None,
            False,
            lambda *_: ("", b""),
            author=Author(NAMES[user_id]),
            single=len(given) == 1,
        )
        try:
            results = await Changes(store, writer, Policy()).apply(call)
        except RegistryError as error:
            return [error]
        return [result.error if result.status is Status.FAILED else None for result in results]

    async def owners(self) -> dict[str, int]:
        """The owners of all hosts by full name."""
        return await self.stores[0].read(lambda c: dict(c.execute(select(hosts.c.fqdn, hosts.c.owner_id)).all()))


@pytest.fixture
async def nodes(new_database: Callable[[], str]) -> AsyncIterator[Nodes]:
    url = new_database()
    stores = open_store(url), open_store(url)
    await stores[0].transact(fill)
    yield Nodes(stores)
    for store in stores:
        await store.close()


class Meeting:
    """Lets the first transactions of both sides go on only when both have read and validated."""

    def __init__(self) -> None:
        self._barrier = asyncio.Barrier(2)
        self.met = 0

    def join(self, connection: Connection) -> None:
        if self.met < 2:
            self.met += 1
            adapted: Any = connection.connection.dbapi_connection
            adapted.run_async(lambda _driver: self._barrier.wait())


@pytest.fixture
def meeting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meeting]:
    made = Meeting()
    write = change_store.write

    def late(connection: Connection, *given: Any) -> Any:
        made.join(connection)
        return write(connection, *given)

    monkeypatch.setattr(changes, "write", late)
    yield made
    assert made.met == 2


def create(name: str, **values: Any) -> Change:
    return Change(Verb.CREATE, f"{name}.{ZONE}", ADDRESS | values)


def rename(name: str, new: str) -> Change:
    return Change(Verb.UPDATE, f"{name}.{ZONE}", rename=f"{new}.{ZONE}")


def in_bulk(change: Change, side: str) -> list[Change]:
    return [*(create(f"{side}{n}") for n in range(30)), change, create(f"x.y.{side}")]


def foreign_pairs(owners: dict[str, int]) -> list[tuple[str, str]]:
    return [(a, b) for b in owners for a in endings(b)[1:] if a in owners and owners[a] != owners[b]]


UPPER = {
    "one": [create("victim")],
    "wildcard": [create("victim", wildcard=True)],
    "bulk": in_bulk(create("victim"), "above"),
    "rename with a related name": [rename("of-alice", "victim")],
    "rename in bulk": in_bulk(rename("of-alice", "victim"), "above"),
}
LOWER = {
    "one": [create("www.victim")],
    "below a related name": [create("www.lab.victim")],
    "far below": [create("a.b.c.victim")],
    "bulk": in_bulk(create("www.victim"), "below"),
    "rename": [rename("of-bob", "www.victim")],
    "rename in bulk": in_bulk(rename("of-bob", "www.victim"), "below"),
}


@pytest.mark.parametrize("lower", LOWER)
@pytest.mark.parametrize("upper", UPPER)
async def test_only_one_of_two_users_gets_a_name(nodes: Nodes, meeting: Meeting, upper: str, lower: str) -> None:
    del meeting
    failed = await asyncio.gather(nodes.call(ALICE, UPPER[upper], set()), nodes.call(BOB, LOWER[lower], set()))
    owners = await nodes.owners()
    assert foreign_pairs(owners) == []
    lost = [
        change
        for errors, side in zip(failed, (UPPER[upper], LOWER[lower]), strict=True)
        for error, change in zip(errors, side, strict=True)
        if error is not None
    ]
    assert len(lost) == 1
    assert "host of another user" in str(next(error for errors in failed for error in errors if error is not None))
    new = [change for change in (*UPPER[upper], *LOWER[lower]) if change.verb is Verb.CREATE]
    assert len(owners) == 2 + len(new) - (lost[0].verb is Verb.CREATE)


async def test_one_user_gets_both(nodes: Nodes, meeting: Meeting) -> None:
    del meeting
    given = in_bulk(create("mine"), "above"), in_bulk(create("www.mine"), "below")
    failed = await asyncio.gather(*(nodes.call(ALICE, side, set()) for side in given))
    assert not any(error for side in failed for error in side)
    assert {f"mine.{ZONE}", f"www.mine.{ZONE}"} <= (await nodes.owners()).keys()


async def test_two_lower_names_of_two_users(nodes: Nodes, meeting: Meeting) -> None:
    del meeting
    failed = await asyncio.gather(
        nodes.call(ALICE, in_bulk(create("a.shared"), "one"), set()),
        nodes.call(BOB, in_bulk(create("b.shared"), "two"), set()),
    )
    assert not any(error for side in failed for error in side)
    assert f"shared.{ZONE}" not in await nodes.owners()


async def test_names_in_opposite_order_do_not_wait_for_each_other(nodes: Nodes, meeting: Meeting) -> None:
    del meeting
    chains = [create(f"{'z.' * depth}{name}") for name in ("a", "m") for depth in range(3)]
    failed = await asyncio.gather(
        nodes.call(ALICE, [*chains, create("k")], set()), nodes.call(BOB, [*reversed(chains), create("l")], set())
    )
    owners = await nodes.owners()
    assert foreign_pairs(owners) == []
    assert sorted(len([e for e in side if e]) for side in failed) == [0, len(chains)]
    assert {f"k.{ZONE}", f"l.{ZONE}"} <= owners.keys()


async def test_the_host_above_gets_another_owner_while_one_comes_below(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nodes.call(BOB, [create("victim")], set())
    write, done, waiting = change_store.write, asyncio.Event(), asyncio.Event()

    def late(connection: Connection, *given: Any) -> Any:
        if not waiting.is_set():
            waiting.set()
            adapted: Any = connection.connection.dbapi_connection
            adapted.run_async(lambda _driver: done.wait())
        return write(connection, *given)

    monkeypatch.setattr(changes, "write", late)
    created = asyncio.create_task(nodes.call(BOB, [create("www.victim")], set()))
    await waiting.wait()
    assert await nodes.call(ALICE, [Change(Verb.DELETE, f"victim.{ZONE}")], set()) == [None]
    assert await nodes.call(ALICE, [create("victim")], set()) == [None]
    done.set()
    (error,) = await created
    assert "below a host of another user" in str(error)
    assert foreign_pairs(await nodes.owners()) == []


REFUSED = f"refused.{ZONE}"


async def test_a_rename_is_not_undone_around_names_of_others(store: Store) -> None:
    await store.transact(fill)
    old = await store.read(lambda c: queries.host(c, f"of-alice.{ZONE}"))
    assert old is not None
    await store.transact(lambda c: queries.set_host(c, old.id, fqdn=REFUSED, name="refused"))
    new = old._replace(fqdn=REFUSED, name="refused")
    fields = {"fqdn": f"www.{old.fqdn}", "name": "www.of-alice", "reversed_name": "org.example.of-alice.www"}
    taken = await store.transact(lambda c: queries.add_host(c, domain_id=1, owner_id=BOB, secret_hash=b"", **fields))
    assert not await store.transact(lambda c: change_store.undo_rename(c, old, new))
    await store.transact(lambda c: queries.delete_host(c, taken))
    assert await store.transact(lambda c: change_store.undo_rename(c, old, new))


async def test_a_rename_is_undone_while_somebody_takes_a_name_below(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = Meeting()
    write, may_return = change_store.write, change_store._may_return

    def late(connection: Connection, validator: Any, results: Any, actor: str, *given: Any) -> Any:
        if actor == "bob":
            meeting.join(connection)
        return write(connection, validator, results, actor, *given)

    def checked(connection: Connection, *given: Any) -> Any:
        answer = may_return(connection, *given)
        meeting.join(connection)
        return answer

    monkeypatch.setattr(changes, "write", late)
    monkeypatch.setattr(change_store, "_may_return", checked)
    await asyncio.gather(
        nodes.call(ALICE, [rename("of-alice", "refused")], {REFUSED}),
        nodes.call(BOB, [create("www.of-alice")], set()),
    )
    assert meeting.met == 2
    assert foreign_pairs(await nodes.owners()) == []
