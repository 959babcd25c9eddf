# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch to a second primary: which records of each primary are ours, and which of them are removed."""

from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from ddnsd.db import mirrors, queries, schema
from ddnsd.db.mirrors import Place
from ddnsd.db.rows import Domain, Mirror

ZONE = "zone.example"
OLD, NEW = "192.0.2.1:53", "192.0.2.2:53"
KEY = {"key_name": "k", "key_algorithm": "hmac-sha256", "key_secret": "c2VjcmV0"}

AT_NEW = [("a", ""), ("*.a", ""), ("_x.a", "TXT"), ("gone", ""), ("_y.a", "TXT"), ("only.related", "")]
"""Our places at the new primary; `gone` and `_y.a` have no owner any more."""


def fill(connection: Connection) -> None:
    connection.execute(insert(schema.users).values(id=1, name="me", created=0))
    connection.execute(insert(schema.domains).values(id=1, owner_id=1, name=ZONE, primary=OLD, created=0, **KEY))
    same = {"domain_id": 1, "owner_id": 1, "secret_hash": b"", "created": 0}
    for host_id, name, wildcard, claimed in ((1, "a", True, True), (2, "b", False, True), (3, "c", False, False)):
        own = {"id": host_id, "name": name, "fqdn": f"{name}.{ZONE}", "wildcard": wildcard, "claimed": claimed}
        connection.execute(insert(schema.hosts).values(**own, **same))
    own = {"host_id": 3, "fqdn": f"only.related.{ZONE}", "interface_id": "::1"}
    connection.execute(insert(schema.related).values(**own))
    for rrset_id, prefix, claimed in ((1, "_x", True), (2, "_z", False)):
        own = {"id": rrset_id, "host_id": 1, "prefix": prefix, "claimed": claimed, "data": '"t"', "rtype": "TXT"}
        connection.execute(insert(schema.rrsets).values(**own))
    queries.add_removals(connection, [(f"left.{ZONE}", "192.0.2.9", None, None)], domain_id=1)
    mirrors.begin(connection, 1, primary=NEW, key=("new", "hmac-sha512", "bmV3"))
    mirrors.add_places(connection, 1, full(AT_NEW))


def full(places: list[tuple[str, str]]) -> list[Place]:
    return [(f"{name}.{ZONE}", rtype) for name, rtype in places]


@pytest.fixture(autouse=True)
async def filled(store: Any) -> None:
    await store.transact(fill)


async def state(store: Any) -> tuple[Domain, Mirror]:
    domain, mirror = await store.read(lambda c: (queries.domain(c, ZONE), mirrors.of_domain(c, 1)))
    assert domain is not None
    assert mirror is not None
    return domain, mirror


async def test_places_without_an_owner_are_left(store: Any) -> None:
    left = await store.read(lambda c: mirrors.left_places(c, 1))
    assert sorted(left) == full([("_y.a", "TXT"), ("gone", "")])
    await store.transact(lambda c: mirrors.forget_places(c, 1, left))
    assert await store.read(lambda c: mirrors.left_places(c, 1)) == []


async def test_a_place_is_added_once(store: Any) -> None:
    await store.transact(lambda c: mirrors.add_places(c, 1, full([("a", ""), ("b", "")])))
    assert await store.read(lambda c: mirrors.places_at(c, 1, [f"a.{ZONE}", f"b.{ZONE}"])) == set(
        full([("a", ""), ("b", "")])
    )


async def test_the_switch_exchanges_the_primaries_and_what_is_ours(store: Any) -> None:
    before, mirror = await state(store)
    assert await store.transact(lambda c: mirrors.switch(c, mirror))
    now, old = await state(store)
    assert (now.primary, now.key_name, now.key_algorithm, now.key_secret) == (NEW, "new", "hmac-sha512", "bmV3")
    assert now.generation == before.generation + 1
    assert (old.primary, old.key_name, old.role, old.waiting) == (OLD, "k", mirrors.OLD, None)

    def look(c: Connection) -> tuple[list[Any], ...]:
        places = c.execute(select(schema.mirror_places.c.fqdn, schema.mirror_places.c.rtype))
        removals = select(schema.removals.c.fqdn, schema.removals.c.exact)
        return (
            list(c.scalars(select(schema.hosts.c.id).where(schema.hosts.c.claimed).order_by(schema.hosts.c.id))),
            list(c.scalars(select(schema.rrsets.c.id).where(schema.rrsets.c.claimed))),
            list(c.scalars(select(schema.pending.c.host_id).order_by(schema.pending.c.host_id))),
            sorted(map(tuple, places)),
            sorted(map(tuple, c.execute(removals.where(schema.removals.c.dirty_since.is_not(None))))),
        )

    hosts, sets, pending, places, removals = await store.read(look)
    assert hosts == [1, 3]  # by their own name, and by a related one
    assert sets == [1]
    assert pending == [1, 2, 3]
    assert places == sorted(full([("a", ""), ("*.a", ""), ("b", ""), ("_x.a", "TXT"), ("left", "")]))
    # what is known to be ours as whole names, the rest only with its values
    assert removals == [(f"_y.a.{ZONE}", False), (f"gone.{ZONE}", False), (f"left.{ZONE}", True)]


async def test_a_move_that_has_ended_switches_nothing(store: Any) -> None:
    _, mirror = await state(store)
    await store.transact(lambda c: mirrors.end(c, 1))
    assert not await store.transact(lambda c: mirrors.switch(c, mirror))
    await store.transact(lambda c: mirrors.begin(c, 1, primary="192.0.2.3:53", key=("k", "hmac-sha256", "c2VjcmV0")))
    assert not await store.transact(lambda c: mirrors.switch(c, mirror))
    assert not await store.read(lambda c: mirrors.is_current(c, mirror))
    domain, _ = await state(store)
    assert (domain.primary, domain.generation) == (OLD, 1)


async def test_a_frozen_domain_does_not_move(store: Any) -> None:
    _, mirror = await state(store)
    await store.transact(lambda c: c.execute(schema.domains.update().values(frozen_since=1)))
    assert not await store.transact(lambda c: mirrors.switch(c, mirror))


async def test_a_report_of_a_former_move_is_ignored(store: Any) -> None:
    _, mirror = await state(store)
    await store.transact(lambda c: mirrors.report(c, mirror, 7, "it hangs"))
    _, told = await state(store)
    assert (told.waiting, told.problem) == (7, "it hangs")
    assert await store.transact(lambda c: mirrors.switch(c, mirror))
    await store.transact(lambda c: mirrors.report(c, mirror, 9, "late"))
    _, now = await state(store)
    assert (now.waiting, now.problem) == (None, None)


async def test_no_secret_is_in_its_text(store: Any) -> None:
    _, mirror = await state(store)
    assert mirror.key_secret not in repr(mirror)
