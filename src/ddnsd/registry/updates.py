# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the addresses of a host, for updates of any protocol."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import Connection

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.permissions import Action, can
from ddnsd.db import pointer_marks, pointers, queries
from ddnsd.db.base import Store
from ddnsd.db.history import SERVICE, Author
from ddnsd.db.host_updates import IF_INFERRED, HostUpdate, write_host_update
from ddnsd.db.lookups import Lookups
from ddnsd.db.rows import Host
from ddnsd.dns.errors import HostGone, NameConflict, NotAcknowledged
from ddnsd.dns.records import combine
from ddnsd.dns.writer import Writer
from ddnsd.registry import history, reverse
from ddnsd.registry.addresses import AddressUpdate, columns, dropped_guess, named_columns
from ddnsd.registry.errors import Blocked, DeniedAddress, Held, NoHost, OverQuota, Static
from ddnsd.registry.policy import Policy
from ddnsd.registry.rate_limiter import RateLimiter
from ddnsd.registry.rates import Rates
from ddnsd.registry.reverse import Origin

DENIED = "address on the deny list"

MOVED = "the host was renamed into another domain in the meantime"

log = structlog.get_logger()


@dataclass(frozen=True)
class Outcome:
    """The result of an update. `changed` decides between `good` and `nochg`. The answer repeats `addresses`."""

    changed: bool
    addresses: list[str]


def check_updatable(host: Host) -> None:
    """Check that the host accepts updates. Raises Blocked, Static, NoHost."""
    if not host.owner_active:
        raise NoHost
    if host.abuse or host.abuse_blocked:
        raise Blocked
    if not (host.available and host.domain_available):
        raise NoHost
    if host.is_static:
        raise Static


def check_takes_records(host: Host) -> None:
    """Check that the host accepts changes of its other records. Raises Blocked, Static (for an alias), NoHost."""
    try:
        check_updatable(host)
    except Static:
        if host.alias is not None:
            raise


