# SPDX-License-Identifier: GPL-3.0-or-later
"""Names below a host whose AAAA follows the host's IPv6 prefix, each with its own interface id."""

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ddnsd.db import bulk_hosts, history, host_edits, queries
from ddnsd.db.base import Store
from ddnsd.db.history import Author
from ddnsd.db.rows import Host, Related, endings
from ddnsd.dns.conflicts import Obstacle
from ddnsd.dns.errors import DnsError, HostGone
from ddnsd.dns.records import leaving
from ddnsd.dns.writer import Writer
from ddnsd.registry import names
from ddnsd.registry.errors import Code, Invalid, NoDomain, NoHost, NotPublished, Reason, Taken
from ddnsd.registry.hosts import Hosts, confirmed, locked
from ddnsd.registry.policy import Policy
from ddnsd.registry.rates import Rates
from ddnsd.registry.related_labels import MOST, NewRelated, parse
from ddnsd.registry.validation import ABOVE, Expect


class RelatedNames:
    """Reads and changes related names. The caller checks permissions; `expect` checks them again before a change."""

    def __init__(self, store: Store, writer: Writer, hosts: Hosts, policy: Policy, rates: Rates | None = None) -> None:
        self._store, self._writer, self._hosts, self._policy = store, writer, hosts, policy
        self._rates = rates or Rates(store, policy)

    async def of(self, host: Host) -> list[Related]:
        """The host's related names, sorted. Raises StoreDown."""
        return await self._store.read(lambda c: _of(c, host))

    async def put(
        self,
        host: Host,
        label: str,
        interface_id: str,
        author: Author,
        expect: Expect,
        *,
        unlimited: bool = False,
    ) -> Related:
        """Point LABEL below the host to this interface id. Returns after the name server has acknowledged it.

        `unlimited`: also if the records of the host changed too often, for administrators.
        Raises Invalid (fields label, interface_id), Taken, Blocked, NoHost, NoDomain, OverQuota, NotPublished,
        StoreDown (nothing is changed), Unconfirmed (kept, and sent to DNS later).
        """
        new = parse(host.fqdn, label, interface_id)
        await self.check(host, new)
        if all((name.fqdn, name.interface_id) != (new.fqdn, new.interface_id) for name in await self.of(host)):
            await self._rates.take_record_change(host, refuse=not unlimited)
        try:
            changed = await self._store.transact(lambda c: keep(c, host, new, author, expect))
        except IntegrityError:
            raise Taken(label=Reason(Code.RELATED_TAKEN, name=new.fqdn)) from None
        if changed:
            await confirmed(self._writer.push_host(host.domain_id, [host.id]))
        for name in await self.of(host):
            if name.fqdn == new.fqdn:
                return name
        raise NoHost

    async def check(self, host: Host, new: NewRelated) -> None:
        """Check that the host has the name, or may have it. Raises Invalid, Taken, NoHost, NotPublished, StoreDown."""
        if address := self._policy.denied_in(host.prefix, [new.interface_id]):
            raise Invalid(interface_id=Reason(Code.ADDRESS_NOT_ACCEPTED, address=address))
        if all(name.fqdn != new.fqdn for name in await self.of(host)):
            await self._check_name(host, new)
        if not await self._store.read(lambda c: is_ours(c, host, new)):
            await self._check_unused(host, new)

    async def _check_name(self, host: Host, new: NewRelated) -> None:
        domain = await self._store.read(lambda c: queries.domain(c, host.domain))
        if domain is None:
            raise NoHost
        try:
            await self._hosts.check_name(domain, new.fqdn)
        except Invalid as error:
            raise Invalid(label=error.fields["name"]) from None

    async def _check_unused(self, host: Host, new: NewRelated) -> None:
        try:
            obstacles = await self._writer.obstacles(host.domain_id, [new.fqdn])
        except (DnsError, HostGone) as error:
            raise NotPublished(str(error)) from None
        if obstacles:
            raise Taken(label=Reason(Code.NAME_UNAVAILABLE, obstacle=obstacles[new.fqdn]))

    async def remove(self, host: Host, label: str, author: Author, expect: Expect) -> None:
        """Remove the name. Raises NoHost if the host has none of that label, Blocked, StoreDown, Unconfirmed."""
        fqdn = await self._store.transact(lambda c: remove(c, host, label, author, expect))
        await self._rates.take_record_change(host, refuse=False)
        await confirmed(self._writer.push_removals(host.domain_id, [fqdn]))


