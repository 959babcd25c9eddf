# SPDX-License-Identifier: GPL-3.0-or-later
"""Group reads of the hot path on PostgreSQL: planned once, by an index."""

from collections.abc import AsyncIterator, Callable

import pytest

from ddnsd.db.lookups import Lookups
from ddnsd.db.postgres import PostgresStore


@pytest.fixture
async def store(new_database: Callable[[], str]) -> AsyncIterator[PostgresStore]:
    opened = PostgresStore(new_database())
    yield opened
    await opened.close()


async def test_a_read_is_planned_once_for_all_arrays(store: PostgresStore) -> None:
    lookups = Lookups(store)
    for number in range(1, 20):
        await lookups.host.many([f"h{n}.example.org" for n in range(number)])
    plans = await store.rows(
        "SELECT sum(custom_plans), sum(generic_plans) FROM pg_prepared_statements WHERE statement LIKE $1",
        ("%hosts.fqdn = ANY%",),
    )
    assert [tuple(row) for row in plans] == [(0, 19)]


async def test_every_read_has_an_index(store: PostgresStore) -> None:
    for name, lookup in vars(Lookups(store)).items():
        plan = "\n".join(row[0] for row in await store.rows(f"EXPLAIN {lookup._sql_of_many}", ([],)))
        assert "Seq Scan" not in plan, name
