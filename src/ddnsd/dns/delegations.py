# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep NS and DS records of our domains in the zones of our domains around them.

    DS  follows what the child publishes about its keys (`ds_records`)
    NS  are those of the child's apex, with addresses of name servers in the child

The records are written if the child or its parent is signed: a validating resolver refuses an unsigned child that a
signed parent does not delegate. Nothing is written that would hide records of others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, NamedTuple

import structlog

from ddnsd.db.rows import Domain
from ddnsd.dns import ds_records, errors, zone_transfer
from ddnsd.dns.bind.control import UNNAMED, UNSIGNING, Bind
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.bind.zone_config import Features
from ddnsd.dns.bind.zonefile import NameServer
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.ds_records import Ask, Published, records_in
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.message import AAAA, CNAME, DHCID, DNAME, NS, A, Update
from ddnsd.dns.obstacles import BESIDE, require_path
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.update_builder import signed
from ddnsd.dns.writer import Writer
from ddnsd.dns.zone_sender import ZoneSender

SECONDS = 5.0
"""How often the zones that have changed are looked at."""

AGAIN_SECONDS = 60.0
"""When a zone is looked at again whose delegation could not be written."""

HOUR = 3600.0
"""When an unchanged zone is looked at again: somebody may have changed its parent."""

TTL = 3600
AT_ONCE = 8

_DS = 43
OCCUPYING = tuple(sorted({A, AAAA, CNAME, DNAME, DHCID, *BESIDE} - {_DS}))
"""Types at a name that NS records would hide."""

IsMet = Callable[[Update], Awaitable[bool]]
"""Whether the zone meets the prerequisites of the message. Raises DnsError."""

log = structlog.get_logger()


class Plan(NamedTuple):
    """The change that a parent needs, its record types, and what prevents a delegation.

    `note` says how the delegation differs from the child where it is not ours to change.
    """

    update: Update | None = None
    types: tuple[str, ...] = ()
    obstacle: str | None = None
    note: str | None = None
    published: Published | None = None


async def plan(
    child: Domain, parent: Domain, ask_child: Ask, ask_parent: Ask, is_met: IsMet, *, follow: bool = False
) -> Plan:
    """Compare the delegation of `child` in the zone of `parent`, the closest domain around it, with the child.

    `follow`: NS records that differ from those of the child are replaced. Raises DnsError.
    """
    zone, published = child.name, await ds_records.published(child.name, ask_child)
    found = await ds_records.at_primary(zone, ask_parent)
    if found is None:
        return Plan(published=published)
    update, types = require_path(Update(parent.name), zone, parent.name), list[str]()
    obstacle = note = None
    if published.keys or records_in(await ask_parent(parent.name, "DNSKEY"), parent.name, "DNSKEY"):
        servers = sorted(one.target.to_text().lower() for one in records_in(await ask_child(zone, "NS"), zone, "NS"))
        delegated = not await is_met(Update(parent.name).require_absent(zone, NS))
        if not delegated:
            obstacle = await _obstacle(child, parent, is_met, servers)
            update.require_absent(zone, NS, *OCCUPYING)
        same = delegated and bool(servers) and await is_met(Update(parent.name).require_values(zone, "NS", servers))
        if servers and not obstacle and not same and (follow or not delegated):
            update.replace_set(zone, "NS", TTL, servers)
            for name in servers:
                await _add_glue(update, name.rstrip("."), zone, ask_child)
            types.append("NS")
        elif delegated and not same:
            note = f"{parent.name} delegates it to other name servers than its own NS records name"
    wanted = _wanted(child, published, found)
    if wanted != found and not (obstacle and wanted):
        update.replace_set(zone, "DS", TTL, ds_records.texts(wanted))
        types.append("DS")
    return Plan(update if types else None, tuple(types), obstacle, note, published)


