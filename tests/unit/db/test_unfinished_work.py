# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a sweep can be left out: there is no work, and nobody has written."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, update

from ddnsd.db import queries
from ddnsd.db.connect import open_store
from ddnsd.db.schema import domains, hosts, pending, removals, resends, set_aside, users
from ddnsd.db.sqlite import SqliteStore

Work = Callable[[Connection], Any]


def fill(connection: Connection) -> None:
    connection.execute(insert(users).values(id=1, name="me", created=0))
    key = {"primary": "192.0.2.1:53", "key_name": "k", "key_algorithm": "hmac-sha256", "key_secret": "c2VjcmV0"}
    connection.execute(insert(domains).values(id=1, owner_id=1, name="one.example", created=0, **key))
    same = {"domain_id": 1, "owner_id": 1, "secret_hash": b"", "created": 0}
    connection.execute(insert(hosts).values(id=1, fqdn="a.one.example", name="a", **same))
    connection.execute(insert(removals).values(id=1, domain_id=1, fqdn="b.one.example", dirty_since=None, created=0))


@pytest.fixture(autouse=True)
async def filled(store: Any) -> None:
    await store.transact(fill)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (
            lambda c: c.execute(insert(pending).values(host_id=1, version=1, since=0)),
            lambda c: c.execute(delete(pending)),
        ),
        (
            lambda c: c.execute(update(removals).values(dirty_since=5)),
            lambda c: c.execute(update(removals).values(dirty_since=None)),
        ),
        (
            lambda c: c.execute(insert(resends).values(domain_id=1, after_id=0)),
            lambda c: c.execute(delete(resends)),
        ),
        (
            lambda c: c.execute(
                insert(set_aside).values(domain_id=1, host_id=1, name="a", reason="", since=0, retry_at=2**62)
            ),
            lambda c: c.execute(delete(set_aside)),
        ),
    ],
    ids=["pending", "removal", "resend", "set aside"],
)
async def test_each_kind_of_work(store: Any, begin: Work, end: Work) -> None:
    assert not await store.read(queries.has_unfinished_work)
    await store.transact(begin)
    assert await store.read(queries.has_unfinished_work)
    await store.transact(end)
    assert not await store.read(queries.has_unfinished_work)


async def test_the_version_changes_with_the_transactions_of_any_process(store: Any) -> None:
    if not isinstance(store, SqliteStore):
        return
    versions = [store.version, store.version]
    await store.transact(lambda c: c.execute(update(hosts).values(comment="ours")))
    versions.append(store.version)
    other = open_store(f"sqlite:///{store.path}")
    await other.transact(lambda c: c.execute(update(hosts).values(comment="theirs")))
    await other.close()
    versions += [store.version, store.version]
    assert versions[0] == versions[1]
    assert len({versions[1], versions[2], versions[3]}) == 3
    assert versions[3] == versions[4]
