# SPDX-License-Identifier: GPL-3.0-or-later
"""A rename that is undone, while others change the host."""

import pytest
from sqlalchemy import Connection, insert

from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.db.rows import Host
from ddnsd.db.schema import domains, users
from ddnsd.registry.change_store import undo_rename


def fill(connection: Connection) -> None:
    connection.execute(insert(users).values(id=1, name="me", created=0))
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    connection.execute(insert(domains).values(id=1, owner_id=1, name="example.org", created=0, **key))
    fields = {"fqdn": "old.example.org", "name": "old", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}
    queries.add_host(connection, domain_id=1, owner_id=1, secret_hash=b"", **fields)


async def named(store: Store, fqdn: str) -> Host:
    found = await store.read(lambda c: queries.host(c, fqdn))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("meanwhile", "addresses"),
    [
        ({"comment": "Mine"}, ("192.0.2.1", "2001:db8::1")),
        ({"ipv4": "192.0.2.3"}, ("192.0.2.3", "2001:db8::2")),
    ],
)
async def test_an_undone_rename_takes_back_all_of_its_addresses_or_none(
    store: Store, meanwhile: dict[str, str], addresses: tuple[str, str]
) -> None:
    await store.transact(fill)
    old = await named(store, "old.example.org")
    edit = {"fqdn": "new.example.org", "name": "new", "ipv4": "192.0.2.2", "ipv6": "2001:db8::2"}
    await store.transact(lambda c: queries.set_host(c, old.id, **edit))
    new = await named(store, "new.example.org")
    await store.transact(lambda c: queries.set_host(c, old.id, **meanwhile))
    assert await store.transact(lambda c: undo_rename(c, old, new))
    back = await named(store, "old.example.org")
    assert (back.ipv4, back.ipv6) == addresses
    assert back.comment == meanwhile.get("comment")
