# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a new primary or key of a domain: whether it is usable, and which of our records it already has.

It may be empty, have a copy of the zone, or have records of somebody else under the names of our hosts. A copy may be
old: former values of a host, and names that were removed since, are still ours.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection

from ddnsd.db import history, primaries, queries
from ddnsd.db import records as rrsets
from ddnsd.db.base import Store
from ddnsd.db.primaries import Owned
from ddnsd.db.rows import Domain, Host, Related, RRset
from ddnsd.dns import errors, primary_check
from ddnsd.dns.connection import PrimaryConnection, ask
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.reconcile import Zone, came_back, wanted_of, zone_of
from ddnsd.dns.records import records, values_of
from ddnsd.dns.tsig import TsigKey


class Found(NamedTuple):
    """Our records at a primary, and the names of hosts with other records."""

    owned: Owned
    foreign: list[str]


NOTHING = Found(primaries.NOTHING, [])


async def look(store: Store, domain: Domain) -> Found:
    """Test the primary and the key of the changed row `domain`, and compare its zone with the database.

    It must answer a signed query for the zone's SOA record, accept an update and let the key transfer the zone.
    Nothing is changed. Raises DnsError with the reason, StoreDown.
    """
    await _check_reachable(domain)
    await primary_check.accepts_updates(domain.name, domain.primary, TsigKey.of(domain))
    try:
        held = await zone_of(domain)
    except errors.Refusal as error:
        why = f"{domain.primary}: {error}; allow the key to transfer the zone (allow-transfer), to compare its records"
        raise type(error)(error.rcode, why) from None
    return await store.read(lambda c: _compare(c, domain, held))


async def _check_reachable(domain: Domain) -> None:
    connection = PrimaryConnection(Endpoint.from_text(domain.primary, 53))
    try:
        if await ask(connection, TsigKey.of(domain), domain.name, "SOA", primary_check.SECONDS):
            return
    except errors.Refusal as error:
        raise type(error)(error.rcode, f"{domain.primary}: {error}") from None
    finally:
        connection.close()
    raise errors.Refusal("NOTAUTH", f"{domain.primary}: the name server does not have the zone {domain.name}")


def _compare(connection: Connection, domain: Domain, held: Zone) -> Found:
    related = queries.related_of_domain(connection, domain.id)
    sets = rrsets.of_domain(connection, domain.id)
    ours: dict[int, str] = {}
    others: list[Host] = []
    places: set[tuple[str, str | None]] = set()
    owned_sets: list[int] = []
    for host in queries.hosts_of_domain(connection, domain.id):
        below, mine = related.get(host.id, ()), sets.get(host.id, ())
        wanted = wanted_of(host, below, mine)
        places.update(wanted)
        owned_sets += (one.id for one in mine if _holds_set(host, one, held))
        if not any(fqdn in held.types for fqdn, *_ in records(host, below)):
            continue  # the names are free
        if _are_ours(host, below, mine, set(), held):
            ours[host.id] = host.fqdn
        else:
            others.append(host)
    former = history.former_values(connection, [host.id for host in others if host.claimed])
    foreign = []
    for host in others:
        had = former.get(host.id, set()).union(records(host)[0].values)
        if host.claimed and _are_ours(host, related.get(host.id, ()), sets.get(host.id, ()), had, held):
            ours[host.id] = host.fqdn
        else:
            foreign.append(host.fqdn)
    back = [
        removal.id
        for removal in queries.removed_names(connection, domain.id)
        if (removal.fqdn, removal.rtype) not in places and came_back(removal, held)
    ]
    return Found(Owned(ours, owned_sets, back), sorted(foreign))


def _holds_set(host: Host, one: RRset, held: Zone) -> bool:
    return held.sets.get((one.name(host.fqdn), one.rtype), ()) == tuple(sorted(values_of(one.data)))


def _are_ours(host: Host, related: Iterable[Related], sets: Iterable[RRset], had: set[str], held: Zone) -> bool:
    """Whether the records at the host's names are ours: its current or former addresses (`had`), or only its RRsets."""
    own = {(one.name(host.fqdn), one.rtype) for one in sets if _holds_set(host, one, held)}
    for name in records(host, related):
        values = held.sets.get((name.fqdn, None), ())
        if values and not had.union(name.values).issuperset(values):
            return False
        if not values and any((name.fqdn, rtype) not in own for rtype in held.types.get(name.fqdn, ())):
            return False
    return True
