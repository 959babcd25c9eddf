# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses as clients send them, as a wish for both families.

The rules are the same for every door: what does not parse, has a zone id, or can be nobody's address is refused.
"""

import ipaddress
import socket
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from ddnsd.db.rows import Host
from ddnsd.dns.records import combine
from ddnsd.registry.errors import InvalidAddress, UnknownPeer

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

KEEP = ("no", "preserve")
RELATED_PREFIX = 64
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")


class AddressUpdate(NamedTuple):
    """What a request names: at most one address or prefix a family, or the removal of some families.

    `ipv4`, `ipv6` are canonical text, None where the family is not named. `prefix` is an IPv6 network in place of an
    address. `remove` names families, "ipv4" and "ipv6", whose records go. `explicit` is False when the address is
    the caller's own.
    """

    ipv4: str | None = None
    ipv6: str | None = None
    prefix: str | None = None
    remove: frozenset[str] = frozenset()
    explicit: bool = True

    @property
    def families(self) -> set[str]:
        """The families that the request changes."""
        named = {"ipv4"} if self.ipv4 else set()
        return named | ({"ipv6"} if self.ipv6 or self.prefix else set()) | self.remove

    @property
    def addresses(self) -> list[str]:
        """What the answer repeats, IPv4 first; a prefix as its network address."""
        prefix = self.prefix.partition("/")[0] if self.prefix else None
        return [text for text in (self.ipv4, self.ipv6 or prefix) if text]


def parse_address(text: str) -> Address:
    """One address; a prefix length is dropped, IPv4-mapped IPv6 is IPv4. Raises InvalidAddress."""
    bare, slash, length = text.strip().partition("/")
    try:
        address = _ip_address(bare)
    except ValueError:
        raise InvalidAddress(text) from None
    if slash and not (length.isascii() and length.isdigit() and int(length) <= address.max_prefixlen):
        raise InvalidAddress(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise InvalidAddress(text)
        address = address.ipv4_mapped or address
    if _nobodys(address):
        raise InvalidAddress(text)
    return address


def _ip_address(text: str) -> Address:
    """As `ipaddress.ip_address`, whose own way through the text of an IPv4 address takes several times as long."""
    try:
        return ipaddress.IPv4Address(socket.inet_pton(socket.AF_INET, text))
    except OSError:
        return ipaddress.ip_address(text)


def _nobodys(address: Address) -> bool:
    if address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast:
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_reserved or address in _THIS_NETWORK  # 240/4 with the broadcast address
    # of what the IETF reserves in IPv6 the translation prefixes are in use
    return address.is_reserved and address not in ipaddress.ip_network("64:ff9b::/96")


def is_internal(text: str) -> bool:
    """Whether the address is private, CGNAT or documentation: not one of the public Internet.

    A loopback address is here only because `allow_loopback_peers` has let it in.
    """
    address = ipaddress.ip_address(text)
    return not (address.is_global or address.is_loopback)


def denied(texts: Iterable[str], networks: Sequence[Network]) -> bool:
    """Whether one of the addresses lies in the operator's networks."""
    return bool(networks) and any(ipaddress.ip_address(text) in network for text in texts for network in networks)


def parse(values: Sequence[str], peer: str | None, *, loopback_peers: bool = False) -> AddressUpdate:
    """The wish of a request: `values` are its address parameters, each a comma list; `peer` is the caller's address.

    An IPv6 network (host bits zero, length below 128) is a prefix. `no` and `preserve` leave families alone. Without
    an address the caller's own counts. Raises InvalidAddress, UnknownPeer.
    """
    items = [item for value in values for item in (part.strip() for part in value.split(",")) if item]
    if not items:
        return inferred(peer, loopback_peers=loopback_peers)
    found: dict[str, set[str]] = {"ipv4": set(), "ipv6": set(), "prefix": set(), "keep": set()}
    for item in items:
        kind, text = _item(item)
        found[kind].add(text)
    ipv4, ipv6, prefixes = found["ipv4"], found["ipv6"], found["prefix"]
    if len(ipv4) > 1 or len(ipv6) > 1 or len(prefixes) > 1:
        raise InvalidAddress(",".join(items))
    if ipv6 and prefixes and not denied(ipv6, [ipaddress.ip_network(p) for p in prefixes]):
        raise InvalidAddress(",".join(items))
    return AddressUpdate(next(iter(ipv4), None), next(iter(ipv6), None), None if ipv6 else next(iter(prefixes), None))


