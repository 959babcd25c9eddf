# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of octoDNS, as RRsets of hosts and as edits of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from octodns.record import Change, Record, Rrset

from ddnsctl import rrsets
from ddnsctl.rrsets import ALIAS, FAMILIES, Edit, Edited, OwnerName, RRset
from ddnsctl.sync.model import Host

RRSETS = frozenset({"CAA", "HTTPS", "LOC", "MX", "NAPTR", "OPENPGPKEY", "SRV", "SSHFP", "SVCB", "TLSA", "TXT"})
"""The types of `Host.records` that octoDNS knows. RRsets of others, such as SMIMEA, are never touched."""
TYPES = frozenset(FAMILIES) | RRSETS | {ALIAS}
_LOC_DEFAULTS = ("1.00m", "10000.00m", "10.00m")
"""Size, horizontal and vertical precision."""


def divided(record: Record) -> OwnerName:
    """The name of the record in parts. Raises ValueError if the service cannot store a record there."""
    return rrsets.divided(record.fqdn, record.zone.name, record._type)


def rrsets_of(host: Host, ttl: int) -> Iterator[Rrset]:
    """The RRsets of a registered host. `ttl` is that of a host without its own."""
    for name, rtype, own, values in rrsets.rrsets_of(host):
        if rtype in TYPES:
            yield Rrset(f"{name}.", rtype, own or ttl, map(_whole_loc, values) if rtype == "LOC" else values)


def _whole_loc(value: str) -> str:
    """A LOC value with the fields that may be left out if they have their default (RFC 1876, 3). octoDNS needs them."""
    words = value.split()
    longitude = next(index for index, word in enumerate(words) if word in ("E", "W"))
    return " ".join([*words, *_LOC_DEFAULTS[len(words) - longitude - 2 :]])


def edited(changes: Iterable[Change], registered: Mapping[str, Host]) -> Edited:
    """The hosts after the changes. Raises ValueError."""
    found = rrsets.edited(map(_edit, changes), registered)
    for host, reason in found.wrong.items():
        raise ValueError(f"{host}: {reason}")
    return found


def _edit(change: Change) -> Edit:
    record = change.record
    new = change.new.to_rrset() if change.new else None
    rrset = RRset(record.fqdn, record._type, new.ttl, list(new.rdatas)) if new else None
    return Edit(divided(record), record._type, rrset)
