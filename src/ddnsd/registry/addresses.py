# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses as clients send them, parsed into an update of both families.

All protocols have the same rules. An address is refused if it does not parse, has a zone id, or cannot be a host's.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from ddnsd.db.rows import Host
from ddnsd.dns.records import combine
from ddnsd.registry.errors import InvalidAddress, UnknownPeer

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

KEEP = ("no", "preserve")
RELATED_PREFIX = 64
_LENGTH = re.compile(r"[0-9]{1,3}")
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressUpdate(NamedTuple):
    """The addresses in a request: at most one address per family and one prefix, or families to remove.

    `ipv4` and `ipv6` are canonical text, or None if the request does not name the family. `prefix` is an IPv6 network
    for the related names, and for the host's own address if there is no `ipv6`. `remove` holds the families, "ipv4" and
    "ipv6", whose records are removed. `explicit` is False if the request names no address and gets the caller's own.
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
        """The addresses that the answer repeats, IPv4 first; for a prefix without an address its network address."""
        return [text for text in (self.ipv4, self.ipv6 or self._network) if text]

    @property
    def named(self) -> list[str]:
        """All addresses that the request names; for a prefix its network address."""
        return [text for text in (self.ipv4, self.ipv6, self._network) if text]

    @property
    def _network(self) -> str | None:
        return self.prefix.partition("/")[0] if self.prefix else None


def parse_address(text: str) -> Address:
    """Parse an address. A prefix length is dropped, and IPv4-mapped IPv6 becomes IPv4. Raises InvalidAddress."""
    bare, slash, length = text.strip().partition("/")
    try:
        address = _ip_address(bare)
    except ValueError:
        raise InvalidAddress(text) from None
    if slash and not (_LENGTH.fullmatch(length) and int(length) <= address.max_prefixlen):
        raise InvalidAddress(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise InvalidAddress(text)
        address = address.ipv4_mapped or address
    if _nobodys(address):
        raise InvalidAddress(text)
    return address


def _ip_address(text: str) -> Address:
    """Parse an address as `ipaddress.ip_address` does, but several times faster for IPv4. Raises ValueError."""
    try:
        return ipaddress.IPv4Address(socket.inet_pton(socket.AF_INET, text))
    except OSError:
        return ipaddress.ip_address(text)


def _nobodys(address: Address) -> bool:
    if address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast:
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_reserved or address in _THIS_NETWORK  # 240/4 with the broadcast address
    return address.is_reserved and address not in _NAT64  # in use, although it is in a reserved block


def is_internal(text: str) -> bool:
    """Whether the address is not public: private, CGNAT or documentation.

    Loopback is not internal: such an address gets here only with `allow_loopback_peers`.
    """
    address = ipaddress.ip_address(text)
    return not (address.is_global or address.is_loopback)


def denied(addresses: Iterable[Address], networks: Sequence[Network]) -> bool:
    """Whether one of the addresses is in one of the networks."""
    return bool(networks) and any(address in network for address in addresses for network in networks)


def reached(texts: Iterable[str]) -> Iterator[Address]:
    """Yield each address, and the IPv4 addresses within one of NAT64, 6to4 or Teredo."""
    for text in texts:
        address = ipaddress.ip_address(text)
        yield address
        if isinstance(address, ipaddress.IPv6Address):
            if address in _NAT64:
                yield ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
            elif address.sixtofour is not None:
                yield address.sixtofour
            elif address.teredo is not None:
                yield from address.teredo  # of the server, and of the client


def parse(values: Sequence[str], peer: str | None, *, loopback_peers: bool = False) -> AddressUpdate:
    """Parse the address parameters of a request, each a comma-separated list. `peer` is the caller's address.

    An IPv6 network (host bits zero, length below 128) is a prefix. `no` and `preserve` leave a family unchanged. If
    all values are empty, the caller's own address is used. Raises InvalidAddress, UnknownPeer.
    """
    items = elements(values)
    if not items:
        return inferred(peer, loopback_peers=loopback_peers)
    found: dict[str, set[str]] = {"ipv4": set(), "ipv6": set(), "prefix": set(), "keep": set()}
    for item in items:
        kind, text = _item(item)
        found[kind].add(text)
    ipv4, ipv6, prefixes = found["ipv4"], found["ipv6"], found["prefix"]
    if len(ipv4) > 1 or len(ipv6) > 1 or len(prefixes) > 1:
        raise InvalidAddress(",".join(items))
    return AddressUpdate(next(iter(ipv4), None), next(iter(ipv6), None), next(iter(prefixes), None))


def elements(values: Sequence[str]) -> list[str]:
    """The non-empty elements of comma-separated lists, without placeholders that a router did not fill in.

    Raises InvalidAddress if there are only placeholders: the caller's own address is not what the router meant.
    """
    items = [item for value in values for item in (part.strip() for part in value.split(",")) if item]
    filled = [item for item in items if not (item[0] == "<" and item[-1] == ">")]
    if items and not filled:
        raise InvalidAddress(",".join(items))
    return filled


@lru_cache(maxsize=4096)  # most clients send the same address again
def _item(text: str) -> tuple[str, str]:
    """(kind, canonical text) of one element. The kind is ipv4, ipv6, prefix or keep. Raises InvalidAddress."""
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
    """An update to the caller's own address. Raises UnknownPeer, and InvalidAddress if no host can have it."""
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
    """The address columns that the update changes, with their new values; {} if it changes nothing.

    `named` is the result of `named_columns`.
    """
    values = dict(named)
    if update.prefix and not update.ipv6 and host.interface_id:
        values["ipv6"] = combine(update.prefix, host.interface_id)
    if guess := dropped_guess(host, update):
        values |= {"ipv4": None} if guess == "ipv4" else {"ipv6": None, "prefix": None}
    return {name: value for name, value in values.items() if getattr(host, name) != value}


def named_columns(host: Host, update: AddressUpdate) -> dict[str, str | None]:
    """The new values of all columns of the families in the update, changed or not.

    Of two concurrent updates one then wins completely, and the result is never a mixture. With only a prefix, the
    host's own address is left out: it depends on the interface id that the row has when it is written.
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
    """The family whose address was guessed at registration, if the update drops it; otherwise None.

    The first explicit update of only the other family drops the guess.
    """
    if host.inferred and update.explicit and update.families and host.inferred not in update.families:
        return host.inferred
    return None


def ipv6_columns(text: str) -> dict[str, str | None]:
    """The columns that IPv6 addresses (canonical text) set. Without a common network there is no prefix."""
    found = [ipaddress.IPv6Address(one) for one in text.split()]
    networks = {str(ipaddress.IPv6Network((address, RELATED_PREFIX), strict=False)) for address in found}
    return {"ipv6": text, "prefix": networks.pop() if len(networks) == 1 else None, "interface_id": str(found[0])}
