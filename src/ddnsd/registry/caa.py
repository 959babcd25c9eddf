# SPDX-License-Identifier: GPL-3.0-or-later
"""Look for CAA records at a host and above it (RFC 8659, section 3), as the authority will do."""

from collections.abc import Iterable

import structlog
from dns.rdatatype import CAA
from sqlalchemy import Connection

from ddnsd.db import queries, records
from ddnsd.db.base import Store
from ddnsd.db.rows import Host, endings
from ddnsd.dns import caa
from ddnsd.dns.caa import Property
from ddnsd.dns.errors import DnsError, HostGone
from ddnsd.dns.records import values_of
from ddnsd.dns.writer import Writer
from ddnsd.registry.errors import Code, NotIssued, NotPublished

log = structlog.get_logger()


class CaaRecords:
    """Reads the CAA records of hosts from the database, and those of the names above from our primaries."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store, self._writer = store, writer

    async def check(self, host: Host, names: Iterable[str], identities: tuple[str, ...], account: str) -> None:
        """Check that an authority may issue a certificate for these names of the host.

        `identities` and `account` as in `dns.caa.forbids`. Raises NotIssued, NotPublished, StoreDown.
        """
        name, found = await self._relevant(host)
        for wanted in names:
            texts = caa.forbids(found, identities, account, wildcard=wanted.startswith("*."))
            if texts is not None:
                authority = ", ".join(identities) or "-"
                raise NotIssued(Code.CAA_FORBIDS, name=name, records=texts, host=wanted, authority=authority)

    async def _relevant(self, host: Host) -> tuple[str, list[Property]]:
        """The RRset that decides for the host, and its name; an empty one if our zones have none."""
        own = await self._store.read(lambda c: _own(c, host))
        if own:
            return host.fqdn, own
        for name in endings(host.fqdn)[1:]:
            domain = await self._store.read(lambda c, n=name: queries.closest_domain(c, n))  # type: ignore[misc]
            if domain is None:
                continue
            try:
                answer = await self._writer.ask(domain.id, name, "CAA")
            except (DnsError, HostGone) as error:
                if domain.id == host.domain_id:
                    raise NotPublished(str(error)) from None
                log.warning("CAA records not read", name=name, reason=str(error))
                continue
            found = [caa.of_rdata(rdata) for rrset in answer.answer if rrset.rdtype == CAA for rdata in rrset]
            if found:
                return name, found
        return host.fqdn, []


def _own(connection: Connection, host: Host) -> list[Property]:
    sets = records.of_host(connection, host.id)
    return [caa.of_text(text) for one in sets if one.place == ("", "CAA") for text in values_of(one.data)]
