# SPDX-License-Identifier: GPL-3.0-or-later
"""Pass the DNS UPDATE messages of DHCP servers on to the primary, with the key of the domain.

    the key's domain, names, types ─► nothing of ours at the names ─► the primary judges the prerequisites ─► its answer

A DHCP server may change every name of a domain except ours: hosts, everything below them, and what the zone needs. The
database knows nothing of its names.
"""

import asyncio
import re
from collections.abc import Awaitable, Iterable
from typing import NamedTuple, TypeVar

import structlog
from dns.rcode import Rcode
from sqlalchemy import Connection

from ddnsd.db import accepted_updates, dhcp_keys
from ddnsd.db.accepted_updates import Accepted
from ddnsd.db.base import Store
from ddnsd.db.rows import DhcpKey, Domain
from ddnsd.dns.errors import DnsError, HostGone, Refusal
from ddnsd.dns.message import Update
from ddnsd.dns.writer import Writer
from ddnsd.registry.policy import Policy
from ddnsd.registry.update_requests import MOST_NAMES
from ddnsd.registry.zone_contents import FAMILIES, Condition, Kind, Prerequisite, RecordChange, Refused, ZoneUpdate

TYPES = ("A", "AAAA", "PTR", "DHCID", "TXT")
"""The types that a DHCP server may change. To delete all records of a name deletes those."""

PASSED_ON = frozenset(
    {
        Rcode.NOERROR,
        Rcode.YXDOMAIN,
        Rcode.YXRRSET,
        Rcode.NXDOMAIN,
        Rcode.NXRRSET,
        Rcode.NOTZONE,
        Rcode.REFUSED,
    }
)
"""Answers of the primary that are passed on; others, which are about us, become SERVFAIL."""

LABEL = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
"""Labels that DHCP may use. Those of the service, of certificates and of wildcards are not among them."""

T = TypeVar("T")

log = structlog.get_logger()


class DhcpMessage(NamedTuple):
    """A message: its meaning, its key, its sender, its MAC, and until when the MAC is remembered (microseconds)."""

    update: ZoneUpdate
    key: DhcpKey
    peer: str
    mac: bytes
    expires: int


class DhcpUpdates:
    """Passes messages on."""

    def __init__(self, store: Store, writer: Writer, policy: Policy) -> None:
        self._store, self._writer, self._policy = store, writer, policy
        self._under_way: dict[bytes, asyncio.Future[Rcode]] = {}  # by MAC

    async def apply(self, message: DhcpMessage) -> Rcode:
        """The answer to the message. The same message again gets the same answer. Raises StoreDown."""
        if (same := self._under_way.get(message.mac)) is None:
            same = self._under_way[message.mac] = asyncio.ensure_future(self._logged(message))
            same.add_done_callback(lambda _: self._under_way.pop(message.mac, None))
        return await asyncio.shield(same)

    async def _logged(self, message: DhcpMessage) -> Rcode:
        try:
            return await self._apply(message)
        except Refused as error:
            rcode, reason = error.rcode, str(error)
        log.info("DNS update refused", zone=message.update.zone, rcode=rcode.name, key=message.key.name, reason=reason)
        if rcode is Rcode.SERVFAIL:
            return rcode
        refused = Accepted(message.mac, rcode, message.expires)
        known = await self._store.transact(lambda c: accepted_updates.claim(c, refused))
        return rcode if known is None else Rcode(known)  # it was decided before: what has changed since does not matter

    async def _apply(self, message: DhcpMessage) -> Rcode:
        """Raises Refused, StoreDown."""
        update = message.update
        domain = await self._domain(message)
        changed = {change.name for change in update.changes}
        servers = await _answered(self._writer.name_servers(domain.id))
        self._check(update, servers)
        taken_names = await self._store.read(lambda c: dhcp_keys.taken_names(c, domain, changed))
        if taken_names.leaving:
            raise Refused(Rcode.SERVFAIL, f"{min(taken_names.leaving)} is being removed")
        if taken := [change.name for change in update.changes if change.name in taken_names.ours]:
            raise Refused(_rcode_of_ours(taken[0], update), f"{taken[0]} belongs to a host")

        def claim(connection: Connection) -> int | None:
            known = accepted_updates.claim(connection, Accepted(message.mac, Rcode.SERVFAIL, message.expires))
            if known is None:
                dhcp_keys.forget_removals(connection, domain.id, changed)
            return known

        if (known := await self._store.transact(claim)) is not None:
            return Rcode(known)
        rcode = await self._pass_on(domain, update)
        await self._store.transact(lambda c: accepted_updates.put(c, Accepted(message.mac, rcode, message.expires)))
        return rcode

    async def _pass_on(self, domain: Domain, update: ZoneUpdate) -> Rcode:
        try:
            await _answered(self._writer.pass_on(domain.id, _composed(update)))
        except Refused as error:
            log.info("DNS update of DHCP not made", zone=domain.name, rcode=error.rcode.name, reason=str(error))
            return error.rcode
        return Rcode.NOERROR

    async def _domain(self, message: DhcpMessage) -> Domain:
        zone = message.update.zone
        domain = await self._store.read(lambda c: dhcp_keys.domain_of(c, message.key.id, zone))
        if domain is None:
            raise Refused(Rcode.NOTAUTH, f"the key is not for {zone}")
        return domain

    def _check(self, update: ZoneUpdate, servers: Iterable[str]) -> None:
        """Check the names, types and values of a message. Raises Refused."""
        zone = update.zone
        if any(name != zone and not name.endswith("." + zone) for name in update.names):
            raise Refused(Rcode.NOTZONE)
        if len(update.names) > MOST_NAMES:
            raise Refused(Rcode.REFUSED, "too many names")
        for name in update.names:
            if not all(LABEL.fullmatch(label) for label in name.split(".")):
                raise Refused(Rcode.REFUSED, f"{name} is no name of a DHCP client")
        for condition in update.prerequisites:
            if condition.rtype and condition.rtype not in TYPES and condition.condition is Condition.EQUALS:
                raise Refused(Rcode.REFUSED, f"records of type {condition.rtype} are not for DHCP")
        for change in update.changes:
            if change.rtype and change.rtype not in TYPES:
                raise Refused(Rcode.REFUSED, f"records of type {change.rtype} are not for DHCP")
            if change.name == zone or change.name in servers or self._policy.is_reserved(change.name):
                raise Refused(Rcode.REFUSED, f"{change.name} is reserved")
            if self._policy.deny.has_name(change.name, zone) and change.kind is Kind.ADD:
                raise Refused(Rcode.REFUSED, f"the operator does not allow the name {change.name}")
            if change.rtype in FAMILIES and change.kind is Kind.ADD and self._policy.is_denied([change.value]):
                raise Refused(Rcode.REFUSED, f"the operator does not allow the address {change.value}")


