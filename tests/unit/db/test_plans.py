# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries of large tables use an index, on both databases, with statistics and without."""

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from support.servers.postgres import create_database

from ddnsd.db import (
    account_data,
    bulk_hosts,
    history,
    host_edits,
    migrate,
    outbox,
    paging,
    queries,
    removals,
    resends,
    retention,
    set_aside,
    watched,
    webhooks,
)
from ddnsd.db.base import Store
from ddnsd.db.connect import open_store
from ddnsd.db.paging import HostFilter, HostPosition

ROWS = 20_000
LIMIT = 100
MIDDLE = ROWS // 2
MOST = 1000
"""The rows that a query may read: all queries stop after a few slices or pages."""

QUERIES: dict[str, Callable[[Connection], object]] = {
    "pending removals": lambda c: removals.dirty(c, 1, 0, LIMIT),
    "removals to try again": lambda c: removals.due(c, 1, 5, LIMIT),
    "removals at a name": lambda c: removals.dirty_at(c, 1, ["h100007.example.org"]),
    "exact removals at a name": lambda c: removals.dirty_at(c, 1, ["h100007.example.org"], exact=True),
    "former values": lambda c: removals.former_values(c, 1, ["h100007.example.org"]),
    "a removal to cancel": lambda c: bulk_hosts.reclaim(c, ["h100007.example.org"]),
    "late removals": lambda c: queries.late_count(c, 1, 5),
    "domains with removals": lambda c: queries.dirty_removal_domains(c, 5),
    "set aside, but published": set_aside.resolved,
    "removals to forget": lambda c: retention.forget_removals(c, ROWS, ROWS, LIMIT),
    "events to forget": lambda c: retention.old_events(c, retention.OldEvent(MIDDLE, MIDDLE), ROWS, LIMIT),
    "entries to forget": lambda c: history.forget(c, ROWS, LIMIT),
    "entries of deleted hosts": lambda c: history.forget_hosts(c, range(5, 55), LIMIT),
    "new entries for webhooks": lambda c: _new_rows(c, "history"),
    "new events for webhooks": lambda c: _new_rows(c, "events"),
    "messages that wait for DNS": lambda c: webhooks.dns_progress(c, ["h100007.example.org"]),
    "long history": lambda c: history.trim(c, 7, LIMIT),
    "hosts of a user": lambda c: paging.slice_of_hosts(c, 1, None, HostPosition("example.org", "h100007"), LIMIT),
    "hosts of a user in a domain": lambda c: paging.slice_of_hosts(
        c, 1, 1, HostPosition("example.org", "h100007"), LIMIT
    ),
    "hosts of a user in a domain without hosts": lambda c: paging.slice_of_hosts(c, 1, 2, HostPosition(), LIMIT),
    "hosts of a user without hosts": lambda c: paging.slice_of_hosts(c, 2, None, HostPosition(), LIMIT),
    "page": lambda c: paging.page_of_hosts(c, HostFilter(), MIDDLE, LIMIT),
    "page of an owner": lambda c: paging.page_of_hosts(c, HostFilter(1), MIDDLE, LIMIT),
    "page of a named owner": lambda c: paging.page_of_hosts(c, HostFilter(owner="me"), MIDDLE, LIMIT),
    "page of an owner without hosts": lambda c: paging.page_of_hosts(c, HostFilter(owner="other"), 0, LIMIT),
    "page of a domain": lambda c: paging.page_of_hosts(c, HostFilter(domain="example.org"), MIDDLE, LIMIT),
    "page of an owner's domain": lambda c: paging.page_of_hosts(c, HostFilter(1, None, "example.org"), MIDDLE, LIMIT),
    "page of a domain without hosts": lambda c: paging.page_of_hosts(c, HostFilter(domain="example.net"), 0, LIMIT),
    "page of a domain for its owner": lambda c: paging.page_of_hosts(
        c, HostFilter(1, None, "example.org", oversees=True), MIDDLE, LIMIT
    ),
    "named hosts for the owner of their domain": lambda c: paging.page_of_hosts(
        c, HostFilter(1, fqdns=["h100007.example.org"], oversees=True), 0, LIMIT
    ),
    "hosts to export": lambda c: account_data.host_slice(c, 1, MIDDLE, LIMIT),
    "history to export": lambda c: account_data.history_slice(c, 7, 1, 0, LIMIT),
    "events to export": lambda c: account_data.event_slice(c, 1, MIDDLE, LIMIT),
    "hosts to delete with their owner": lambda c: host_edits.hosts_of_user(c, 1, LIMIT),
    "page of a stack": lambda c: paging.page_of_hosts(c, HostFilter(1, stack="big"), MIDDLE, LIMIT),
    "page of a small stack": lambda c: paging.page_of_hosts(c, HostFilter(1, None, "example.org", "small"), 0, LIMIT),
    "named hosts": lambda c: paging.page_of_hosts(
        c, HostFilter(1, stack="big", fqdns=["h100007.example.org"]), 0, LIMIT
    ),
    "silent hosts": lambda c: paging.page_of_silent_hosts(c, HostFilter(silent_days=9), MIDDLE, LIMIT, LIMIT),
    "silent hosts of an owner": lambda c: paging.page_of_silent_hosts(
        c, HostFilter(1, silent_days=9), MIDDLE, LIMIT, LIMIT
    ),
    "silent hosts of a domain": lambda c: paging.page_of_silent_hosts(
        c, HostFilter(1, None, "example.org", silent_days=9), MIDDLE, LIMIT, LIMIT
    ),
    "no silent hosts": lambda c: paging.page_of_silent_hosts(c, HostFilter(1, silent_days=30_000), 0, LIMIT, LIMIT),
    "hosts of a zone": lambda c: watched.slice_of_domain(c, 1, MIDDLE, LIMIT),
    "hosts of a zone without hosts": lambda c: watched.slice_of_domain(c, 2, 0, LIMIT),
    "names above those of others": lambda c: bulk_hosts.names_above_others(
        c, [(f"h{100_000 + n}.example.org", 2) for n in range(LIMIT)], ["h100007.example.org"]
    ),
    "a name above many": lambda c: bulk_hosts.names_above_others(c, [("example.org", 2)], ()),
    "hosts to send again": lambda c: _send_again(c, 1),
}


