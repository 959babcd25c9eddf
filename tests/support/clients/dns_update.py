# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS UPDATE messages of clients, by dnspython, to the port of a service."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.update

from ddnsd.auth.tsig_secrets import tsig_secret
from support.servers.service import Service

Fill = Callable[[dns.update.UpdateMessage], object]


@dataclass
class Client:
    """Someone with a key; `secret` is that of the host, key or token, from which the TSIG secret follows."""

    service: Service
    key_name: str
    secret: str
    algorithm: dns.name.Name = dns.tsig.HMAC_SHA256
    tsig: str = ""
    """The TSIG secret in base64, if it follows from no secret."""

    @property
    def port(self) -> int:
        """The port for DNS messages."""
        return int(self.service.settings["DDNSD_UPDATE_LISTEN"].rpartition(":")[2])

    @property
    def key(self) -> dns.tsig.Key:
        """Its key."""
        return dns.tsig.Key(dns.name.from_text(self.key_name), self.tsig or tsig_secret(self.secret), self.algorithm)

    def message(self, *fill: Fill, zone: str = "") -> dns.update.UpdateMessage:
        """A signed message; each of `fill` adds a prerequisite or a change."""
        message = dns.update.UpdateMessage(zone or self.service.domain)
        for one in fill:
            one(message)
        message.use_tsig(self.key)
        return message

    def send(self, *fill: Fill, zone: str = "", tcp: bool = True) -> str:
        """The rcode of the answer, whose signature is verified."""
        return self.exchange(self.message(*fill, zone=zone), tcp=tcp)

    def exchange(self, message: dns.message.Message, *, tcp: bool = True) -> str:
        """The same for a message."""
        ask = dns.query.tcp if tcp else dns.query.udp
        return dns.rcode.to_text(ask(message, "127.0.0.1", port=self.port, timeout=10).rcode())

    def raw(self, wire: bytes) -> bytes:
        """The answer to octets, over TCP."""
        return exchange(self.port, wire)


def exchange(port: int, wire: bytes) -> bytes:
    """The answer to octets, over TCP; b"" if there is none within a second."""
    import socket
    import struct

    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(struct.pack("!H", len(wire)) + wire)
        connection.settimeout(1 if len(wire) < 12 else 10)
        try:
            length = connection.recv(2, socket.MSG_WAITALL)
        except TimeoutError:
            return b""
        return connection.recv(int.from_bytes(length), socket.MSG_WAITALL)


def add(name: str, rtype: str, *values: str, ttl: int = 300) -> Fill:
    """Add records."""
    return lambda message: message.add(_absolute(name), ttl, rtype, *values)


def delete(name: str, *what: str) -> Fill:
    """Delete a name, an RRset, or records by value."""
    return lambda message: message.delete(_absolute(name), *what)


def present(name: str, *what: Any) -> Fill:
    """Prerequisite: the name, the RRset or the value is there."""
    return lambda message: message.present(_absolute(name), *what)


def absent(name: str, *rtype: str) -> Fill:
    """Prerequisite: the name or the RRset is not there."""
    return lambda message: message.absent(_absolute(name), *rtype)


def _absolute(name: str) -> dns.name.Name:
    return dns.name.from_text(name)
