# SPDX-License-Identifier: GPL-3.0-or-later
"""Zone transfers: the whole zone (AXFR, RFC 5936), or its differences since a serial (IXFR, RFC 1995).

A transfer may have hundreds of thousands of records, so they are read directly in wire form, in slices between which
other tasks of the event loop have their turn. The result is small: a few octets per record.
"""

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import NamedTuple

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig

from ddnsd.db.rows import Domain
from ddnsd.dns import errors
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.message import AAAA, CNAME, IN, POINTER, SOA, TSIG, A, Signed
from ddnsd.dns.pacing import Pacer
from ddnsd.dns.rdata import EXAMPLES, text_of
from ddnsd.dns.signature import after_name
from ddnsd.dns.tsig import TsigKey

SILENCE_SECONDS = 10.0
"""A name server that sends nothing for so long has lost the transfer."""

SLICE_RECORDS = 200

MOST_UNSIGNED = 99
"""Messages between two signed ones (RFC 8945, 5.3.1)."""

AXFR, IXFR = 252, 251

KINDS: Mapping[int, str | None] = {
    A: None,
    AAAA: None,
    CNAME: None,
    **{int(dns.rdatatype.from_text(name)): name for name in (*EXAMPLES, "PTR")},
}
"""Types that a host or a reverse name may have; None for addresses and aliases."""

_WITH_NAMES = frozenset(
    int(dns.rdatatype.from_text(name)) for name in ("CNAME", "HTTPS", "MX", "NAPTR", "PTR", "SRV", "SVCB")
)

_IGNORED = frozenset(
    {
        dns.rdatatype.RRSIG,
        dns.rdatatype.NSEC,
        dns.rdatatype.NSEC3,
        dns.rdatatype.NSEC3PARAM,
        dns.rdatatype.DNSKEY,
        dns.rdatatype.CDS,
        dns.rdatatype.CDNSKEY,
        65534,  # BIND's state of signing
    }
)
"""Types that the name server adds itself."""

_HEADER = struct.Struct("!HHHHHH")
_FIXED = struct.Struct("!HHIH")
_ENTRY = struct.Struct("!BHH")
_REMOVED, _ADDED, _WHOLE = 0, 1, 2

WHOLE = _ENTRY.pack(_WHOLE, 0, 0)
"""The begin of a log that has all records of its name."""

Record = tuple[int, bytes]
"""The type of a record, and its data; b"" for types that are not of `KINDS`."""


class Transfer(NamedTuple):
    """The `serial` of the zone, and logs of its changed records by name; of all names if it is the `whole` zone.

    `others` are names with types that are not of `KINDS`.
    """

    serial: int
    whole: bool
    logs: dict[str, bytes]
    others: set[str]


class State(NamedTuple):
    """What a log says of a name: whether a record is there now. Of others only the log of a `whole` name knows."""

    records: dict[Record, bool]
    whole: bool

    def has(self, *rtypes: int) -> bool:
        """Whether a record of one of the types is there."""
        return any(there and rtype in rtypes for (rtype, _), there in self.records.items())

    def lost(self, *rtypes: int) -> bool:
        """Whether a record of one of the types was removed."""
        return any(not there and rtype in rtypes for (rtype, _), there in self.records.items())


def state_of(log: bytes) -> State:
    """The last state of each record in the log."""
    records: dict[Record, bool] = {}
    whole, at = False, 0
    while at < len(log):
        kind, rtype, length = _ENTRY.unpack_from(log, at)
        at += _ENTRY.size
        if kind == _WHOLE:
            whole = True
        else:
            records[rtype, log[at : at + length]] = kind == _ADDED
        at += length
    return State(records, whole)


def log_of(state: State) -> bytes:
    """The shortest log of the state."""
    kinds = ((_ADDED if there else _REMOVED, *record) for record, there in state.records.items())
    entries = (_ENTRY.pack(kind, rtype, len(rdata)) + rdata for kind, rtype, rdata in kinds)
    return b"".join((WHOLE if state.whole else b"", *entries))


