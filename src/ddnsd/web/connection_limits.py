# SPDX-License-Identifier: GPL-3.0-or-later
"""How many connections each source has. A source is an IPv4 address, or a /64 of IPv6, of which anybody has all."""

import ipaddress
import socket
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAPPED = bytes(10) + b"\xff\xff"


class Sources:
    """Counts connections: `most` at a time from one source (0: any number), without a limit for `exempt` networks."""

    def __init__(self, most: int = 0, exempt: Sequence[Network] = ()) -> None:
        self._most, self._exempt = most, tuple(exempt)
        self._open: dict[str | bytes, int] = {}

    def enter(self, address: str) -> bool:
        """Count a connection from the address; False, and nothing is counted, where it is one too many."""
        source = _source(address)
        number = self._open.get(source, 0)
        if number >= self._most > 0 and not self._is_exempt(address):
            return False
        self._open[source] = number + 1
        return True

    def leave(self, address: str) -> None:
        """A counted connection has ended."""
        source = _source(address)
        number = self._open[source] - 1
        if number:
            self._open[source] = number
        else:
            del self._open[source]

    def _is_exempt(self, address: str) -> bool:
        return any(plain_address(address) in network for network in self._exempt)


def plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address without a zone id; IPv4-mapped IPv6, as a socket for both families has it, is IPv4.

    Raises ValueError.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _source(address: str) -> str | bytes:
    if ":" not in address:
        return address
    octets = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    return socket.inet_ntop(socket.AF_INET, octets[12:]) if octets.startswith(_MAPPED) else octets[:8]