async def _answered(asked: Awaitable[T]) -> T:
    """What the primary answers. Raises Refused instead of DnsError and HostGone."""
    try:
        return await asked
    except Refusal as error:
        rcode = Rcode.__members__.get(error.rcode, Rcode.SERVFAIL)
        raise Refused(rcode if rcode in PASSED_ON else Rcode.SERVFAIL, str(error)) from None
    except (DnsError, HostGone) as error:
        raise Refused(Rcode.SERVFAIL, str(error)) from None


def _rcode_of_ours(name: str, update: ZoneUpdate) -> Rcode:
    """The answer to a change of a name of ours, from which a DHCP server sees that the name is not its own."""
    for one in update.prerequisites:
        if one.name == name:
            return Rcode.YXDOMAIN if one.condition is Condition.NAME_FREE else Rcode.NXRRSET
    adds = any(change.name == name and change.kind is Kind.ADD for change in update.changes)
    return Rcode.YXDOMAIN if adds else Rcode.NXRRSET


def _composed(update: ZoneUpdate) -> Update:
    """The message for the primary."""
    made = Update(update.zone)
    for condition in update.prerequisites:
        _require(made, condition)
    for change in update.changes:
        _change(made, change)
    return made


def _require(made: Update, one: Prerequisite) -> None:
    match one.condition:
        case Condition.NAME_USED:
            made.require_used(one.name)
        case Condition.NAME_FREE:
            made.require_unused(one.name)
        case Condition.EXISTS:
            made.require_rrset(one.name, one.rtype)
        case Condition.ABSENT:
            made.require_no_rrset(one.name, one.rtype)
        case Condition.EQUALS:
            made.require_values(one.name, one.rtype, [one.value])


def _change(made: Update, one: RecordChange) -> None:
    match one.kind:
        case Kind.ADD:
            made.add_values(one.name, one.rtype, one.ttl, [one.value])
        case Kind.REMOVE_VALUE:
            made.remove_values(one.name, one.rtype, [one.value])
        case Kind.REMOVE_RRSET:
            made.replace_set(one.name, one.rtype, 0, ())
        case Kind.REMOVE_NAME:
            for rtype in TYPES:
                made.replace_set(one.name, rtype, 0, ())