def _wanted(child: Domain, published: Published, found: frozenset[Any]) -> frozenset[Any]:
    """The DS records that the parent should have; `found` if nobody can say so now.

    A new zone without CDS records may have been signed just now, so resolvers may still know unsigned answers. Keys
    that are lost may come back from a backup.
    """
    if not published.keys:
        return found if child.dnssec_policy not in (None, "none", UNSIGNING) else frozenset()
    if published.cds:
        return published.records
    return published.of_keys if published.fits(found) else found


async def _obstacle(child: Domain, parent: Domain, is_met: IsMet, servers: Sequence[str]) -> str | None:
    """What NS records at the child's name would hide in the parent, or None.

    If both zones are on one name server, names below are hidden already.
    """
    zone = child.name
    if not await is_met(Update(parent.name).require_absent(zone, *OCCUPYING)):
        return f"{parent.name} has other records at {zone}, which a delegation would hide"
    if child.primary == parent.primary:
        return None
    names = (await zone_transfer.fetch(parent)).logs
    glue = {name.rstrip(".") for name in servers}
    below = next((name for name in sorted(names) if name.endswith(f".{zone}") and name not in glue), None)
    return None if below is None else f"{parent.name} has records at {below}, which a delegation of {zone} would hide"


async def _add_glue(update: Update, name: str, zone: str, ask_child: Ask) -> None:
    if not NameServer(name).lies_in(zone):
        return
    for rtype in ("A", "AAAA"):
        addresses = [one.address for one in records_in(await ask_child(name, rtype), name, rtype)]
        update.replace_set(name, rtype, TTL, addresses)


async def of_domains(child: Domain, parent: Domain) -> Plan:
    """The plan for these domains, for commands, which have no senders. Raises DnsError."""
    connections = [PrimaryConnection(Endpoint.from_text(one.primary, 53)) for one in (child, parent)]

    async def is_met(update: Update) -> bool:
        try:
            await _send(parent, connections[1], update)
        except errors.PrerequisiteFailed:
            return False
        return True

    try:
        ask_child, ask_parent = ds_records.asks(child, connections[0]), ds_records.asks(parent, connections[1])
        return await plan(child, parent, ask_child, ask_parent, is_met)
    finally:
        for connection in connections:
            connection.close()


async def remove(child: Domain, parent: Domain, name_servers: Collection[str]) -> None:
    """Remove the DS records of a domain that leaves from the parent. Raises DnsError.

    If the service created its zone, which then ends, also NS records with these name servers and their addresses.
    """
    update = require_path(Update(parent.name), child.name, parent.name).replace_set(child.name, "DS", 0, ())
    if child.provisioned:
        update.remove_values(child.name, "NS", [f"{name}." for name in name_servers])
        for name in name_servers:
            if NameServer(name).lies_in(child.name):
                update.replace(name, 0, None, None)
    connection = PrimaryConnection(Endpoint.from_text(parent.primary, 53))
    try:
        await _send(parent, connection, update)
    except errors.PrerequisiteFailed:
        return  # a name between the two is delegated, so nothing here is ours
    finally:
        connection.close()


async def name_servers(domain: Domain) -> list[str]:
    """The names of the zone's NS records. Raises DnsError."""
    connection = PrimaryConnection(Endpoint.from_text(domain.primary, 53))
    try:
        answer = await ds_records.asks(domain, connection)(domain.name, "NS")
    finally:
        connection.close()
    return [one.target.to_text(omit_final_dot=True).lower() for one in records_in(answer, domain.name, "NS")]


async def _send(domain: Domain, connection: PrimaryConnection, update: Update) -> None:
    message = signed(lambda: update, TsigKey.of(domain))
    message.verify(await connection.exchange(message.wire, SECONDS))


class _Seen(NamedTuple):
    """What a pair of zones was when it was looked at, and until when that counts."""

    version: tuple[object, ...]
    until: float