class Updates:
    """Applies updates to hosts. The caller checks permissions."""

    def __init__(
        self, store: Store, lookups: Lookups, writer: Writer, policy: Policy, rates: Rates | None = None
    ) -> None:
        self._store, self._lookups, self._writer, self._policy = store, lookups, writer, policy
        self._rate, self._rates = RateLimiter(), rates or Rates(store, policy)

    async def apply(
        self, host: Host, update: AddressUpdate, *, tls: bool, author: Author, caller: Caller | None = None
    ) -> Outcome:
        """Change the addresses of a host. The caller calls `check_updatable` before.

        When this returns, the change is durable and acknowledged by the name server. Raises NoHost, InvalidAddress,
        DeniedAddress (the host is blocked), OverQuota, StoreDown, NotAcknowledged, Held (kept, but a foreign record has
        the name).
        """
        named = named_columns(host, update)
        changed = columns(host, update, named)
        await self.check(host, update, changed, author)
        if not changed and self._writer.is_published(host):
            await self.note_proof(host, named, await self.origin([host], caller, author.source))
            await self.count_unchanged(host, update)
            return Outcome(False, update.addresses)
        if changed.keys() == {"inferred"} and self._writer.is_published(host):
            await self._store.transact(lambda c: queries.set_host(c, host.id, inferred=None))
            return Outcome(False, update.addresses)
        if changed:
            await self.count_change(host, removes=not update.addresses)
        try:
            if changed:
                origin = await self.origin([host], caller, author.source)
                await self._writer.update(host.domain_id, host_update(host, update, named, tls, author, origin))
            else:
                await self._writer.push_host(host.domain_id, [host.id])
        except HostGone as error:
            if await self._store.read(lambda c: _still_there(c, host)):
                raise NotAcknowledged(MOVED) from error
            raise NoHost from error
        except NameConflict as error:
            raise Held(error.obstacle) from None
        return Outcome(True, update.addresses)

    async def check(self, host: Host, update: AddressUpdate, changed: Mapping[str, str | None], author: Author) -> None:
        """Check the addresses against the operator's rules; `changed` is the result of `columns`.

        Raises InvalidAddress, DeniedAddress (the host is blocked), StoreDown.
        """
        try:
            self._policy.check(update, domain_takes_private=host.private_addresses)
            await self._check_results(host, changed, update)
        except DeniedAddress:
            await self.block(host, author)
            raise

    async def _check_results(self, host: Host, changed: Mapping[str, str | None], update: AddressUpdate) -> None:
        """Check what a new IPv6 prefix makes of the host and its related names. Raises DeniedAddress, StoreDown."""
        if "ipv6" in update.families and self._policy.denies_networks:
            own, prefix = changed.get("ipv6", host.ipv6), changed.get("prefix", host.prefix)
            related = await self._lookups.related.all(host.id)
            if (own and self._policy.is_denied([own])) or self._policy.denied_in(
                prefix, [name.interface_id for name in related]
            ):
                raise DeniedAddress

    async def origin(self, hosts: Iterable[Host], caller: Caller | None, client_ip: str | None) -> Origin:
        """What may prove addresses of these hosts in an update of the caller. Raises StoreDown."""
        if caller is None or caller.kind is not Kind.USER or not any(host.ptr for host in hosts):
            return Origin(client_ip)
        zones = await self._store.read(pointers.reverse_zones)
        return Origin(client_ip, zones, partial(can, caller, Action.EDIT))

    async def note_proof(self, host: Host, named: Mapping[str, object], origin: Origin) -> None:
        """Store that an update that changes nothing proves the host's address. Raises StoreDown."""
        if host.ptr and (new := reverse.new_proofs(host, named, origin)):
            await self._store.transact(lambda c: set_proofs(c, host, new))

    async def count_change(self, host: Host, *, removes: bool) -> None:
        """Count a change, and tell the owner when changes begin to be refused. Raises OverQuota."""
        try:
            await self._rates.take_change(host, removes=removes)
        except OverQuota as error:
            if self._rates.is_news(host):
                log.info("too many changes", host=host.fqdn)
                note = str(error)
                await self._store.transact(lambda c: _tell_limit(c, host, note))
            raise

    async def count_unchanged(self, host: Host, update: AddressUpdate) -> None:
        """Count an update that changes nothing, and flag the host if there are too many. Raises StoreDown."""
        if self._rate.exceeded(host.id, update.families or {"none"}, self._policy.nochg_per_hour):
            await self._store.transact(lambda c: self._flag(c, host))

    def _flag(self, connection: Connection, host: Host) -> None:
        queries.set_host(connection, host.id, abuse=True)
        detail = f"more than {self._policy.nochg_per_hour} unchanged updates in an hour"
        queries.add_event(connection, "ddnsd", "host.flag", host.fqdn, None, detail, owner_id=host.owner_id)
        history.edited(connection, host, {"abuse": True}, SERVICE, detail)

    async def block(self, host: Host, author: Author) -> None:
        """Block the host, and remove its records from DNS, now or when the name server answers."""
        await self._store.transact(lambda c: block(c, host, "ddnsd", DENIED, author))
        try:
            await self._writer.push_host(host.domain_id, [host.id])
        except (NotAcknowledged, HostGone, NameConflict) as error:
            log.warning("blocked host still in DNS", host=host.fqdn, reason=str(error))


def set_proofs(connection: Connection, host: Host, proofs: Mapping[str, str | None]) -> None:
    """Store that addresses of the host are its own, for its reverse names."""
    queries.set_host(connection, host.id, **proofs)
    pointer_marks.mark(connection, [host.id])


def _still_there(connection: Connection, host: Host) -> bool:
    """Whether the host still exists, under any name: the zone of its former domain does not know it anymore."""
    return any(row.created == host.created for row in queries.hosts_by_id(connection, [host.id]))


def host_update(
    host: Host, update: AddressUpdate, named: Mapping[str, object], tls: bool, author: Author, origin: Origin
) -> HostUpdate:
    """What is written for the update; `named` is the result of `named_columns`."""
    values = dict(named)
    moment = queries.now()
    for family in update.families:
        values |= {f"updated_{family}": moment, f"tls_{family}": tls}
    if guess := dropped_guess(host, update):
        values[IF_INFERRED] = guess
    if host.ptr:
        values |= reverse.proofs(host, values, origin)
    own = partial(combine, update.prefix) if update.prefix and not update.ipv6 else None
    return HostUpdate(host.id, values, not host.claimed, history.updated(host, author), own)


def _tell_limit(connection: Connection, host: Host, note: str) -> None:
    queries.add_event(connection, "ddnsd", "host.limit", host.fqdn, None, note, owner_id=host.owner_id)
    history.limited(connection, host, note)


def block(connection: Connection, host: Host, actor: str, detail: str | None, author: Author = SERVICE) -> None:
    """Block the host; the service removes its records from DNS. `author` made the request that caused this."""
    values = {"abuse_blocked": True, "block_reason": detail}
    write_host_update(connection, HostUpdate(host.id, values))
    history.edited(connection, host, values, author, detail)
    queries.add_event(connection, actor, "host.block", host.fqdn, None, detail, owner_id=host.owner_id)
