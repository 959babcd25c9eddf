# SPDX-License-Identifier: GPL-3.0-or-later
"""Reverse zones: their networks, and the proof that an address belongs to a host.

In a `verified` zone a host may have the name of an address if its last update came from this address, or if the change
was made by somebody who may change the reverse zone. The proof is stored with the host, and ends with the address.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from ddnsd.db.reverse_zones import MODES, OFF, ReverseZones, fits, network, network_of
from ddnsd.db.rows import Domain, Host, addresses_of
from ddnsd.registry import names
from ddnsd.registry.errors import Code, Invalid, Reason

FAMILIES = ("ipv4", "ipv6")
NO_ZONES = ReverseZones(())


@dataclass(frozen=True)
class Origin:
    """Where a change comes from: the client's address, and the reverse zones that its caller may change.

    `client_ip` is None if it may be forged.
    """

    client_ip: str | None = None
    zones: ReverseZones = NO_ZONES
    may_change: Callable[[Domain], bool] = lambda _domain: False

    def proves(self, addresses: str | None) -> bool:
        """Whether the addresses, separated by blanks, belong to the host that they are set for."""
        if is_same(addresses, self.client_ip):
            return True
        found = [self.zones.of(address) for address in addresses_of(addresses)]
        return bool(found) and all(domain is not None and self.may_change(domain) for domain in found)


def proofs(host: Host, values: Mapping[str, Any], origin: Origin) -> dict[str, str | None]:
    """The columns with proofs for new `values` of `ipv4` and `ipv6`."""
    found: dict[str, str | None] = {}
    for family in FAMILIES:
        if family in values:
            kept = values[family] == getattr(host, family) == getattr(host, f"proved_{family}")
            found[f"proved_{family}"] = values[family] if kept or origin.proves(values[family]) else None
    return found


def new_proofs(host: Host, values: Mapping[str, Any], origin: Origin) -> dict[str, str | None]:
    """Those of `proofs` that the host does not have yet."""
    found = proofs(host, values, origin)
    return {column: value for column, value in found.items() if value and value != getattr(host, column)}


def is_same(address: str | None, client_ip: str | None) -> bool:
    """Whether the client has this address, which is canonical text."""
    if not address or not client_ip:
        return False
    try:
        client = ip_address(client_ip)
    except ValueError:
        return False
    return address == str(getattr(client, "ipv4_mapped", None) or client)


def with_network(name: str, columns: Mapping[str, Any], before: Domain | None = None) -> dict[str, Any]:
    """The columns of a new or changed domain; a `network` that the name says is not stored.

    Raises Invalid for the field `network` or `reverse`.
    """
    found = dict(columns)
    if not names.is_reverse(name):
        for field, nothing in (("network", None), ("reverse", OFF)):
            if found.get(field, nothing) not in (nothing, None):
                raise Invalid(**{field: Reason(Code.NOT_A_REVERSE_ZONE, domain=name)})
        return found
    if found.get("reverse", OFF) not in MODES:
        raise Invalid(reverse=Reason(Code.NOT_A_CHOICE, choices=", ".join(MODES)))
    if found.get("network") is not None:
        found["network"] = _network(name, found["network"])
    given = found.get("network", before.network if before else None)
    mode = found.get("reverse", before.reverse if before else OFF)
    if mode != OFF and given is None and network_of(name) is None:
        raise Invalid(network=Reason(Code.NETWORK_MISSING, domain=name))
    return found


def _network(name: str, text: str) -> str | None:
    """The canonical network, or None if the name says it. Raises Invalid."""
    try:
        found = ip_network(text)
    except ValueError:
        raise Invalid(network=Reason(Code.NETWORK_INVALID, network=text)) from None
    if not fits(name, found):
        raise Invalid(network=Reason(Code.NETWORK_OF_OTHER_ZONE, network=text, domain=name))
    return None if network_of(name) else str(found)


def shown_network(domain: Domain) -> str | None:
    """The network of a reverse zone as text; None for other domains."""
    found = network(domain)
    return None if found is None else str(found)
