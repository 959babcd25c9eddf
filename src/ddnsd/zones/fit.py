# SPDX-License-Identifier: GPL-3.0-or-later
"""How much fits into one UPDATE message: over TCP it has at most 65 535 octets."""

from collections.abc import Collection, Iterable, Sequence

from ddnsd.store.rows import Removal
from ddnsd.zones.records import HostRecords, values_of

MESSAGE_OCTETS = 48_000

RECORD_OCTETS = 90
"""What the five records of a name take beside the name."""


VALUE_OCTETS = 16
"""What a record of an RRset takes at most beside its name and its value as text."""


def parts(hosts: Iterable[HostRecords]) -> Iterable[list[HostRecords]]:
    """Hosts that fit into one message each time; a host is never divided."""
    part: list[HostRecords] = []
    octets = 0
    for host in hosts:
        size = sum(5 * len(name.fqdn) + RECORD_OCTETS for name in host.names)
        size += sum(set_octets(one.fqdn, one.values) for one in host.sets)
        if part and octets + size > MESSAGE_OCTETS:
            yield part
            part, octets = [], 0
        part.append(host)
        octets += size
    if part:
        yield part


def set_octets(fqdn: str, values: Collection[str]) -> int:
    """What an RRset takes at most: two prerequisites, its removal, and its values, each with the name."""
    return (3 + len(values)) * (len(fqdn) + VALUE_OCTETS) + sum(map(len, values))


def first_part(leaving: Sequence[Removal]) -> Sequence[Removal]:
    """The first names and RRsets that fit into one message: a name has at most three records."""
    octets = 0
    for n, removal in enumerate(leaving):
        octets += 3 * len(removal.fqdn) + RECORD_OCTETS
        if removal.data is not None:
            octets += set_octets(removal.fqdn, values_of(removal.data))
        if octets > MESSAGE_OCTETS and n:
            return leaving[:n]
    return leaving
