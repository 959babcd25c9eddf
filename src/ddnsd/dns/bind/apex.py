# SPDX-License-Identifier: GPL-3.0-or-later
"""The name servers of a zone: NS and SOA at its apex, and addresses of name servers in it."""

from collections.abc import Sequence
from typing import Any

import dns.message
import dns.name
import dns.rdatatype
import dns.update

from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.bind.zone_client import ZoneClient
from ddnsd.dns.bind.zonefile import NameServer
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

TTL = 3600
TRIES = 3
ADDRESSES = ("A", "AAAA")


class Apex:
    """The apex of a zone on the primary at `endpoint`, changed with the zone's key. Calls block and raise BindError."""

    def __init__(self, zone: str, endpoint: Endpoint, key: TsigKey) -> None:
        self._zone, self._client = zone, ZoneClient(f"zone {zone}", endpoint, key)

    def differs(self, wanted: Sequence[NameServer]) -> bool:
        """Whether the zone names other name servers than these (the first is in SOA), or other addresses of them."""
        return self._change(wanted) is not None

    def set(self, wanted: Sequence[NameServer]) -> None:
        """Let the zone name exactly these name servers."""
        for _ in range(TRIES):  # BIND ignores a SOA whose serial another change has overtaken
            change = self._change(wanted)
            if change is None:
                return
            self._client.ask(change)
        raise BindError(f"zone {self._zone}: the name server does not take the new NS and SOA records")

    def _change(self, wanted: Sequence[NameServer]) -> dns.update.UpdateMessage | None:
        """The update that is needed, or None."""
        found = [str(rdata.target).lower().rstrip(".") for rdata in self._records(self._zone, "NS")]
        names = [server.name for server in wanted]
        change = dns.update.UpdateMessage(f"{self._zone}.")
        # BIND ignores the removal of the last NS record, so new ones come first
        for name in [name for name in names if name not in found]:
            change.add("@", TTL, "NS", f"{name}.")
        for name in [name for name in found if name not in names]:
            change.delete("@", "NS", f"{name}.")
            if NameServer(name).lies_in(self._zone):
                for rtype in ADDRESSES:
                    change.delete(f"{name}.", rtype)
        for server in wanted:
            if server.lies_in(self._zone):
                self._address(change, server, known=server.name in found)
        [soa] = self._records(self._zone, "SOA")
        if str(soa.mname).lower().rstrip(".") != names[0]:
            mname = dns.name.from_text(f"{names[0]}.")
            change.replace("@", TTL, soa.replace(mname=mname, serial=(soa.serial + 1) % 2**32 or 1))
        return change if change.update else None

    def _address(self, change: dns.update.UpdateMessage, server: NameServer, *, known: bool) -> None:
        """Add what is needed for the addresses of a name server in the zone. `known`: the zone already names it."""
        for rtype in ADDRESSES:
            addresses = {address for address in server.addresses if (":" in address) == (rtype == "AAAA")}
            found = {str(rdata.address) for rdata in self._records(server.name, rtype)}
            if found == addresses:
                continue
            if found and not known:
                raise BindError(
                    f"{server.name} cannot become a name server of {self._zone}: the zone has "
                    f"{', '.join(sorted(found))} there, which may be a host. Rename the host, or choose another name"
                )
            change.delete(f"{server.name}.", rtype)
            for address in sorted(addresses):
                change.add(f"{server.name}.", TTL, rtype, address)

    def _records(self, name: str, rtype: str) -> list[Any]:
        answer = self._client.ask(dns.message.make_query(f"{name}.", rtype))
        wanted = dns.rdatatype.from_text(rtype)
        return [rdata for rrset in answer.answer if rrset.rdtype == wanted for rdata in rrset]
