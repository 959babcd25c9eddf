# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts are found by full names, or by names within a domain, where the caller may do something to them."""

import pytest
from sqlalchemy import Connection, insert

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.permissions import Action
from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.db.lookups import Lookups
from ddnsd.db.schema import domains
from ddnsd.registry import accounts
from ddnsd.registry.errors import NoHost
from ddnsd.registry.host_access import HostAccess

ANN = Caller(Kind.USER, "ann", 1, "ann", scopes=frozenset({"write"}))
HOSTS = (("www", "example.org", 1), ("www", "example.net", 2), ("mail", "example.org", 1), ("mail", "example.net", 1))


@pytest.fixture
async def access(store: Store) -> HostAccess:
    await store.transact(_fill)
    return HostAccess(Lookups(store))  # type: ignore[arg-type]


def _fill(connection: Connection) -> None:
    for name in ("ann", "bob"):
        accounts.new_user(connection, name)
    key = {"primary": "", "key_name": "", "key_algorithm": "", "key_secret": ""}
    ids = {"example.org": 1, "example.net": 2}
    for domain, domain_id in ids.items():
        connection.execute(insert(domains).values(id=domain_id, owner_id=1, name=domain, created=0, **key))
    for name, domain, owner_id in HOSTS:
        fqdn = f"{name}.{domain}"
        values = {"fqdn": fqdn, "name": name, "secret_hash": fqdn.encode()}
        queries.add_host(connection, domain_id=ids[domain], owner_id=owner_id, **values)


async def test_a_host_is_found_where_the_caller_may_do_this_to_it(access: HostAccess) -> None:
    assert (await access.get(ANN, "www.example.org", Action.DELETE)).fqdn == "www.example.org"
    read_only = ANN._replace(scopes=frozenset({"read"}))
    for caller, fqdn in (
        (ANN, "www.example.net"),
        (ANN, "x.example.org"),
        (ANN, "www"),
        (read_only, "www.example.org"),
    ):
        assert await access.find(caller, fqdn, Action.UPDATE) is None
        with pytest.raises(NoHost):
            await access.get(caller, fqdn, Action.UPDATE)


async def test_a_label_names_the_one_host_that_the_caller_may_update(access: HostAccess) -> None:
    assert (await access.by_label(ANN, "www")).fqdn == "www.example.org"
    assert (await access.by_label(ANN, "mail.example.net")).fqdn == "mail.example.net"
    for label in ("mail", "www.example.net", "x", "-"):
        with pytest.raises(NoHost):
            await access.by_label(ANN, label)


async def test_credentials_of_hosts_name_these_hosts_alone(access: HostAccess) -> None:
    own = await access.get(ANN, "mail.example.org", Action.UPDATE)
    key = Caller(Kind.KEY, "k-1", 1, hosts=(own,))
    assert await access.by_label(key, "mail") == own
    assert await access.find(key, "www.example.org", Action.UPDATE) is None
    with pytest.raises(NoHost):
        await access.by_label(key, "www")
