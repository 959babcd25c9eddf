# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of a user's hosts, slice by slice."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, delete, insert

from ddnsd.db import paging, queries
from ddnsd.db.paging import DOMAINS, HostPosition
from ddnsd.db.schema import domains, hosts, metadata, users

ME, OTHER = 1, 2


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        for number, name in ((ME, "me"), (OTHER, "other")):
            connection.execute(insert(users).values(id=number, name=name, created=0))
        yield connection
    engine.dispose()


def add_domain(connection: Connection, number: int, name: str) -> None:
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    connection.execute(insert(domains).values(id=number, owner_id=OTHER, name=name, created=0, **key))


def add_host(connection: Connection, name: str, domain_id: int, domain: str, owner_id: int = ME) -> None:
    values = {"domain_id": domain_id, "owner_id": owner_id, "secret_hash": b""}
    queries.add_host(connection, fqdn=f"{name}.{domain}", name=name, **values)


def slices(connection: Connection, limit: int, domain_id: int | None = None) -> Iterator[list[str]]:
    position: HostPosition | None = HostPosition()
    while position is not None:
        found, position = paging.slice_of_hosts(connection, ME, domain_id, position, limit)
        assert len(found) <= limit
        yield [host.fqdn for host in found]


def listed(connection: Connection, limit: int, domain_id: int | None = None) -> list[str]:
    return [fqdn for part in slices(connection, limit, domain_id) for fqdn in part]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_slices_have_every_host_once_sorted_by_domain_and_name(connection: Connection, limit: int) -> None:
    for number, domain in ((1, "b.org"), (2, "a.org"), (3, "c.org")):
        add_domain(connection, number, domain)
        for name in ("x", "a-b", "a", "a1"):
            add_host(connection, name, number, domain)
        add_host(connection, "foreign", number, domain, OTHER)
    names = [f"{name}.{domain}" for domain in ("a.org", "b.org", "c.org") for name in ("a", "a-b", "a1", "x")]
    assert listed(connection, limit) == names
    assert listed(connection, limit, 1) == names[4:8]


def test_a_user_without_hosts(connection: Connection) -> None:
    add_domain(connection, 1, "a.org")
    assert listed(connection, 10) == []


@pytest.mark.parametrize("limit", [3, 100])
def test_one_host_in_each_of_many_domains(connection: Connection, limit: int) -> None:
    names = [f"d{number:03}.org" for number in range(1, 3 * DOMAINS + 2)]
    for number, domain in enumerate(names, 1):
        add_domain(connection, number, domain)
        add_host(connection, "h", number, domain)
    assert listed(connection, limit) == [f"h.{domain}" for domain in names]


def test_hosts_and_domains_that_go_between_slices(connection: Connection) -> None:
    for number, domain in ((1, "a.org"), (2, "b.org"), (3, "c.org")):
        add_domain(connection, number, domain)
        for name in ("a", "b", "c"):
            add_host(connection, name, number, domain)
    parts = slices(connection, 2)
    assert next(parts) == ["a.a.org", "b.a.org"]
    connection.execute(delete(hosts).where(hosts.c.fqdn.in_(["b.a.org", "c.a.org", "a.a.org"])))
    assert next(parts) == ["a.b.org", "b.b.org"]
    connection.execute(delete(hosts).where(hosts.c.domain_id == 2))
    add_host(connection, "aa", 3, "c.org")
    assert [name for part in parts for name in part] == ["a.c.org", "aa.c.org", "b.c.org", "c.c.org"]


@pytest.mark.parametrize("own", [True, False])
def test_domains_by_name(connection: Connection, own: bool) -> None:
    for number, domain in enumerate(("b.org", "a.org", "c.org"), 1):
        add_domain(connection, number, domain)
    reader = OTHER if own else ME
    page = paging.domains_by_name(connection, "", 2, owner_id=reader, own=own)
    assert [domain.name for domain in page] == ["a.org", "b.org"]
    page = paging.domains_by_name(connection, "b.org", 2, owner_id=reader, own=own)
    assert [domain.name for domain in page] == ["c.org"]
    assert paging.domains_by_name(connection, "", 2, owner_id=reader, own=not own) == []
