# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests in wire form: their header, the meaning of UPDATE messages, and answers.

A header is checked before anything is parsed, and a signature before the records are.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import dns.exception
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.update
from dns.opcode import Opcode
from dns.rcode import Rcode
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType

from ddnsd.dns.rdata import EXAMPLES, text_of
from ddnsd.registry.zone_contents import Condition, Kind, Prerequisite, RecordChange, ZoneUpdate

HEADER_OCTETS = 12
RECORD_OCTETS = 11
"""Octets of the shortest record: a root name, type, class, TTL and length."""

MOST_RECORDS = 512
"""Maximum number of records in an UPDATE message."""

MOST_OCTETS = 0xFFFF - 512
"""Longest message that has room for a TSIG record."""

QR, OPCODE_SHIFT, AA, TC, RD = 0x8000, 11, 0x0400, 0x0200, 0x0100

_HEADER = struct.Struct("!HHHHHH")
_META = frozenset({RdataType.ANY, RdataType.AXFR, RdataType.IXFR, RdataType.MAILA, RdataType.MAILB, RdataType.OPT})


class Malformed(ValueError):
    """the message is not a DNS message that is understood here"""


class Header(NamedTuple):
    """The fields of a header; `counts` are the numbers of entries of the four sections."""

    id: int
    flags: int
    counts: tuple[int, int, int, int]

    @property
    def opcode(self) -> int:
        """The kind of request."""
        return (self.flags >> OPCODE_SHIFT) & 0xF

    @property
    def is_answer(self) -> bool:
        """Whether it is an answer, which nobody answers."""
        return bool(self.flags & QR)


def header_of(wire: bytes) -> Header | None:
    """The header; None if the message is too short for one."""
    if len(wire) < HEADER_OCTETS:
        return None
    message_id, flags, *counts = _HEADER.unpack_from(wire)
    return Header(message_id, flags, (counts[0], counts[1], counts[2], counts[3]))


def is_plausible(wire: bytes, header: Header) -> bool:
    """Whether there is room for as many records as the header says, and one question."""
    records = sum(header.counts[1:])
    if header.counts[0] != 1 or records > MOST_RECORDS:
        return False
    return HEADER_OCTETS + 5 + RECORD_OCTETS * records <= len(wire)


def bare_answer(header: Header, rcode: Rcode) -> bytes:
    """An answer that is only a header, for a message that was not parsed."""
    flags = QR | header.opcode << OPCODE_SHIFT | header.flags & RD | rcode & 0xF
    return _HEADER.pack(header.id, flags, 0, 0, 0, 0)


def answer(wire: bytes, header: Header, rcode: Rcode, end: int) -> bytes:
    """An answer with the question, or the zone section, of the request, which ends at the octet `end`."""
    flags = QR | header.opcode << OPCODE_SHIFT | header.flags & RD | rcode & 0xF
    return _HEADER.pack(header.id, flags, 1, 0, 0, 0) + wire[HEADER_OCTETS:end]


def folded(name: dns.name.Name) -> str:
    """The name in lower case, without the trailing dot."""
    return name.to_text(omit_final_dot=True).lower()


def zone_update(wire: bytes) -> ZoneUpdate:
    """The meaning of an UPDATE message. Raises Malformed."""
    try:
        message = dns.message.from_wire(wire, keyring=False, ignore_trailing=False)
    except (dns.exception.DNSException, ValueError, struct.error) as error:
        raise Malformed(str(error)) from None
    if not isinstance(message, dns.update.UpdateMessage) or len(message.zone) != 1:
        raise Malformed("not one zone")
    zone = message.zone[0]
    if zone.rdtype != RdataType.SOA or zone.rdclass != RdataClass.IN:
        raise Malformed("the zone section names no zone")
    return ZoneUpdate(
        folded(zone.name),
        [_prerequisite(one) for one in message.prerequisite],
        [change for one in message.update for change in _changes(one)],
    )


