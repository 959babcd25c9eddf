# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of a catalog zone (RFC 9432), from which secondaries learn their zones."""

import hashlib

import dns.message
import dns.name
import dns.rdatatype
import dns.update

from ddnsd.dns.bind.zone_client import ZoneClient
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

TTL = 60


class Catalog:
    """A catalog zone on the primary at `endpoint`, changed with its key; calls block and raise BindError."""

    def __init__(self, name: str, endpoint: Endpoint, key: TsigKey) -> None:
        self.name, self._client = name, ZoneClient(f"catalog zone {name}", endpoint, key)

    def has(self, zone: str) -> bool:
        """Whether the zone is a member."""
        answer = self._client.ask(dns.message.make_query(f"{label(zone)}.zones.{self.name}.", "PTR"))
        return any(rrset.rdtype == dns.rdatatype.PTR for rrset in answer.answer)

    def add(self, zone: str) -> None:
        """Add the zone."""
        change = dns.update.UpdateMessage(f"{self.name}.")
        change.replace(f"{label(zone)}.zones", TTL, "PTR", f"{zone}.")
        self._client.ask(change)

    def remove(self, zone: str) -> None:
        """Remove the zone with its properties, if it is a member."""
        change = dns.update.UpdateMessage(f"{self.name}.")
        change.delete(f"{label(zone)}.zones")
        self._client.ask(change)


def label(zone: str) -> str:
    """The unique label of a member: SHA-1 of its name in wire form, as in BIND's documentation."""
    return hashlib.sha1(dns.name.from_text(zone).to_wire() or b"", usedforsecurity=False).hexdigest()
