# SPDX-License-Identifier: GPL-3.0-or-later
"""An address and a port, as operators write them."""

import ipaddress
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host (an address without brackets, or a name) and a port (1 to 65535)."""

    host: str
    port: int

    @classmethod
    def from_text(cls, text: str, default_port: int | None = None) -> Self:
        """Parse `192.0.2.1:53`, `[2001:db8::1]:53`, `name:53`; a port is required without `default`.

        Raises ValueError.
        """
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = str(ipaddress.IPv6Address(host[1:-1]))
        elif ":" in host or not colon:
            if default_port is None:
                raise ValueError(f"{text!r} is not ADDRESS:PORT (write an IPv6 address in brackets)")
            return cls(text.strip("[]"), default_port)
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{text!r} is not ADDRESS:PORT")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