def _new_rows(connection: Connection, source: str) -> None:
    outbox.read(connection, source, outbox.end(connection, source), outbox.oldest_xid(connection), LIMIT)


def _send_again(connection: Connection, domain_id: int) -> None:
    resends.begin(connection, domain_id)
    resends.advance(connection, domain_id, LIMIT)


NUMBERS = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})"

FILL = (
    "INSERT INTO users (id, name, created) VALUES (1, 'me', 0)",
    """INSERT INTO domains (id, owner_id, name, "primary", key_name, key_algorithm, key_secret, created)
       VALUES (1, 1, 'example.org', '', '', '', '', 0)""",
    "INSERT INTO users (id, name, created) VALUES (2, 'other', 0)",
    """INSERT INTO domains (id, owner_id, name, "primary", key_name, key_algorithm, key_secret, created)
       VALUES (2, 1, 'example.net', '', '', '', '', 0), (3, 1, 'other.example', '', '', '', '', 0)""",
    f"""INSERT INTO hosts (domain_id, owner_id, fqdn, name, secret_hash, created, reversed_name, stack)
        {NUMBERS} SELECT 1, 1, 'h' || (100000 + i) || '.example.org', 'h' || (100000 + i), CAST('x' AS %s), i,
        'org.example.h' || (100000 + i), CASE WHEN i > {ROWS} - 10 THEN 'small' ELSE 'big' END FROM n""",
    f"""INSERT INTO removals (domain_id, fqdn, created)
        {NUMBERS} SELECT 1, 'h' || (100000 + i) || '.example.org', i FROM n""",
    f"INSERT INTO events (at, actor, action, object) {NUMBERS} SELECT i, 'me', 'host.add', 'h' || (100000 + i) FROM n",
    f"""INSERT INTO contacts (host_id, at, word)
        {NUMBERS} SELECT i, i, 'nochg' FROM n""",
    f"""INSERT INTO history (host_id, owner_id, at, kind, actor, via)
        {NUMBERS} SELECT i, 1, i, 'edit', 'me', 'user' FROM n""",
)

BY_ID = {"removals to forget", "entries to forget"}
"""Queries that SQLite ends early: its SCAN is by id, from the oldest row."""

FEW = {"named hosts", "named hosts for the owner of their domain"}
"""Queries that sort what they have found."""

WHOLE_TABLE = re.compile(r"SCAN (?:removals|events|history|hosts|contacts)\b(?! USING)")
SEQUENTIAL = re.compile(r"Seq Scan on (?:removals|events|history|hosts|contacts)\b")
SORTED = re.compile(r"SEARCH hosts (?s:.*)USE TEMP B-TREE FOR ORDER BY")
FILTERED = re.compile(r"(?:rows=|Rows Removed by Filter: )(\d+)(?: loops=(\d+))?\b(?! width)")
DOMAIN_ALONE = re.compile(r"ix_removals_domain_id \(domain_id=\?\)")


@pytest.fixture(params=["sqlite", "sqlite with statistics", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    kind = request.param.partition(" ")[0]
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/ddnsd.db"
    else:
        url = create_database(request.getfixturevalue("postgres_server"), "plans")
    await migrate.upgrade(url)
    opened = open_store(url)
    await opened.transact(lambda c: _fill(c, analyze=request.param != "sqlite"))
    yield opened
    await opened.close()


def _fill(connection: Connection, *, analyze: bool) -> None:
    octets = "bytea" if connection.dialect.name == "postgresql" else "blob"
    for statement in FILL:
        connection.execute(text(statement.replace("%s", octets)))
    if analyze:
        connection.execute(text("ANALYZE"))


async def test_no_whole_table_is_read(store: Store) -> None:
    for name, query in QUERIES.items():
        plans = await store.read(lambda c, query=query: _plans(c, query))  # type: ignore[misc]
        assert plans, name
        for plan in plans:
            assert not SEQUENTIAL.search(plan), (name, plan)
            assert name in BY_ID or not WHOLE_TABLE.search(plan), (name, plan)
            assert not DOMAIN_ALONE.search(plan), (name, plan)
            assert name in FEW or not SORTED.search(plan), (name, plan)
            assert all(int(rows) * int(loops or 1) <= MOST for rows, loops in FILTERED.findall(plan)), (name, plan)


def _plans(connection: Connection, query: Callable[[Connection], object]) -> list[str]:
    statements: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        statements.append((statement, parameters))

    explain = "EXPLAIN (ANALYZE, TIMING OFF) " if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    event.listen(connection, "before_cursor_execute", note)
    try:
        query(connection)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    found = [
        "\n".join(str(row[-1]) for row in connection.exec_driver_sql(explain + statement, parameters))
        for statement, parameters in statements
    ]
    connection.rollback()
    return found
