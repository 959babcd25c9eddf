# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that sent no request for days, on each database."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, update

from ddnsd.db import last_seen, paging, queries
from ddnsd.db.base import Store
from ddnsd.db.last_seen import Contact
from ddnsd.db.paging import HostFilter
from ddnsd.db.schema import hosts
from ddnsd.dns.tsig import TsigKey
from ddnsd.registry import accounts, domains

DAY = 24 * 3600 * 1_000_000
HEARD = {"today": 0.1, "week": 7.5, "month": 31}
"""Days since the last request. Others never sent one."""
CREATED = {"today": 90, "week": 90, "month": 90, "new": 0.1, "never": 20}
"""Days since the registration."""


@pytest.fixture
async def store(store: Store) -> Store:
    await store.transact(_furnish)
    return store


def _furnish(connection: Connection) -> None:
    alice, bob = (accounts.new_user(connection, name) for name in ("alice", "bob"))
    key = TsigKey.generate("key")
    domain = domains.add_domain(connection, "dyn.example.org", alice, key, "192.0.2.53:53", public=True)
    now = queries.now()
    for name, days in CREATED.items():
        for owner, suffix in ((alice, ""), (bob, "-of-bob")):
            label = name + suffix
            host = queries.add_host(
                connection,
                domain_id=domain.id,
                owner_id=owner.id,
                name=label,
                fqdn=f"{label}.dyn.example.org",
                secret_hash=name.encode().ljust(32),
                stack=name,
            )
            connection.execute(update(hosts).where(hosts.c.id == host).values(created=now - int(days * DAY)))
            if name in HEARD:
                contact = Contact(now - int(HEARD[name] * DAY), "192.0.2.1", "agent", "nochg", tls=True)
                last_seen.write(connection, {host: contact})


def _walk(connection: Connection, wanted: HostFilter, limit: int, span: int) -> Iterator[str]:
    position: int | None = 0
    while position is not None:
        page, position = paging.page_of_silent_hosts(connection, wanted, position, limit, span)
        assert len(page) <= limit
        yield from (owned.host.name for owned in page)


@pytest.mark.parametrize(("limit", "span"), [(1, 1), (1, 3), (2, 2), (3, 100), (100, 1), (100, 4), (100, 100)])
@pytest.mark.parametrize(
    ("days", "silent"), [(1, ["week", "month", "never"]), (8, ["month", "never"]), (25, ["month"]), (40, [])]
)
async def test_those_that_are_silent(store: Store, days: int, silent: list[str], limit: int, span: int) -> None:
    owner = await store.read(lambda c: queries.user(c, "alice"))
    assert owner is not None
    own = HostFilter(owner.id, silent_days=days)
    assert await store.read(lambda c: list(_walk(c, own, limit, span))) == silent
    everybody = HostFilter(silent_days=days)
    both = [name for label in silent for name in (label, f"{label}-of-bob")]
    assert await store.read(lambda c: list(_walk(c, everybody, limit, span))) == both


async def test_with_the_other_filters(store: Store) -> None:
    async def found(**wanted: object) -> list[str]:
        given = HostFilter(**wanted, silent_days=1)  # type: ignore[arg-type]
        return await store.read(lambda c: list(_walk(c, given, 10, 3)))

    assert await found(owner="bob") == ["week-of-bob", "month-of-bob", "never-of-bob"]
    assert await found(owner="nobody") == []
    assert await found(domain="dyn.example.org", stack="month") == ["month", "month-of-bob"]
    assert await found(domain="other.example.org") == []
    assert await found(fqdns=["today.dyn.example.org", "never.dyn.example.org"]) == ["never"]
