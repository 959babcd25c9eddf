# SPDX-License-Identifier: GPL-3.0-or-later
"""The domains in which hosts are registered."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Set
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, can, covers_stack, is_name_allowed
from ddnsd.db import dhcp_keys, host_edits, paging, pointer_marks, pointers, primaries, queries, resends
from ddnsd.db.base import Store
from ddnsd.db.primaries import NOTHING, Owned
from ddnsd.db.rows import Domain, User, reversed_name
from ddnsd.db.schema import domains
from ddnsd.db.wildcards import wildcard_above
from ddnsd.dns.tsig import TsigKey
from ddnsd.registry import names, reverse, transfers
from ddnsd.registry.errors import Code, Invalid, NoDomain, NotEmpty, Reason, Taken
from ddnsd.registry.rows import Page, page_of

SLICE = 200
"""Maximum number of domains per read of a long list."""

WORDS = {"owner_id": "owner", "key_name": "key", "key_algorithm": "key", "key_secret": "key"}

REACHED = frozenset({"primary", "key_name", "key_algorithm", "key_secret"})
"""Columns that locate a domain's zone. Another key may select another zone, in another view."""

FREEZE = frozenset({"frozen_since", "frozen_reason"})

ACTOR = "ddnsd"
"""The actor of changes that an administrator makes with a command."""


class Freeze(NamedTuple):
    """A freeze for maintenance; the reason is shown to the users of the domain."""

    reason: str | None = None


class Domains:
    """Reads and changes domains; `domain_zones` adds and removes them with their zones."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def named(self, name: str) -> Domain | None:
        """The domain of that folded name. Raises StoreDown."""
        return await self._store.read(lambda c: queries.domain(c, name))

    async def around(self, fqdn: str) -> Domain | None:
        """The domain that is the longest ending of `fqdn`. Raises StoreDown."""
        return await self._store.read(lambda c: queries.closest_domain(c, fqdn))

    async def for_new_host(self, caller: Caller, fqdn: str, stack: str | None) -> Domain | None:
        """The domain in which the caller may register the name for the stack, or None. Raises StoreDown."""
        domain = await self.around(fqdn)
        return domain if domain is not None and may_register(caller, domain, fqdn, stack) else None

    async def all(self) -> list[Domain]:
        """Every domain, by name. Raises StoreDown."""
        return await self._store.read(queries.all_domains)

    async def slices(self, user_id: int, *, own: bool) -> AsyncIterator[list[Domain]]:
        """Yield the user's own domains, or all others, by name, in slices from short reads. Raises StoreDown."""
        after = ""
        while True:
            found = await self._store.read(
                lambda c, a=after: paging.domains_by_name(c, a, SLICE, owner_id=user_id, own=own)  # type: ignore[misc]
            )
            yield found
            if len(found) < SLICE:
                return
            after = found[-1].name

    async def page(self, after: int, limit: int) -> Page[Domain]:
        """Domains with an id above `after`. Raises StoreDown."""
        return page_of(await self._store.read(lambda c: paging.page_of_domains(c, after, limit + 1)), limit)

    async def host_counts(self) -> dict[int, int]:
        """The number of hosts by domain id; domains without hosts are missing. Raises StoreDown."""
        return await self._store.read(paging.host_counts)

    async def host_count(self, domain_id: int) -> int:
        """The number of hosts in the domain. Raises StoreDown."""
        return await self._store.read(lambda c: paging.host_count(c, domain_id))

    async def change(
        self, name: str, *, actor: str, client_ip: str | None, expect: Callable[[Domain], None], **columns: Any
    ) -> Domain:
        """Change columns of a domain, as `set_domain` does. Raises NoDomain, StoreDown, and what `expect` raises."""
        return await self._store.transact(
            lambda c: set_domain(c, name, actor=actor, client_ip=client_ip, expect=expect, **columns)
        )


def may_register(caller: Caller, domain: Domain, fqdn: str, stack: str | None) -> bool:
    """Whether the caller may register the name for the stack (None: for none) in the domain, which is available."""
    allowed = is_name_allowed(caller, fqdn) and covers_stack(caller, stack)
    return domain.available and allowed and can(caller, Action.REGISTER, domain)


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
    """Add a domain whose zone accepts updates; `columns` are `public`, `comment`, `ttl`, … Raises Invalid, Taken."""
    columns = reverse.with_network(name, columns)
    if around := queries.closest_domain(connection, name):
        host_edits.locked_domain(connection, around.name)  # no host can be registered below the name meanwhile
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
                reversed_name=reversed_name(name),
                **columns,
            )
        )
    except IntegrityError:
        raise Taken(name=Reason(Code.DOMAIN_EXISTS, domain=name)) from None
    if names.is_reverse(name):
        pointer_marks.look_at_all(connection)
    queries.add_event(connection, actor, "domain.add", name, client_ip, None, owner_id=owner.id)
    return _named(connection, name)


def check_new(connection: Connection, name: str) -> None:
    """Check that a domain of that folded name can be added. Raises Invalid, Taken."""
    if problem := names.domain_problem(name):
        raise Invalid(name=problem)
    if queries.domain(connection, name) is not None:
        raise Taken(name=Reason(Code.DOMAIN_EXISTS, domain=name))
    if reason := hides(connection, name):
        raise Taken(name=reason)


