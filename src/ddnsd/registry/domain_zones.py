# SPDX-License-Identifier: GPL-3.0-or-later
"""Add, change and remove domains together with their zones."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ddnsd.db import host_edits, mirrors, queries
from ddnsd.db.base import Store
from ddnsd.db.rows import Domain
from ddnsd.dns import delegations, dnssec, errors, new_primary, primary_check, reconcile, zone_members
from ddnsd.dns.bind.control import Bind
from ddnsd.dns.bind.rndc import BindError, UnknownPolicy
from ddnsd.dns.bind.zone_config import Features, check_policy, check_realm
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.ds_records import Comparison
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.new_primary import Found
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.zone_members import Member
from ddnsd.registry import accounts, domains, reverse
from ddnsd.registry.errors import Code, Invalid, NoBind, NoDomain, NotEmpty, Reason, Taken

SHOWN = 5
"""Maximum number of names to show, because there may be thousands."""

Expect = Callable[[Domain], None]


class Provisioned(NamedTuple):
    """A zone, and the steps that it needed, as `Bind.ensure` returns them.

    `resent`: records of the zone may have been old, so it was compared and all its hosts are sent again. `kept` is the
    damaged journal that was set aside. `uncompared` is the reason why the zone was not compared.
    """

    zone: str
    done: list[str]
    resent: bool = False
    kept: Path | None = None
    uncompared: str | None = None


OF_FOREIGN_ZONE = {"dnssec_policy": Code.POLICY_OF_FOREIGN_ZONE, "gss_realm": Code.REALM_OF_FOREIGN_ZONE}
"""The refusals of features in zones that the service did not create."""

MAY_BE_OLD = frozenset({"zone", "journal"})
"""After these steps, records of the zone may be old or missing."""


async def check_catalog(store: Store, bind: Bind) -> None:
    """Check that a new catalog zone, if one is configured, would hide no host in DNS. Raises Taken, StoreDown."""
    if (catalog := bind.options.catalog) is None:
        return
    reason = await store.read(lambda c: domains.hides(c, catalog))
    if reason is not None and not await asyncio.to_thread(bind.serves, catalog):
        raise Taken(name=Reason(Code.CATALOG_HIDES, catalog=catalog, reason=reason))


class Zones:
    """Adds, changes and removes domains with their zones.

    `bind` is the BIND that the service controls, or None. `primary` is its address. `resolver` is asked for DS records;
    None: that of the system. `changed` is called after a domain is added or removed.
    """

    def __init__(
        self,
        store: Store,
        bind: Bind | None,
        primary: str,
        resolver: Endpoint | None = None,
        changed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store, self._bind, self._primary, self._changed = store, bind, primary, changed
        self._resolver = resolver

    async def check_new(
        self, name: str, owner: str, *, primary: str | None = None, key: TsigKey | None = None, columns: dict[str, Any]
    ) -> None:
        """Check whether `add` would succeed, as far as possible without changes. Raises as `add` does."""
        await self._store.read(lambda c: _check_new(c, name, owner))
        reverse.with_network(name, columns)
        features = _features(columns, key)
        if key is None:
            await check_catalog(self._store, self._controlled)
            await asyncio.to_thread(self._controlled.ensure, name, TsigKey.generate(name), features, check=True)
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
        """Add a domain after its zone has accepted a test update. Without a key, create the zone on our BIND.

        `name` is folded. Raises Invalid, Taken, NoBind, BindError, DnsError, StoreDown.
        """
        where = endpoint(primary or self._primary)
        await self._store.read(lambda c: _check_new(c, name, owner))
        reverse.with_network(name, columns)
        provisioned, features, made = key is None, _features(columns, key), False
        if key is None:
            await check_catalog(self._store, self._controlled)
            made = not await asyncio.to_thread(self._controlled.serves, name)
            with _known_policy(features):
                used = await asyncio.to_thread(self._controlled.provision, name, algorithm, features)
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
                # the new zone would hide a host that was registered meanwhile
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
        client_ip: str | None = None,
        expect: Expect | None = None,
    ) -> str:
        """Change a domain. Returns the changes as text. With `check_only` nothing is changed.

        A new key or primary is tested first. Then all hosts are sent there. A host is in conflict if its name has other
        records there. If our BIND does not serve the zone yet, there is no test; `provision` creates the zone later. A
        DNSSEC policy and a Kerberos realm are applied to BIND before they are stored. `expect` is called with the
        domain before and after the tests, and may raise.
        Raises NoDomain, Invalid, Taken, NoBind, BindError, DnsError, StoreDown.
        """
        domain = await self._store.read(lambda c: queries.domain(c, name))
        if domain is None:
            raise NoDomain(Code.DOMAIN_MISSING, domain=name)
        if expect is not None:
            expect(domain)
        wanted = reverse.with_network(name, columns, domain) | primary_columns(domain, primary, key)
        changed = domains.differing(domain, wanted)
        found: Found | None = new_primary.NOTHING
        if reached := {column: value for column, value in changed.items() if column in domains.REACHED}:
            if await self._store.transact(lambda c: mirrors.of_domain(c, domain.id)) is not None:
                raise Taken(primary=Reason(Code.DOMAIN_MOVES, domain=name))
            found = await self._look(domain._replace(**reached))
        await self._store.read(lambda c: domains.check_members(c, domain, changed))
        if wanted := {field: changed[field] for field in Features._fields if field in changed}:
            await self._equip(domain, wanted, check_only=check_only)
        if changed and not check_only:
            owned = (found or new_primary.NOTHING).owned
            await self._store.transact(
                lambda c: domains.set_domain(
                    c, name, actor=actor, client_ip=client_ip, expect=expect, owned=owned, **changed
                )
            )
        return domains.in_words(changed) + primary_note(found)

    async def members(self, domain: Domain) -> list[Member]:
        """The names that members of the domain's Kerberos realm have registered. Raises DnsError, StoreDown."""
        return [] if domain.gss_realm is None else await zone_members.of_domain(self._store, domain)

    async def ds(
        self, domain: Domain, *, only_signed: bool = False, seconds: float = dnssec.RESOLVER_SECONDS
    ) -> Comparison:
        """The DS records that belong into the parent of the domain's zone, and those that it has.

        With `only_signed`, the parent of a zone that is not signed is not asked. A resolver has so many `seconds`.
        Raises DnsError if the primary does not answer or the keys of the zone do not sign it; StoreDown.
        """
        parent = await self._store.read(lambda c: domains.parent_of(c, domain.name))
        parents = dnssec.Parents(self._resolver, () if parent is None else (parent,), seconds)
        connection = PrimaryConnection(Endpoint.from_text(domain.primary))
        try:
            return await dnssec.compare(domain, connection, parents, only_signed=only_signed)
        finally:
            connection.close()

    async def _look(self, domain: Domain) -> Found | None:
        """Test the primary and key of the changed `domain`. Returns None if our BIND does not serve its zone yet."""
        if domain.provisioned and self._bind is not None and domain.primary == endpoint(self._primary):
            wanted = domain.name, TsigKey.of(domain), Features.of(domain)
            if "zone" in await asyncio.to_thread(self._bind.ensure, *wanted, check=True):
                return None
        return await new_primary.look(self._store, domain)

    async def _equip(self, domain: Domain, wanted: dict[str, Any], *, check_only: bool) -> None:
        if not domain.provisioned:
            raise Invalid(**{field: Reason(OF_FOREIGN_ZONE[field], domain=domain.name) for field in wanted})
        features = _features(Features.of(domain)._asdict() | wanted, None)
        given = domain.name, TsigKey.of(domain), features
        with _known_policy(features):
            await asyncio.to_thread(self._controlled.ensure, *given, check=check_only)

    async def remove(self, name: str, *, actor: str, client_ip: str | None, expect: Expect) -> None:
        """Remove a domain without hosts, its zone if the service created it, and its delegation in our domain above.

        `expect` is called with the domain just before, and may raise. Raises NoDomain, NotEmpty, NoBind and BindError
        (nothing is changed), StoreDown.
        """
        found = await self._store.transact(lambda c: _close(c, name, expect))
        parent = await self._store.read(lambda c: domains.parent_of(c, name))
        try:
            servers = await self._undelegate(found, parent) if parent is not None else ()
            if found.provisioned:
                await asyncio.to_thread(self._controlled.withdraw, name)
        except BaseException:
            await self._store.transact(lambda c: host_edits.set_domain(c, found.id, available=found.available))
            raise
        if parent is not None:
            with suppress(errors.DnsError):  # the service may have written it again before the zone was gone
                await delegations.remove(found, parent, servers)
        await self._store.transact(lambda c: domains.delete_domain(c, found, actor, client_ip))
        await self._tell()

    async def _undelegate(self, domain: Domain, parent: Domain) -> Collection[str]:
        """Remove the delegation of a domain that leaves. Returns the names of its name servers. Raises BindError."""
        servers: Collection[str] = ()
        if domain.provisioned and self._bind is not None:
            servers = [server.name for server in self._bind.options.name_servers]
            with suppress(errors.DnsError):  # a lost zone can be removed, too
                servers = {*servers, *await delegations.name_servers(domain)}
        try:
            if parent.frozen:
                raise errors.DomainFrozen(parent.frozen)
            await delegations.remove(domain, parent, servers)
        except errors.DnsError as error:
            raise BindError(
                f"{domain.name} was not removed, because its delegation in {parent.name} cannot be removed: {error}"
            ) from None
        return servers

    async def provision(
        self, names: Collection[str] = (), *, actor: str, check_only: bool = False
    ) -> AsyncIterator[Provisioned]:
        """Make our BIND serve the zones that were created on it, as stored: of these domains, or of all.

        A zone that was not served, or had a damaged journal, is compared, and all its hosts are sent again. Yields each
        zone that needs a step, also the catalog zone. With `check_only` nothing is changed.
        Raises NoDomain, Invalid, NoBind, BindError, StoreDown.
        """
        made = await self._store.read(lambda c: _provisioned(c, names))
        if not made and self._bind is None:
            return
        bind = self._controlled
        await check_catalog(self._store, bind)
        if not names and (done := await asyncio.to_thread(bind.ensure_catalog, check=check_only)):
            yield Provisioned(bind.options.catalog or "", done)
        for domain in made:
            wanted = domain.name, TsigKey.of(domain), Features.of(domain)
            done = await asyncio.to_thread(bind.ensure, *wanted, check=True)
            if done and not check_only:
                await self._store.transact(lambda c, d=domain, w=done: _note(c, d, w, actor))  # type: ignore[misc]
                await asyncio.to_thread(bind.ensure, *wanted)
                yield await self._compared(domain, done)
            elif done:
                yield Provisioned(domain.name, done)

    async def _compared(self, domain: Domain, done: list[str]) -> Provisioned:
        """Mark removed names that came back with an old zone. Hosts have been marked before."""
        if not MAY_BE_OLD.intersection(done):
            return Provisioned(domain.name, done)
        problem = None
        try:
            found = await reconcile.differences(self._store, domain)
        except errors.DnsError as error:
            problem = str(error)
        else:
            await reconcile.repair(self._store, [one for one in found if one.removal_id is not None])
        kept = self._controlled.kept_journals(domain.name) if "journal" in done else []
        return Provisioned(domain.name, done, True, kept[-1] if kept else None, problem)

    @property
    def _controlled(self) -> Bind:
        if self._bind is None:
            raise NoBind
        return self._bind

    async def _tell(self) -> None:
        if self._changed is not None:
            await self._changed()