def _prerequisite(rrset: dns.rrset.RRset) -> Prerequisite:
    name, rtype = folded(rrset.name), dns.rdatatype.to_text(rrset.rdtype)
    of_name = rrset.rdtype == RdataType.ANY
    match rrset.deleting:
        case RdataClass.ANY:
            return Prerequisite(Condition.NAME_USED, name) if of_name else Prerequisite(Condition.EXISTS, name, rtype)
        case RdataClass.NONE:
            return Prerequisite(Condition.NAME_FREE, name) if of_name else Prerequisite(Condition.ABSENT, name, rtype)
    return Prerequisite(Condition.EQUALS, name, rtype, _text(rrset[0]))


def _changes(rrset: dns.rrset.RRset) -> Iterator[RecordChange]:
    name, rtype = folded(rrset.name), dns.rdatatype.to_text(rrset.rdtype)
    if rrset.deleting == RdataClass.ANY:
        everything = rrset.rdtype == RdataType.ANY
        yield RecordChange(Kind.REMOVE_NAME, name) if everything else RecordChange(Kind.REMOVE_RRSET, name, rtype)
        return
    if rrset.rdtype in _META:
        raise Malformed(f"{rtype} is no type of a record")
    kind = Kind.REMOVE_VALUE if rrset.deleting == RdataClass.NONE else Kind.ADD
    for rdata in rrset:
        yield RecordChange(kind, name, rtype, _text(rdata), rrset.ttl)


def _text(rdata: dns.rdata.Rdata) -> str:
    """The value as it is stored."""
    if rdata.rdtype == RdataType.CNAME:
        return rdata.to_text().lower()
    return text_of(rdata) if dns.rdatatype.to_text(rdata.rdtype) in EXAMPLES else rdata.to_text()


def question_of(wire: bytes) -> tuple[dns.name.Name, RdataType, int | None]:
    """The name and the type of a query, and the octets that the asker takes over UDP, if it says so.

    Raises Malformed.
    """
    try:
        message = dns.message.from_wire(wire, keyring=False, ignore_trailing=False)
    except (dns.exception.DNSException, ValueError, struct.error) as error:
        raise Malformed(str(error)) from None
    if not isinstance(message, dns.message.QueryMessage) or len(message.question) != 1:
        raise Malformed("not one question")
    question = message.question[0]
    if question.rdclass != RdataClass.IN:
        raise Malformed("not the class IN")
    return question.name, question.rdtype, message.payload if message.edns >= 0 else None


def asks_for_zone(wire: bytes, end: int) -> bool:
    """Whether the question, which ends at the octet `end`, is for a transfer of a whole zone (AXFR)."""
    return struct.unpack("!HH", wire[end - 4 : end]) == (RdataType.AXFR, RdataClass.IN)


def passed_on(found: bytes, header: Header) -> Iterator[bytes]:
    """A message of a transfer as the answer to this request; several if one has no room for another signature."""
    if len(found) > MOST_OCTETS:
        whole = dns.message.from_wire(found, one_rr_per_rrset=True)
        half = len(whole.answer) // 2
        for part in (whole.answer[:half], whole.answer[half:]):
            whole.answer = part
            yield from passed_on(whole.to_wire(max_size=0xFFFF), header)
            whole.question = []
        return
    flags = int.from_bytes(found[2:4]) | header.flags & RD
    yield b"".join((header.id.to_bytes(2), flags.to_bytes(2), found[4:]))


def is_ordinary(rtype: RdataType) -> bool:
    """Whether the type is that of a record, and no transfer."""
    return rtype not in _META and rtype not in (RdataType.TSIG, RdataType.TKEY)


OPCODES = frozenset({Opcode.QUERY, Opcode.UPDATE})


def relayed(wire: bytes, header: Header, found: dns.message.Message, end: int, limit: int | None) -> bytes:
    """The answer with what the primary has found; truncated, without records, if it is longer than `limit` octets."""
    made = dns.message.Message(header.id)
    made.flags = QR | AA | header.flags & RD
    made.set_rcode(found.rcode())
    made.question, made.answer, made.authority = found.question, found.answer, found.authority
    octets = made.to_wire(max_size=0xFFFF)
    if limit is not None and len(octets) > limit:
        return _HEADER.pack(header.id, made.flags | TC, 1, 0, 0, 0) + wire[HEADER_OCTETS:end]
    # the question as it was asked: some resolvers compare its letters
    return octets[:HEADER_OCTETS] + wire[HEADER_OCTETS:end] + octets[HEADER_OCTETS + end - HEADER_OCTETS :]
