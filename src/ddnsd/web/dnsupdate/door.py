# SPDX-License-Identifier: GPL-3.0-or-later
"""Answer a DNS message: check its signature (RFC 8945), then apply an UPDATE, or ask the primary for a query.

    header ─► signature ─► records ─► registry ─► signed answer

Only a signed message changes something: records of hosts, or with the key of a DHCP server names that no host has.
Queries for our zones are answered as the primary answers them, because clients ask for the zone of a name first.
"""

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncGenerator, Collection
from functools import cache

import dns.rdatatype
import structlog
from dns.opcode import Opcode
from dns.rcode import Rcode
from prometheus_client import Counter

from ddnsd.auth.failed_sign_ins import FailedSignIns
from ddnsd.auth.failed_sign_ins import Kind as Failed
from ddnsd.auth.permissions import Action, can, covers_domain
from ddnsd.auth.tsig_callers import DhcpSigner, Signer, TsigCallers
from ddnsd.dns import signature, zone_transfer
from ddnsd.dns.errors import DnsError, HostGone
from ddnsd.dns.signature import FUDGE_SECONDS, Tsig
from ddnsd.dns.tsig import ALGORITHMS, TsigKey
from ddnsd.dns.writer import Writer
from ddnsd.registry.dhcp_updates import DhcpMessage, DhcpUpdates
from ddnsd.registry.domains import Domains
from ddnsd.registry.errors import StoreDown
from ddnsd.registry.last_seen import LastSeen
from ddnsd.registry.rows import Domain
from ddnsd.registry.zone_updates import Signed, ZoneUpdates
from ddnsd.web.context import author
from ddnsd.web.dnsupdate import messages
from ddnsd.web.dnsupdate.messages import Header, Malformed

AGENT = "DNS UPDATE"
"""In place of a user agent."""

UNSIGNED_OCTETS = 512
"""Longest answer to an unsigned query over UDP, whose source may be forged."""

UDP_OCTETS = 1232

MAC_LEAST = 10
"""A MAC of fewer octets is malformed (RFC 8945, 5.2.2.1)."""

CODES = {Rcode.NOERROR: "good", Rcode.SERVFAIL: "911", Rcode.REFUSED: "nohost"}
"""What a host's last request shows for an rcode; "dnserr" for others."""

ANSWERS = Counter(
    "ddnsd_dns_messages_total", "Answers to DNS messages of clients, by opcode and rcode", ["opcode", "rcode"]
)

counter = cache(ANSWERS.labels)

TRANSFERS = 2
"""Maximum number of zone transfers at once: BIND makes only a few, and the secondaries need them, too."""

Answer = bytes | AsyncGenerator[bytes, None]
"""An answer of one message, or of several."""

log = structlog.get_logger()

_ALGORITHMS = {name.canonicalize(): text for text, name in ALGORITHMS.items()}


class _Denied(Exception):
    """the signature is not accepted; `error` is the code of the TSIG record, `key` signs the answer"""

    def __init__(self, error: Rcode, key: TsigKey | None = None) -> None:
        self.error, self.key = error, key


