# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack hosts and names into UPDATE messages, which have at most 65 535 octets over TCP.

A name has at most eight records: four prerequisites, two removals and two addresses; more if it has several addresses
of a family, or a CNAME record. From the second one on, the
name is a pointer to the first, if that is near enough to the beginning of the message.
"""

from collections.abc import Collection, Iterable, Sequence

from ddnsd.db.rows import Removal
from ddnsd.dns.obstacles import BESIDE, between
from ddnsd.dns.records import HostRecords, values_of, values_removed

MESSAGE_OCTETS = 60_000

RECORDS = 8

RECORD_OCTETS = RECORDS * 10 + 20
"""Octets of a name's records without the name."""

ADDRESS_OCTETS = 26
"""Octets of an IPv6 address without its name."""

POINTER_OCTETS = 2

NEAR_OCTETS = 16_000
"""Reach of a pointer, from the beginning of the prerequisites."""

VALUE_OCTETS = 16
"""Maximum octets of an RRset's record without its name and its value as text."""


def parts(hosts: Iterable[HostRecords], zone: str) -> Iterable[list[HostRecords]]:
    """Split hosts into lists that fit into one message; a host is never divided."""
    part: list[HostRecords] = []
    octets = required = 0
    for host in hosts:
        size, more = _size(host, zone, required)
        if part and octets + size > MESSAGE_OCTETS:
            yield part
            part, octets = [], 0
            size, more = _size(host, zone, 0)
            required = 0
        part.append(host)
        octets += size
        required += more
    if part:
        yield part


def _size(host: HostRecords, zone: str, required: int) -> tuple[int, int]:
    """(octets of the host, of its prerequisites) in a message that has `required` octets of prerequisites."""
    size, begin = 0, required
    for name in host.names:
        fqdn, octets = name.fqdn, len(name.fqdn) - len(zone) + POINTER_OCTETS
        later = POINTER_OCTETS if required < NEAR_OCTETS else octets
        above = len(between(fqdn, zone)) * 2 * (10 + later)
        more = max(0, len(name.values) - 2) * (later + ADDRESS_OCTETS)
        if host.host.aliased or name.alias is not None:
            more += len(name.alias or "") + (2 + len(BESIDE) + 2 * len(host.leaving)) * (10 + later)
            required += len(BESIDE) * (10 + later)
        size += octets + (RECORDS - 1) * later + RECORD_OCTETS + above + more
        required += octets + 3 * later + 4 * 10 + above
    for one in host.sets:
        octets = set_octets(one.fqdn, one.values)
        above = (2 + 2 * one.fqdn.count(".")) * (len(one.fqdn) if required >= NEAR_OCTETS else VALUE_OCTETS)
        size += octets + above
        required += 4 * (len(one.fqdn) + VALUE_OCTETS) + above
    return size, required - begin


def set_octets(fqdn: str, values: Collection[str]) -> int:
    """Maximum octets of an RRset without two prerequisites: two more, its removal, and its values."""
    return (3 + len(values)) * (len(fqdn) + VALUE_OCTETS) + sum(map(len, values))


def first_part(leaving: Sequence[Removal], zone: str) -> Sequence[Removal]:
    """The first names and RRsets that fit into one message; a name has at most five records and its values."""
    octets = 0
    for n, removal in enumerate(leaving):
        octets += 3 * len(removal.fqdn) + RECORD_OCTETS
        if removal.rtype is None:
            octets += (1 + len(values_removed(removal))) * (len(removal.fqdn) + ADDRESS_OCTETS) + len(
                removal.alias or ""
            )
            octets += sum(2 * (len(parent) + 10) for parent in between(removal.fqdn, zone))
        if removal.data is not None:
            octets += set_octets(removal.fqdn, values_of(removal.data))
        if octets > MESSAGE_OCTETS and n:
            return leaving[:n]
    return leaving
