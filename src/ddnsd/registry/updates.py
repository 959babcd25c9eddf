# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing a host's addresses: what the update words say."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import Connection

from ddnsd.db import queries
from ddnsd.db.base import Store
from ddnsd.db.history import SERVICE, Author
from ddnsd.db.host_updates import IF_INFERRED, HostUpdate, write_host_updates
from ddnsd.db.rows import Host
from ddnsd.dns.errors import HostGone, NameConflict, NotAcknowledged
from ddnsd.dns.records import combine
from ddnsd.dns.writer import Writer
from ddnsd.registry import history
from ddnsd.registry.addresses import AddressUpdate, columns, dropped_guess, named_columns
from ddnsd.registry.errors import Blocked, DeniedAddress, Held, NoHost
from ddnsd.registry.policy import Policy
from ddnsd.registry.rate_limiter import RateLimiter

DENIED = "address on the deny list"

log = structlog.get_logger()


@dataclass(frozen=True)
class Outcome:
    """`changed` tells `good` from `nochg`; `addresses` is what the answer repeats."""

    changed: bool
    addresses: list[str]


def check_updatable(host: Host) -> None:
    """Whether the host takes updates at all. Raises Blocked, NoHost."""
    if not host.owner_active:
        raise NoHost
    if host.abuse or host.abuse_blocked:
        raise Blocked
    if not (host.available and host.domain_available):
        raise NoHost


class Updates:
    """Applies wishes to hosts; whether the caller may is decided before."""

    def __init__(self, store: Store, writer: Writer, policy: Policy) -> None:
        self._store, self._writer, self._policy = store, writer, policy
        self._rate = RateLimiter(policy.nochg_per_hour)

    async def apply(self, host: Host, update: AddressUpdate, *, tls: bool, author: Author) -> Outcome:
        """Change the addresses of a host that takes updates, as `check_updatable` has found.

        The change is durable and acknowledged by the name server when this returns. Raises NoHost, InvalidAddress,
        DeniedAddress (the host is blocked), StoreDown, NotAcknowledged, Held (kept, but a foreign record has the name).
        """
        try:
            self._policy.check(update, domain_takes_private=host.private_addresses)
        except DeniedAddress:
            await self.block(host, author)
            raise
        named = named_columns(host, update)
        changed = columns(host, update, named)
        if not changed and self._writer.is_published(host):
            await self._unchanged(host, update)
            return Outcome(False, update.addresses)
        if changed.keys() == {"inferred"} and self._writer.is_published(host):
            await self._store.transact(lambda c: queries.set_host(c, host.id, inferred=None))
            return Outcome(False, update.addresses)
        try:
            if changed:
                await self._writer.update(host.domain_id, _host_update(host, update, named, tls, author))
            else:
                await self._writer.push_host(host.domain_id, [host.id])
        except HostGone as error:
            raise NoHost from error
        except NameConflict as error:
            raise Held(str(error)) from None
        return Outcome(True, update.addresses)

    async def _unchanged(self, host: Host, update: AddressUpdate) -> None:
        if self._rate.exceeded(host.id, update.families or {"none"}):
            await self._store.transact(lambda c: self._flag(c, host))

    def _flag(self, connection: Connection, host: Host) -> None:
        queries.set_host(connection, host.id, abuse=True)
        detail = f"more than {self._policy.nochg_per_hour} unchanged updates in an hour"
        queries.add_event(connection, "ddnsd", "host.flag", host.fqdn, None, detail, owner_id=host.owner_id)
        history.edited(connection, host, {"abuse": True}, SERVICE, detail)

    async def block(self, host: Host, author: Author) -> None:
        """Block the host and have its records leave DNS, now or as soon as the name server answers."""
        await self._store.transact(lambda c: block(c, host, "ddnsd", DENIED, author))
        try:
            await self._writer.push_host(host.domain_id, [host.id])
        except (NotAcknowledged, HostGone, NameConflict) as error:
            log.warning("blocked host still in DNS", host=host.fqdn, reason=str(error))


def _host_update(
    host: Host, update: AddressUpdate, named: Mapping[str, object], tls: bool, author: Author
) -> HostUpdate:
    values = dict(named)
    moment = queries.now()
    for family in update.families:
        values |= {f"updated_{family}": moment, f"tls_{family}": tls}
    if guess := dropped_guess(host, update):
        values[IF_INFERRED] = guess
    own = partial(combine, update.prefix) if update.prefix else None
    return HostUpdate(host.id, values, not host.claimed, history.updated(host, author), own)


def block(connection: Connection, host: Host, actor: str, detail: str | None, author: Author = SERVICE) -> None:
    """Set the block and have DNS follow; `author` is whose request led to it."""
    write_host_updates(connection, [HostUpdate(host.id, {"abuse_blocked": True})], [])
    history.edited(connection, host, {"abuse_blocked": True}, author, detail)
    queries.add_event(connection, actor, "host.block", host.fqdn, None, detail, owner_id=host.owner_id)
