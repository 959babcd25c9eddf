# SPDX-License-Identifier: GPL-3.0-or-later
"""Store against zone: what differs, and having it sent again.

The zone is read by AXFR (RFC 5936), so the name server must let our key transfer it. Names that we never had are not
a difference: the zone may hold records of its operator.
"""

import asyncio
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import NamedTuple

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
from sqlalchemy import Connection

from ddnsd.store import queries, rrsets
from ddnsd.store.database import Store
from ddnsd.store.rows import Domain, Host, Related, Removal, RRset
from ddnsd.zones import errors
from ddnsd.zones.endpoint import Endpoint
from ddnsd.zones.message import Signed
from ddnsd.zones.rdata import EXAMPLES, text_of
from ddnsd.zones.records import record_sets, records, values_of
from ddnsd.zones.tsig import TsigKey

TRANSFER_SECONDS = 30.0
SECOND_LOOK_SECONDS = 0.5

_TYPES: dict[int, str | None] = {
    dns.rdatatype.A: None, dns.rdatatype.AAAA: None, **{dns.rdatatype.from_text(name): name for name in EXAMPLES}
}  # fmt: skip


_OF_DNSSEC = frozenset({dns.rdatatype.RRSIG, dns.rdatatype.NSEC, dns.rdatatype.NSEC3})
"""What the name server adds by itself."""


class Difference(NamedTuple):
    """Where DNS differs: what the store wants, and what the zone holds; `rtype` is None for addresses."""

    fqdn: str
    rtype: str | None
    wanted: tuple[str, ...]
    found: tuple[str, ...]
    host_id: int | None
    removal_id: int | None


Place = tuple[str, str | None]
"""A name and the type of an RRset there, or None for its addresses."""

Zone = dict[Place, tuple[str, ...]]


class Contents(NamedTuple):
    """A zone: values by place, of the types that may be ours; and for every name the types of its records."""

    places: Zone
    types: Mapping[str, Set[str]]


async def differences(store: Store, domain: Domain) -> list[Difference]:
    """Where the zone differs from the store, in both of two looks: a change under way is no difference.

    Raises DnsError, StoreDown.
    """
    first = await _look(store, domain)
    if not first:
        return []
    await asyncio.sleep(SECOND_LOOK_SECONDS)
    before = set(first)
    return [d for d in await _look(store, domain) if d in before]


async def repair(store: Store, found: list[Difference]) -> None:
    """Mark what differs, so that it is sent again. Raises StoreDown."""
    hosts = {d.host_id for d in found if d.host_id is not None}
    removals = [d.removal_id for d in found if d.removal_id is not None]

    def mark(connection: Connection) -> None:
        queries.wish_again(connection, hosts)
        queries.remove_again(connection, removals)

    await store.transact(mark)


async def _look(store: Store, domain: Domain) -> list[Difference]:
    zone = await asyncio.to_thread(transfer, domain)
    return await store.read(lambda c: _compare(c, domain, zone))


def _compare(connection: Connection, domain: Domain, zone: Zone) -> list[Difference]:
    found: list[Difference] = []
    related = queries.related_of_domain(connection, domain.id)
    sets = rrsets.of_domain(connection, domain.id)
    seen: set[Place] = set()
    for host in queries.hosts_of_domain(connection, domain.id):
        wanted = wanted_of(host, related.get(host.id, ()), sets.get(host.id, ()))
        seen.update(wanted)
        if not host.claimed and host.conflict is not None:
            continue  # the name is somebody else's
        for place, values in wanted.items():
            if (held := zone.get(place, ())) != values:
                found.append(Difference(*place, values, held, host.id, None))
    for removal in queries.removed_names(connection, domain.id):
        place = removal.fqdn, removal.rtype
        if place not in seen and (back := came_back(removal, zone)):
            seen.add(place)
            found.append(Difference(*place, (), back, None, removal.id))
    return found


def wanted_of(host: Host, related: Iterable[Related], sets: Iterable[RRset]) -> Zone:
    """What the zone should hold of the host, by place; an empty value where it should hold nothing."""
    wanted: Zone = {}
    for fqdn, ipv4, ipv6 in records(host, related):
        wanted[fqdn, None] = tuple(sorted(a for a in (ipv4, ipv6) if a))
    for one in record_sets(host, sets):
        wanted[one.fqdn, one.rtype] = tuple(sorted(one.values))
    return wanted


def came_back(removal: Removal, zone: Zone) -> tuple[str, ...]:
    """What stands where something left, if it is that which left: otherwise somebody else has the place now."""
    held = zone.get((removal.fqdn, removal.rtype), ())
    left = {removal.ipv4, removal.ipv6} if removal.data is None else set(values_of(removal.data))
    return held if held and left.issuperset(held) else ()


def transfer(domain: Domain) -> Zone:
    """What the zone holds of the types that may be ours, sorted, as AXFR gives it; blocks. Raises DnsError."""
    return contents(domain).places


def contents(domain: Domain) -> Contents:
    """Likewise, with the types at every name; blocks. Raises DnsError."""
    key = TsigKey.of(domain)
    endpoint = Endpoint.from_text(domain.primary, 53)
    found: dict[Place, list[str]] = {}
    types: dict[str, set[str]] = {}
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=TRANSFER_SECONDS) as connection:
            for message in _messages(connection, domain.name, key):
                for rrset in message.answer:
                    name = rrset.name.to_text(omit_final_dot=True).lower()
                    if rrset.rdtype not in _OF_DNSSEC:
                        types.setdefault(name, set()).add(dns.rdatatype.to_text(rrset.rdtype))
                    if rrset.rdtype in _TYPES:
                        place = name, _TYPES[rrset.rdtype]
                        found.setdefault(place, []).extend(map(text_of, rrset) if place[1] else map(str, rrset))
    except OSError as error:
        raise errors.Unreachable(f"{endpoint}: {error}") from None
    return Contents({place: tuple(sorted(set(texts))) for place, texts in found.items()}, types)


def _messages(connection: socket.socket, zone: str, key: TsigKey) -> Iterator[dns.message.Message]:
    """The messages of a transfer, until the SOA record stands a second time."""
    question = Signed.query(zone, "AXFR", key)
    connection.sendall(struct.pack("!H", len(question.wire)) + question.wire)
    marks, context = 0, None
    while marks < 2:
        length = struct.unpack("!H", _receive(connection, 2))[0]
        try:
            message = dns.message.from_wire(
                _receive(connection, length), keyring=key.dnspython, request_mac=question.mac,
                xfr=True, tsig_ctx=context, multi=True, one_rr_per_rrset=True,
            )  # fmt: skip
        except dns.exception.DNSException as error:
            raise errors.Refusal("BADSIG", f"the transfer of {zone} fails: {type(error).__name__}") from None
        if message.rcode() != dns.rcode.NOERROR:
            rcode = dns.rcode.to_text(message.rcode())
            raise errors.Refusal(rcode, f"the name server answers {rcode} to a transfer of {zone}")
        context = message.tsig_ctx
        marks += sum(len(rrset) for rrset in message.answer if rrset.rdtype == dns.rdatatype.SOA)
        if not message.answer:
            raise errors.Unreachable(f"the transfer of {zone} ends early")
        yield message


def _receive(connection: socket.socket, octets: int) -> bytes:
    data = bytearray()
    while len(data) < octets:
        part = connection.recv(octets - len(data))
        if not part:
            raise errors.Unreachable("the name server closed the transfer")
        data += part
    return bytes(data)
