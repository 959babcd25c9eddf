# SPDX-License-Identifier: GPL-3.0-or-later
"""What administrators look at, as both databases answer it."""

import pytest
from sqlalchemy import Connection

from ddnsd.db import admin_stats, host_search, queries
from ddnsd.db.base import Store
from ddnsd.db.host_search import View
from ddnsd.dns.tsig import TsigKey
from ddnsd.registry import accounts, domains, identities


@pytest.fixture
async def store(store: Store) -> Store:
    await store.transact(_furnish)
    return store


def _furnish(connection: Connection) -> None:
    """Alice with a domain of a group and three hosts in different states, bob with one host, carol with nothing."""
    alice, bob, carol = (accounts.new_user(connection, name) for name in ("alice", "bob", "carol"))
    key = TsigKey.generate("key")
    made = domains.add_domain(connection, "dyn.example.org", alice, key, "192.0.2.53:53", public=True)
    domains.add_domain(connection, "lab.example.org", alice, key, "192.0.2.53:53", public=False, group="vo.b")
    identities.set_groups(connection, "bob", frozenset({"vo.a", "vo.b"}))
    identities.set_groups(connection, "carol", frozenset({"vo.b"}))
    states = (
        ("one", alice, {"ipv4": "192.0.2.1"}),
        ("two", alice, {"abuse": True, "client_faults": 3}),
        ("three", alice, {"conflict": "it is there"}),
        ("four", bob, {"abuse_blocked": True}),
    )
    for name, owner, more in states:
        queries.add_host(
            connection,
            domain_id=made.id,
            owner_id=owner.id,
            name=name,
            fqdn=f"{name}.dyn.example.org",
            secret_hash=name.encode().ljust(32),
            **more,
        )
    assert carol.id > bob.id > alice.id


async def test_everything_is_counted(store: Store) -> None:
    assert await store.read(admin_stats.counts) == (3, 2, 4, 2, 1, 1)


async def test_users_are_listed_by_name_with_what_is_theirs(store: Store) -> None:
    found = await store.read(lambda c: admin_stats.accounts(c, "", "", 10))
    assert [(a.user.name, a.hosts, a.domains) for a in found] == [("alice", 3, 2), ("bob", 1, 0), ("carol", 0, 0)]
    assert await store.read(lambda c: admin_stats.accounts(c, "", "alice", 1)) == found[1:2]
    assert await store.read(lambda c: admin_stats.accounts(c, "AR", "", 10)) == found[2:]
    assert await store.read(lambda c: admin_stats.accounts(c, "%", "", 10)) == []
    ids = {a.user.id for a in found[:2]}
    assert sorted((await store.read(lambda c: admin_stats.user_names(c, ids))).values()) == ["alice", "bob"]
    assert await store.read(lambda c: admin_stats.user_names(c, ())) == {}


async def test_groups_have_members_and_domains(store: Store) -> None:
    found = await store.read(lambda c: admin_stats.groups(c, 10))
    assert found == [("vo.a", 1, ()), ("vo.b", 2, ("lab.example.org",))]


@pytest.mark.parametrize(
    ("view", "names"),
    [
        (View(None), ["four", "one", "three", "two"]),
        (View(None, state="blocked"), ["four", "two"]),
        (View(None, state="faults"), ["two"]),
        (View(None, text="192.0.2"), ["one"]),
        (View(None, domain="lab.example.org"), []),
        (View(-1), []),
    ],
)
async def test_hosts_of_everybody(store: Store, view: View, names: list[str]) -> None:
    found = await store.read(lambda c: host_search.page(c, view, 10, 0))
    assert ([host.name for host in found.hosts], found.total) == (names, len(names))