class Delegations:
    """Keeps the delegations in those zones that this process owns.

    `serial` returns the serial of a zone at its primary. `bind` is the BIND that the service controls. `obstacles` are
    the reasons why zones are not delegated, by name.
    """

    def __init__(self, writer: Writer, serial: Callable[[str], int], bind: Bind | None) -> None:
        self._writer, self._serial, self._bind = writer, serial, bind
        self._seen: dict[str, _Seen] = {}
        self._told: set[str] = set()
        self.obstacles: dict[str, str] = {}

    async def look(self) -> None:
        """Look at the zones that have changed, and change their parents."""
        senders = {sender.domain.name: sender for sender in self._writer.senders.values()}
        pairs = {name: around for name in senders if (around := ds_records.closest(name, senders))}
        for gone in self._seen.keys() - pairs.keys():
            del self._seen[gone]
            self.obstacles.pop(gone, None)
        now, few = asyncio.get_running_loop().time(), asyncio.Semaphore(AT_ONCE)

        async def one(child: ZoneSender, parent: ZoneSender, version: tuple[object, ...]) -> None:
            async with few:
                settled = await self._look_at(child, parent)
            self._seen[child.domain.name] = _Seen(version, now + (HOUR if settled else AGAIN_SECONDS))

        due = []
        for name, around in pairs.items():
            child, parent = senders[name], senders[around]
            if not parent.owned:
                self._seen.pop(name, None)
                self.obstacles.pop(name, None)
                continue
            if child.domain.frozen or parent.domain.frozen:
                continue
            version, seen = self._version(child.domain, parent.domain), self._seen.get(name)
            if seen is None or seen.version != version or now > seen.until:
                due.append(one(child, parent, version))
        await asyncio.gather(*due)

    def _version(self, child: Domain, parent: Domain) -> tuple[object, ...]:
        """What changes if the delegation may have to change."""
        policies = child.dnssec_policy, parent.dnssec_policy
        return self._serial(child.name), child.generation, parent.name, parent.generation, parent.primary, *policies

    async def _look_at(self, child: ZoneSender, parent: ZoneSender) -> bool:
        """Change the parent if it differs. Returns whether there is nothing to do until something changes."""
        zone = child.domain.name

        async def is_met(update: Update) -> bool:
            try:
                await parent.pass_on(update)
            except errors.PrerequisiteFailed:
                return False
            return True

        try:
            found = await plan(
                child.domain,
                parent.domain,
                child.answer,
                parent.answer,
                is_met,
                follow=bool(child.domain.provisioned) and self._names_servers,
            )
            if found.update is not None:
                await parent.pass_on(found.update)
        except errors.Refusal as error:
            self._note(zone, f"it cannot be compared with {parent.domain.name}, or changed there: {error}")
            return False
        except errors.DnsError:  # a cause of one of the zones, or a problem of its keys
            return False
        self._note(zone, found.obstacle)
        if found.update is not None:
            log.info("delegation written", zone=zone, parent=parent.domain.name, types=",".join(found.types))
        if found.published is not None and found.published.keys and ("DS" in found.types or zone not in self._told):
            await self._tell_bind(child.domain)
        return found.obstacle is None

    @property
    def _names_servers(self) -> bool:
        """Whether the zones of our BIND have the configured name servers."""
        return self._bind is not None and self._bind.options.name_servers != UNNAMED

    def _note(self, zone: str, obstacle: str | None) -> None:
        if obstacle is None:
            self.obstacles.pop(zone, None)
        elif self.obstacles.get(zone) != obstacle:
            self.obstacles[zone] = obstacle
            log.warning("zone not delegated", zone=zone, reason=obstacle)

    async def _tell_bind(self, domain: Domain) -> None:
        """Let our BIND look at the DS records of a zone that it signs: else it would do so within an hour."""
        self._told.add(domain.name)
        if self._bind is None or not domain.provisioned:
            return
        try:
            await asyncio.to_thread(_look_at_parent, self._bind, domain)
        except BindError as error:
            log.warning("BIND does not look for DS records", zone=domain.name, reason=str(error))


def _look_at_parent(bind: Bind, domain: Domain) -> None:
    given = domain.name, TsigKey.of(domain), Features.of(domain)
    if bind.ensure(*given, check=True) == ["configuration"]:  # its parent was added later
        bind.ensure(*given)
    bind.rndc("loadkeys", domain.name)
