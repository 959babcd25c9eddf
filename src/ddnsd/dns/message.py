# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS UPDATE messages (RFC 2136), signed with TSIG (RFC 8945), and the meaning of their answers.

The records of a message are written directly in wire form: a message contains hundreds of hosts, and this is the
hot path. dnspython reads answers that contain records, or that are not as expected.
"""

import random
import socket
import struct
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig

from ddnsd.dns.errors import BadKey, BadSignature, BadTime, DnsError, NoAnswer, PrerequisiteFailed, Refusal, Unsendable
from ddnsd.dns.rdata import wire
from ddnsd.dns.signature import HEADER_OCTETS, after_name, sign, verified_end
from ddnsd.dns.tsig import TsigKey

A, NS, CNAME, SOA, AAAA, DNAME, DHCID, TSIG, ANY_TYPE = 1, 2, 5, 6, 28, 39, 49, 250, 255
IN, NONE, ANY_CLASS = 1, 254, 255
RECURSION_DESIRED = 0x0100
ZONE_NAME = b"\xc0\x0c"  # a pointer to the name in the zone section, after the header of 12 octets
POINTER = 0xC0  # the first bits of a pointer
POINTERS = 0x4000  # a pointer cannot reach this offset (RFC 1035, 4.1.4)
NAME_LENGTH = 253
QR, RCODE = 0x80, 0x0F  # bits in the third and fourth octet of a message

_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_NO_A, _NO_AAAA, _NO_CNAME = (_RECORD.pack(rtype, ANY_CLASS, 0, 0) for rtype in (A, AAAA, CNAME))
_UNUSED = _RECORD.pack(ANY_TYPE, NONE, 0, 0)
_USED = _RECORD.pack(ANY_TYPE, ANY_CLASS, 0, 0)
_FOREIGN = tuple(_RECORD.pack(rtype, NONE, 0, 0) for rtype in (NS, DNAME, DHCID))
_NOT_OURS = tuple(_RECORD.pack(rtype, NONE, 0, 0) for rtype in (CNAME, NS, DNAME, DHCID))
_HIDING = tuple(_RECORD.pack(rtype, NONE, 0, 0) for rtype in (CNAME, NS, DNAME))
_NOT_SERVED = tuple(_RECORD.pack(rtype, NONE, 0, 0) for rtype in (NS, DNAME))
_PREREQUISITES = (dns.rcode.YXDOMAIN, dns.rcode.YXRRSET, dns.rcode.NXRRSET, dns.rcode.NXDOMAIN)


class Update:
    """One UPDATE message under construction; names are lower-case text within the zone, without a trailing dot."""

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._question = _wire(zone) + struct.pack("!HH", SOA, IN)
        self._prerequisites: list[bytes] = []
        self._updates: list[bytes] = []
        self._tail = "." + zone
        self._required = 0
        self._end = _HEADER.size + len(self._question)  # of the prerequisites
        self._pointers = {zone: ZONE_NAME}

    def require_unused(self, fqdn: str) -> Self:
        """Prerequisite: the name has no record (RFC 2136, 2.4.5)."""
        return self._require(fqdn, _UNUSED)

    def require_used(self, fqdn: str) -> Self:
        """Prerequisite: the name has a record (RFC 2136, 2.4.4)."""
        return self._require(fqdn, _USED)

    def require_absent(self, fqdn: str, *rtypes: int) -> Self:
        """Prerequisite: the RRsets do not exist (RFC 2136, 2.4.3)."""
        return self._require(fqdn, *(_RECORD.pack(rtype, NONE, 0, 0) for rtype in rtypes))

    def require_rrset(self, fqdn: str, rtype: str) -> Self:
        """Prerequisite: the RRset exists, with any value (RFC 2136, 2.4.1)."""
        return self._require(fqdn, _RECORD.pack(dns.rdatatype.from_text(rtype), ANY_CLASS, 0, 0))

    def require_no_rrset(self, fqdn: str, rtype: str) -> Self:
        """Prerequisite: the RRset does not exist (RFC 2136, 2.4.3)."""
        return self.require_absent(fqdn, dns.rdatatype.from_text(rtype))

    def require_values(self, fqdn: str, rtype: str, values: Iterable[str]) -> Self:
        """Prerequisite: the RRset exists with exactly these values (RFC 2136, 2.4.2)."""
        number, rdatas = dns.rdatatype.from_text(rtype), [wire(rtype, value) for value in values]
        return self._require(fqdn, *(_RECORD.pack(number, IN, 0, len(rdata)) + rdata for rdata in rdatas))

    def require_ours(self, fqdn: str) -> Self:
        """Prerequisite: no record at the name that belongs to somebody else or hides our addresses.

        DHCP owns a name by DHCID (RFC 4701); additions beside a CNAME are ignored silently (RFC 2136, 3.4.2.2).
        """
        return self._require(fqdn, *_NOT_OURS)

    def require_ours_or_alias(self, fqdn: str) -> Self:
        """The same prerequisite for a name with a CNAME record of ours."""
        return self._require(fqdn, *_FOREIGN)

    def require_served(self, fqdn: str) -> Self:
        """Prerequisite: names below are answered from this zone, not delegated or redirected."""
        return self._require(fqdn, *_NOT_SERVED)

    def _require(self, fqdn: str, *records: bytes) -> Self:
        """The name in full at first, then a pointer to it: most of a message is names."""
        owner = later = self._owner(fqdn)
        if owner[0] < POINTER:
            self._remember(fqdn)
            later = self._pointers.get(fqdn, owner)
        octets = owner + later.join(records)
        self._end += len(octets)
        self._prerequisites.append(octets)
        self._required += len(records)
        return self

    def _remember(self, fqdn: str) -> None:
        """Remember the offset of the name and the names above it: the current end of the prerequisites."""
        at = self._end
        while at < POINTERS and fqdn not in self._pointers:
            self._pointers[fqdn] = struct.pack("!H", 0xC000 | at)
            label, _, fqdn = fqdn.partition(".")
            at += len(label) + 1

    def replace(self, fqdn: str, ttl: int, ipv4: str | None, ipv6: str | None) -> Self:
        """Make these the only addresses of the name, separated by blanks; other types stay."""
        owner = self._owner(fqdn)
        self._updates += (owner + _NO_A, owner + _NO_AAAA)
        return self._addresses(owner, IN, ttl, ipv4, ipv6)

    def remove(self, fqdn: str, ipv4: str | None, ipv6: str | None) -> Self:
        """Remove exactly these addresses."""
        return self._addresses(self._owner(fqdn), NONE, 0, ipv4, ipv6)

    def _addresses(self, owner: bytes, rclass: int, ttl: int, ipv4: str | None, ipv6: str | None) -> Self:
        """Addresses of one family are separated by blanks."""
        for text in ipv4.split() if ipv4 else ():
            self._updates.append(owner + _RECORD.pack(A, rclass, ttl, 4) + socket.inet_pton(socket.AF_INET, text))
        for text in ipv6.split() if ipv6 else ():
            self._updates.append(owner + _RECORD.pack(AAAA, rclass, ttl, 16) + socket.inet_pton(socket.AF_INET6, text))
        return self

    def remove_alias(self, fqdn: str) -> Self:
        """Remove the CNAME record of the name."""
        self._updates.append(self._owner(fqdn) + _NO_CNAME)
        return self

    def require_free(self, fqdn: str, rtype: str) -> Self:
        """Prerequisite: the RRset and records that would hide it do not exist."""
        return self.require_visible(fqdn).require_absent(fqdn, dns.rdatatype.from_text(rtype))

    def require_visible(self, fqdn: str) -> Self:
        """Prerequisite: no alias (RFC 1034, 3.6.2) at the name, which would hide the RRset, and no delegation."""
        return self._require(fqdn, *_HIDING)

    def replace_set(self, fqdn: str, rtype: str, ttl: int, values: Iterable[str]) -> Self:
        """Make these the only records of the type; `values` are in presentation format."""
        self._updates.append(self._record(fqdn, dns.rdatatype.from_text(rtype), ANY_CLASS))
        return self._values(fqdn, rtype, IN, ttl, values)

    def add_values(self, fqdn: str, rtype: str, ttl: int, values: Iterable[str]) -> Self:
        """Add these records of the type; others stay."""
        return self._values(fqdn, rtype, IN, ttl, values)

    def remove_values(self, fqdn: str, rtype: str, values: Iterable[str]) -> Self:
        """Remove exactly these records of the type."""
        return self._values(fqdn, rtype, NONE, 0, values)

    def _values(self, fqdn: str, rtype: str, rclass: int, ttl: int, values: Iterable[str]) -> Self:
        owner, number = self._owner(fqdn), dns.rdatatype.from_text(rtype)
        for octets in (wire(rtype, value) for value in values):
            self._updates.append(owner + _RECORD.pack(number, rclass, ttl, len(octets)) + octets)
        return self

    def to_wire(self, key: TsigKey) -> "Signed":
        """The signed message with a random id."""
        flags = dns.opcode.to_flags(dns.opcode.UPDATE)
        header = _HEADER.pack(random.getrandbits(16), flags, 1, self._required, len(self._updates), 0)
        return Signed.sign(b"".join((header, self._question, *self._prerequisites, *self._updates)), key)

    def _record(self, fqdn: str, rtype: int, rclass: int) -> bytes:
        return self._owner(fqdn) + _RECORD.pack(rtype, rclass, 0, 0)

    def _owner(self, fqdn: str) -> bytes:
        if (known := self._pointers.get(fqdn)) is not None:
            return known
        if len(fqdn) > NAME_LENGTH:
            raise Unsendable(f"a full name has at most {NAME_LENGTH} characters: {fqdn[:60]}…")
        labels = fqdn.removesuffix(self._tail).encode("ascii").split(b".")
        return b"".join(bytes((len(label),)) + label for label in labels) + ZONE_NAME


class Signed:
    """A signed message, ready to send, and the signature that its answer must match."""

    def __init__(self, wire: bytes, key: TsigKey, mac: bytes) -> None:
        self.wire, self.mac, self._key = wire, mac, key

    @classmethod
    def sign(cls, wire: bytes, key: TsigKey) -> Self:
        """Append a TSIG record to an unsigned message (its id is kept)."""
        signed, mac = sign(wire, key)
        return cls(signed, key, mac)

    @classmethod
    def query(cls, name: str, rtype: str, key: TsigKey) -> Self:
        """A signed query."""
        header = _HEADER.pack(random.getrandbits(16), RECURSION_DESIRED, 1, 0, 0, 0)
        return cls.sign(header + _wire(name) + struct.pack("!HH", dns.rdatatype.from_text(rtype), IN), key)

    def verify(self, answer: bytes) -> None:
        """Check the signature of the answer, and that its rcode is NOERROR. Raises as `read` does."""
        good = verified_end(answer, self._key, self.mac) is not None and answer[2] & QR and not answer[3] & RCODE
        if not good:
            self.read(answer)

    def serial(self, answer: bytes) -> int | None:
        """The serial in the verified answer; None if there is no SOA record. Raises as `read` does."""
        self.verify(answer)
        try:
            return _serial(answer)
        except (IndexError, struct.error):
            raise NoAnswer("the name server did not send a DNS message") from None

    def read(self, answer: bytes, also: Collection[dns.rcode.Rcode] = ()) -> dns.message.Message:
        """The verified answer with rcode NOERROR, or one of `also`.

        Raises NoAnswer if it is not a DNS message, and a Refusal for every other rcode or a bad signature.
        """
        try:
            message = dns.message.from_wire(answer, keyring=self._key.dnspython, request_mac=self.mac)
        except (dns.tsig.PeerBadKey, dns.message.UnknownTSIGKey, dns.tsig.BadKey, dns.tsig.BadAlgorithm):
            raise BadKey("BADKEY", BadKey.__doc__ or "") from None
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime):
            raise BadTime("BADTIME", BadTime.__doc__ or "") from None
        except (dns.tsig.PeerError, dns.tsig.BadSignature):
            raise BadSignature("BADSIG", BadSignature.__doc__ or "") from None
        except (dns.exception.DNSException, ValueError):
            raise _failure(answer) from None
        rcode = message.rcode()
        if rcode not in (dns.rcode.NOERROR, *also):
            text = dns.rcode.to_text(rcode)
            raise PrerequisiteFailed(text) if rcode in _PREREQUISITES else Refusal(text)
        if not message.flags & dns.flags.QR:
            raise NoAnswer("the name server did not send an answer")
        if not message.had_tsig:
            raise BadSignature("BADSIG", "the name server's answer is not signed")
        return message


def _failure(answer: bytes) -> DnsError:
    """The error for an answer that cannot be parsed: some servers refuse with only a header."""
    if len(answer) >= _HEADER.size and answer[2] & QR and answer[3] & RCODE:
        return Refusal(dns.rcode.to_text(dns.rcode.Rcode(answer[3] & RCODE)))
    return NoAnswer("the name server did not send a DNS message")


def _serial(answer: bytes) -> int | None:
    """The serial of the SOA record at the name in the one question."""
    _, _, questions, answers, _, _ = _HEADER.unpack_from(answer)
    at = HEADER_OCTETS
    for _ in range(questions):
        at = after_name(answer, at) + 4
    name = answer[HEADER_OCTETS : at - 4].lower()
    for _ in range(answers):
        owner, at = at, after_name(answer, at)
        asked = answer[owner:at] == ZONE_NAME or answer[owner:at].lower() == name
        rtype, _, _, length = _RECORD.unpack_from(answer, at)
        at += _RECORD.size
        if rtype == SOA and asked:
            (serial,) = struct.unpack_from("!I", answer, after_name(answer, after_name(answer, at)))
            return int(serial)
        at += length
    return None


@lru_cache(8192)
def _wire(name: str) -> bytes:
    """A name in uncompressed wire form."""
    wire = dns.name.from_text(name).to_wire()
    assert wire is not None
    return wire
