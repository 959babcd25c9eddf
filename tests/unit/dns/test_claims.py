# SPDX-License-Identifier: GPL-3.0-or-later
"""What an acknowledgement says of a host or an RRset holds where the message put it, and nowhere else."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, insert, update

from ddnsd.db import queries, records
from ddnsd.db.rows import Host
from ddnsd.db.schema import domains, hosts, metadata, users
from ddnsd.dns.records import HostRecords, record_sets
from ddnsd.dns.verdicts import existing_rrsets, mark_claimed

FQDN = "a.example.org"


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.execute(insert(users).values(id=1, name="me", created=0))
        key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
        connection.execute(insert(domains).values(id=1, owner_id=1, name="example.org", created=0, **key))
        queries.add_host(connection, domain_id=1, owner_id=1, fqdn=FQDN, name="a", secret_hash=b"", has_rrsets=True)
        yield connection
    engine.dispose()


def host(connection: Connection) -> Host:
    found = queries.host(connection, FQDN)
    assert found is not None
    return found


def under_way(connection: Connection) -> HostRecords:
    """A message that has the host's RRset `_x` TXT."""
    sent = host(connection)
    records.add(connection, sent.id, prefix="_x", rtype="TXT", data='"x"')
    return HostRecords(sent, [], record_sets(sent, records.of_host(connection, sent.id)))


def claims(connection: Connection, host_id: int) -> list[bool]:
    return [one.claimed for one in records.of_host(connection, host_id)]


def test_an_rrset_is_claimed_where_it_was_sent_to(connection: Connection) -> None:
    sent = under_way(connection)
    mark_claimed(connection, [sent], ())
    assert host(connection).claimed
    assert claims(connection, sent.host.id) == [True]


def test_a_host_that_was_renamed_meanwhile_has_not_claimed_its_new_names(connection: Connection) -> None:
    sent = under_way(connection)
    connection.execute(update(hosts).values(fqdn="b.example.org"))
    mark_claimed(connection, [sent], ())
    renamed = queries.host(connection, "b.example.org")
    assert renamed is not None
    assert not renamed.claimed
    assert claims(connection, sent.host.id) == [False]
    assert existing_rrsets(connection, sent.sets, {sent.host.id}) == []


def test_an_rrset_that_was_given_the_id_of_a_removed_one_is_not_claimed(connection: Connection) -> None:
    sent = under_way(connection)
    (old,) = records.of_host(connection, sent.host.id)
    records.remove(connection, old)
    records.add(connection, sent.host.id, id=old.id, prefix="_y", rtype="TXT", data='"x"')
    mark_claimed(connection, [sent], ())
    assert claims(connection, sent.host.id) == [False]


def test_a_host_that_is_gone(connection: Connection) -> None:
    sent = under_way(connection)
    queries.delete_host(connection, sent.host.id)
    mark_claimed(connection, [sent], ())
