# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of reverse zones and of addresses in them (RFC 1035 3.5, RFC 3596 2.5, RFC 2317). Names are folded."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ddnsd.db.rows import Domain

OFF, VERIFIED, ALL = "off", "verified", "all"
MODES = OFF, VERIFIED, ALL
"""Which hosts may have a reverse name in a zone."""

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_IPV4, _IPV6 = ".in-addr.arpa", ".ip6.arpa"
_OCTETS, _NIBBLES = 4, 32


def network_of(name: str) -> Network | None:
    """The network of a reverse zone, from its name; None if the name does not say it.

    `2.0.192.in-addr.arpa` is 192.0.2.0/24, `0-63.2.0.192.in-addr.arpa` 192.0.2.0/26 (RFC 2317 with a hyphen).
    """
    if found := _of_labels(name):
        return found
    label, _, parent = name.partition(".")
    around = _of_labels(parent)
    first, _, last = label.partition("-")
    if not isinstance(around, IPv4Network) or around.prefixlen != 24 or not (_is_octet(first) and _is_octet(last)):
        return None
    size = int(last) - int(first) + 1
    if size < 2 or size & (size - 1) or int(first) % size:
        return None
    return IPv4Network((int(around.network_address) + int(first), 33 - size.bit_length()))


def fits(name: str, network: Network) -> bool:
    """Whether a reverse zone of that name can have the names of the network.

    The name of a zone of RFC 2317 has one label before the /24 network around it. The label is free.
    """
    own = network_of(name)
    if own is not None:
        return own == network
    around = _of_labels(name.partition(".")[2])
    return isinstance(around, IPv4Network) and isinstance(network, IPv4Network) and _is_part(network, around)


def _is_part(network: IPv4Network, around: IPv4Network) -> bool:
    return around.prefixlen == 24 < network.prefixlen < 32 and network.subnet_of(around)


def _of_labels(name: str) -> Network | None:
    """The network of a zone whose labels are all octets or nibbles, of more than one address."""
    if name.endswith(_IPV4):
        octets = name.removesuffix(_IPV4).split(".")[::-1]
        if len(octets) < _OCTETS and all(map(_is_octet, octets)):
            return IPv4Network((".".join([*octets, *"000"][:_OCTETS]), 8 * len(octets)))
    if name.endswith(_IPV6):
        nibbles = name.removesuffix(_IPV6).split(".")[::-1]
        if len(nibbles) < _NIBBLES and all(len(one) == 1 and one in "0123456789abcdef" for one in nibbles):
            return IPv6Network((int("".join(nibbles).ljust(_NIBBLES, "0"), 16), 4 * len(nibbles)))
    return None


def _is_octet(text: str) -> bool:
    return text.isascii() and text.isdigit() and str(int(text)) == text and int(text) < 256


def name_of(domain: Domain, address: str) -> str:
    """The reverse name of an address in the zone, which has it in its network."""
    found = ip_address(address)
    pointer = found.reverse_pointer
    if pointer.endswith("." + domain.name):
        return pointer
    return f"{int(found) & 255}.{domain.name}"


def network(domain: Domain) -> Network | None:
    """The network of a domain: from its name, else the one that was given. None if it is no reverse zone."""
    return network_of(domain.name) or (ip_network(domain.network) if domain.network else None)


class ReverseZones:
    """Finds the reverse zone of an address: the one with the smallest network that has it."""

    def __init__(self, domains: Iterable[Domain]) -> None:
        known = [(found, domain) for domain in domains if (found := network(domain)) is not None]
        self._known = sorted(known, key=lambda one: -one[0].prefixlen)
        self.domains = tuple(domain for _, domain in self._known)
        """All of them."""

    def of(self, address: str) -> Domain | None:
        """The reverse zone of the address, or None."""
        found = ip_address(address)
        return next((domain for network, domain in self._known if found in network), None)