@lru_cache(maxsize=4096)  # clients repeat themselves
def _item(text: str) -> tuple[str, str]:
    """(ipv4, ipv6, prefix or keep; canonical text) of one element. Raises InvalidAddress."""
    if text.lower() in KEEP:
        return "keep", text
    if prefix := _prefix(text):
        return "prefix", prefix
    address = parse_address(text)
    return ("ipv4" if address.version == 4 else "ipv6"), str(address)


def _prefix(text: str) -> str | None:
    if "/" not in text or ":" not in text:
        return None
    try:
        network = ipaddress.IPv6Network(text)  # strict: host bits are zero
    except ValueError:
        return None
    if network.prefixlen == network.max_prefixlen or network.prefixlen < 16:
        return None
    parse_address(str(network.network_address))
    return str(network)


def inferred(peer: str | None, *, loopback_peers: bool) -> AddressUpdate:
    """The caller's own address. Raises UnknownPeer, InvalidAddress where it can be nobody's."""
    if peer is None:
        raise UnknownPeer
    address = ipaddress.ip_address(peer)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if not (loopback_peers and address.is_loopback):
        address = parse_address(peer)
    text = str(address)
    return AddressUpdate(explicit=False, **({"ipv4": text} if address.version == 4 else {"ipv6": text}))  # type: ignore[arg-type]


def columns(host: Host, update: AddressUpdate, named: Mapping[str, str | None]) -> dict[str, str | None]:
    """The values of the host's address columns that the wish changes; {} when it changes nothing.

    `named` is what `named_columns` answers.
    """
    values = dict(named)
    if update.prefix and host.interface_id:
        values["ipv6"] = combine(update.prefix, host.interface_id)
    if guess := dropped_guess(host, update):
        values |= {"ipv4": None} if guess == "ipv4" else {"ipv6": None, "prefix": None}
    return {name: value for name, value in values.items() if getattr(host, name) != value}


def named_columns(host: Host, update: AddressUpdate) -> dict[str, str | None]:
    """The values of all columns of the families that the wish names, changed or not.

    Two updates at once then end as the one or the other, never as a mixture. A prefix leaves out the host's own
    address, which depends on the interface id that the row has when it is written.
    """
    values: dict[str, str | None] = {}
    if update.ipv4:
        values["ipv4"] = update.ipv4
    if update.ipv6:
        values |= ipv6_columns(update.ipv6)
    if update.prefix:
        values["prefix"] = update.prefix
    if "ipv4" in update.remove:
        values["ipv4"] = None
    if "ipv6" in update.remove:
        values |= {"ipv6": None, "prefix": None}
    if host.inferred and (host.inferred in update.families or (update.explicit and update.families)):
        values["inferred"] = None
    return values


def dropped_guess(host: Host, update: AddressUpdate) -> str | None:
    """The family that registration guessed from its caller, if the wish drops its address.

    The first update that names addresses knows better.
    """
    if host.inferred and update.explicit and update.families and host.inferred not in update.families:
        return host.inferred
    return None


def ipv6_columns(text: str) -> dict[str, str | None]:
    """The columns that one IPv6 address, as canonical text, sets."""
    address = ipaddress.IPv6Address(text)
    network = ipaddress.IPv6Network((address, RELATED_PREFIX), strict=False)
    return {"ipv6": text, "prefix": str(network), "interface_id": str(address)}
