# SPDX-License-Identifier: GPL-3.0-or-later
"""octoDNS has records, the service has hosts. This module translates.

record of octoDNS               host                     its field
------------------------------  -----------------------  ---------------------------
www             A, AAAA         www                      ipv4, ipv6, ttl
*.www           A, AAAA         www                      wildcard: the same addresses
shop            CNAME           shop                     alias, ttl
www             MX, TXT, …      www                      records, `@ MX`
a._tcp.www      SRV, TLSA, …    www                      records, `a._tcp SRV`
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, NamedTuple

from octodns.record import Change, Record, Rrset

from ddnsctl.sync import names, records
from ddnsctl.sync.model import KEEP, Host, HostSpec, Sentinel

FAMILIES = {"A": "ipv4", "AAAA": "ipv6"}
RRSETS = frozenset({"CAA", "HTTPS", "LOC", "MX", "NAPTR", "OPENPGPKEY", "SRV", "SSHFP", "SVCB", "TLSA", "TXT"})
"""The types of `Host.records` that octoDNS knows. RRsets of others, such as SMIMEA, are never touched."""
ALIAS = "CNAME"
WILDCARD = "*"
_LOC_DEFAULTS = ("1.00m", "10000.00m", "10.00m")
"""Size, horizontal and vertical precision."""


class OwnerName(NamedTuple):
    """The name of a record in parts: the host's full name, and what is below it.

    That is `@` for the host itself, `*` for its wildcard, or labels of which the last begins with an underscore.
    """

    host: str
    below: str


def divided(record: Record) -> OwnerName:
    """The name of the record in parts. Raises ValueError if the service cannot store a record there."""
    labels = record.name.split(".") if record.name else []
    begin = 1 + max((index for index, label in enumerate(labels) if label.startswith("_")), default=-1)
    if labels and labels[0] == WILDCARD:
        if begin or record._type not in FAMILIES:
            raise ValueError("only addresses can have a wildcard")
        begin = 1
    if begin and record._type == ALIAS:
        raise ValueError("the service has CNAME records only at hosts, as their aliases")
    if begin == len(labels):
        raise ValueError("the service has no records at the domain's own name, or directly below it with an underscore")
    host = names.host_name(".".join([*labels[begin:], record.zone.name]))
    return OwnerName(host, ".".join(labels[:begin]) or records.APEX)


def rrsets_of(host: Host, ttl: int) -> Iterator[Rrset]:
    """The RRsets of a registered host. `ttl` is that of a host without its own."""
    ttl = host.ttl or ttl
    owners = [f"{host.fqdn}.", *([f"{WILDCARD}.{host.fqdn}."] if host.wildcard else [])]
    if isinstance(host.alias, str):
        yield Rrset(owners[0], ALIAS, ttl, [host.alias])
    for rtype, family in FAMILIES.items():
        found = getattr(host, family)
        addresses = [found] if isinstance(found, str) else found
        if isinstance(addresses, list):
            yield from (Rrset(owner, rtype, ttl, addresses) for owner in owners)
    for key, content in _present(host).items():
        name, rtype = key.split(" ")
        if rtype in RRSETS:
            owner = host.fqdn if name == records.APEX else f"{name}.{host.fqdn}"
            values = map(_whole_loc, content["values"]) if rtype == "LOC" else content["values"]
            yield Rrset(f"{owner}.", rtype, content["ttl"] or ttl, values)


def _whole_loc(value: str) -> str:
    """A LOC value with the fields that may be left out if they have their default (RFC 1876, 3). octoDNS needs them."""
    words = value.split()
    longitude = next(index for index, word in enumerate(words) if word in ("E", "W"))
    return " ".join([*words, *_LOC_DEFAULTS[len(words) - longitude - 2 :]])


def _addresses(rdatas: Iterable[str]) -> str | list[str]:
    """One address, or several in the order of the service. The service itself says which ones it refuses."""
    found = [str(address) for address in sorted({ip_address(one) for one in rdatas}, key=int)]
    return found if len(found) > 1 else found[0]


def _present(host: Host) -> Mapping[str, Any]:
    return {} if isinstance(host.records, Sentinel) else host.records


@dataclass
class _Edit:
    """What the changes of octoDNS do to one host. A value None removes an address or RRset."""

    addresses: dict[str, Any] = field(default_factory=dict)
    wildcard: dict[str, bool] = field(default_factory=dict)
    """By type, whether there is a wildcard."""
    rrsets: dict[str, Any] = field(default_factory=dict)
    alias: str | Sentinel | None = KEEP
    ttl: int | None = None

    def add(self, change: Change, below: str) -> None:
        """Add a change of a record with this `OwnerName.below`."""
        rtype = change.record._type
        rrset = change.new.to_rrset() if change.new else None
        if below == WILDCARD:
            self.wildcard[rtype] = rrset is not None
        elif rtype in FAMILIES:
            self.addresses[FAMILIES[rtype]] = _addresses(rrset.rdatas) if rrset else None
            self.ttl = rrset.ttl if rrset else self.ttl
        elif rtype == ALIAS:
            self.alias = names.alias(rrset.rdatas[0]) if rrset else None
            self.ttl = rrset.ttl if rrset else self.ttl
        else:
            self.rrsets[f"{below} {rtype}"] = {"values": rrset.rdatas, "ttl": rrset.ttl} if rrset else None

    def spec(self, fqdn: str, host: Host | None) -> HostSpec | None:
        """The declared host; None if nothing is left of it. Everything without a change is kept. Raises ValueError."""
        rrsets = records.declared(self.rrsets)
        before = host or Host(fqdn, "")
        addresses = {family: getattr(before, family) for family in FAMILIES.values()} | self.addresses
        left = {**_present(before), **rrsets}
        alias = before.alias if self.alias is KEEP else self.alias
        if not any(addresses.values()) and not any(left.values()) and alias is None:
            return None
        had = {rtype: before.wildcard and bool(getattr(before, family)) for rtype, family in FAMILIES.items()}
        return HostSpec(
            fqdn,
            ipv4=self.addresses.get("ipv4", KEEP),
            ipv6=self.addresses.get("ipv6", KEEP),
            wildcard=any({**had, **self.wildcard}.values()) if self.wildcard else KEEP,
            ttl=self.ttl or KEEP,
            records=rrsets or KEEP,
            keeps_records=True,
            alias=self.alias,
        )


class Edited(NamedTuple):
    """Declared hosts, and the names of hosts of which nothing is left."""

    declared: dict[str, HostSpec]
    gone: set[str]


def edited(changes: Iterable[Change], registered: Mapping[str, Host]) -> Edited:
    """The hosts after the changes. Raises ValueError."""
    edits: dict[str, _Edit] = {}
    for change in changes:
        host, below = divided(change.record)
        try:
            edits.setdefault(host, _Edit()).add(change, below)
        except ValueError as error:
            raise ValueError(f"{host}: {error}") from None
    found = Edited({}, set())
    for fqdn, edit in edits.items():
        try:
            spec = edit.spec(fqdn, registered.get(fqdn))
        except ValueError as error:
            raise ValueError(f"{fqdn}: {error}") from None
        if spec is None:
            found.gone.add(fqdn)
        else:
            found.declared[fqdn] = spec
    return found
