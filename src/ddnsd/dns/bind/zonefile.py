# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of new zones, and their name servers."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Self

_HEAD = """\
$TTL 3600
@ SOA {mname}. hostmaster.{zone}. {serial} 3600 600 1209600 60
"""

_CATALOG = """\
$TTL 60
@ SOA invalid. invalid. {serial} 60 10 1209600 60
@ NS invalid.
version TXT "2"
"""


@dataclass(frozen=True)
class NameServer:
    """A name (lower case, no trailing dot), and its addresses for a zone that contains the name."""

    name: str
    addresses: tuple[str, ...] = ()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse `NAME` or `NAME=ADDRESS=ADDRESS…`. Raises ValueError."""
        name, *addresses = (part.strip() for part in text.split("="))
        return cls(zone_name(name), tuple(str(ipaddress.ip_address(address)) for address in addresses))

    def __str__(self) -> str:
        return "=".join((self.name, *self.addresses))

    def lies_in(self, zone: str) -> bool:
        """Whether the zone contains the name, and so its addresses."""
        return f".{self.name}".endswith(f".{zone}")


def zone_text(zone: str, servers: tuple[NameServer, ...], serial: int) -> str:
    """A zone with SOA (MNAME is the first server), NS, and the addresses of servers with names in it."""
    lines = [f"@ NS {server.name}." for server in servers]
    for server in servers:
        if server.lies_in(zone):
            lines += [f"{server.name}. {'AAAA' if ':' in a else 'A'} {a}" for a in server.addresses]
    return _HEAD.format(mname=servers[0].name, zone=zone, serial=serial) + "\n".join(lines) + "\n"


def catalog_text(serial: int) -> str:
    """A catalog zone without members (RFC 9432, section 4)."""
    return _CATALOG.format(serial=serial)


def zone_name(text: str) -> str:
    """A name in lower case and without a trailing dot. Raises ValueError if it cannot be a zone."""
    normal = text.lower().removesuffix(".")
    if not re.fullmatch(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", normal) or len(normal) > 253:
        raise ValueError(
            f"{text!r} is not a valid name for a zone: it must be a domain name of letters, digits, - and _"
        )
    return normal
