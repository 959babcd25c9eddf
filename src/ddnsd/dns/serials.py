# SPDX-License-Identifier: GPL-3.0-or-later
"""Serials of a zone whose name server lost changes.

Secondaries transfer a zone only if its serial is higher than theirs (RFC 1982). A zone that comes back without its
journal has an older serial, so it needs one that is certainly higher than any before.
"""

import time

import dns.message
import dns.rdatatype
import dns.rrset

from ddnsd.dns import errors
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.message import Signed, Update
from ddnsd.dns.tsig import TsigKey

JUMP = 1_000_000
"""More than the changes that a zone's file can lack: BIND writes it within 15 minutes of a change."""


def went_back(before: int, after: int) -> bool:
    """Whether the serial `after` is lower. Zero means that the serial is unknown."""
    return before != after and before != 0 and (before - after) % 2**32 < 2**31


def beyond(known: int) -> int:
    """A serial that is higher than `known` and than those that may have followed it; the clock if that is higher."""
    least, clock = (known + JUMP) % 2**32, int(time.time())
    return clock if went_back(clock, least) else least or 1


def raised(zone: str, soa: dns.rrset.RRset, serial: int) -> Update:
    """The message that gives the zone this SOA record with another serial."""
    words = soa[0].to_text().split()
    words[2] = str(serial)
    return Update(zone).replace_set(zone, "SOA", soa.ttl, [" ".join(words)])


async def raise_beyond(
    zone: str, key: TsigKey, connection: PrimaryConnection, seconds: float, known: int | None = None
) -> int:
    """Raise the zone's serial beyond `known`, by default its current one, and return it. Raises DnsError."""
    query = Signed.query(zone, "SOA", key)
    soa = _soa_of(zone, query.read(await connection.exchange(query.wire, seconds)))
    serial = beyond(soa[0].serial if known is None else known)
    update = raised(zone, soa, serial).to_wire(key)
    update.verify(await connection.exchange(update.wire, seconds))
    return serial


def _soa_of(zone: str, answer: dns.message.Message) -> dns.rrset.RRset:
    for rrset in answer.answer:
        if rrset.rdtype == dns.rdatatype.SOA:
            return rrset
    raise errors.Refusal("NOTAUTH", f"the name server does not have the zone {zone}")
