# SPDX-License-Identifier: GPL-3.0-or-later
"""Single changes: what the name server answers decides what is kept and what is raised."""

import re
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.db.history import Author
from ddnsd.db.rows import Domain, Host
from ddnsd.db.schema import domains, removals, users
from ddnsd.dns.conflicts import Kind
from ddnsd.dns.errors import ChangeRefused, NameConflict, NotAcknowledged
from ddnsd.dns.writer import Outcomes
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.changes import Changes
from ddnsd.registry.errors import Held, Invalid, NoHost, NotPublished, Stale, Taken, Unconfirmed
from ddnsd.registry.hosts import Hosts, NewHost, still
from ddnsd.registry.policy import Policy
from ddnsd.registry.validation import Change, Verb

ZONE = "example.org"
ME = Author("me")


def fill(connection: Connection) -> None:
    connection.execute(insert(users).values(id=1, name="me", created=0))
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    for number, name in enumerate((ZONE, f"lab.{ZONE}"), 1):
        connection.execute(insert(domains).values(id=number, owner_id=1, name=name, created=0, **key))
    queries.add_host(connection, domain_id=1, owner_id=1, secret_hash=b"", fqdn=f"a.{ZONE}", name="a", claimed=True)


class Answering:
    """A writer whose name server gives every host the same end."""

    def __init__(self, end: Exception | None = None) -> None:
        self._end = end

    async def name_servers(self, _domain_id: int) -> frozenset[str]:
        return frozenset()

    async def push_bulk(self, hosts: dict[int, list[int]], _left: object, *, bulk: bool) -> Outcomes:
        assert not bulk
        return {("host", host_id): self._end for ids in hosts.values() for host_id in ids}

    def push_removals_later(self, domain_id: int) -> None:
        assert domain_id == 1


def writer(end: Exception | None = None) -> Any:
    return Answering(end)


async def named(store: Store, fqdn: str) -> Host | None:
    return await store.read(lambda c: queries.host(c, fqdn))


async def first_domain(store: Store) -> Domain:
    found = await store.read(lambda c: queries.domain(c, ZONE))
    assert found is not None
    return found


def new_host(label: str) -> NewHost:
    return NewHost(f"{label}.{ZONE}", 1, "me", b"", AddressUpdate("192.0.2.1"))


@pytest.mark.parametrize(
    ("end", "raised", "text", "leaves"),
    [
        (
            NameConflict(Kind.ALIAS.at("new")),
            Taken,
            r"The name cannot be used: new is an alias that is not ours \(CNAME record\)\.",
            False,
        ),
        (ChangeRefused("too many records"), NotPublished, "refused this host: too many records", False),
        (NotAcknowledged("too late"), NotPublished, "too late", True),
    ],
)
async def test_a_registration_leaves_nothing_behind(
    store: Store, end: Exception, raised: type[Exception], text: str, leaves: bool
) -> None:
    await store.transact(fill)
    hosts = Hosts(store, writer(end), Policy())
    with pytest.raises(raised, match=text) as caught:
        await hosts.register(await first_domain(store), new_host("new"))
    assert not isinstance(caught.value, Unconfirmed)
    assert await named(store, f"new.{ZONE}") is None
    leaving = await store.read(lambda c: list(c.scalars(select(removals.c.fqdn))))
    assert leaving == ([f"new.{ZONE}"] if leaves else [])


@pytest.mark.parametrize(
    ("end", "raised"),
    [(NameConflict(Kind.ALIAS.at("new")), Held), (NotAcknowledged("too late"), Unconfirmed), (None, None)],
)
async def test_a_change_of_a_host_is_kept(store: Store, end: Exception | None, raised: type[Exception] | None) -> None:
    await store.transact(fill)
    made = Changes(store, writer(end), Policy()).make(Change(Verb.UPDATE, f"a.{ZONE}", {"ipv4": "192.0.2.7"}), ME)
    if raised is None:
        row = await made
        assert row.now is not None
        assert row.now.ipv4 == "192.0.2.7"
    else:
        with pytest.raises(raised, match=re.escape(str(end))):
            await made
    kept = await named(store, f"a.{ZONE}")
    assert kept is not None
    assert kept.ipv4 == "192.0.2.7"


async def test_a_name_that_lies_in_another_domain(store: Store) -> None:
    await store.transact(fill)
    with pytest.raises(Invalid, match=r"is in the domain lab\.example\.org\."):
        await Hosts(store, writer(), Policy()).register(await first_domain(store), new_host("x.lab"))


async def test_a_name_that_another_host_has(store: Store) -> None:
    await store.transact(fill)
    with pytest.raises(Taken) as raised:
        await Hosts(store, writer(), Policy()).register(await first_domain(store), new_host("a"))
    assert list(raised.value.fields) == ["__all__"]


@pytest.mark.parametrize("verb", [Verb.UPDATE, Verb.DELETE, Verb.ROTATE])
async def test_the_precondition_sees_the_row_of_the_transaction(store: Store, verb: Verb) -> None:
    await store.transact(fill)
    shown = await named(store, f"a.{ZONE}")
    assert shown is not None
    await store.transact(lambda c: queries.set_host(c, shown.id, comment="changed"))

    def unchanged(current: Host) -> None:
        if current.comment != shown.comment:
            raise Stale

    change = Change(verb, shown.fqdn, {"ttl": 60} if verb is Verb.UPDATE else {}, expect=still(shown, unchanged))
    with pytest.raises(Stale):
        await Changes(store, writer(), Policy()).make(change, ME)
    current = await named(store, shown.fqdn)
    assert current == shown._replace(comment="changed")


async def test_a_name_that_has_become_another_hosts(store: Store) -> None:
    await store.transact(fill)
    shown = await named(store, f"a.{ZONE}")
    assert shown is not None
    former = shown._replace(id=shown.id + 1)
    hosts = Hosts(store, writer(), Policy())
    for work in (hosts.unregister(former, "me", None), hosts.new_secret(former, b"new", "me", None)):
        with pytest.raises(NoHost):
            await work
    assert await named(store, shown.fqdn) == shown
