# SPDX-License-Identifier: GPL-3.0-or-later
"""The domains in which hosts are registered."""

from typing import Any

from sqlalchemy import Connection, insert, update

from ddnsd.registry import names
from ddnsd.registry.errors import Invalid, NoDomain
from ddnsd.store import queries
from ddnsd.store.database import Store
from ddnsd.store.rows import Domain, User
from ddnsd.store.tables import domains
from ddnsd.zones.tsig import TsigKey


class Domains:
    """Reading domains."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def named(self, name: str) -> Domain | None:
        """The domain of that folded name. Raises StoreDown."""
        return await self._store.read(lambda c: queries.domain(c, name))

    async def around(self, fqdn: str) -> Domain | None:
        """The domain that is the longest ending of `fqdn`. Raises StoreDown."""
        return await self._store.read(lambda c: queries.closest_domain(c, fqdn))

    async def all(self) -> list[Domain]:
        """Every domain, by name. Raises StoreDown."""
        return await self._store.read(queries.all_domains)


def add_domain(
    connection: Connection, name: str, owner: User, key: TsigKey, primary: str, **columns: Any
) -> Domain:  # fmt: skip
    """Keep a domain whose zone takes our updates; `columns` are `public`, `comment`, `ttl`, … Raises Invalid."""
    if problem := problem_of_domain(connection, name):
        raise Invalid(name=problem)
    connection.execute(
        insert(domains).values(
            name=name, owner_id=owner.id, primary=primary, key_name=key.name, key_algorithm=key.algorithm,
            key_secret=key.secret, created=queries.now(), **columns,
        )
    )  # fmt: skip
    queries.add_event(connection, "ddnsd", "domain.add", name, None, None)
    added = queries.domain(connection, name)
    assert added is not None
    return added


def problem_of_domain(connection: Connection, name: str) -> str | None:
    """Why the domain cannot be added, or None."""
    if "." not in name or names.problem(name):
        return f"{name!r} is not a domain name"
    if queries.domain(connection, name) is not None:
        return f"the domain {name} exists already"
    if below := queries.hosts_below(connection, name):
        return f"the host {below[0]} lies in {name} already"
    return None


def set_domain(connection: Connection, name: str, **columns: Any) -> None:
    """Change columns of a domain; a new TTL reaches the records with their next change. Raises NoDomain."""
    result = connection.execute(update(domains).where(domains.c.name == name).values(**columns))
    if result.rowcount == 0:
        raise NoDomain(f"there is no domain {name}")
    queries.add_event(connection, "ddnsd", "domain.set", name, None, ", ".join(sorted(columns)))
