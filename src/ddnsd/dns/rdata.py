# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of RRsets beside addresses: presentation format (RFC 1035, 5.1) in, canonical text and wire form out."""

import re
from functools import lru_cache

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT

EXAMPLES = {
    "CAA": '0 issue "ca.example.net"',
    "HTTPS": '1 . alpn="h3,h2"',
    "LOC": "52 22 23.000 N 4 53 32.000 E -2.00m",
    "MX": "10 mail.example.org.",
    "NAPTR": '10 20 "S" "SIP+D2U" "" _sip._udp.example.org.',
    "OPENPGPKEY": "mDMEZkJ5WBYJKwYBBAHaRw8BAQdA",
    "SMIMEA": "3 1 1 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "SRV": "10 5 5060 sip.example.org.",
    "SSHFP": "4 2 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "SVCB": '1 dns.example.org. alpn="dot"',
    "TLSA": "3 1 1 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "TXT": '"v=spf1 mx -all"',
}
"""The types, each with a value."""

STRING_OCTETS = 255
"""Maximum octets of a string of a TXT record."""

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_QUOTED_STRINGS = re.compile(r'(?:"(?:[^"\\]|\\.)*"\s*)+')
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
    """The canonical form of the value. Raises BadValue; nothing is added or dropped silently.

    A TXT value that does not begin with a quotation mark is literal text, which is split into strings.
    """
    if rtype == "TXT":
        if not text.lstrip().startswith('"'):
            return _literal(text)
        if not _QUOTED_STRINGS.fullmatch(text.strip()):
            raise BadValue(text)
    if _COMMENT.search(_QUOTED.sub("", text)):
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


def _literal(text: str) -> str:
    """The TXT value with this text, as strings of at most 255 octets of UTF-8."""
    octets = text.encode("utf-8", "surrogatepass")
    if not octets or not text.isprintable():
        raise BadValue(text)
    strings = [octets[begin : begin + STRING_OCTETS] for begin in range(0, len(octets), STRING_OCTETS)]
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings).to_text()


def text_of(rdata: dns.rdata.Rdata) -> str:
    """The same text for equal values: names in lower case."""
    names = {field: name.canonicalize() for field, name in _names(rdata).items()}
    return (rdata.replace(**names) if names else rdata).to_text()


def _names(rdata: dns.rdata.Rdata) -> dict[str, dns.name.Name]:
    fields = {field: getattr(rdata, field) for field in rdata.__slots__}
    return {field: value for field, value in fields.items() if isinstance(value, dns.name.Name)}


@lru_cache(1024)
def wire(rtype: str, text: str) -> bytes:
    """The wire form of the canonical text."""
    octets = dns.rdata.from_text(dns.rdataclass.IN, rtype, text).to_wire()
    assert octets is not None
    return octets
