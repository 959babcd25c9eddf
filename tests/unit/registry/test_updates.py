# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of a host's addresses whose zone no longer knows the host."""

from typing import Any, cast

import pytest
from sqlalchemy import Connection, insert

from ddnsd.db import queries
from ddnsd.db.history import Author
from ddnsd.db.lookups import Lookups
from ddnsd.db.postgres import PostgresStore
from ddnsd.db.rows import Host
from ddnsd.db.schema import domains, users
from ddnsd.db.sqlite import SqliteStore
from ddnsd.dns.errors import HostGone, NotAcknowledged
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.errors import NoHost
from ddnsd.registry.policy import Policy
from ddnsd.registry.updates import Updates


class Gone:
    """A writer whose zones do not know the host."""

    def is_published(self, _host: Host) -> bool:
        return True

    async def update(self, *_: Any) -> None:
        raise HostGone


def fill(connection: Connection) -> int:
    connection.execute(insert(users).values(id=1, name="me", created=0))
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    connection.execute(insert(domains).values(id=1, owner_id=1, name="example.org", created=0, **key))
    names = {"name": "h", "fqdn": "h.example.org"}
    return queries.add_host(connection, domain_id=1, owner_id=1, secret_hash=b"", **names)


async def test_a_host_that_moved_to_another_zone_is_no_reason_to_stop(store: SqliteStore | PostgresStore) -> None:
    """A client that reads `nohost` stops for good."""
    host_id = await store.transact(fill)
    (host,) = await store.read(lambda c: queries.hosts_by_id(c, [host_id]))
    updates = Updates(store, Lookups(store), cast("Any", Gone()), Policy())
    update, author = AddressUpdate("192.0.2.1"), Author("h", None, "host")
    with pytest.raises(NotAcknowledged, match="renamed into another domain"):
        await updates.apply(host, update, tls=True, author=author)
    other = host._replace(created=host.created - 1)  # its id was used again
    with pytest.raises(NoHost):
        await updates.apply(other, update, tls=True, author=author)