def primary_note(found: Found | None) -> str:
    """A note for the operator about the new primary."""
    if found is None:
        return "; BIND does not serve the zone yet: run `ddnsd domain provision`"
    if not (names := found.foreign):
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"; these hosts are in conflict with other records there: {', '.join(names[:SHOWN])}{more}"


def _check_new(connection: Connection, name: str, owner: str) -> None:
    accounts.user_named(connection, owner)
    domains.check_new(connection, name)


@contextmanager
def _known_policy(features: Features) -> Iterator[None]:
    """Raises Invalid if BIND does not know the policy."""
    try:
        yield
    except UnknownPolicy:
        raise Invalid(dnssec_policy=Reason(Code.POLICY_UNKNOWN, policy=features.dnssec_policy or "")) from None


def _features(columns: dict[str, Any], key: TsigKey | None) -> Features:
    """The features of a new or changed zone; none can be given with the key of an existing one. Raises Invalid."""
    policy, realm = found = Features(columns.get("dnssec_policy"), columns.get("gss_realm"))
    if key is not None and policy is not None:
        raise Invalid(dnssec_policy=Reason(Code.POLICY_OF_EXISTING_ZONE))
    if key is not None and realm is not None:
        raise Invalid(gss_realm=Reason(Code.REALM_OF_EXISTING_ZONE))
    if policy is not None:
        try:
            check_policy(policy)
        except ValueError:
            raise Invalid(dnssec_policy=Reason(Code.POLICY_INVALID, policy=policy)) from None
    if realm is not None:
        try:
            check_realm(realm)
        except ValueError:
            raise Invalid(gss_realm=Reason(Code.REALM_INVALID, realm=realm)) from None
    return found


