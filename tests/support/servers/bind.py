# SPDX-License-Identifier: GPL-3.0-or-later
"""BINDs that are configured as an operator would: a primary with secondaries that follow its catalog zone."""

import secrets
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rcode
import dns.rdatatype
import dns.update

from ddnsd.dns.bind.control import Bind, ZoneOptions
from ddnsd.dns.bind.process import Named
from ddnsd.dns.tsig import TsigKey
from support.ports import free_port

CATALOG = "catalog.invalid"


class Server(Named):
    """A BIND on a free port, with further lines in `options` and further statements."""

    def __init__(self, folder: Path, options: str = "", statements: str = "") -> None:
        super().__init__(folder, "127.0.0.1", free_port())
        self.options, self.statements = options, statements

    def _text(self, control_port: int, optional: str) -> str:
        text = super()._text(control_port, optional)
        return text.replace("notify no;", self.options) + self.statements

    @property
    def said(self) -> str:
        """What it has logged."""
        return (self.folder / "named.log").read_text()

    def bind(self, **options: object) -> Bind:
        """Control of its zones."""
        given = ZoneOptions(primary=self.endpoint, **options)  # type: ignore[arg-type]
        return Bind(self.folder, self.rndc_key, options=given)

    async def ask(self, name: str, rtype: str = "A", key: TsigKey | None = None) -> list[str]:
        """The answer's records of that type, sorted; its rcode where that is an error."""
        query = dns.message.make_query(name, rtype, want_dnssec=rtype == "RRSIG")
        if key is not None:
            query.use_tsig(key.dnspython)
        answer = await dns.asyncquery.tcp(query, "127.0.0.1", port=self.endpoint.port, timeout=5)
        if answer.rcode() != dns.rcode.NOERROR:
            return [dns.rcode.to_text(answer.rcode())]
        wanted = dns.rdatatype.from_text(rtype)
        return sorted(rdata.to_text() for rrset in answer.answer if rrset.rdtype == wanted for rdata in rrset)

    async def replace(self, zone: str, name: str, address: str, key: TsigKey) -> str:
        """Give the name this address; the rcode."""
        change = dns.update.UpdateMessage(zone, keyring=key.dnspython)
        change.replace(name, 60, "A", address)
        answer = await dns.asyncquery.tcp(change, "127.0.0.1", port=self.endpoint.port, timeout=5)
        return dns.rcode.to_text(answer.rcode())


def pair(folder: Path) -> tuple[Server, Server]:
    """A primary, and a secondary that serves what the primary's catalog zone lists; neither is started."""
    transfer = TsigKey.generate(f"transfer-{secrets.token_hex(4)}")
    primary, secondary = Server(folder / "primary"), Server(folder / "secondary")
    primary.options = (
        f'notify explicit; also-notify {{ 127.0.0.1 port {secondary.endpoint.port} key "{transfer.name}"; }}; '
        "notify-delay 0;"
    )
    primary.statements = transfer.to_text()
    source = f'127.0.0.1 port {primary.endpoint.port} key "{transfer.name}"'
    secondary.options = (
        f'notify no; allow-notify {{ key "{transfer.name}"; }}; catalog-zones {{ zone "{CATALOG}" '
        f"default-primaries {{ {source}; }} in-memory yes min-update-interval 1; }};"
    )
    secondary.statements = transfer.to_text() + (
        f'zone "{CATALOG}" {{ type secondary; file "{secondary.folder}/catalog"; primaries {{ {source}; }}; }};\n'
    )
    return primary, secondary


def transfer_key(primary: Server) -> TsigKey:
    """The key with which its secondaries transfer."""
    return TsigKey.from_text(primary.statements)
