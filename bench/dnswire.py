# SPDX-License-Identifier: GPL-3.0-or-later
"""Ready-made DNS UPDATE messages (RFC 2136) signed with TSIG (RFC 8945), in the framing of DNS over TCP.

Built by hand, not by the code that is measured, and thousands of them ahead of the clock.
"""

import base64
import hmac
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

A, SOA, TSIG = 1, 6, 250
IN, ANY = 1, 255
UPDATE = 5 << 11
ZONE_POINTER = b"\xc0\x0c"
TTL = 60
FUDGE = 300
RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")


@dataclass(frozen=True)
class Key:
    """A TSIG key for hmac-sha256; `secret` in base64."""

    name: str
    secret: str = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """The message with its TSIG record appended."""
        owner, algorithm = _name(self.name), _name("hmac-sha256")
        signed_at = struct.pack(">HIH", 0, int(time.time()), FUDGE)
        variables = owner + struct.pack(">HI", ANY, 0) + algorithm + signed_at + b"\0\0\0\0"
        mac = hmac.digest(base64.b64decode(self.secret), message + variables, "sha256")
        rdata = algorithm + signed_at + struct.pack(">H", len(mac)) + mac + message[:2] + b"\0\0\0\0"
        counted = message[:10] + struct.pack(">H", 1) + message[12:]
        return counted + owner + struct.pack(">HHIH", TSIG, ANY, 0, len(rdata)) + rdata


def moved(label: str, address: str) -> list[bytes]:
    """The update section that gives `label` one A record in place of what it had."""
    owner = bytes([len(label)]) + label.encode() + ZONE_POINTER
    new = struct.pack(">HHIH", A, IN, TTL, 4) + socket.inet_aton(address)
    return [owner + struct.pack(">HHIH", A, ANY, 0, 0), owner + new]


def update(zone: str, updates: Sequence[bytes], key: Key, ident: int) -> bytes:
    """A signed UPDATE with the two bytes of length in front."""
    header = struct.pack(">HHHHHH", ident & 0xFFFF, UPDATE, 1, 0, len(updates), 0)
    signed = key.sign(header + _name(zone) + struct.pack(">HH", SOA, IN) + b"".join(updates))
    return struct.pack(">H", len(signed)) + signed


def _name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def frame(data: bytes) -> int:
    """Length of the first whole message in `data`, its prefix counted; 0 when incomplete."""
    length = 2 + int.from_bytes(data[:2])
    return length if 2 < length <= len(data) else 0


def rcode(data: bytes) -> str:
    """The response code of the first message in `data`."""
    code = data[5] & 15
    return RCODES[code] if code < len(RCODES) else str(code)
