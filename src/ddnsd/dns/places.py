# SPDX-License-Identifier: GPL-3.0-or-later
"""The records that a zone should have for a host, in wire form, and their comparison with the state of a name."""

import socket
from collections.abc import Iterable, Mapping
from functools import lru_cache

import dns.rdatatype

from ddnsd.db.rows import Host, Related, RRset, Watched, addresses_of
from ddnsd.dns.message import AAAA, CNAME, A
from ddnsd.dns.rdata import wire
from ddnsd.dns.records import record_sets, records
from ddnsd.dns.zone_transfer import KINDS, Record, State, entry, state_of, text

Kind = str | None
"""The type of an RRset, or None for addresses and the alias."""

Wanted = frozenset[Record]

Places = Mapping[Kind, Wanted]
"""What a name should have: the records by kind; empty for none."""


def places_of(
    host: Host | Watched, related: Iterable[Related], rrsets: Iterable[RRset]
) -> dict[str, dict[Kind, Wanted]]:
    """What the zone should have for the host, by name."""
    wanted: dict[str, dict[Kind, Wanted]] = {}
    for fqdn, ipv4, ipv6, alias in records(host, related):
        wanted[fqdn] = {None: addresses(ipv4, ipv6) if alias is None else frozenset((_record("CNAME", alias),))}
    for one in record_sets(host, rrsets):
        wanted.setdefault(one.fqdn, {})[one.rtype] = frozenset(_record(one.rtype, value) for value in one.values)
    return wanted


def addresses(ipv4: str | None, ipv6: str | None) -> Wanted:
    """The records of these addresses."""
    found = [(A, socket.inet_pton(socket.AF_INET, text)) for text in addresses_of(ipv4)]
    found += [(AAAA, socket.inet_pton(socket.AF_INET6, text)) for text in addresses_of(ipv6)]
    return frozenset(found)


@lru_cache(maxsize=1024)
def _record(rtype: str, value: str) -> Record:
    return int(dns.rdatatype.from_text(rtype)), wire(rtype, value)


def types_of(kind: Kind) -> tuple[int, ...]:
    """The numbers of the types."""
    return (A, AAAA, CNAME) if kind is None else (int(dns.rdatatype.from_text(kind)),)


def matches(log: bytes, places: Places) -> bool:
    """Whether a log of a whole name has exactly these records, and no others that could matter."""
    if len(places) == 1 and None in places and log == b"".join(entry(*record) for record in sorted(places[None])):
        return True
    present = set(state_of(log).records)
    return present == frozenset[Record]().union(*places.values())


def is_as_wanted(state: State, kind: Kind, wanted: Wanted) -> bool:
    """Whether the state of a name has what it should have of this kind."""
    types = types_of(kind)
    for record, there in state.records.items():
        if record[0] in types and (record in wanted) != there:
            break
    else:
        if not state.whole or wanted <= state.records.keys():
            return True
    return kind is not None and texts(found_at(state, kind, wanted)) == texts(wanted)


def found_at(state: State, kind: Kind, wanted: Wanted) -> set[Record]:
    """The records of this kind that are there; those without a trace in the state are as wanted."""
    types = types_of(kind)
    found = {record for record, there in state.records.items() if there and record[0] in types}
    return found if state.whole else found | {record for record in wanted if state.records.get(record, True)}


def texts(found: Iterable[Record]) -> tuple[str, ...]:
    """The sorted texts of the records."""
    return tuple(sorted(text(*record) for record in found))


def obstructing(types: Iterable[int], host: Host | Watched, places: Places) -> tuple[int, ...]:
    """Those of the types that are in the way at a name: not a CNAME record that the host has, or had until now."""
    ours = host.aliased and None in places
    return tuple(rtype for rtype in types if not (ours and rtype == CNAME))


def kinds_of(state: State) -> set[Kind]:
    """The kinds of records that are there."""
    return {KINDS[rtype] for (rtype, _), there in state.records.items() if there and rtype in KINDS}
