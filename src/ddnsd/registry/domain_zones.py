# SPDX-License-Identifier: GPL-3.0-or-later
"""Adding, changing and removing domains together with their zones."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ddnsd.db import host_edits, queries
from ddnsd.db.base import Store
from ddnsd.db.rows import Domain
from ddnsd.dns import new_primary, primary_check
from ddnsd.dns.bind.control import Bind
from ddnsd.dns.bind.zone_config import check_policy
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.new_primary import Found
from ddnsd.dns.tsig import TsigKey
from ddnsd.registry import accounts, domains
from ddnsd.registry.errors import Code, Invalid, NoBind, NoDomain, NotEmpty, Reason, Taken

SHOWN = 5
"""Names that are shown where there may be thousands."""

Expect = Callable[[Domain], None]


class Provisioned(NamedTuple):
    """A zone, and what had to be done for it: words of `Bind.ensure`."""

    zone: str
    done: list[str]


async def check_catalog(store: Store, bind: Bind) -> None:
    """Whether the catalog zone may be made, where it is to be: no host vanishes from DNS. Raises Taken, StoreDown."""
    if (catalog := bind.options.catalog) is None:
        return
    reason = await store.read(lambda c: domains.hides(c, catalog))
    if reason is not None and not await asyncio.to_thread(bind.serves, catalog):
        raise Taken(name=Reason(Code.CATALOG_HIDES, catalog=catalog, reason=reason))


class Zones:
    """`bind` is the BIND that the service controls, None where it controls none; `primary` is where that answers.

    `changed` is called once a domain has come or gone.
    """

    def __init__(
        self, store: Store, bind: Bind | None, primary: str, changed: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._store, self._bind, self._primary, self._changed = store, bind, primary, changed

    async def check_new(
        self, name: str, owner: str, *, primary: str | None = None, key: TsigKey | None = None, columns: dict[str, Any]
    ) -> None:
        """Whether `add` would do it, as far as can be told without changing anything. Raises as `add` does."""
        await self._store.read(lambda c: _check_new(c, name, owner))
        policy = _policy(columns, key)
        if key is None:
            await check_catalog(self._store, self._controlled)
            await asyncio.to_thread(self._controlled.ensure, name, TsigKey.generate(name), policy, check=True)
        else:
            await primary_check.accepts_updates(name, endpoint(primary or self._primary), key)

    async def add(
        self,
        name: str,
        owner: str,
        *,
        primary: str | None = None,
        key: TsigKey | None = None,
        algorithm: str = "hmac-sha256",
        columns: dict[str, Any],
        actor: str,
        client_ip: str | None = None,
    ) -> Domain:
        """Keep a domain once its zone takes our updates; without a key the zone is made on our own BIND.

        `name` is folded. Raises Invalid, Taken, NoBind, BindError, DnsError, StoreDown.
        """
        where = endpoint(primary or self._primary)
        await self._store.read(lambda c: _check_new(c, name, owner))
        provisioned, policy, made = key is None, _policy(columns, key), False
        if key is None:
            await check_catalog(self._store, self._controlled)
            made = not await asyncio.to_thread(self._controlled.serves, name)
            used = await asyncio.to_thread(self._controlled.provision, name, algorithm, policy)
        else:
            used = key
        await primary_check.accepts_updates(name, where, used)

        def keep(connection: Connection) -> Domain:
            user = accounts.user_named(connection, owner)
            return domains.add_domain(
                connection,
                name,
                user,
                used,
                where,
                actor=actor,
                client_ip=client_ip,
                provisioned=provisioned,
                **columns,
            )

        try:
            added = await self._store.transact(keep)
        except Taken:
            if made and not await self._store.read(lambda c: queries.is_domain(c, [name])):
                # a host came meanwhile, which the new zone hides from DNS
                await asyncio.to_thread(self._controlled.withdraw, name)
            raise
        await self._tell()
        return added

    async def set(
        self,
        name: str,
        *,
        actor: str,
        primary: str | None = None,
        key: TsigKey | None = None,
        columns: dict[str, Any],
        check_only: bool = False,
    ) -> str:
        """Change a domain; answers in words what changes, and with `check_only` does not do it.

        A new key or primary is tried first; then every host is sent there, and names at which it holds what is not ours
        are in conflict. Our own BIND need not serve the zone yet: `provision` then makes it. A DNSSEC policy is in
        force before the store has it.
        Raises NoDomain, Invalid, NoBind, BindError, DnsError, StoreDown.
        """
        domain = await self._store.read(lambda c: queries.domain(c, name))
        if domain is None:
            raise NoDomain(Code.DOMAIN_MISSING, domain=name)
        changed = domains.differing(domain, columns | _reached(domain, primary, key))
        found: Found | None = new_primary.NOTHING
        if reached := {column: value for column, value in changed.items() if column in domains.REACHED}:
            found = await self._look(domain._replace(**reached))
        if "dnssec_policy" in changed:
            await self._sign(domain, changed["dnssec_policy"], check_only=check_only)
        if changed and not check_only:
            owned = (found or new_primary.NOTHING).owned
            await self._store.transact(lambda c: domains.set_domain(c, name, actor=actor, owned=owned, **changed))
        return domains.in_words(changed) + _primary_note(found)

    async def _look(self, domain: Domain) -> Found | None:
        """Try the primary and key of the changed `domain`; None where our own BIND does not serve its zone yet."""
        if domain.provisioned and self._bind is not None and domain.primary == endpoint(self._primary):
            wanted = domain.name, TsigKey.of(domain), domain.dnssec_policy
            if "zone" in await asyncio.to_thread(self._bind.ensure, *wanted, check=True):
                return None
        return await new_primary.look(self._store, domain)

    async def _sign(self, domain: Domain, policy: str | None, *, check_only: bool) -> None:
        if not domain.provisioned:
            raise Invalid(dnssec_policy=Reason(Code.POLICY_OF_FOREIGN_ZONE, domain=domain.name))
        key, policy = TsigKey.of(domain), _policy({"dnssec_policy": policy}, None)
        await asyncio.to_thread(self._controlled.ensure, domain.name, key, policy, check=check_only)

    async def remove(self, name: str, *, actor: str, client_ip: str | None, expect: Expect) -> None:
        """Remove a domain without hosts; a zone that was made for it leaves BIND.

        `expect` may raise. Raises NoDomain, NotEmpty, NoBind and BindError (nothing is changed), StoreDown.
        """
        found = await self._store.transact(lambda c: _close(c, name, expect))
        if found.provisioned:
            try:
                await asyncio.to_thread(self._controlled.withdraw, name)
            except BaseException:
                await self._store.transact(lambda c: host_edits.set_domain(c, found.id, available=found.available))
                raise
        await self._store.transact(lambda c: domains.delete_domain(c, found, actor, client_ip))
        await self._tell()

    async def provision(
        self, names: Collection[str] = (), *, actor: str, check_only: bool = False
    ) -> AsyncIterator[Provisioned]:
        """Have our BIND serve the zones that were made on it, as the store says: of these domains, or all of them.

        Hosts of a zone that was not served are sent again. Answers each zone for which something had to be done (with
        `check_only` it is not), the catalog zone among them. Raises NoDomain, Invalid, NoBind, BindError, StoreDown.
        """
        made = await self._store.read(lambda c: _provisioned(c, names))
        if not made and self._bind is None:
            return
        bind = self._controlled
        await check_catalog(self._store, bind)
        if not names and (done := await asyncio.to_thread(bind.ensure_catalog, check=check_only)):
            yield Provisioned(bind.options.catalog or "", done)
        for domain in made:
            wanted = domain.name, TsigKey.of(domain), domain.dnssec_policy
            done = await asyncio.to_thread(bind.ensure, *wanted, check=True)
            if done and not check_only:
                await self._store.transact(lambda c, d=domain, w=done: _note(c, d, w, actor))  # type: ignore[misc]
                await asyncio.to_thread(bind.ensure, *wanted)
            if done:
                yield Provisioned(domain.name, done)

    @property
    def _controlled(self) -> Bind:
        if self._bind is None:
            raise NoBind
        return self._bind

    async def _tell(self) -> None:
        if self._changed is not None:
            await self._changed()


def _primary_note(found: Found | None) -> str:
    """What an operator should know of the new primary."""
    if found is None:
        return "; BIND does not serve the zone yet: run `ddnsd domain provision`"
    if not (names := found.foreign):
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"; in conflict with other records there: {', '.join(names[:SHOWN])}{more}"


def _check_new(connection: Connection, name: str, owner: str) -> None:
    accounts.user_named(connection, owner)
    domains.check_new(connection, name)


def _policy(columns: dict[str, Any], key: TsigKey | None) -> str | None:
    policy: str | None = columns.get("dnssec_policy")
    if policy is None:
        return None
    if key is not None:
        raise Invalid(dnssec_policy=Reason(Code.POLICY_OF_EXISTING_ZONE))
    try:
        check_policy(policy)
    except ValueError:
        raise Invalid(dnssec_policy=Reason(Code.POLICY_INVALID, policy=policy)) from None
    return policy


def _reached(domain: Domain, primary: str | None, key: TsigKey | None) -> dict[str, Any]:
    """The columns that say how the domain's primary is reached."""
    columns: dict[str, Any] = {} if primary is None else {"primary": endpoint(primary)}
    if key is not None:
        if domain.provisioned:
            raise Invalid(key=Reason(Code.KEY_OF_OWN_ZONE, domain=domain.name))
        columns |= {"key_name": key.name, "key_algorithm": key.algorithm, "key_secret": key.secret}
    return columns


