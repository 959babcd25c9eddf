# SPDX-License-Identifier: GPL-3.0-or-later
"""CBOR of authenticators, and of those who want to keep a decoder busy."""

import cbor2
import pytest

from ddnsd.auth import cbor


@pytest.mark.parametrize(
    "value",
    [
        {1: 2, 3: -7, -1: 1, -2: bytes(32), -3: bytes(32)},
        {1: 3, 3: -257, -1: bytes(256), -2: b"\x01\x00\x01"},
        {"fmt": "packed", "attStmt": {"alg": -7, "sig": bytes(70), "x5c": [bytes(600), bytes(70_000)]}},
        {"credProtect": 2, "hmac-secret": True, "none": None, "off": False},
        [0, 23, 24, 255, 256, 65_535, 65_536, 2**32, 2**64 - 1, -1, -25, -(2**64)],
    ],
)
def test_what_authenticators_send(value: object) -> None:
    octets = cbor2.dumps(value)
    cbor.check(octets)
    cbor.check(octets + octets)
    for end in range(1, len(octets), 1 + len(octets) // 100):
        with pytest.raises(cbor.BadCbor):
            cbor.check(octets[:end])


@pytest.mark.parametrize(
    "octets",
    [
        "c200",  # tags
        "d81c80",
        "81c100",
        "a1800000",  # keys that are arrays, maps or true
        "a1a00000",
        "a1f500",
        "9fff",  # items that end somewhere
        "5fff",
        "1817",  # numbers that are longer than needed
        "190001",
        "1a0000ffff",
        "1b00000000ffffffff",
        "f90000",  # fractions
        "fb0000000000000000",
        "f7",
        "f800",
        "1c",
        "9bffffffffffffffff",  # more than there is
        "5bffffffffffffffff",
        "81" * 17 + "00",
    ],
)
def test_what_none_sends(octets: str) -> None:
    with pytest.raises(cbor.BadCbor):
        cbor.check(bytes.fromhex(octets))
