# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as lists show them, on both databases: filters, order, pages, and the state of each row."""

from typing import cast

import pytest
from sqlalchemy import Connection

from ddnsd.db import history, queries
from ddnsd.db.base import Store
from ddnsd.db.rows import Host
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.writer import Writer
from ddnsd.registry import accounts, domains
from ddnsd.registry.history import HostHistory
from ddnsd.registry.host_lists import HostLists, host_view
from ddnsd.registry.last_seen import LastSeen

ANN, BOB = 1, 2
HOSTS = {"a": ANN, "b": ANN, "c": ANN, "d": BOB}


class NothingPublished:
    """A writer to which no name server has confirmed anything."""

    def confirmed_versions(self) -> dict[int, int]:
        return {}

    def is_published(self, _host: Host) -> bool:
        return False


def _fill(connection: Connection) -> None:
    users = [accounts.new_user(connection, name) for name in ("ann", "bob")]
    key = TsigKey.generate("example.org")
    domain = domains.add_domain(connection, "example.org", users[0], key, "127.0.0.1:53")
    for name, owner_id in HOSTS.items():
        fields = {"fqdn": f"{name}.example.org", "name": name, "comment": f"host {name}", "stack": "web"}
        queries.add_host(connection, domain_id=domain.id, owner_id=owner_id, secret_hash=b"", **fields)
    queries.set_host(connection, 3, conflict="TXT")


@pytest.fixture
def last_seen(store: Store) -> LastSeen:
    return LastSeen(store)


@pytest.fixture
async def lists(store: Store, last_seen: LastSeen) -> HostLists:
    await store.transact(_fill)
    return HostLists(store, cast("Writer", NothingPublished()), last_seen)


async def test_a_users_hosts_by_pages(lists: HostLists) -> None:
    view = host_view(owner_id=ANN, sort="-name")
    first, facets = await lists.of_owner(view, 1, 2)
    second, _ = await lists.of_owner(view, 2, 2)
    assert [row.host.name for row in (*first.rows, *second.rows)] == ["c", "b", "a"]
    assert (first.total, facets.domains, facets.stacks) == (3, {"example.org": 3}, {"web": 3})


async def test_a_row_tells_owner_state_and_last_request(lists: HostLists, last_seen: LastSeen) -> None:
    last_seen.note(1, "192.0.2.1", "curl", "good", True)
    found, _ = await lists.of_owner(host_view(owner_id=ANN), 1, 10)
    assert [(row.owner, row.dns) for row in found.rows] == [("ann", "pending"), ("ann", "pending"), ("ann", "conflict")]
    assert [row.last_request and row.last_request.word for row in found.rows] == ["good", None, None]


@pytest.mark.parametrize(("owner", "expected"), [("", ["a", "b", "c", "d"]), ("bob", ["d"]), ("nobody", [])])
async def test_hosts_of_everybody(lists: HostLists, owner: str, expected: list[str]) -> None:
    found = await lists.of_everybody(host_view(), owner, 1, 10)
    assert [row.host.name for row in found.rows] == expected


async def test_one_host_and_whether_a_name_is_free(lists: HostLists) -> None:
    owned = await lists.named("D.Example.org.")
    assert owned is not None
    assert (owned.host.name, owned.owner) == ("d", "bob")
    assert await lists.named("..") is None
    assert await lists.is_taken("a.example.org")
    assert not await lists.is_taken("e.example.org")
    assert await lists.first_names(ANN, 2) == ["a.example.org", "b.example.org"]


def test_a_view_ignores_unknown_states_and_orders() -> None:
    view = host_view(state="x", sort="-x")
    assert (view.state, view.order, view.descending) == ("", "name", True)
    assert host_view(state="blocked", sort="updated").state == "blocked"


async def test_a_history_of_another_owner_is_hidden(store: Store, lists: HostLists, last_seen: LastSeen) -> None:
    owned = await lists.named("a.example.org")
    assert owned is not None
    host = owned.host
    await store.transact(lambda c: _three_changes(c, host))
    histories = HostHistory(store, last_seen)
    newest = await histories.page(host.id, ANN, None, 2)
    assert [entry.kind for entry in newest.items] == ["secret", "update"]
    oldest = await histories.page(host.id, ANN, newest.next, 2)
    assert ([entry.kind for entry in oldest.items], oldest.next) == (["register"], None)
    activity = await histories.activity(host.id, BOB, recent=5, days=2)
    assert (activity.changes, [count for _, count in activity.per_day]) == ([], [0, 0])
    everything = await histories.activity(host.id, None, recent=5, days=2)
    assert (len(everything.changes), sum(count for _, count in everything.per_day)) == (3, 3)


def _three_changes(connection: Connection, host: Host) -> None:
    author = history.Author("ann")
    kinds = ("register", "update", "secret")
    history.add(connection, [history.entry(host.id, ANN, kind, author, None, {"ipv4": kind}) for kind in kinds])
