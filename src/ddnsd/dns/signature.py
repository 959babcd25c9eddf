# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign messages with TSIG, and verify signatures (RFC 8945), in wire form.

Every message needs both, and dnspython takes five times as long. An answer that is not exactly as expected does not
count as verified here: dnspython then reads all of it and says what is wrong.
"""

import hmac
import struct
import time
from functools import lru_cache
from typing import NamedTuple

import dns.exception
import dns.name
import dns.tsig

from ddnsd.dns.tsig import TsigKey

TSIG, ANY_CLASS = 250, 255
FUDGE_SECONDS = 300
POINTER = 0xC0
HEADER_OCTETS = 12
LONGEST_LABEL = 63

_RECORD = struct.Struct("!HHIH")
_TIME = struct.Struct("!HIH")  # 48 bits of seconds, and the fudge
_NO_ERROR = bytes(4)  # no error, no other data


class _Key(NamedTuple):
    """A key in wire form; the MAC has `octets` octets."""

    name: bytes
    algorithm: bytes
    secret: bytes
    hash_name: str
    octets: int


@lru_cache(4096)
def _wire_key(key: TsigKey) -> _Key:
    algorithm: dns.name.Name = key.dnspython.algorithm
    name, algorithm_name = (n.canonicalize().to_wire() for n in (dns.name.from_text(key.name), algorithm))
    assert name is not None
    assert algorithm_name is not None
    hash_name = key.algorithm.split("-")[1]
    return _Key(name, algorithm_name, key.dnspython.secret, hash_name, dns.tsig.mac_sizes[algorithm])


def sign(wire: bytes, key: TsigKey) -> tuple[bytes, bytes]:
    """The message with a TSIG record, and its MAC. The message has no TSIG record yet."""
    own, moment = _wire_key(key), int(time.time())
    signed_at = _time(moment, FUDGE_SECONDS)
    mac = _mac(own, wire + _variables(own, signed_at))
    return _with_tsig(wire, own.name, own.algorithm, signed_at, mac, 0, b""), mac


class Tsig(NamedTuple):
    """The TSIG record of a message, in wire form; it begins at the octet `begin`. `signed_at` is in seconds."""

    begin: int
    name: dns.name.Name
    algorithm: dns.name.Name
    signed_at: int
    fudge: int
    mac: bytes
    original_id: bytes
    error: int
    other: bytes

    @property
    def variables(self) -> bytes:
        """What is signed of the record itself (RFC 8945, 4.3.3)."""
        return _digested(
            _octets(self.name), _octets(self.algorithm), _time(self.signed_at, self.fudge), self.error, self.other
        )


def tsig_of(wire: bytes) -> Tsig | None:
    """The TSIG record of a request, which is the last record; None if it has none. Raises ValueError."""
    try:
        begin = _last_record(wire)
        if begin is None:
            return None
        name, length = dns.name.from_wire(wire, begin)
        data = begin + length + _RECORD.size
        rtype, rclass, ttl, octets = _RECORD.unpack_from(wire, data - _RECORD.size)
        if rtype != TSIG:
            return None
        algorithm, length = dns.name.from_wire(wire, data)
        high, low, fudge = _TIME.unpack_from(wire, data + length)
        mac = data + length + _TIME.size + 2
        end = mac + int.from_bytes(wire[mac - 2 : mac])
        error, other = struct.unpack_from("!HH", wire, end + 2)
    except (IndexError, struct.error, dns.exception.DNSException):
        raise ValueError("malformed TSIG record") from None
    if (rclass, ttl) != (ANY_CLASS, 0) or not data + octets == end + 6 + other == len(wire):
        raise ValueError("malformed TSIG record")
    return Tsig(
        begin,
        name.canonicalize(),
        algorithm.canonicalize(),
        (high << 32) + low,
        fudge,
        wire[mac:end],
        wire[end : end + 2],
        error,
        wire[end + 6 :],
    )


def mac_of(wire: bytes, found: Tsig, key: TsigKey) -> bytes:
    """The MAC that the request should have."""
    return _mac(_wire_key(key), b"".join((found.original_id, without_tsig(wire, found)[2:], found.variables)))


def without_tsig(wire: bytes, found: Tsig) -> bytes:
    """The request without its TSIG record, which costs a parser more than the others."""
    additional = int.from_bytes(wire[10:12]) - 1
    return b"".join((wire[:10], additional.to_bytes(2), wire[HEADER_OCTETS : found.begin]))


def sign_answer(
    wire: bytes, key: TsigKey, request: Tsig, *, error: int = 0, signed_at: int | None = None, other: bytes = b""
) -> bytes:
    """The answer to a request that was signed by the key, with a TSIG record."""
    own = _wire_key(key)
    moment = _time(int(time.time()) if signed_at is None else signed_at, FUDGE_SECONDS)
    prefix = len(request.mac).to_bytes(2) + request.mac
    mac = _mac(own, prefix + wire + _digested(own.name, own.algorithm, moment, error, other))
    return _with_tsig(wire, own.name, own.algorithm, moment, mac, error, other)


class AnswerSigner:
    """Signs the messages of one answer (RFC 8945, 5.3.1).

    The first one covers the MAC of the request, each other one that of the message before.
    """

    def __init__(self, key: TsigKey, request: Tsig) -> None:
        self._key, self._mac, self._is_first = _wire_key(key), request.mac, True

    def sign(self, wire: bytes) -> bytes:
        """The next message, with a TSIG record."""
        moment = _time(int(time.time()), FUDGE_SECONDS)
        signed = _variables(self._key, moment) if self._is_first else moment
        self._mac = _mac(self._key, b"".join((len(self._mac).to_bytes(2), self._mac, wire, signed)))
        self._is_first = False
        return _with_tsig(wire, self._key.name, self._key.algorithm, moment, self._mac, 0, b"")


def refuse_signature(wire: bytes, request: Tsig, error: int) -> bytes:
    """The answer with a TSIG record that has no MAC, for a key that is unknown or a MAC that is wrong."""
    moment = _time(request.signed_at, request.fudge)
    return _with_tsig(wire, _octets(request.name), _octets(request.algorithm), moment, b"", error, b"")


def _with_tsig(
    wire: bytes, name: bytes, algorithm: bytes, moment: bytes, mac: bytes, error: int, other: bytes
) -> bytes:
    tail = struct.pack("!HH", error, len(other)) + other
    data = b"".join((algorithm, moment, len(mac).to_bytes(2), mac, wire[:2], tail))
    additional = int.from_bytes(wire[10:12]) + 1
    return b"".join(
        (wire[:10], additional.to_bytes(2), wire[12:], name, _RECORD.pack(TSIG, ANY_CLASS, 0, len(data)), data)
    )


def _digested(name: bytes, algorithm: bytes, moment: bytes, error: int, other: bytes) -> bytes:
    class_and_ttl = _RECORD.pack(0, ANY_CLASS, 0, 0)[2:8]
    return b"".join((name, class_and_ttl, algorithm, moment, struct.pack("!HH", error, len(other)), other))


def _time(moment: int, fudge: int) -> bytes:
    return _TIME.pack(moment >> 32, moment & 0xFFFFFFFF, fudge)


def _octets(name: dns.name.Name) -> bytes:
    octets = name.to_wire()
    assert octets is not None
    return octets


def verified_end(answer: bytes, key: TsigKey, request_mac: bytes) -> int | None:
    """Where the TSIG record of the answer begins if its signature is good and fresh; None if this is not certain."""
    try:
        return _verified_end(answer, _wire_key(key), request_mac)
    except (IndexError, struct.error):
        return None


def _verified_end(answer: bytes, own: _Key, request_mac: bytes) -> int | None:
    begin = _last_record(answer)
    if begin is None:
        return None
    data = begin + len(own.name) + _RECORD.size
    if answer[begin : data - _RECORD.size].lower() != own.name:
        return None
    rtype, rclass, ttl, length = _RECORD.unpack_from(answer, data - _RECORD.size)
    signed_at = data + len(own.algorithm)
    mac = signed_at + _TIME.size + 2
    end = mac + own.octets
    if (rtype, rclass, ttl) != (TSIG, ANY_CLASS, 0) or data + length != len(answer) or end + 6 != len(answer):
        return None
    if answer[data:signed_at].lower() != own.algorithm or int.from_bytes(answer[mac - 2 : mac]) != own.octets:
        return None
    if answer[end + 2 :] != _NO_ERROR:
        return None
    high, low, fudge = _TIME.unpack_from(answer, signed_at)
    if abs((high << 32) + low - time.time()) > fudge:
        return None
    additional = int.from_bytes(answer[10:12]) - 1
    digested = (
        len(request_mac).to_bytes(2),
        request_mac,
        answer[end : end + 2],  # the id before somebody forwarded it
        answer[2:10],
        additional.to_bytes(2),
        answer[HEADER_OCTETS:begin],
        _variables(own, answer[signed_at : mac - 2]),
    )
    return begin if hmac.compare_digest(_mac(own, b"".join(digested)), answer[mac:end]) else None


def _mac(own: _Key, octets: bytes) -> bytes:
    return hmac.digest(own.secret, octets, own.hash_name)[: own.octets]


def _variables(own: _Key, signed_at: bytes) -> bytes:
    return _digested(own.name, own.algorithm, signed_at, 0, b"")


def _last_record(wire: bytes) -> int | None:
    """Where the last record begins, if it is in the additional section. Raises IndexError, struct.error."""
    questions, answers, authorities, additional = struct.unpack_from("!HHHH", wire, 4)
    if not additional:
        return None
    at = HEADER_OCTETS
    for _ in range(questions):
        at = after_name(wire, at) + 4
    for _ in range(answers + authorities + additional - 1):
        at = after_name(wire, at) + _RECORD.size
        at += int.from_bytes(wire[at - 2 : at])
    return at


def after_name(wire: bytes, at: int) -> int:
    """Where the name that begins at `at` ends. Raises IndexError."""
    while length := wire[at]:
        if length >= POINTER:
            return at + 2
        if length > LONGEST_LABEL:
            raise IndexError
        at += 1 + length
    return at + 1
