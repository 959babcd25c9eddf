# SPDX-License-Identifier: GPL-3.0-or-later
"""The DS records that belong into a zone's parent, from what the zone publishes (RFC 4034, RFC 7344, RFC 8078).

A signer says by CDS records which DS records the parent should have now. A zone without CDS records gets one DS record
for each of its keys with the flag SEP.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import dns.dnssec
import dns.dnssectypes
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from ddnsd.db.rows import Domain
from ddnsd.dns.connection import PrimaryConnection, ask_all
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.errors import DnsError
from ddnsd.dns.tsig import TsigKey

SECONDS = 5.0

SECURE_ENTRY_POINT = 0x0001
"""The flag of keys to which a DS record points."""

Ask = Callable[[str, str], Awaitable[dns.message.Message]]
"""Asks the primary of a zone for a name and a type. Raises DnsError."""


class UnprovenKeys(DnsError):
    """the keys of the zone do not sign it"""


class ParentState(StrEnum):
    """The DS records of the parent, compared with those that belong there."""

    MATCHING = "matching"
    MISSING = "missing"
    OUTDATED = "outdated"
    UNKNOWN = "unknown"


class Published(NamedTuple):
    """What a zone publishes about its keys: DNSKEY and CDS records. Without keys it is not signed."""

    zone: str
    keys: tuple[Any, ...]
    cds: tuple[Any, ...] = ()

    @property
    def withdrawn(self) -> bool:
        """Whether the signer asks for no DS record any more (RFC 8078, section 4)."""
        return any(one.algorithm == 0 for one in self.cds)

    @property
    def records(self) -> frozenset[Any]:
        """The DS records that belong into the parent."""
        if not self.keys or self.withdrawn:
            return frozenset()
        if self.cds:
            return frozenset(_parsed("DS", one.to_text()) for one in self.cds)
        return self.of_keys

    @property
    def of_keys(self) -> frozenset[Any]:
        """A DS record with SHA-256 for each key with the flag SEP; for all keys if none has it."""
        anchors = [key for key in self.keys if key.flags & SECURE_ENTRY_POINT] or self.keys
        return frozenset(digest(self.zone, key) for key in anchors)

    def fits(self, found: Iterable[Any]) -> bool:
        """Whether one of the DS records fits a key of the zone."""
        return any(fits(self.zone, key, one) for key in self.keys for one in found)


class Delegation(NamedTuple):
    """The DS records of a zone in its parent. `parent` is its name if it is one of our domains.

    `problem` is the reason if the records are not known.
    """

    found: frozenset[Any]
    problem: str = ""
    parent: str | None = None


class Comparison(NamedTuple):
    """What a zone publishes, and what its parent has."""

    published: Published
    delegation: Delegation

    @property
    def state(self) -> ParentState:
        """How the DS records of the parent compare with those of the zone."""
        found, wanted = self.delegation.found, self.published.records
        if self.delegation.problem:
            return ParentState.UNKNOWN
        if found == wanted:
            return ParentState.MATCHING
        return ParentState.OUTDATED if found else ParentState.MISSING


def asks(domain: Domain, connection: PrimaryConnection) -> Ask:
    """Questions to the domain's primary, with its key."""
    key = TsigKey.of(domain)

    async def ask(name: str, rtype: str) -> dns.message.Message:
        return await ask_all(connection, key, name, rtype, SECONDS)

    return ask


async def published(zone: str, ask: Ask) -> Published:
    """The DNSKEY and CDS records of the zone, whose keys prove themselves.

    A key must sign the DNSKEY records, and a CDS record must fit such a key: else the zone would be refused with these
    DS records. Raises UnprovenKeys, DnsError.
    """
    keys = records_in(await ask(zone, "DNSKEY"), zone, "DNSKEY")
    if not keys:
        return Published(zone, ())
    signatures = records_in(await ask(zone, "RRSIG"), zone, "RRSIG")
    signing = [key for key in keys if _signs(zone, key, keys, signatures)]
    if not signing:
        raise UnprovenKeys(f"no key of {zone} signs its DNSKEY records: `rndc dnssec -status {zone}` shows why")
    cds = records_in(await ask(zone, "CDS"), zone, "CDS")
    found = Published(zone, keys, cds)
    if cds and not found.withdrawn and not Published(zone, tuple(signing)).fits(found.records):
        raise UnprovenKeys(f"the CDS records of {zone} fit no key that signs its DNSKEY records")
    return found


