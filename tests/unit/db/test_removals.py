# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names are to leave a zone: those that nobody has taken since."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, insert

from ddnsd.db import bulk_hosts, host_edits, queries, queue, records, removals, set_aside
from ddnsd.db.bulk_hosts import NewRemoval
from ddnsd.db.rows import Removal
from ddnsd.db.schema import domains, hosts, metadata, related, users
from ddnsd.db.set_aside import Aside

ZONE = 1
HOST: dict[str, Any] = {"domain_id": ZONE, "owner_id": 1, "secret_hash": b""}


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.execute(insert(users).values(id=1, name="me", created=0))
        key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
        for number, name in ((ZONE, "example.org"), (2, "example.net")):
            connection.execute(insert(domains).values(id=number, owner_id=1, name=name, created=0, **key))
        yield connection
    engine.dispose()


def leave(connection: Connection, *names: str, exact: bool = False, domain_id: int = ZONE) -> None:
    bulk_hosts.add_removals(connection, [NewRemoval(domain_id, name, "192.0.2.1", None, None, exact) for name in names])


def add_host(connection: Connection, fqdn: str, **values: Any) -> int:
    return queries.add_host(connection, fqdn=fqdn, name=fqdn.partition(".")[0], **HOST | values)


def dirty(connection: Connection, limit: int = 100) -> list[Removal]:
    """Everything that is found, by pages."""
    found: list[Removal] = []
    after = 0
    while True:
        page, after = removals.dirty(connection, ZONE, after, limit)
        found += page
        if not after:
            return found


def names(connection: Connection, *, exact: bool = False, limit: int = 100) -> list[str]:
    return [removal.fqdn for removal in dirty(connection, limit) if removal.exact == exact]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_every_name_is_found_once(connection: Connection, limit: int) -> None:
    leave(connection, "a.example.org", "b.example.org", "*.b.example.org", "c.example.org")
    leave(connection, "exact.example.org", exact=True)
    leave(connection, "elsewhere.example.net", domain_id=2)
    add_host(connection, "b.example.org")
    assert names(connection, limit=limit) == ["a.example.org", "*.b.example.org", "c.example.org"]
    assert names(connection, exact=True, limit=limit) == ["exact.example.org"]
    confirmed, _ = removals.dirty(connection, ZONE, 0, 1)
    queries.settle_removals(connection, [removal.id for removal in confirmed])
    assert names(connection, limit=limit) == ["*.b.example.org", "c.example.org"]


def test_names_that_stand_anew_stay(connection: Connection) -> None:
    host = add_host(connection, "a.example.org", wildcard=True)
    connection.execute(insert(related).values(host_id=host, fqdn="nas.a.example.org", interface_id="::7"))
    leave(connection, "a.example.org", "*.a.example.org", "nas.a.example.org")
    assert names(connection) == []
    leave(connection, "a.example.org", exact=True)
    assert names(connection, exact=True) == ["a.example.org"]
    queries.delete_host(connection, host)
    connection.execute(related.delete())
    assert names(connection) == ["a.example.org", "*.a.example.org", "nas.a.example.org"]


def test_rrsets_that_stand_anew_stay(connection: Connection) -> None:
    number = add_host(connection, "a.example.org", has_rrsets=True)
    host = queries.host(connection, "a.example.org")
    assert host is not None
    places = [("", "MX"), ("_443._tcp", "TLSA"), ("_x", "TXT")]
    for prefix, rtype in places:
        records.add(connection, number, prefix=prefix, rtype=rtype, data="1\n2", claimed=rtype != "TXT")
    sets = records.of_host(connection, number)
    records.leave(connection, host, sets)
    leave(connection, "a.example.org")
    assert names(connection) == []
    assert names(connection, exact=True) == ["_x.a.example.org"]
    records.remove(connection, sets[1])
    assert names(connection) == ["_443._tcp.a.example.org"]
    assert not bulk_hosts.reclaim(connection, ["_443._tcp.a.example.org"])
    assert records.reclaim(connection, "_443._tcp.a.example.org", "TLSA")
    assert not records.reclaim(connection, "_x.a.example.org", "TXT")
    assert names(connection) == names(connection, exact=True) == []
    queries.delete_host(connection, number)
    assert names(connection) == ["a.example.org", "a.example.org"]
    assert bulk_hosts.reclaim(connection, ["a.example.org"]) == {"a.example.org": False}
    (mail,) = dirty(connection)
    assert (mail.fqdn, mail.rtype, mail.data) == ("a.example.org", "MX", "1\n2")


def test_what_was_remembered_of_an_rrset_leaves_with_it(connection: Connection) -> None:
    number = add_host(connection, "a.example.org", has_rrsets=True)
    host = queries.host(connection, "a.example.org")
    assert host is not None
    assert not records.claim(connection, host, "_x.a.example.org", "TXT", '"first"')
    records.add(connection, number, prefix="_x", rtype="TXT", data='"second"')
    assert names(connection, exact=True) == []
    records.leave(connection, host, records.of_host(connection, number))
    found = dirty(connection)
    assert sorted(str(removal.data) for removal in found) == ['"first"', '"second"']


def test_addresses_of_a_name_that_is_not_known_to_be_ours(connection: Connection) -> None:
    values = {"ipv4": "192.0.2.1", "wildcard": True}
    unclaimed = add_host(connection, "a.example.org", **values)
    others = [
        add_host(connection, "b.example.org", claimed=True, **values),
        add_host(connection, "c.example.org", conflict="somebody's", **values),
        add_host(connection, "d.example.org"),
    ]
    asked = [f"{below}{label}.example.org" for label in "abcd" for below in ("", "*.")]
    assert removals.former_values(connection, ZONE, asked) == []
    queries.remember_unclaimed(connection, [unclaimed, *others])
    connection.execute(hosts.update().values(ipv4="192.0.2.2"))
    former = removals.former_values(connection, ZONE, asked)
    assert [(r.fqdn, r.ipv4, r.exact, r.dirty_since) for r in former] == [
        ("a.example.org", "192.0.2.1", True, None),
        ("*.a.example.org", "192.0.2.1", True, None),
    ]
    assert names(connection, exact=True) == []


def test_a_skipped_removal_is_given_up(connection: Connection) -> None:
    leave(connection, "a.example.org", "b.example.org")
    found = {removal.fqdn: removal.id for removal in dirty(connection)}
    refused = [Aside(ZONE, "removal_id", found[name], f"{name} (removal)", "REFUSED") for name in found]
    set_aside.put(connection, refused)
    due = {item.name: item.aside_id for item in queue.items(connection)}
    set_aside.skip(connection, [due["a.example.org"] or 0])
    assert [one.fqdn for one in removals.due(connection, ZONE, queries.now() + 10**12, 100)] == ["b.example.org"]
    assert [one.fqdn for one in removals.dirty_at(connection, ZONE, list(found))] == ["b.example.org"]
    assert [one.fqdn for one in queries.removed_names(connection, ZONE)] == ["b.example.org"]
    assert queries.late_count(connection, ZONE, queries.now() + 1) == 1
    assert host_edits.is_being_left(connection, ZONE)
    set_aside.skip(connection, [due["b.example.org"] or 0])
    assert not host_edits.is_being_left(connection, ZONE)
    assert queries.late_count(connection, ZONE, queries.now() + 1) == 0
    assert queries.dirty_removal_domains(connection, queries.now() + 1) == []
    set_aside.put(connection, refused)  # a round that was under way
    assert set_aside.counts(connection) == {ZONE: 2}
