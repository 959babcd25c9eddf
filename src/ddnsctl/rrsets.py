# SPDX-License-Identifier: GPL-3.0-or-later
"""Other programs have records, the service has hosts. This module translates, for octoDNS and external-dns.

RRset                           host                     its field
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

from ddnsctl.sync import names, records
from ddnsctl.sync.api import Server
from ddnsctl.sync.model import KEEP, Declaration, Host, HostSpec, Registered, Sentinel
from ddnsctl.sync.plan import Options, Plan, make
from ddnsctl.sync.policy import Limits

FAMILIES = {"A": "ipv4", "AAAA": "ipv6"}
ALIAS = "CNAME"
WILDCARD = "*"


class RRset(NamedTuple):
    """Records of one name and type. `ttl` is in seconds; None: that of the host or of the service."""

    name: str
    rtype: str
    ttl: int | None
    values: list[str]


class OwnerName(NamedTuple):
    """The name of an RRset in parts: the host's full name, and what is below it.

    That is `@` for the host itself, `*` for its wildcard, or labels of which the last begins with an underscore.
    """

    host: str
    below: str


class Edit(NamedTuple):
    """An RRset to set; None: to remove."""

    owner: OwnerName
    rtype: str
    rrset: RRset | None


def divided(name: str, domain: str, rtype: str) -> OwnerName:
    """The full name of an RRset in parts. Raises ValueError if the service cannot store it there."""
    name, domain = name.rstrip("."), domain.rstrip(".")
    labels = name[: -len(domain) - 1].split(".") if name != domain else []
    begin = 1 + max((index for index, label in enumerate(labels) if label.startswith("_")), default=-1)
    if labels and labels[0] == WILDCARD:
        if begin or rtype not in FAMILIES:
            raise ValueError("only addresses can have a wildcard")
        begin = 1
    if begin and rtype == ALIAS:
        raise ValueError("the service has CNAME records only at hosts, as their aliases")
    if begin == len(labels):
        raise ValueError("the service has no records at the domain's own name, or directly below it with an underscore")
    host = names.host_name(".".join([*labels[begin:], domain]))
    return OwnerName(host, ".".join(labels[:begin]) or records.APEX)


def rrsets_of(host: Host) -> Iterator[RRset]:
    """The RRsets of a registered host, with full names."""
    if isinstance(host.alias, str):
        yield RRset(host.fqdn, ALIAS, host.ttl, [host.alias])
    for rtype, family in FAMILIES.items():
        found = getattr(host, family)
        addresses = [found] if isinstance(found, str) else found
        if isinstance(addresses, list):
            owners = [host.fqdn, *([f"{WILDCARD}.{host.fqdn}"] if host.wildcard else [])]
            yield from (RRset(owner, rtype, host.ttl, addresses) for owner in owners)
    for key, content in _present(host).items():
        name, rtype = key.split(" ")
        owner = host.fqdn if name == records.APEX else f"{name}.{host.fqdn}"
        yield RRset(owner, rtype, content["ttl"] or host.ttl, content["values"])


def _addresses(values: Iterable[str]) -> str | list[str]:
    """One address, or several in the order of the service. The service itself says which ones it refuses."""
    found = [str(address) for address in sorted({ip_address(one) for one in values}, key=int)]
    return found if len(found) > 1 else found[0]


def _present(host: Host) -> Mapping[str, Any]:
    return {} if isinstance(host.records, Sentinel) else host.records


@dataclass
class _HostEdit:
    """What the edits do to one host. A value None removes an address or RRset."""

    addresses: dict[str, Any] = field(default_factory=dict)
    wildcard: dict[str, bool] = field(default_factory=dict)
    """By type, whether there is a wildcard."""
    rrsets: dict[str, Any] = field(default_factory=dict)
    alias: str | Sentinel | None = KEEP
    ttl: int | None = None

    def add(self, below: str, rtype: str, rrset: RRset | None) -> None:
        """Add an edit at this `OwnerName.below`. Raises ValueError."""
        if below == WILDCARD:
            self.wildcard[rtype] = rrset is not None
        elif rtype in FAMILIES:
            self.addresses[FAMILIES[rtype]] = _addresses(rrset.values) if rrset else None
            self.ttl = rrset.ttl if rrset else self.ttl
        elif rtype == ALIAS:
            self.alias = names.alias(rrset.values[0]) if rrset else None
            self.ttl = rrset.ttl if rrset else self.ttl
        else:
            self.rrsets[f"{below} {rtype}"] = {"values": rrset.values, "ttl": rrset.ttl} if rrset else None

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


@dataclass
class Edited:
    """Declared hosts, names of hosts of which nothing is left, and what is wrong with other hosts."""

    declared: dict[str, HostSpec] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    wrong: dict[str, str] = field(default_factory=dict)

    def plan(self, stack: str, registered: Registered, server: Server) -> Plan:
        """The changes that make the stack's hosts as declared. Raises SyncError."""
        # without other hosts and domains, because `prune` deletes everything of the stack that is not declared
        concerned = {
            name: host for name, host in registered.hosts.items() if name in self.declared or name in self.gone
        }
        options = Options(prune=True, limits=Limits(percent=None, count=None))  # the other programs have their own
        found = Registered(concerned, user=registered.user)
        return make(Declaration(stack, hosts=self.declared), found, server.capabilities, options)


def edited(edits: Iterable[Edit], registered: Mapping[str, Host]) -> Edited:
    """The hosts after the edits."""
    by_host: dict[str, _HostEdit] = {}
    found = Edited()
    for (host, below), rtype, rrset in edits:
        try:
            by_host.setdefault(host, _HostEdit()).add(below, rtype, rrset)
        except ValueError as error:
            found.wrong[host] = str(error)
    for fqdn in by_host.keys() - found.wrong.keys():
        try:
            spec = by_host[fqdn].spec(fqdn, registered.get(fqdn))
        except ValueError as error:
            found.wrong[fqdn] = str(error)
        else:
            if spec is None:
                found.gone.add(fqdn)
            else:
                found.declared[fqdn] = spec
    return found


def owner_of(host: Host, stack: str) -> str | None:
    """To whom the host belongs, in words; None if it is the caller's, and of this stack."""
    if host.own and host.stack == stack:
        return None
    return f"the user {host.owner}" if not host.own else f"stack {host.stack}" if host.stack else "no stack"