def entry(rtype: int, rdata: bytes) -> bytes:
    """The entry of a log for a record that is there."""
    return _ENTRY.pack(_ADDED, rtype, len(rdata)) + rdata


def text(rtype: int, rdata: bytes) -> str:
    """The canonical text of a record of `KINDS`."""
    if rtype == A:
        return socket.inet_ntop(socket.AF_INET, rdata)
    if rtype == AAAA:
        return socket.inet_ntop(socket.AF_INET6, rdata)
    return text_of(dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType(rtype), rdata, 0, len(rdata)))


async def fetch(domain: Domain, since: int | None = None, pacer: Pacer | None = None) -> Transfer:
    """The differences since a serial, or the whole zone if `since` is None or the name server prefers it.

    Raises DnsError.
    """
    pacer = pacer or Pacer()
    question = _question(domain.name, since, TsigKey.of(domain))
    answer = _Answer(domain.name, TsigKey.of(domain), question.mac, since)
    async with contextlib.aclosing(_received(domain, question.wire, pacer)) as received:
        async for wire in received:
            for _ in answer.read(wire):
                await pacer.turn()
            if answer.done:
                break
    return answer.transfer


async def messages(domain: Domain) -> AsyncGenerator[bytes, None]:
    """The messages of a transfer of the whole zone, as the name server sends them, but without TSIG records.

    A message is verified before it is yielded. Only a few are in memory: the reader decides how fast they come.
    Raises DnsError.
    """
    pacer = Pacer()
    question = _question(domain.name, None, TsigKey.of(domain))
    signature = _Signature(domain.name, TsigKey.of(domain), question.mac)
    found, unsigned = 0, []
    async with contextlib.aclosing(_received(domain, question.wire, pacer)) as received:
        async for wire in received:
            try:
                message, begins = _verified(wire, signature, domain.name), not found
            except (struct.error, IndexError, dns.exception.DNSException):
                raise errors.Refusal("FORMERR", f"the transfer of {domain.name} cannot be read") from None
            if begins and not message.begins_with_soa:
                raise errors.Refusal("FORMERR", f"the transfer of {domain.name} begins without a SOA record")
            found += message.soas
            unsigned.append(message.wire)
            if message.signed:
                for one in unsigned:
                    yield one
                unsigned = []
            elif len(unsigned) > MOST_UNSIGNED:
                raise errors.Refusal("BADSIG", f"the transfer of {domain.name} failed: it is not signed")
            if found > 1:
                break
            await pacer.turn()
    if unsigned:
        raise errors.Refusal("BADSIG", f"the transfer of {domain.name} failed: it is not signed")


class _Message(NamedTuple):
    """A message of a transfer without its TSIG record; `soas` is the number of SOA records."""

    wire: bytes
    soas: int
    begins_with_soa: bool
    signed: bool


def _verified(wire: bytes, signature: "_Signature", zone: str) -> _Message:
    """Raises Refusal, Unreachable, struct.error, IndexError, DNSException."""
    _, flags, questions, answers, authority, additional = _HEADER.unpack_from(wire)
    at = _HEADER.size
    rtypes: list[int] = []
    tsig: tuple[int, int, int] | None = None
    for _ in range(questions):
        at = after_name(wire, at) + 4
    for _ in range(answers + authority + additional):
        begin, at = at, after_name(wire, at)
        rtype, _, _, length = _FIXED.unpack_from(wire, at)
        at += _FIXED.size
        tsig = (begin, at, length) if rtype == TSIG else None
        rtypes.append(rtype)
        at += length
    if tsig is None:
        signature.add(wire, last=False)
        without = wire
    else:
        begin, data, length = tsig
        signature.check(wire, begin, dns.name.from_wire(wire, begin)[0].to_text(), data, length)
        without = b"".join((wire[:10], (additional - 1).to_bytes(2), wire[_HEADER.size : begin]))
    if flags & 0xF:
        rcode = dns.rcode.to_text(dns.rcode.Rcode(flags & 0xF))
        raise errors.Refusal(rcode, f"the name server answers {rcode} to a transfer of {zone}")
    if not answers:
        raise errors.Unreachable(f"the transfer of {zone} ended early")
    return _Message(without, rtypes[:answers].count(SOA), rtypes[0] == SOA, tsig is not None)