def records_in(answer: dns.message.Message, name: str, rtype: str) -> tuple[Any, ...]:
    """The records of that name and type in the answer."""
    wanted, owner = dns.rdatatype.from_text(rtype), dns.name.from_text(name)
    return tuple(one for rrset in answer.answer if (rrset.name, rrset.rdtype) == (owner, wanted) for one in rrset)


def closest(zone: str, domains: Mapping[str, Any] | Collection[str]) -> str | None:
    """The longest of the domains' names that is a proper ending of the zone's, or None."""
    name = zone
    while "." in name:
        name = name.partition(".")[2]
        if name in domains:
            return name
    return None


async def at_primary(zone: str, ask_parent: Ask) -> frozenset[Any] | None:
    """The DS records of the zone, from the primary of the domain around it.

    None if that domain is not the parent, because it delegates a name between the two. Raises DnsError.
    """
    answer = await ask_parent(zone, "DS")
    if not answer.flags & dns.flags.AA:
        return None
    return frozenset(records_in(answer, zone, "DS"))


async def at_parent(zone: str, parent: Domain) -> Delegation | None:
    """The DS records of the zone in the zone of our domain around it; None as with `at_primary`."""
    connection = PrimaryConnection(Endpoint.from_text(parent.primary, 53))
    try:
        found = await at_primary(zone, asks(parent, connection))
    except DnsError as error:
        return Delegation(frozenset(), f"the primary of {parent.name}: {error}", parent.name)
    finally:
        connection.close()
    return None if found is None else Delegation(found, parent=parent.name)


def fits(zone: str, key: Any, one: Any) -> bool:
    """Whether the DS record is of that key."""
    if (dns.dnssec.key_id(key), key.algorithm) != (one.key_tag, one.algorithm):
        return False
    try:
        return bool(digest(zone, key, one.digest_type).digest == one.digest)
    except dns.exception.DNSException:  # a digest that dnspython does not know
        return True


def digest(zone: str, key: Any, kind: dns.dnssectypes.DSDigest = dns.dnssectypes.DSDigest.SHA256) -> Any:
    """The DS record of the key. Raises DNSException for an unknown kind."""
    return dns.dnssec.make_ds(f"{zone}.", key, kind, policy=dns.dnssec.allow_all_policy, validating=True)


def lines(zone: str, records: Iterable[Any]) -> list[str]:
    """DS records in presentation format, sorted, to paste at a registrar or into the parent's file."""
    return [f"{zone}. IN DS {text}" for text in texts(records)]


def texts(records: Iterable[Any]) -> list[str]:
    """The values of the records, sorted."""
    return sorted(_text(one) for one in records)


def _text(one: Any) -> str:
    return f"{one.key_tag} {int(one.algorithm)} {int(one.digest_type)} {one.digest.hex()}"


def _parsed(rtype: str, text: str) -> Any:
    return dns.rdata.from_text(dns.rdataclass.IN, rtype, text)


def _signs(zone: str, key: Any, keys: Iterable[Any], signatures: Iterable[Any]) -> bool:
    """Whether a valid signature of the DNSKEY records is by this key."""
    owner = dns.name.from_text(zone)
    covered = dns.rrset.from_rdata_list(owner, 0, list(keys))
    tag = dns.dnssec.key_id(key)
    for one in signatures:
        if (one.type_covered, one.key_tag) != (dns.rdatatype.DNSKEY, tag):
            continue
        try:
            dns.dnssec.validate_rrsig(covered, one, {owner: dns.rrset.from_rdata_list(owner, 0, [key])})
        except dns.exception.UnsupportedAlgorithm:
            return True  # nobody can tell here
        except dns.exception.DNSException:
            continue
        return True
    return False
