# SPDX-License-Identifier: GPL-3.0-or-later
"""TSIG keys of DHCP servers: their rows, and what a message of one may not touch."""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, delete, exists, func, insert, select

from ddnsd.db import queries
from ddnsd.db.rows import DhcpKey, Domain, endings
from ddnsd.db.schema import dhcp_key_domains, dhcp_keys, domains, hosts, related, removals, rrsets, users

DHCP_KEY: Select[Any] = select(*(dhcp_keys.c[name] for name in DhcpKey._fields))


def named(connection: Connection, name: str) -> DhcpKey | None:
    """The key with this name."""
    row = connection.execute(DHCP_KEY.where(dhcp_keys.c.name == name)).first()
    return DhcpKey._make(row) if row else None


def page(connection: Connection, owner_id: int | None, after: int, limit: int) -> list[DhcpKey]:
    """At most `limit` keys with an id above `after`, by id: those of a domain of this owner, or all."""
    query = DHCP_KEY.where(dhcp_keys.c.id > after)
    if owner_id is not None:
        own = select(dhcp_key_domains.c.key_id).join(domains).where(domains.c.owner_id == owner_id)
        query = query.where(dhcp_keys.c.id.in_(own))
    return [DhcpKey._make(row) for row in connection.execute(query.order_by(dhcp_keys.c.id).limit(limit))]


def domains_of(connection: Connection, key_ids: Collection[int]) -> dict[int, list[Domain]]:
    """The domains of each key, by the key's id, sorted by name."""
    query = queries.DOMAIN.add_columns(dhcp_key_domains.c.key_id)
    query = query.join(dhcp_key_domains, dhcp_key_domains.c.domain_id == domains.c.id)
    found: dict[int, list[Domain]] = {}
    for *values, key_id in connection.execute(
        query.where(dhcp_key_domains.c.key_id.in_(list(key_ids))).order_by(domains.c.name)
    ):
        found.setdefault(key_id, []).append(Domain._make(values))
    return found


def count(connection: Connection, domain_id: int) -> int:
    """The number of keys of the domain."""
    of_domain = select(func.count()).where(dhcp_key_domains.c.domain_id == domain_id)
    return connection.scalar(of_domain) or 0


def add(connection: Connection, name: str, secret_hash: bytes, created_by: str, domain_ids: Iterable[int]) -> None:
    """Add a key. Raises IntegrityError if there is one of this name."""
    values = {"name": name, "secret_hash": secret_hash, "created_by": created_by, "created": queries.now()}
    result = connection.execute(insert(dhcp_keys).values(values))
    assert result.inserted_primary_key is not None
    key_id = result.inserted_primary_key[0]
    of_key = [{"key_id": key_id, "domain_id": domain_id} for domain_id in domain_ids]
    connection.execute(insert(dhcp_key_domains), of_key)


def remove(connection: Connection, key_id: int) -> None:
    """Delete a key."""
    connection.execute(delete(dhcp_keys).where(dhcp_keys.c.id == key_id))


def remove_without_domains(connection: Connection) -> None:
    """Delete the keys of domains that are gone."""
    of_domain = exists().where(dhcp_key_domains.c.key_id == dhcp_keys.c.id)
    connection.execute(delete(dhcp_keys).where(~of_domain))


def domain_of(connection: Connection, key_id: int, zone: str) -> Domain | None:
    """The domain of this name, if the key may change it and its owner is active."""
    query = queries.DOMAIN.join(dhcp_key_domains, dhcp_key_domains.c.domain_id == domains.c.id)
    row = connection.execute(
        query.where(dhcp_key_domains.c.key_id == key_id, domains.c.name == zone, users.c.active)
    ).first()
    return Domain._make(row) if row else None


class TakenNames(NamedTuple):
    """Names of a message at or below which there is something of ours, and those with a removal under way."""

    ours: frozenset[str]
    leaving: frozenset[str]


def taken_names(connection: Connection, domain: Domain, names: Collection[str]) -> TakenNames:
    """What is in the way at these names of the domain.

    Ours are names of hosts, with all names below them (wildcards, related names, records), and names of other domains.
    A reverse name with a record of somebody else is not ours.
    """
    above = {name: endings(name) for name in names}
    around = {ending for of_name in above.values() for ending in of_name}
    foreign = exists().where(rrsets.c.host_id == hosts.c.id, rrsets.c.conflict.is_not(None), ~rrsets.c.claimed)
    held = hosts.c.reverse_of.is_not(None) & (hosts.c.conflict.is_not(None) | foreign)  # it may belong to DHCP
    found = set(connection.scalars(select(hosts.c.fqdn).where(hosts.c.fqdn.in_(around), ~held)))
    found.update(connection.scalars(select(related.c.fqdn).where(related.c.fqdn.in_(around))))
    inner = select(domains.c.name).where(domains.c.name.in_(around), domains.c.id != domain.id)
    found.update(name for name in connection.scalars(inner) if name.endswith("." + domain.name))
    ours = frozenset(name for name, of_name in above.items() if not found.isdisjoint(of_name))
    pending = removals.c.domain_id == domain.id, removals.c.dirty_since.is_not(None), removals.c.fqdn.in_(names)
    return TakenNames(ours, frozenset(connection.scalars(select(removals.c.fqdn).where(*pending))))


def forget_removals(connection: Connection, domain_id: int, names: Collection[str]) -> None:
    """Forget the removal of these names, which belong to DHCP now: nothing is removed there again."""
    done = removals.c.domain_id == domain_id, removals.c.dirty_since.is_(None), removals.c.fqdn.in_(names)
    connection.execute(delete(removals).where(*done))
