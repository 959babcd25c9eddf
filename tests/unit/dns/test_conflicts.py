# SPDX-License-Identifier: GPL-3.0-or-later
"""Obstacles: how they are stored, and how people read them. What earlier versions stored is shown as it is."""

import asyncio

import pytest
from sqlalchemy import Connection, insert, select, update

from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.db.schema import domains, events, history, hosts, set_aside, users
from ddnsd.db.set_aside import CONFLICT_LENGTH, put_host
from ddnsd.dns.conflicts import UNMANAGED, Kind, Obstacle, sentence
from ddnsd.dns.errors import NameConflict
from ddnsd.dns.message import CNAME, DHCID, DNAME, NS, Update
from ddnsd.dns.obstacles import obstacle

NAME = "lab.example.org"

STORED = [
    (UNMANAGED, "unmanaged", "the name is in the zone and is not ours"),
    (Kind.DELEGATED.at(NAME), f"delegated {NAME}", f"{NAME} is delegated to other name servers (NS record)"),
    (Kind.REDIRECTED.at(NAME), f"redirected {NAME}", f"names below {NAME} are redirected (DNAME record)"),
    (Kind.ALIAS.at(f"*.{NAME}"), f"alias *.{NAME}", f"*.{NAME} is an alias that is not ours (CNAME record)"),
    (Kind.DNAME.at(NAME), f"dname {NAME}", f"{NAME} has a DNAME record that is not ours"),
    (Kind.BESIDE.at(NAME), f"beside {NAME}", f"{NAME} has other records, so it cannot be an alias"),
    (Kind.DHCP.at(NAME), "dhcp", "the name belongs to DHCP (DHCID)"),
    (Obstacle(Kind.TEXT, "the name server answers REFUSED"), "the name server answers REFUSED", None),
]


def test_every_kind_is_here() -> None:
    assert {one.kind for one, _, _ in STORED} == set(Kind)


@pytest.mark.parametrize(("one", "stored", "text"), STORED)
def test_an_obstacle_is_stored_as_a_code_and_read_as_a_sentence(one: Obstacle, stored: str, text: str | None) -> None:
    assert one.stored == stored
    assert Obstacle.from_stored(stored) == one
    assert str(one) == sentence(stored) == str(NameConflict(one)) == (text or stored)


@pytest.mark.parametrize(
    "text",
    [
        *(text for _, _, text in STORED if text),
        "delegated is delegated to other name servers (NS record)",
        "delegated",
        "unmanaged lab.example.org",
        "alias ",
        "Delegated lab.example.org",
        "100 %(name)s %",
        "",
    ],
)
def test_a_text_that_is_no_code_is_a_sentence(text: str) -> None:
    assert Obstacle.from_stored(text) == Obstacle(Kind.TEXT, text)
    assert sentence(text) == text


def test_no_conflict_has_no_sentence() -> None:
    assert sentence(None) is None


@pytest.mark.parametrize(
    ("place", "rtype", "found"),
    [
        ("org", DNAME, Kind.REDIRECTED.at("org")),
        ("b.org", NS, Kind.DELEGATED.at("b.org")),
        ("b.org", DNAME, Kind.REDIRECTED.at("b.org")),
        ("a.b.org", CNAME, Kind.ALIAS.at("a.b.org")),
        ("a.b.org", NS, Kind.DELEGATED.at("a.b.org")),
        ("a.b.org", DNAME, Kind.DNAME.at("a.b.org")),
        ("a.b.org", DHCID, Kind.DHCP.at("a.b.org")),
    ],
)
def test_a_record_in_the_zone_is_found(place: str, rtype: int, found: Obstacle) -> None:
    absent = Update("org").require_absent(place, rtype)._prerequisites

    async def holds(message: Update) -> bool:
        asked = message._prerequisites
        return len(asked) == 1 and asked != absent

    assert asyncio.run(obstacle("org", "a.b.org", holds, ours=True)) == found


# ---- in the database


def fill(connection: Connection) -> int:
    connection.execute(insert(users).values(id=1, name="me", created=0))
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    connection.execute(insert(domains).values(id=1, owner_id=1, name="example.org", created=0, **key))
    return queries.add_host(connection, fqdn=NAME, name="lab", domain_id=1, owner_id=1, secret_hash=b"")


async def hold(store: Store, one: Obstacle) -> None:
    def work(connection: Connection) -> None:
        host = queries.host(connection, NAME)
        assert host is not None
        put_host(connection, host, str(one), conflict=one.stored, tell=True)

    await store.transact(work)


async def test_a_held_host_has_the_code_and_its_history_the_sentence(store: Store) -> None:
    await store.transact(fill)
    for _ in range(2):
        await hold(store, Kind.ALIAS.at(NAME))
    text = f"{NAME} is an alias that is not ours (CNAME record)"
    columns = hosts.c.conflict, set_aside.c.reason, events.c.detail, history.c.note
    found = [await store.read(lambda c, one=one: list(c.scalars(select(one)))) for one in columns]  # type: ignore[misc]
    assert found == [[f"alias {NAME}"], [text], [text], [text]]


async def test_what_an_earlier_version_told_is_not_told_again(store: Store) -> None:
    await store.transact(fill)
    await store.transact(lambda c: c.execute(update(hosts).values(conflict=str(UNMANAGED))))
    await hold(store, UNMANAGED)
    assert await store.read(lambda c: list(c.scalars(select(history.c.note)))) == []
    await hold(store, Kind.DHCP.at(NAME))
    assert await store.read(lambda c: list(c.scalars(select(history.c.note)))) == [str(Kind.DHCP.at(NAME))]


async def test_a_sentence_about_the_longest_name_fits(store: Store) -> None:
    await store.transact(fill)
    longest = Kind.DELEGATED.at(f"{'a' * 60}." * 4 + "example.org"[:9])
    assert len(longest.name) == 253
    cut = Obstacle.from_stored(longest.stored[:CONFLICT_LENGTH])
    assert cut.kind is Kind.DELEGATED
    assert longest.name.startswith(cut.name)
    await hold(store, Obstacle(cut.kind, cut.name))
    assert await store.read(lambda c: list(c.scalars(select(history.c.note)))) == [str(cut)[:255]]