async def _received(domain: Domain, question: bytes, pacer: Pacer) -> AsyncGenerator[bytes, None]:
    """The messages that the name server sends, without an end: the reader closes this. Raises Unreachable."""
    endpoint = Endpoint.from_text(domain.primary, 53)
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        try:
            writer.write(struct.pack("!H", len(question)) + question)
            while True:
                pacer.pause()
                async with asyncio.timeout(SILENCE_SECONDS):
                    wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                pacer.resume()
                yield wire
        finally:
            pacer.resume()
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    except TimeoutError:
        raise errors.Unreachable(f"{endpoint} does not answer") from None
    except (OSError, asyncio.IncompleteReadError) as error:
        raise errors.Unreachable(f"{endpoint}: {getattr(error, 'strerror', None) or error}") from None


def _question(zone: str, since: int | None, key: TsigKey) -> Signed:
    rtype, number = (AXFR, 0) if since is None else (IXFR, 1)
    name = dns.name.from_text(zone).to_wire()
    assert name is not None
    wire = _HEADER.pack(random.getrandbits(16), 0, 1, 0, number, 0) + name + struct.pack("!HH", rtype, IN)
    if since is not None:  # a SOA record with this serial; the other fields have no meaning
        wire += b"\xc0\x0c" + _FIXED.pack(SOA, IN, 0, 22) + b"\0\0" + struct.pack("!5I", since, 0, 0, 0, 0)
    return Signed.sign(wire, key)


class _Answer:
    """The answer to a question for a transfer, of one or more messages."""

    def __init__(self, zone: str, key: TsigKey, mac: bytes, since: int | None) -> None:
        self.done = False
        self._zone, self._since = zone, since
        self._signature = _Signature(zone, key, mac)
        self._logs: dict[str, bytes] = {}
        self._others: set[str] = set()
        self._serial: int | None = None
        self._whole: bool | None = None  # None: only the first SOA record was read
        self._added = True
        self._reached = since  # the serial after the last difference

    @property
    def transfer(self) -> Transfer:
        """The result, once it is done."""
        assert self._serial is not None
        return Transfer(self._serial, bool(self._whole), self._logs, self._others)

    def read(self, wire: bytes) -> Iterator[None]:
        """Read one message; stops after each slice. Raises Refusal, Unreachable."""
        try:
            yield from self._read(wire)
        except (struct.error, IndexError, RecursionError, dns.exception.DNSException):
            raise errors.Refusal("FORMERR", f"the transfer of {self._zone} cannot be read") from None

    def _read(self, wire: bytes) -> Iterator[None]:
        _, flags, questions, answers, authority, additional = _HEADER.unpack_from(wire)
        names: dict[int, str] = {}
        at = _HEADER.size
        for _ in range(questions):
            at = _name(wire, at, names)[1] + 4
        for number in range(answers):
            name, at = _name(wire, at, names)
            rtype, _, _, length = _FIXED.unpack_from(wire, at)
            at += _FIXED.size
            if rtype == SOA:
                self._mark(struct.unpack_from("!I", wire, at + length - 20)[0])
            elif rtype not in _IGNORED:
                self._note(name, rtype, wire, at, length)
            at += length
            if number % SLICE_RECORDS == SLICE_RECORDS - 1:
                yield
        signed = False
        for _ in range(authority + additional):
            begin = at
            name, at = _name(wire, at, names)
            rtype, _, _, length = _FIXED.unpack_from(wire, at)
            at += _FIXED.size
            if rtype == TSIG:
                self._signature.check(wire, begin, name, at, length)
                signed = True
            at += length
        if flags & 0xF:
            rcode = dns.rcode.to_text(dns.rcode.Rcode(flags & 0xF))
            raise errors.Refusal(rcode, f"the name server answers {rcode} to a transfer of {self._zone}")
        if not answers:
            raise errors.Unreachable(f"the transfer of {self._zone} ended early")
        if self._whole is None and self._since is not None and not self._has_news():
            self.done = True  # nothing has changed
            self._whole = False
        if not signed:
            self._signature.add(wire, last=self.done)
        yield

    def _has_news(self) -> bool:
        return self._serial is not None and self._since is not None and is_newer(self._serial, self._since)

    def _mark(self, serial: int) -> None:
        """Read a SOA record: these are between the differences, and at both ends."""
        if self._serial is None:
            self._serial = serial
        elif self._whole is None and self._since is not None and serial == self._since != self._serial:
            self._whole, self._added = False, False
        elif self._whole is None or self._whole:
            if serial != self._serial:
                raise dns.exception.FormError
            self._whole = self.done = True
        elif not self._added:
            self._added, self._reached = True, serial
        elif serial != self._reached:
            raise dns.exception.FormError
        elif serial == self._serial:
            self.done = True
        else:
            self._added = False

    def _note(self, name: str, rtype: int, wire: bytes, at: int, length: int) -> None:
        if self._serial is None or self.done:
            raise dns.exception.FormError
        if self._whole is None:
            self._whole = True
        rdata = b""
        if rtype in _WITH_NAMES:
            read = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType(rtype), wire, at, length)
            rdata = read.to_digestable()
        elif rtype in KINDS:
            rdata = wire[at : at + length]
        else:
            self._others.add(name)
        new = _ENTRY.pack(self._added, rtype, len(rdata)) + rdata
        before = self._logs.get(name)
        self._logs[name] = new if before is None else before + new


