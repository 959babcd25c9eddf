# SPDX-License-Identifier: GPL-3.0-or-later
"""How much fits into one UPDATE message: over TCP it has at most 65 535 octets."""

from collections.abc import Iterable, Mapping, Sequence

from ddnsd.store.rows import Host, Related, Removal
from ddnsd.zones.records import records

MESSAGE_OCTETS = 48_000

RECORD_OCTETS = 90
"""What the five records of a name take beside the name."""


def parts(hosts: Iterable[Host], related: Mapping[int, Sequence[Related]]) -> Iterable[list[Host]]:
    """Hosts that fit into one message each time; a host is never divided."""
    part: list[Host] = []
    octets = 0
    for host in hosts:
        size = sum(5 * len(names.fqdn) + RECORD_OCTETS for names in records(host, related[host.id]))
        if part and octets + size > MESSAGE_OCTETS:
            yield part
            part, octets = [], 0
        part.append(host)
        octets += size
    if part:
        yield part


def first_part(leaving: Sequence[Removal]) -> Sequence[Removal]:
    """The first names that fit into one message: at most three records each."""
    octets = 0
    for n, removal in enumerate(leaving):
        octets += 3 * len(removal.fqdn) + RECORD_OCTETS
        if octets > MESSAGE_OCTETS and n:
            return leaving[:n]
    return leaving
