# SPDX-License-Identifier: GPL-3.0-or-later
"""The migrations make the tables that the queries use, on both databases."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from support.servers.postgres import create_database

from ddnsd.auth.secrets import verifier_of
from ddnsd.db import denylist, migrate, queries, quotas
from ddnsd.db.connect import open_store
from ddnsd.db.postgres import driver_url
from ddnsd.db.schema import hosts, metadata, pending, set_aside
from ddnsd.registry.quotas import DEFAULTS, Quota, QuotaRules, proposal


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ddnsd.db"
    empty: str = request.getfixturevalue("empty_database")
    return empty


async def test_they_lead_to_the_tables(url: str) -> None:
    for _ in range(2):  # the second run finds nothing to do
        await migrate.upgrade(url)
    store = open_store(url)
    try:
        assert await store.read(migrate.revision) == migrate.NEWEST
        assert await store.read(_differences) == []
    finally:
        await store.close()


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


@pytest.fixture(params=["sqlite", "postgresql"])
def first(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the first schema alone."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/first.db"
    return create_database(request.getfixturevalue("postgres_server"), "first")


async def test_a_database_with_something_in_it_is_upgraded(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("alembic.command.upgrade", partial(_upgrade_to, command.upgrade, "0001"))
        await migrate.upgrade(first)
    store = open_store(first)
    try:
        await store.transact(_one_domain)
        await migrate.upgrade(first)
        assert await store.read(_differences) == []
        (domain,) = await store.read(queries.all_domains)
        assert (domain.name, domain.generation) == ("example.org", 1)
        unlimited = await store.read(quotas.everything)
        assert {(row.name, row.limit, row.user_id, row.group, row.domain_id) for row in unlimited} == {
            (quota.value, 0, None, None, None) for quota in Quota
        }
        assert await store.read(lambda c: proposal(c, QuotaRules({}))) == DEFAULTS
    finally:
        await store.close()


def _upgrade_to(upgrade: Callable[[Config, str], None], revision: str, config: Config, _head: str) -> None:
    upgrade(config, revision)


def _one_domain(connection: Connection) -> None:
    connection.exec_driver_sql("INSERT INTO users (id, name, created) VALUES (1, 'me', 0)")
    columns = 'owner_id, name, "primary", key_name, key_algorithm, key_secret, created'
    connection.exec_driver_sql(f"INSERT INTO domains ({columns}) VALUES (1, 'example.org', '', '', '', '', 0)")


def _former(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


_CONFLICTS = """
INSERT INTO users (id, name, created) VALUES (1, 'me', 0);
INSERT INTO domains (id, owner_id, name, "primary", key_name, key_algorithm, key_secret, created)
 VALUES (1, 1, 'example.org', '', '', '', '', 0);
INSERT INTO hosts (id, domain_id, owner_id, fqdn, name, secret_hash, version, conflict, created)
 VALUES (1, 1, 1, 'a.example.org', 'a', 'x', 3, 'foreign', 0), (2, 1, 1, 'b.example.org', 'b', 'y', 4, NULL, 0);
INSERT INTO rrsets (id, host_id, prefix, rtype, data, conflict)
 VALUES (1, 2, '_x', 'TXT', '"x"', 'foreign'), (2, 2, '_y', 'TXT', '"y"', NULL)
"""


async def test_what_was_in_conflict_is_tried_again(request: pytest.FixtureRequest, tmp_path: Path, url: str) -> None:
    url = await _filled(request, url, "former", _fill)
    await migrate.upgrade(url)
    store = open_store(url)
    try:
        waiting = await store.read(lambda c: c.execute(select(pending)).all())
        aside = await store.read(lambda c: c.execute(select(set_aside.c.rrset_id, set_aside.c.name)).all())
    finally:
        await store.close()
    assert [tuple(row) for row in waiting] == [(1, 3, 0)]
    assert [tuple(row) for row in aside] == [(1, "b.example.org")]


async def _filled(request: pytest.FixtureRequest, url: str, name: str, fill: Callable[[Connection], None]) -> str:
    """The URL of a database that `fill` has filled; on PostgreSQL a new one of that name."""
    if not url.startswith("postgresql"):
        file = create_engine(url)
        with file.begin() as connection:
            fill(connection)
        file.dispose()
        return url
    url = create_database(request.getfixturevalue("postgres_server"), name)
    engine = create_async_engine(driver_url(url))
    async with engine.begin() as opened:
        await opened.run_sync(fill)
    await engine.dispose()
    return url


def _fill(connection: Connection) -> None:
    _former(connection, "0001")
    _insert(connection, _CONFLICTS)


def _insert(connection: Connection, statements: str) -> None:
    """Insert rows; a hash is 'x' or 'y', which SQLite stores as octets only in its own notation."""
    if connection.dialect.name == "sqlite":
        statements = statements.replace(" 'x', ", " x'78', ").replace(" 'y', ", " x'79', ")
    for statement in statements.split(";"):
        connection.execute(text(statement))


_NAMES = """
INSERT INTO users (id, name, created) VALUES (1, 'me', 0);
INSERT INTO domains (id, owner_id, name, "primary", key_name, key_algorithm, key_secret, created)
 VALUES (1, 1, 'example.org', '', '', '', '', 0);
INSERT INTO hosts (id, domain_id, owner_id, fqdn, name, secret_hash, created)
 VALUES (1, 1, 1, 'wpad.example.org', 'wpad', 'x', 0), (2, 1, 1, 'a.b.example.org', 'a.b', 'y', 0);
INSERT INTO denials (kind, value, comment, created_by, created) VALUES ('name', 'isatap', 'mine', 'me', 0)
"""


async def test_names_of_before_are_kept_and_found(request: pytest.FixtureRequest, url: str) -> None:
    def fill(connection: Connection) -> None:
        _former(connection, "0013")
        _insert(connection, _NAMES)

    url = await _filled(request, url, "names", fill)
    await migrate.upgrade(url)
    store = open_store(url)
    try:
        found = await store.read(lambda c: c.execute(select(hosts.c.fqdn, hosts.c.reversed_name).order_by("id")).all())
        hashes = await store.read(lambda c: c.scalars(select(hosts.c.secret_hash).order_by("id")).all())
        denied = await store.read(denylist.everything)
    finally:
        await store.close()
    assert hashes == [verifier_of(b"x"), verifier_of(b"y")]
    assert [tuple(row) for row in found] == [("wpad.example.org", None), ("a.b.example.org", "org.example.b.a")]
    assert [entry.comment for entry in denied if entry.value == "isatap"] == ["mine"]
    assert {"wpad", "localhost"} < {entry.value for entry in denied if entry.created_by == "ddnsd"}
