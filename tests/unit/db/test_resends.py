# SPDX-License-Identifier: GPL-3.0-or-later
"""All hosts of a domain are marked as pending, a part at a time."""

from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from ddnsd.db import resends
from ddnsd.db.pending import Confirmed, mark_confirmed
from ddnsd.db.schema import domains, hosts, pending, users

HOSTS = 7


def fill(connection: Connection) -> None:
    connection.execute(insert(users).values(id=1, name="me", created=0))
    key = {"primary": "192.0.2.1:53", "key_name": "k", "key_algorithm": "hmac-sha256", "key_secret": "c2VjcmV0"}
    for domain_id, zone in ((1, "one.example"), (2, "two.example")):
        connection.execute(insert(domains).values(id=domain_id, owner_id=1, name=zone, created=0, **key))
        for n in range(HOSTS):
            same = {"domain_id": domain_id, "owner_id": 1, "secret_hash": b"", "created": 0}
            connection.execute(insert(hosts).values(fqdn=f"h{n}.{zone}", name=f"h{n}", **same))


def marked(connection: Connection) -> dict[int, int]:
    query = select(hosts.c.domain_id, func.count()).join_from(pending, hosts, pending.c.host_id == hosts.c.id)
    query = query.where(pending.c.version == hosts.c.version)
    return {row[0]: row[1] for row in connection.execute(query.group_by(hosts.c.domain_id))}


@pytest.fixture(autouse=True)
async def filled(store: Any) -> None:
    await store.transact(fill)


async def test_each_part_goes_on_where_the_last_one_ended(store: Any) -> None:
    await store.transact(lambda c: resends.begin(c, 1))
    found = []
    while await store.read(resends.domain_ids) == [1]:
        await store.transact(lambda c: resends.advance(c, 1, 3))
        found.append(await store.read(marked))
    assert found == [{1: 3}, {1: 6}, {1: HOSTS}]


async def test_it_begins_anew_with_another_ttl(store: Any) -> None:
    await store.transact(lambda c: resends.begin(c, 1))
    await store.transact(lambda c: resends.advance(c, 1, 3))
    await store.transact(lambda c: resends.begin(c, 1))
    for _ in range(3):
        await store.transact(lambda c: resends.advance(c, 1, 3))
    assert await store.read(lambda c: list(c.scalars(select(hosts.c.version).where(hosts.c.domain_id == 1)))) == [
        *([3] * 3),
        *([2] * 4),
    ]
    assert await store.read(resends.domain_ids) == []


async def test_a_message_with_the_old_ttl_confirms_nothing(store: Any) -> None:
    """Its version is older than the one that is marked."""
    await store.transact(lambda c: resends.begin(c, 2))
    await store.transact(lambda c: resends.advance(c, 2, 100))
    ids = await store.read(lambda c: list(c.scalars(select(hosts.c.id).where(hosts.c.domain_id == 2))))
    await store.transact(lambda c: mark_confirmed(c, [Confirmed(host_id, 1) for host_id in ids]))
    assert await store.read(marked) == {2: HOSTS}