def primary_columns(domain: Domain, primary: str | None, key: TsigKey | None) -> dict[str, Any]:
    """The columns for a new primary and key of the domain. Raises Invalid."""
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
    """Add the event and mark the hosts as pending before the zone is created, so that a failure cannot lose them."""
    queries.add_event(
        connection, actor, "domain.provision", domain.name, None, ", ".join(done), owner_id=domain.owner_id
    )
    if MAY_BE_OLD.intersection(done):
        queries.wish_again(connection, [host.id for host in queries.hosts_of_domain(connection, domain.id)])


def _close(connection: Connection, name: str, expect: Expect) -> Domain:
    """Check that the domain can be removed, and disable it for new hosts. Raises NoDomain, NotEmpty."""
    domain = host_edits.locked_domain(connection, name)
    if domain is None:
        raise NoDomain(Code.DOMAIN_MISSING, domain=name)
    expect(domain)
    domains.check_empty(connection, domain)
    if not domain.provisioned and host_edits.is_being_left(connection, domain.id):
        raise NotEmpty(Code.DOMAIN_HAS_REMOVALS, domain=name)
    host_edits.set_domain(connection, domain.id, available=False)
    return domain


def endpoint(text: str) -> str:
    """ADDRESS:PORT of a primary; the default port is 53. Raises Invalid."""
    try:
        return str(Endpoint.from_text(text, 53))
    except ValueError:
        raise Invalid(primary=Reason(Code.PRIMARY_INVALID, primary=text)) from None