def parent_of(connection: Connection, name: str) -> Domain | None:
    """The domain with the longest name that is a proper ending of `name`: its zone may delegate that name."""
    _, _, around = name.partition(".")
    return queries.closest_domain(connection, around) if around else None


def hides(connection: Connection, name: str) -> Reason | None:
    """Why a new zone of that name would hide records in the zone around it, or None.

    Names that are being removed from the zone around it do not count.
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
    """Change columns of a domain. With a new primary or key all its hosts are sent again at once, with a new TTL soon.

    `expect` is called with the domain just before, and may raise. `owned` holds our records that a new primary already
    has. `frozen` is a Freeze, or None to thaw the domain. `owner` is the name of the new owner. Raises NoDomain, and
    Invalid if that user cannot own a domain.
    """
    domain = host_edits.locked_domain(connection, name)
    if domain is None:
        raise NoDomain(Code.DOMAIN_MISSING, domain=name)
    if expect is not None:
        expect(domain)
    if "frozen" in columns:
        columns |= _freeze_columns(domain, columns.pop("frozen"))
    if "owner" in columns:
        new_owner = columns.pop("owner")
        columns["owner_id"] = transfers.check_owner(queries.user(connection, new_owner), new_owner).id
    changed = differing(domain, reverse.with_network(name, columns, domain))
    if not changed:
        return domain
    check_members(connection, domain, changed)
    host_edits.set_domain(connection, domain.id, **changed)
    if changed.keys() & REACHED:
        primaries.send_all_again(connection, domain.id, owned)
    elif "ttl" in changed:
        resends.begin(connection, domain.id)
    if changed.keys() & {"network", "reverse"}:
        pointer_marks.look_at_all(connection)
    if "owner_id" in changed:
        pointers.set_owner(connection, domain.id, changed["owner_id"])
    now = _named(connection, name)
    for action, detail in _happened(now, changed.keys()):
        queries.add_event(connection, actor, action, name, client_ip, detail, owner_id=domain.owner_id)
    if now.owner_id != domain.owner_id:
        for detail, owner_id in ((f"to {now.owner}", domain.owner_id), (f"from {domain.owner}", now.owner_id)):
            queries.add_event(connection, actor, "domain.transfer", name, client_ip, detail, owner_id=owner_id)
    return now


def _freeze_columns(domain: Domain, freeze: Freeze | None) -> dict[str, Any]:
    if freeze is None:
        return dict.fromkeys(FREEZE)
    return {"frozen_since": domain.frozen_since or queries.now(), "frozen_reason": freeze.reason}


def _happened(now: Domain, changed: Set[str]) -> Iterator[tuple[str, str | None]]:
    """The events (action, detail) of a change."""
    if changed & FREEZE:
        yield ("domain.freeze", now.frozen_reason) if now.frozen_since else ("domain.thaw", None)
    if others := changed - FREEZE - {"owner_id"}:
        yield "domain.set", in_words(others)


def takes_hosts(domain: Domain) -> bool:
    """Whether hosts can have names there: neither reverse zones nor domains of members only."""
    return not names.is_reverse(domain.name) and not domain.members_only


def check_members(connection: Connection, domain: Domain, changed: dict[str, Any]) -> None:
    """Members of a realm could change records of hosts. Raises Invalid if the changed domain would have both."""
    changes = {field: changed[field] for field in ("gss_realm", "gss_hosts") if field in changed}
    if changes and domain._replace(**changes).members_only and host_edits.has_hosts(connection, domain.id):
        raise Invalid(**{max(changes): Reason(Code.REALM_BESIDE_HOSTS, domain=domain.name)})


def differing(domain: Domain, columns: dict[str, Any]) -> dict[str, Any]:
    """The columns whose value differs from the domain's."""
    return {column: value for column, value in columns.items() if getattr(domain, column) != value}


def in_words(columns: Iterable[str]) -> str:
    """The names of the changed columns as text for people."""
    return ", ".join(sorted({WORDS.get(column, column) for column in columns}))


def delete_domain(connection: Connection, domain: Domain, actor: str, client_ip: str | None) -> None:
    """Delete a domain, but not its zone. Raises NotEmpty if it has hosts."""
    check_empty(connection, domain)
    host_edits.delete_domain(connection, domain.id)
    if names.is_reverse(domain.name):
        pointer_marks.look_at_all(connection)
    dhcp_keys.remove_without_domains(connection)
    queries.add_event(connection, actor, "domain.delete", domain.name, client_ip, None, owner_id=domain.owner_id)


def check_empty(connection: Connection, domain: Domain) -> None:
    """Raises NotEmpty if the domain has hosts or reverse names of hosts."""
    if host_edits.has_hosts(connection, domain.id):
        only_reverse = paging.host_count(connection, domain.id) == 0
        raise NotEmpty(Code.DOMAIN_HAS_REVERSE_NAMES if only_reverse else Code.DOMAIN_HAS_HOSTS, domain=domain.name)


def _named(connection: Connection, name: str) -> Domain:
    found = queries.domain(connection, name)
    assert found is not None
    return found
