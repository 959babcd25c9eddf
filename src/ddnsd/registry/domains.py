# SPDX-License-Identifier: GPL-3.0-or-later
"""The domains in which hosts are registered."""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, can, is_name_allowed
from ddnsd.db import host_edits, paging, primaries, queries
from ddnsd.db.base import Store
from ddnsd.db.primaries import NOTHING, Owned
from ddnsd.db.rows import Domain, User
from ddnsd.db.schema import domains
from ddnsd.db.wildcards import wildcard_above
from ddnsd.dns.tsig import TsigKey
from ddnsd.registry import names
from ddnsd.registry.errors import Code, Invalid, NoDomain, NotEmpty, Reason, Taken
from ddnsd.registry.paging import Page, page_of

WORDS = {"owner_id": "owner", "key_name": "key", "key_algorithm": "key", "key_secret": "key"}

REACHED = frozenset({"primary", "key_name", "key_algorithm", "key_secret"})
"""The columns that say where a domain's zone is: with another key it may be another zone, in another view."""

ACTOR = "ddnsd"
"""Who it was when an administrator used a command."""


class Domains:
    """The domains of the registry; `domain_zones` adds and removes them with their zones."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def named(self, name: str) -> Domain | None:
        """The domain of that folded name. Raises StoreDown."""
        return await self._store.read(lambda c: queries.domain(c, name))

    async def around(self, fqdn: str) -> Domain | None:
        """The domain that is the longest ending of `fqdn`. Raises StoreDown."""
        return await self._store.read(lambda c: queries.closest_domain(c, fqdn))

    async def for_new_host(self, caller: Caller, fqdn: str) -> Domain | None:
        """The domain of a new host of the caller, available or not; None where there is none. Raises StoreDown."""
        domain = await self.around(fqdn)
        return domain if domain is not None and may_register(caller, domain, fqdn) else None

    async def all(self) -> list[Domain]:
        """Every domain, by name. Raises StoreDown."""
        return await self._store.read(queries.all_domains)

    async def page(self, after: int, limit: int) -> Page[Domain]:
        """Domains with an id above `after`. Raises StoreDown."""
        return page_of(await self._store.read(lambda c: paging.page_of_domains(c, after, limit + 1)), limit)

    async def host_counts(self) -> dict[int, int]:
        """How many hosts each domain has, by its id; empty domains are missing. Raises StoreDown."""
        return await self._store.read(paging.host_counts)

    async def host_count(self, domain_id: int) -> int:
        """How many hosts the domain has. Raises StoreDown."""
        return await self._store.read(lambda c: paging.host_count(c, domain_id))

    async def change(
        self, name: str, *, actor: str, client_ip: str | None, expect: Callable[[Domain], None], **columns: Any
    ) -> Domain:
        """Change columns of a domain, as `set_domain` does. Raises NoDomain, StoreDown, and what `expect` raises."""
        return await self._store.transact(
            lambda c: set_domain(c, name, actor=actor, client_ip=client_ip, expect=expect, **columns)
        )


def may_register(caller: Caller, domain: Domain, fqdn: str) -> bool:
    """Whether the caller may register the name in the domain, which must be enabled."""
    return domain.available and can(caller, Action.REGISTER, domain) and is_name_allowed(caller, fqdn)


def add_domain(
    connection: Connection,
    name: str,
    owner: User,
    key: TsigKey,
    primary: str,
    *,
    actor: str = ACTOR,
    client_ip: str | None = None,
    **columns: Any,
) -> Domain:
    """Keep a domain whose zone takes our updates; `columns` are `public`, `comment`, `ttl`, … Raises Invalid, Taken."""
    if around := queries.closest_domain(connection, name):
        host_edits.locked_domain(connection, around.name)  # nobody registers below the name meanwhile
    check_new(connection, name)
    try:
        connection.execute(
            insert(domains).values(
                name=name,
                owner_id=owner.id,
                primary=primary,
                key_name=key.name,
                key_algorithm=key.algorithm,
                key_secret=key.secret,
                created=queries.now(),
                **columns,
            )
        )
    except IntegrityError:
        raise Taken(name=Reason(Code.DOMAIN_EXISTS, domain=name)) from None
    queries.add_event(connection, actor, "domain.add", name, client_ip, None, owner_id=owner.id)
    return _named(connection, name)


def check_new(connection: Connection, name: str) -> None:
    """Whether a domain of that folded name can be added. Raises Invalid, Taken."""
    if problem := names.domain_problem(name):
        raise Invalid(name=problem)
    if queries.domain(connection, name) is not None:
        raise Taken(name=Reason(Code.DOMAIN_EXISTS, domain=name))
    if reason := hides(connection, name):
        raise Taken(name=reason)


def hides(connection: Connection, name: str) -> Reason | None:
    """What would vanish from DNS under a new zone, whose names the zone around it answers no more; None for nothing.

    Names that are still to leave the zone around it are no reason: they leave that zone as they would have.
    """
    if host := queries.host_within(connection, name):
        return Reason(Code.DOMAIN_HIDES_HOST, host=host, domain=name)
    if found := queries.related_within(connection, name):
        return Reason(Code.DOMAIN_HIDES_RELATED, name=found[0], host=found[1])
    if host := wildcard_above(connection, name):
        return Reason(Code.DOMAIN_HIDES_WILDCARD, host=host, domain=name)
    return None


def set_domain(
    connection: Connection,
    name: str,
    *,
    actor: str = ACTOR,
    client_ip: str | None = None,
    expect: Callable[[Domain], None] | None = None,
    owned: Owned = NOTHING,
    **columns: Any,
) -> Domain:
    """Change columns of a domain; with a new TTL, primary or key all of its hosts are sent again.

    `expect` is called with the domain as it is just before, and may raise. `owned` is what a new primary is known to
    hold of ours. Raises NoDomain.
    """
    domain = host_edits.locked_domain(connection, name)
    if domain is None:
        raise NoDomain(Code.DOMAIN_MISSING, domain=name)
    if expect is not None:
        expect(domain)
    changed = differing(domain, columns)
    if not changed:
        return domain
    host_edits.set_domain(connection, domain.id, **changed)
    if changed.keys() & REACHED:
        primaries.send_all_again(connection, domain.id, owned)
    elif "ttl" in changed:
        queries.wish_again(connection, [host.id for host in queries.hosts_of_domain(connection, domain.id)])
    queries.add_event(connection, actor, "domain.set", name, client_ip, in_words(changed), owner_id=domain.owner_id)
    return _named(connection, name)


def differing(domain: Domain, columns: dict[str, Any]) -> dict[str, Any]:
    """Those of the columns in which the domain is otherwise."""
    return {column: value for column, value in columns.items() if getattr(domain, column) != value}


def in_words(columns: Iterable[str]) -> str:
    """What changes with these columns, for people."""
    return ", ".join(sorted({WORDS.get(column, column) for column in columns}))


def delete_domain(connection: Connection, domain: Domain, actor: str, client_ip: str | None) -> None:
    """Forget a domain; its zone is not touched. Raises NotEmpty while it has hosts."""
    if host_edits.has_hosts(connection, domain.id):
        raise NotEmpty(Code.DOMAIN_HAS_HOSTS, domain=domain.name)
    host_edits.delete_domain(connection, domain.id)
    queries.add_event(connection, actor, "domain.delete", domain.name, client_ip, None, owner_id=domain.owner_id)


def _named(connection: Connection, name: str) -> Domain:
    found = queries.domain(connection, name)
    assert found is not None
    return found