def is_newer(serial: int, since: int) -> bool:
    """Whether a serial follows another one (RFC 1982)."""
    return 0 < (serial - since) % 2**32 < 2**31


def _name(wire: bytes, at: int, names: dict[int, str]) -> tuple[str, int]:
    """The name at an offset in lower case without a trailing dot, and where it ends; `names` are known by offset."""
    length = wire[at]
    if length >= POINTER:
        target = (length & 0x3F) << 8 | wire[at + 1]
        name = names.get(target)
        if name is None:
            if target >= at:
                raise dns.exception.FormError
            name = _name(wire, target, names)[0]
        return name, at + 2
    if length == 0:
        return "", at + 1
    label = wire[at + 1 : at + 1 + length].lower().decode("latin-1")
    if "." in label:
        label = label.replace(".", "\\.")
    above, end = _name(wire, at + 1 + length, names)
    name = f"{label}.{above}" if above else label
    names[at] = name
    return name, end


class _Signature:
    """Checks the TSIG signatures of a transfer (RFC 8945, 5.3.1); some messages between may have none."""

    def __init__(self, zone: str, key: TsigKey, mac: bytes) -> None:
        self._zone, self._key, self._mac = zone, key.dnspython, mac
        self._context: dns.tsig.HMACTSig | None = None

    def check(self, wire: bytes, begin: int, name: str, at: int, length: int) -> None:
        """Check the signature in the record that begins at `begin`, with data at `at`. Raises Refusal."""
        rdata = dns.rdata.from_wire(dns.rdataclass.ANY, dns.rdatatype.TSIG, wire, at, length)
        owner = dns.name.from_text(name)
        try:
            self._context = dns.tsig.validate(  # type: ignore[no-untyped-call]
                wire, self._key, owner, rdata, int(time.time()), self._mac, begin, self._context, True
            )
        except dns.exception.DNSException as error:
            raise errors.Refusal("BADSIG", f"the transfer of {self._zone} failed: {type(error).__name__}") from None

    def add(self, wire: bytes, *, last: bool) -> None:
        """Add a message without a signature; the first and the last one must have one. Raises Refusal."""
        if self._context is None or last:
            raise errors.Refusal("BADSIG", f"the transfer of {self._zone} failed: it is not signed")
        self._context.update(wire)  # type: ignore[no-untyped-call]
