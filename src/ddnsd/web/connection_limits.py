# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit of connections per source: an IPv4 address, or an IPv6 /64, because one client usually has all of it."""

import ipaddress
import socket
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED = bytes(10) + b"\xff\xff"


class Sources:
    """Counts connections: at most `most` at a time per source (0: no limit). `exempt` networks have no limit."""

    def __init__(self, most: int = 0, exempt: Sequence[Network] = ()) -> None:
        self.use(most, exempt)
        self._open: dict[str | bytes, int] = {}

    def use(self, most: int, exempt: Sequence[Network]) -> None:
        """Apply these limits to new connections."""
        self._most, self._exempt = most, tuple(exempt)

    def enter(self, address: str) -> bool:
        """Count a connection from the address. False, without counting it, if its source has too many."""
        source = _source(address)
        number = self._open.get(source, 0)
        if number >= self._most > 0 and not self._is_exempt(address):
            return False
        self._open[source] = number + 1
        return True

    def leave(self, address: str) -> None:
        """Remove a counted connection that has ended."""
        source = _source(address)
        number = self._open[source] - 1
        if number:
            self._open[source] = number
        else:
            del self._open[source]

    def _is_exempt(self, address: str) -> bool:
        return any(plain_address(address) in network for network in self._exempt)


def plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address without a zone id. An IPv4-mapped address of a dual-stack socket becomes IPv4. Raises ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _source(address: str) -> str | bytes:
    if ":" not in address:
        return address
    octets = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    return socket.inet_ntop(socket.AF_INET, octets[12:]) if octets.startswith(_MAPPED) else octets[:8]
