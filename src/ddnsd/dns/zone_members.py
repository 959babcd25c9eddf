# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that members of a Kerberos realm have registered in a zone: those with addresses that nobody else has."""

from typing import NamedTuple

from sqlalchemy import Connection

from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.db.rows import Domain
from ddnsd.dns import reconcile
from ddnsd.dns.connection import PrimaryConnection, ask
from ddnsd.dns.contents import is_of_service
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

SECONDS = 5.0


class Member(NamedTuple):
    """A member's full name, and its addresses."""

    name: str
    addresses: tuple[str, ...]


async def of_domain(store: Store, domain: Domain) -> list[Member]:
    """All members by name: the zone has their addresses, and they are neither hosts nor name servers.

    Raises DnsError, StoreDown.
    """
    connection = PrimaryConnection(Endpoint.from_text(domain.primary))
    try:
        servers = await ask(connection, TsigKey.of(domain), domain.name, "NS", SECONDS)
    finally:
        connection.close()
    zone = await reconcile.zone_of(domain)
    others = {domain.name, *(name.lower().rstrip(".") for name in servers)}
    others |= await store.read(lambda c: _of_hosts(c, domain.id))
    return sorted(
        Member(name, addresses)
        for (name, kind), addresses in zone.sets.items()
        if kind is None and name not in others and not is_of_service(domain.name, name)
    )


def _of_hosts(connection: Connection, domain_id: int) -> set[str]:
    """The names of hosts and below them that have addresses."""
    found = set()
    for host in queries.hosts_of_domain(connection, domain_id):
        found |= {host.fqdn, f"*.{host.fqdn}"}
    for names in queries.related_of_domain(connection, domain_id).values():
        found |= {name.fqdn for name in names}
    return found
