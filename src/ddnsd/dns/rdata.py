# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of RRsets beside addresses: presentation format (RFC 1035, 5.1) in, canonical text and wire form out."""

import re
from functools import lru_cache

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

EXAMPLES = {
    "CAA": '0 issue "ca.example.net"',
    "MX": "10 mail.example.org.",
    "SRV": "10 5 5060 sip.example.org.",
    "SSHFP": "4 2 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "TLSA": "3 1 1 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "TXT": '"v=spf1 mx -all"',
}
"""The types, each with a value."""

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_TEXT = re.compile(r'[^\s"\\]+|(?:"(?:[^"\\]|\\.)*"\s*)+')
_COMMENT = re.compile(r"[;()\x00-\x1f\x7f]")


class BadValue(ValueError):
    """not a value of that type"""


class RelativeName(BadValue):
    """the name does not end with a dot; `name` is what it is"""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


class LongString(BadValue):
    """a string of a TXT record has at most 255 octets"""


def canonical(rtype: str, text: str) -> str:
    """The canonical form of the value. Raises BadValue; nothing is added or dropped silently."""
    if _COMMENT.search(_QUOTED.sub("", text)) or (rtype == "TXT" and not _TEXT.fullmatch(text.strip())):
        raise BadValue(text)
    try:
        rdata = dns.rdata.from_text(dns.rdataclass.IN, rtype, text)
    except dns.exception.DNSException as error:
        if rtype == "TXT" and str(error) == "string too long":
            raise LongString(text) from None
        raise BadValue(text) from None
    for name in _names(rdata).values():
        if not name.is_absolute():
            raise RelativeName(name.to_text())
    return text_of(rdata)


def text_of(rdata: dns.rdata.Rdata) -> str:
    """The same text for equal values: names in lower case."""
    return rdata.replace(**{field: name.canonicalize() for field, name in _names(rdata).items()}).to_text()


def _names(rdata: dns.rdata.Rdata) -> dict[str, dns.name.Name]:
    fields = {field: getattr(rdata, field) for field in rdata.__slots__}
    return {field: value for field, value in fields.items() if isinstance(value, dns.name.Name)}


@lru_cache(1024)
def wire(rtype: str, text: str) -> bytes:
    """The wire form of the canonical text."""
    octets = dns.rdata.from_text(dns.rdataclass.IN, rtype, text).to_wire()
    assert octets is not None
    return octets
