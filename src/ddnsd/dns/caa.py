# SPDX-License-Identifier: GPL-3.0-or-later
"""CAA records (RFC 8659, with the parameters of RFC 8657): whether an authority may issue a certificate."""

from collections.abc import Sequence
from typing import NamedTuple

import dns.rdata
from dns.rdataclass import IN
from dns.rdatatype import CAA

CRITICAL = 0x80
KNOWN = frozenset({"issue", "issuewild", "iodef", "issuemail", "contactemail", "contactphone"})
METHOD = "dns-01"


class Property(NamedTuple):
    """A CAA record."""

    flags: int
    tag: str
    value: str


def of_text(text: str) -> Property:
    """The record of a value in presentation format."""
    return of_rdata(dns.rdata.from_text(IN, CAA, text))


def of_rdata(rdata: dns.rdata.Rdata) -> Property:
    """The record of an answer."""
    tag, value = (octets.decode("utf-8", "replace") for octets in (rdata.tag, rdata.value))  # type: ignore[attr-defined]
    return Property(rdata.flags, tag.lower(), value)  # type: ignore[attr-defined]


def forbids(found: Sequence[Property], identities: Sequence[str], account: str, *, wildcard: bool) -> str | None:
    """The text of the records that forbid a certificate for a name, or for its wildcard; None if it is allowed.

    `found` is the RRset that decides for the name. `identities` are the authority's names, in lower case. If it states
    none, records that name an authority are taken as its own. `account` is the URL of the account there.
    """
    if any(one.flags & CRITICAL and one.tag not in KNOWN for one in found):
        return "; ".join(f"{one.flags} {one.tag}" for one in found if one.tag not in KNOWN)
    relevant = [one.value for one in found if one.tag == "issuewild"] if wildcard else []
    relevant = relevant or [one.value for one in found if one.tag == "issue"]
    if not relevant or any(_allows(value, identities, account) for value in relevant):
        return None
    return ", ".join(f'"{value}"' for value in relevant)


def _allows(value: str, identities: Sequence[str], account: str) -> bool:
    name, *rest = (part.strip() for part in value.split(";"))
    if not name or (identities and name.lower().rstrip(".") not in identities):
        return False
    parameters = dict(_pair(part) for part in rest if part)
    methods = parameters.get("validationmethods")
    if methods is not None and METHOD not in (method.strip().lower() for method in methods.split(",")):
        return False
    return parameters.get("accounturi", account) == account


def _pair(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    return key.strip().lower(), value.strip()