class UpdateDoor:
    """Answers messages. `algorithms` are those that are accepted."""

    def __init__(
        self,
        callers: TsigCallers,
        updates: ZoneUpdates,
        dhcp: DhcpUpdates,
        domains: Domains,
        writer: Writer,
        last_seen: LastSeen,
        failed: FailedSignIns,
        algorithms: Collection[str],
    ) -> None:
        self._callers, self._updates, self._domains, self._writer = callers, updates, domains, writer
        self._dhcp = dhcp
        self._last_seen, self._failed, self._algorithms = last_seen, failed, frozenset(algorithms)
        self._transfers = asyncio.Semaphore(TRANSFERS)

    async def answer(self, wire: bytes, peer: str, *, tcp: bool) -> Answer | None:
        """The answer to a message; None if it gets none. Over TCP it can be one of several messages.

        Such an answer raises OSError if it cannot be completed: the connection should end then.
        """
        header = messages.header_of(wire)
        if header is None or header.is_answer:
            return None
        if header.opcode not in messages.OPCODES:
            return self._bare(header, Rcode.NOTIMP)
        if not messages.is_plausible(wire, header):
            return self._bare(header, Rcode.FORMERR)
        try:
            tsig, end = signature.tsig_of(wire), messages.HEADER_OCTETS
            end = signature.after_name(wire, end) + 4
        except (ValueError, IndexError):
            return self._bare(header, Rcode.FORMERR)
        try:
            if tsig is not None:
                return await self._signed(wire, header, tsig, end, peer, tcp=tcp)
            if header.opcode == Opcode.UPDATE:
                return self._made(wire, header, Rcode.REFUSED, end)
            return await self._query(wire, header, end, limit=None if tcp else UNSIGNED_OCTETS)
        except StoreDown:
            return self._made(wire, header, Rcode.SERVFAIL, end)

    # ---- signatures

    async def _signed(self, wire: bytes, header: Header, tsig: Tsig, end: int, peer: str, *, tcp: bool) -> Answer:
        try:
            signer, key = await self._verify(wire, tsig, peer)
        except _Denied as denied:
            return self._deny(wire, header, tsig, end, denied, peer if tcp else None)
        except Malformed:
            return self._bare(header, Rcode.FORMERR)
        if tcp and header.opcode == Opcode.QUERY and messages.asks_for_zone(wire, end):
            domain = await self._zone_of(wire, signer)
            if domain is not None and not self._transfers.locked():
                log.info("zone transfer", zone=domain.name, key=key.name, source=peer)
                return self._transfer(wire, header, end, domain, signature.AnswerSigner(key, tsig))
            unsigned = self._made(wire, header, Rcode.REFUSED if domain is None else Rcode.SERVFAIL, end)
        elif header.opcode == Opcode.QUERY:
            unsigned = await self._query(wire, header, end, limit=None if tcp else UDP_OCTETS)
        else:
            unsigned = self._made(wire, header, await self._update(wire, tsig, signer, peer, tcp=tcp), end)
        return signature.sign_answer(unsigned, key, tsig)

    async def _verify(self, wire: bytes, tsig: Tsig, peer: str) -> tuple[Signer | DhcpSigner, TsigKey]:
        """The owner of the key, and the key. Raises _Denied, Malformed, StoreDown."""
        algorithm = _ALGORITHMS.get(tsig.algorithm)
        signer = await self._callers.find(messages.folded(tsig.name), peer)
        if signer is None or algorithm not in self._algorithms:
            raise _Denied(Rcode.BADKEY)
        assert algorithm is not None
        key = TsigKey(messages.folded(tsig.name), algorithm=algorithm, secret=signer.secret)
        expected = signature.mac_of(wire, tsig, key)
        if len(tsig.mac) != len(expected):
            if len(tsig.mac) > len(expected) or len(tsig.mac) < max(MAC_LEAST, len(expected) // 2):
                raise Malformed("MAC of a wrong length")
            same = hmac.compare_digest(tsig.mac, expected[: len(tsig.mac)])
            raise _Denied(Rcode.BADTRUNC, key) if same else _Denied(Rcode.BADSIG)
        if not hmac.compare_digest(tsig.mac, expected):
            raise _Denied(Rcode.BADSIG)
        if abs(time.time() - tsig.signed_at) > min(tsig.fudge, FUDGE_SECONDS):
            raise _Denied(Rcode.BADTIME, key)
        return signer, key

    def _deny(self, wire: bytes, header: Header, tsig: Tsig, end: int, denied: _Denied, source: str | None) -> bytes:
        """`source` is None if it may be forged."""
        if denied.error in (Rcode.BADKEY, Rcode.BADSIG):
            known = messages.folded(tsig.name) if denied.error is Rcode.BADSIG else None
            self._failed.note(Failed.SECRET, known or "", source, account=known)
        unsigned = self._made(wire, header, Rcode.NOTAUTH, end)
        if denied.key is None:
            return signature.refuse_signature(unsigned, tsig, denied.error)
        if denied.error is not Rcode.BADTIME:
            return signature.sign_answer(unsigned, denied.key, tsig, error=denied.error)
        now = int(time.time()).to_bytes(6)
        return signature.sign_answer(
            unsigned, denied.key, tsig, error=denied.error, signed_at=tsig.signed_at, other=now
        )

    # ---- requests

    async def _update(self, wire: bytes, tsig: Tsig, signer: Signer | DhcpSigner, peer: str, *, tcp: bool) -> Rcode:
        try:
            update = messages.zone_update(signature.without_tsig(wire, tsig))
        except Malformed:
            return Rcode.FORMERR
        expires = (tsig.signed_at + 2 * FUDGE_SECONDS) * 1_000_000
        if isinstance(signer, DhcpSigner):
            return await self._dhcp.apply(DhcpMessage(update, signer.key, peer, tsig.mac, expires))
        caller = await signer.caller()
        message = Signed(update, caller, author(caller, peer, AGENT), tsig.mac, expires, peer if tcp else None)
        rcode, hosts = await self._updates.apply(message)
        for host in hosts:
            self._last_seen.note(host.id, peer, AGENT, CODES.get(rcode, "dnserr"), tls=False)
        return rcode

    async def _zone_of(self, wire: bytes, signer: Signer | DhcpSigner) -> Domain | None:
        """The zone of the question if the owner of the key may read all of it: a user who owns it. Raises StoreDown."""
        try:
            name = messages.folded(messages.question_of(wire)[0])
        except Malformed:
            return None
        domain = await self._domains.named(name)
        if domain is None or isinstance(signer, DhcpSigner):
            return None
        caller = await signer.caller()
        return domain if can(caller, Action.OVERSEE, domain) and covers_domain(caller, domain.name) else None

    async def _transfer(
        self, wire: bytes, header: Header, end: int, domain: Domain, signer: signature.AnswerSigner
    ) -> AsyncGenerator[bytes, None]:
        """The zone as the primary has it, message by message. Raises OSError if the primary fails in the middle."""
        begun = False
        try:
            async with self._transfers, contextlib.aclosing(zone_transfer.messages(domain)) as found:
                async for message in found:
                    for one in messages.passed_on(message, header):
                        yield signer.sign(one)
                    begun = True
        except DnsError as error:
            log.warning("zone transfer failed", zone=domain.name, reason=str(error))
            if begun:
                raise ConnectionAbortedError from None
            yield signer.sign(self._made(wire, header, Rcode.SERVFAIL, end))
        else:
            counter("QUERY", Rcode.NOERROR.name).inc()

    async def _query(self, wire: bytes, header: Header, end: int, *, limit: int | None) -> bytes:
        try:
            name, rtype, octets = messages.question_of(wire)
        except Malformed:
            return self._made(wire, header, Rcode.FORMERR, end)
        domain = await self._domains.around(messages.folded(name)) if messages.is_ordinary(rtype) else None
        if domain is None:
            return self._made(wire, header, Rcode.REFUSED, end)
        try:
            found = await self._writer.ask(domain.id, messages.folded(name), dns.rdatatype.to_text(rtype))
        except (DnsError, HostGone):
            return self._made(wire, header, Rcode.SERVFAIL, end)
        made = messages.relayed(wire, header, found, end, None if limit is None else min(limit, octets or 512))
        counter("QUERY", found.rcode().name).inc()
        return made

    def _bare(self, header: Header, rcode: Rcode) -> bytes:
        counter(_opcode(header), rcode.name).inc()
        return messages.bare_answer(header, rcode)

    def _made(self, wire: bytes, header: Header, rcode: Rcode, end: int) -> bytes:
        counter(_opcode(header), rcode.name).inc()
        return messages.answer(wire, header, rcode, end)


def _opcode(header: Header) -> str:
    return Opcode(header.opcode).name if header.opcode in messages.OPCODES else "other"