def _provisioned(connection: Connection, names: Collection[str]) -> list[Domain]:
    found = {domain.name: domain for domain in queries.all_domains(connection)}
    for name in names:
        if name not in found:
            raise NoDomain(Code.DOMAIN_MISSING, domain=name)
        if not found[name].provisioned:
            raise Invalid(name=Reason(Code.ZONE_NOT_PROVISIONED, domain=name))
    return [domain for domain in found.values() if domain.provisioned and (not names or domain.name in names)]


def _note(connection: Connection, domain: Domain, done: list[str], actor: str) -> None:
    """Before the zone is made: whatever happens then, its hosts are sent."""
    queries.add_event(
        connection, actor, "domain.provision", domain.name, None, ", ".join(done), owner_id=domain.owner_id
    )
    if "zone" in done:
        queries.wish_again(connection, [host.id for host in queries.hosts_of_domain(connection, domain.id)])


def _close(connection: Connection, name: str, expect: Expect) -> Domain:
    """Nobody registers in the domain from here on."""
    domain = host_edits.locked_domain(connection, name)
    if domain is None:
        raise NoDomain(Code.DOMAIN_MISSING, domain=name)
    expect(domain)
    if host_edits.has_hosts(connection, domain.id):
        raise NotEmpty(Code.DOMAIN_HAS_HOSTS, domain=name)
    if not domain.provisioned and host_edits.is_being_left(connection, domain.id):
        raise NotEmpty(Code.DOMAIN_HAS_REMOVALS, domain=name)
    host_edits.set_domain(connection, domain.id, available=False)
    return domain


def endpoint(text: str) -> str:
    """ADDRESS:PORT of a primary, with port 53 where none is given. Raises Invalid."""
    try:
        return str(Endpoint.from_text(text, 53))
    except ValueError:
        raise Invalid(primary=Reason(Code.PRIMARY_INVALID, primary=text)) from None
