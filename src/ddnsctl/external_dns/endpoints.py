# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints of external-dns, as RRsets of hosts and as edits of them.

An endpoint is a JSON object: `dnsName`, `recordType`, `targets`, `recordTTL` (seconds; absent or 0: not configured),
and others. Names in targets have no dot at their end. external-dns compares the endpoints that it wants, after
`adjusted`, with those of `shown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from ddnsctl.rrsets import ALIAS, FAMILIES, WILDCARD, Edit, OwnerName, RRset, divided, rrsets_of
from ddnsctl.sync import records
from ddnsctl.sync.model import Host

Endpoint = dict[str, Any]

TYPES = (*FAMILIES, ALIAS, "MX", "NAPTR", "SRV", "TXT")
"""The types that external-dns knows and hosts can have."""
_WITH_NAME = frozenset({ALIAS, "MX", "NAPTR", "SRV"})
"""Types whose values end with a name."""
MAX_TTL = 86400


class Unsupported(ValueError):
    """The service cannot store this endpoint; the text says why."""


def shown(hosts: Iterable[Host]) -> list[Endpoint]:
    """The endpoints of hosts."""
    return [_endpoint(rrset) for host in hosts for rrset in rrsets_of(host) if rrset.rtype in TYPES]


def _endpoint(rrset: RRset) -> Endpoint:
    targets = [_target(rrset.rtype, value) for value in rrset.values]
    made: Endpoint = {"dnsName": rrset.name, "recordType": rrset.rtype, "targets": targets}
    return made | ({"recordTTL": rrset.ttl} if rrset.ttl else {})


def _target(rtype: str, value: str) -> str:
    return value[:-1] if rtype in _WITH_NAME and value.endswith(".") and not value.endswith(" .") else value


def _value(rtype: str, target: str) -> str:
    """The value as the service writes it. Raises ValueError."""
    if rtype in FAMILIES:
        return str(ip_address(target))
    named = f"{target}." if rtype in _WITH_NAME and not target.endswith(".") else target
    return named.lower() if rtype == ALIAS else records.canonical(rtype, named)


def owner_name(endpoint: Endpoint, domains: Iterable[str]) -> OwnerName:
    """The name of an endpoint in parts. Raises Unsupported, ValueError."""
    name = str(endpoint.get("dnsName", "")).lower().rstrip(".")
    above = [domain for domain in domains if name == domain or name.endswith(f".{domain}")]
    if not above:
        raise Unsupported("it is in no domain that the token may use")
    return divided(name, max(above, key=len), str(endpoint.get("recordType", "")))


def edit(endpoint: Endpoint, domains: Iterable[str], *, remove: bool = False) -> Edit:
    """The edit that publishes or removes an endpoint. Raises ValueError."""
    owner, rtype = owner_name(endpoint, domains), str(endpoint["recordType"])
    if remove:
        return Edit(owner, rtype, None)
    values = [_value(rtype, str(target)) for target in endpoint.get("targets") or ()]
    if not values:
        raise Unsupported("it has no target")
    return Edit(owner, rtype, RRset(str(endpoint["dnsName"]), rtype, endpoint.get("recordTTL") or None, values))


# ---- what external-dns wants


@dataclass
class Adjusted:
    """The endpoints as the service can store them, and why others are left out or changed."""

    endpoints: list[Endpoint] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Addresses:
    """The endpoints of a host's addresses by type: its own, and those of its wildcard."""

    own: dict[str, Endpoint] = field(default_factory=dict)
    wildcard: dict[str, Endpoint] = field(default_factory=dict)


def adjusted(endpoints: Sequence[Endpoint], domains: Iterable[str]) -> Adjusted:
    """The wanted endpoints as the service can store them.

    A wildcard has the addresses of its host, so the host's name gets those of the wildcard if it has none. A and AAAA
    of a host have one TTL.
    """
    found = Adjusted()
    addresses: dict[str, _Addresses] = {}
    for one in endpoints:
        try:
            made, (host, below) = _canonical(one), owner_name(one, domains)
        except ValueError as error:
            found.notes.append(f"{_title(one)} is left out: {error}")
            continue
        if made["recordType"] not in FAMILIES:
            found.endpoints.append(made)
            continue
        of_host = addresses.setdefault(host, _Addresses())
        (of_host.wildcard if below == WILDCARD else of_host.own)[made["recordType"]] = made
    for host, of_host in addresses.items():
        found.notes += _aligned(host, of_host)
        found.endpoints += [*of_host.own.values(), *of_host.wildcard.values()]
    return found


def _canonical(endpoint: Endpoint) -> Endpoint:
    """The endpoint in the form of `shown`. Raises Unsupported, ValueError."""
    rtype = str(endpoint.get("recordType", ""))
    if rtype not in TYPES:
        raise Unsupported("the service does not store this type")
    if endpoint.get("setIdentifier"):
        raise Unsupported("the service has no routing policies")
    targets = sorted({_target(rtype, _value(rtype, str(target))) for target in endpoint.get("targets") or ()})
    if not targets:
        raise Unsupported("it has no target")
    made = {key: value for key, value in endpoint.items() if key not in ("providerSpecific", "recordTTL")}
    made["dnsName"] = str(endpoint["dnsName"]).lower().rstrip(".")
    made["targets"] = targets[:1] if rtype == ALIAS else targets
    ttl = endpoint.get("recordTTL")
    return made | ({"recordTTL": min(ttl, MAX_TTL)} if isinstance(ttl, int) and ttl > 0 else {})


def _aligned(host: str, addresses: _Addresses) -> Iterator[str]:
    """Make the endpoints of a host and of its wildcard fit each other. Yields what is changed."""
    own, wildcard = addresses.own, addresses.wildcard
    if wildcard:
        for rtype, one in wildcard.items():
            if rtype not in own:
                own[rtype] = one | {"dnsName": host}
            elif own[rtype]["targets"] != one["targets"]:
                yield f"{_title(one)} gets the targets of {host}, because a wildcard has the addresses of its host"
        for rtype, one in own.items():
            labels = wildcard.get(rtype, one).get("labels")
            wildcard[rtype] = one | {"dnsName": f"{WILDCARD}.{host}"} | ({"labels": labels} if labels else {})
    everything = [*own.values(), *wildcard.values()]
    ttls = {one.get("recordTTL") for one in everything}
    if len(ttls) > 1:
        ttl = min(ttl for ttl in ttls if ttl is not None)
        yield f"{host} gets the TTL {ttl} for all its addresses"
        for one in everything:
            one["recordTTL"] = ttl


def _title(endpoint: Mapping[str, Any]) -> str:
    return f"{endpoint.get('recordType')} {endpoint.get('dnsName')}"