def is_ours(connection: Connection, host: Host, new: NewRelated) -> bool:
    """Whether the host has the name, or we are removing it from the zone."""
    mine = any(name.fqdn == new.fqdn for name in _of(connection, host))
    return mine or bool(host_edits.names_in_removal(connection, [new.fqdn]))


def keep(connection: Connection, host: Host, new: NewRelated, author: Author, expect: Expect) -> bool:
    """Write the name. Returns whether anything changed. Raises Invalid, Taken, Blocked, NoHost, NoDomain."""
    bulk_hosts.hold_domains(connection, endings(new.fqdn))
    current = locked(connection, host, expect)
    present = {name.fqdn: name for name in _of(connection, current)}
    before = present.get(new.fqdn)
    if before is not None and before.interface_id == new.interface_id:
        return False
    if current.alias is not None:
        raise Invalid(label=Reason(Code.ALIAS_ALONE))
    if current.conflict is not None:
        raise Taken(label=Reason(Code.NAME_UNAVAILABLE, obstacle=Obstacle.from_stored(current.conflict)))
    if before is not None:
        host_edits.set_related(connection, before.id, new.interface_id)
    else:
        _check_room(connection, current, new, len(present))
        if bulk_hosts.reclaim(connection, [new.fqdn]).get(new.fqdn):
            queries.set_host(connection, current.id, aliased=True)
        host_edits.add_related(connection, current.id, new.fqdn, new.interface_id)
    queries.wish_again(connection, [current.id])
    _tell(connection, current, author, new.label, before and before.interface_id, new.interface_id)
    return True


def _check_room(connection: Connection, host: Host, new: NewRelated, present: int) -> None:
    closest = queries.closest_domain(connection, new.fqdn)
    if queries.taken(connection, new.fqdn) or closest is None or closest.id != host.domain_id:
        raise Taken(label=Reason(Code.RELATED_TAKEN, name=new.fqdn))
    if not closest.available:
        raise NoDomain
    if bulk_hosts.names_above_others(connection, [(new.fqdn, host.owner_id)], ()):
        raise Invalid(label=ABOVE)
    if present >= MOST:
        raise Invalid(label=Reason(Code.RELATED_TOO_MANY, limit=MOST))


def remove(connection: Connection, host: Host, label: str, author: Author, expect: Expect) -> str:
    """Delete the name, also from the zone. Returns the full name. Raises NoHost, Blocked."""
    current = locked(connection, host, expect)
    fqdn = f"{names.fold(label)}.{current.fqdn}"
    found = [name for name in _of(connection, current) if name.fqdn == fqdn]
    if not found:
        raise NoHost(Code.RELATED_MISSING, name=fqdn)
    published_names = [name for name in leaving(current, found) if name.fqdn == fqdn]
    host_edits.delete_related(connection, found[0].id)
    if current.conflict is None or current.claimed:
        queries.add_removals(connection, published_names, domain_id=current.domain_id, exact=not current.claimed)
    _tell(connection, current, author, names.fold(label), found[0].interface_id, None)
    return fqdn


def _of(connection: Connection, host: Host) -> list[Related]:
    return sorted(queries.related_of(connection, [host.id]).get(host.id, ()), key=lambda name: name.fqdn)


def _tell(
    connection: Connection, host: Host, author: Author, label: str, before: str | None, after: str | None
) -> None:
    detail = f"{label}: {after or 'removed'}"
    queries.add_event(
        connection, author.actor, "host.related", host.fqdn, author.source, detail, owner_id=host.owner_id
    )
    was, now = {"related": {label: before}}, {"related": {label: after}}
    history.add(connection, [history.entry(host.id, host.owner_id, "edit", author, was, now)])
