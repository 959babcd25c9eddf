# SPDX-License-Identifier: GPL-3.0-or-later
"""Who sees which events of the audit log, on both databases."""

import pytest
from sqlalchemy import Connection, insert

from ddnsd.auth.caller import Caller, Kind
from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.db.schema import domains
from ddnsd.registry import accounts
from ddnsd.registry.events import AdminStats, AuditLog

ANN = Caller(Kind.USER, "ann", 1, "ann", scopes=frozenset({"read"}))
ADMINISTRATOR = Caller(Kind.USER, "root", 3, "root", scopes=frozenset({"admin"}), admin=True)

EVENTS = [
    ("host.register", "www.example.org", 1),
    ("host.delete", "gone.example.org", 1),
    ("host.register", "other.example.org", 2),
    ("domain.set", "example.org", 1),
    ("token.add", "ann", 1),
    ("host.register", "www.elsewhere.org", 1),
]


@pytest.fixture
async def log(store: Store) -> AuditLog:
    await store.transact(_fill)
    return AuditLog(store)


def _fill(connection: Connection) -> None:
    for name in ("ann", "bob", "root"):
        accounts.new_user(connection, name)
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    connection.execute(insert(domains).values(id=1, owner_id=1, name="example.org", created=0, **key))
    for action, subject, owner_id in EVENTS:
        queries.add_event(connection, "tester", action, subject, None, None, owner_id=owner_id)


async def seen(log: AuditLog, caller: Caller, **filters: str) -> list[str]:
    page = await log.page(caller, {"actor": "tester", **filters}, None, 100)
    assert page.next is None
    return [event.object for event in page.items]


async def test_a_user_sees_events_of_their_own_things_newest_first(log: AuditLog) -> None:
    assert await seen(log, ANN) == [subject for _, subject, owner_id in reversed(EVENTS) if owner_id == 1]
    assert await seen(log, ANN, action="host.delete") == ["gone.example.org"]


async def test_an_administrator_sees_all_events(log: AuditLog) -> None:
    assert await seen(log, ADMINISTRATOR) == [subject for _, subject, _ in reversed(EVENTS)]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"host_patterns": ("gone.*", "www.*")}, ["gone.example.org", "www.example.org"]),
        ({"domains": ("example.org",)}, ["example.org", "gone.example.org", "www.example.org"]),
    ],
)
async def test_a_limited_token_sees_events_within_its_patterns(
    log: AuditLog, limits: dict[str, tuple[str, ...]], expected: list[str]
) -> None:
    assert await seen(log, ANN._replace(**limits)) == expected  # type: ignore[arg-type]


async def test_a_page_goes_on_below_its_last_event(log: AuditLog) -> None:
    page = await log.page(ANN, {"actor": "tester"}, None, 2)
    assert [event.object for event in page.items] == ["www.elsewhere.org", "ann"]
    following = await log.page(ANN, {"actor": "tester"}, page.next, 1)
    assert [event.object for event in following.items] == ["example.org"]


async def test_statistics_are_of_all_users(log: AuditLog, store: Store) -> None:
    stats = AdminStats(store)
    assert (await stats.counts()).users == 3
    assert [account.user.name for account in await stats.accounts("", "ann", 10)] == ["bob", "root"]
    assert await stats.groups(10) == []
