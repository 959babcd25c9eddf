# SPDX-License-Identifier: GPL-3.0-or-later
"""Sign messages with TSIG, and verify the signatures of good answers (RFC 8945), in wire form.

Every update and every question needs both, and dnspython takes five times as long. What is not exactly as expected
does not count as verified here: dnspython then reads the whole answer and says what is wrong.
"""

import hmac
import struct
import time
from functools import lru_cache
from typing import NamedTuple

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
    signed_at = _TIME.pack(moment >> 32, moment & 0xFFFFFFFF, FUDGE_SECONDS)
    mac = _mac(own, wire + _variables(own, signed_at))
    data = b"".join((own.algorithm, signed_at, len(mac).to_bytes(2), mac, wire[:2], _NO_ERROR))
    additional = int.from_bytes(wire[10:12]) + 1
    record = _RECORD.pack(TSIG, ANY_CLASS, 0, len(data))
    return b"".join((wire[:10], additional.to_bytes(2), wire[12:], own.name, record, data)), mac


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
    """What is signed of the TSIG record itself (RFC 8945, 4.3.3)."""
    return b"".join((own.name, _RECORD.pack(0, ANY_CLASS, 0, 0)[2:8], own.algorithm, signed_at, _NO_ERROR))


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
