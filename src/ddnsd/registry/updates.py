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
from ddnsd.db.host_updates import IF_INFERRED, Wish, write_wishes
from ddnsd.db.rows import Host
from ddnsd.dns.errors import HostGone, NameConflict, NotAcknowledged
from ddnsd.dns.records import combine
from ddnsd.dns.writer import Writer
from ddnsd.registry import history
from ddnsd.registry.addresses import Wanted, columns, dropped_guess, named_columns
from ddnsd.registry.errors import Blocked, DeniedAddress, Held, NoHost
from ddnsd.registry.host_columns import UNBLOCKED
from ddnsd.registry.nochg_rate import NochgRate
from ddnsd.registry.policy import Policy

DENIED = "address on the deny list"

log = structlog.get_logger()


@dataclass(frozen=True)
class Outcome:
    """`changed` tells `good` from `nochg`; `addresses` is what the answer repeats."""

    changed: bool
    addresses: list[str]


class Updates:
    """Applies wishes to hosts; whether the caller may is decided before."""

    def __init__(self, store: Store, writer: Writer, policy: Policy) -> None:
        self._store, self._writer, self._policy = store, writer, policy
        self._rate = NochgRate(policy.nochg_per_hour)

    def judge(self, host: Host) -> None:
        """Whether the host takes updates at all. Raises Blocked, NoHost."""
        if not host.owner_active:
            raise NoHost
        if host.abuse or host.abuse_blocked:
            raise Blocked
        if not (host.available and host.domain_available):
            raise NoHost

    async def apply(self, host: Host, wanted: Wanted, *, tls: bool, author: Author) -> Outcome:
        """Make the host's addresses as wanted; durable and acknowledged by the name server when this returns.

        Raises Blocked, NoHost, InvalidAddress, DeniedAddress (the host is blocked), StoreDown, NotAcknowledged,
        Held (kept, but a foreign record has the name).
        """
        self.judge(host)
        try:
            self._policy.check(wanted, domain_takes_private=host.private_addresses)
        except DeniedAddress:
            await self.block(host, author)
            raise
        named = named_columns(host, wanted)
        changed = columns(host, wanted, named)
        if not changed and self._writer.holds(host):
            await self._unchanged(host, wanted)
            return Outcome(False, wanted.addresses)
        if changed.keys() == {"inferred"} and self._writer.holds(host):
            await self._store.transact(lambda c: queries.set_host(c, host.id, inferred=None))
            return Outcome(False, wanted.addresses)
        try:
            if changed:
                await self._writer.update(host.domain_id, _wish(host, wanted, named, tls, author))
            else:
                await self._writer.publish(host.domain_id, [host.id])
        except HostGone as error:
            raise NoHost from error
        except NameConflict as error:
            raise Held(str(error)) from None
        return Outcome(True, wanted.addresses)

    async def _unchanged(self, host: Host, wanted: Wanted) -> None:
        if self._rate.exceeded(host.id, wanted.families or {"none"}):
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
            await self._writer.publish(host.domain_id, [host.id])
        except (NotAcknowledged, HostGone, NameConflict) as error:
            log.warning("blocked host still in DNS", host=host.fqdn, reason=str(error))


def _wish(host: Host, wanted: Wanted, named: Mapping[str, object], tls: bool, author: Author) -> Wish:
    values = dict(named)
    moment = queries.now()
    for family in wanted.families:
        values |= {f"updated_{family}": moment, f"tls_{family}": tls}
    if guess := dropped_guess(host, wanted):
        values[IF_INFERRED] = guess
    own = partial(combine, wanted.prefix) if wanted.prefix else None
    return Wish(host.id, values, not host.claimed, history.updated(host, author), own)


def block(connection: Connection, host: Host, actor: str, detail: str | None, author: Author = SERVICE) -> None:
    """Set the block and have DNS follow; `author` is whose request led to it."""
    write_wishes(connection, [Wish(host.id, {"abuse_blocked": True})], [])
    history.edited(connection, host, {"abuse_blocked": True}, author, detail)
    queries.add_event(connection, actor, "host.block", host.fqdn, None, detail, owner_id=host.owner_id)


def unblock(connection: Connection, host: Host, actor: str) -> None:
    """Lift block and flag, forget the faults, and have DNS follow."""
    write_wishes(connection, [Wish(host.id, UNBLOCKED)], [])
    history.edited(connection, host, UNBLOCKED, SERVICE)
    queries.add_event(connection, actor, "host.unblock", host.fqdn, None, None, owner_id=host.owner_id)
