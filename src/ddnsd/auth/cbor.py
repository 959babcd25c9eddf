# SPDX-License-Identifier: GPL-3.0-or-later
"""Check CBOR of strangers before a library decodes it.

Authenticators send the canonical form of CTAP2 (RFC 8949, without tags). Tags can refer to other values: a hundred
octets of them can keep a decoder busy for ever, as the key of a map, or fill the memory when they are encoded again.
"""

from enum import IntEnum, unique

DEEPEST = 16
"""Maximum depth of maps and arrays."""

SIMPLE = frozenset({b"\xf4", b"\xf5", b"\xf6"})
"""False, true and null."""

ONE_OCTET, EIGHT_OCTETS = 24, 27
"""The information of heads whose number follows, in 1, 2, 4 or 8 octets."""


@unique
class Type(IntEnum):
    """Major types."""

    UNSIGNED = 0
    NEGATIVE = 1
    OCTETS = 2
    TEXT = 3
    ARRAY = 4
    MAP = 5
    TAG = 6
    OTHER = 7


KEYS = frozenset({Type.UNSIGNED, Type.NEGATIVE, Type.TEXT})


class BadCbor(ValueError):
    """octets that no authenticator sends"""


def check(octets: bytes) -> None:
    """Check that these are items in canonical form, one after the other. Raises BadCbor."""
    place = 0
    while place < len(octets):
        place = _end(octets, place, DEEPEST)
    if place > len(octets):
        raise BadCbor("the last item is cut off")


def _end(octets: bytes, place: int, depth: int, types: frozenset[Type] = frozenset(Type)) -> int:
    """Where the item ends that begins here, and is of one of these types."""
    kind, number, after = _head(octets, place)
    if kind not in types:
        raise BadCbor(f"a key of a map has the type {kind.name}")
    if kind in (Type.OCTETS, Type.TEXT):
        return after + number
    if kind in (Type.ARRAY, Type.MAP) and depth == 0:
        raise BadCbor("too deep")
    if kind is Type.ARRAY:
        for _ in range(number):
            after = _end(octets, after, depth - 1)
    elif kind is Type.MAP:
        for _ in range(number):
            after = _end(octets, _end(octets, after, depth - 1, KEYS), depth - 1)
    elif kind is Type.TAG or (kind is Type.OTHER and octets[place:after] not in SIMPLE):
        raise BadCbor("a tag or a number of another kind")
    return after


def _head(octets: bytes, place: int) -> tuple[Type, int, int]:
    """The type of an item, its number, and where its content begins. Refuses numbers that are longer than needed."""
    if place >= len(octets):
        raise BadCbor("an item is missing")
    kind, number = Type(octets[place] >> 5), octets[place] & 31
    place += 1
    if number < ONE_OCTET:
        return kind, number, place
    if number > EIGHT_OCTETS:
        raise BadCbor("an item without a length")
    length = 1 << (number - ONE_OCTET)
    value = int.from_bytes(octets[place : place + length], "big")
    if value < (ONE_OCTET if length == 1 else 1 << (4 * length)):
        raise BadCbor("a number that is longer than needed")
    return kind, value, place + length
