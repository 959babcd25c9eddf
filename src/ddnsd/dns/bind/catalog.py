# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of a catalog zone (RFC 9432), from which secondaries learn their zones."""

import hashlib
import socket

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.update

from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

SECONDS = 5.0
TTL = 60


class Catalog:
    """A catalog zone on the primary at `endpoint`, changed with its key; calls block and raise BindError."""

    def __init__(self, name: str, endpoint: Endpoint, key: TsigKey) -> None:
        self.name, self._endpoint, self._key = name, endpoint, key

    def has(self, zone: str) -> bool:
        """Whether the zone is a member."""
        answer = self._ask(dns.message.make_query(f"{label(zone)}.zones.{self.name}.", "PTR"))
        return any(rrset.rdtype == dns.rdatatype.PTR for rrset in answer.answer)

    def add(self, zone: str) -> None:
        """Add the zone."""
        change = dns.update.UpdateMessage(f"{self.name}.")
        change.replace(f"{label(zone)}.zones", TTL, "PTR", f"{zone}.")
        self._ask(change)

    def remove(self, zone: str) -> None:
        """Remove the zone with its properties, if it is a member."""
        change = dns.update.UpdateMessage(f"{self.name}.")
        change.delete(f"{label(zone)}.zones")
        self._ask(change)

    def _ask(self, message: dns.message.Message) -> dns.message.Message:
        message.use_tsig(self._key.dnspython)
        host, port = self._endpoint.host, self._endpoint.port
        try:
            with socket.create_connection((host, port), timeout=SECONDS) as connection:
                connection.setblocking(False)
                answer = dns.query.tcp(message, host, timeout=SECONDS, sock=connection)
        except (OSError, dns.exception.DNSException) as error:
            raise BindError(f"catalog zone {self.name} at {self._endpoint}: {_text_of(error)}") from None
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise BindError(f"catalog zone {self.name} at {self._endpoint}: {dns.rcode.to_text(answer.rcode())}")
        return answer


def label(zone: str) -> str:
    """The unique label of a member: SHA-1 of its name in wire form, as in BIND's documentation."""
    return hashlib.sha1(dns.name.from_text(zone).to_wire() or b"", usedforsecurity=False).hexdigest()


def _text_of(error: Exception) -> str:
    return str(error) or type(error).__name__
