# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the chain of trust of a zone: its keys and signatures, and the DS record in its parent (RFC 4035)."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import dns.asyncresolver
import dns.dnssec
import dns.dnssectypes
import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.resolver

from ddnsd.db.rows import Domain
from ddnsd.dns.bind.control import UNSIGNING
from ddnsd.dns.connection import PrimaryConnection, ask
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

SECONDS = 5.0
RESOLVER_SECONDS = 3.0

LEFT_PART = 0.1
"""A signature with less than this part of its time left should have been renewed."""

SECURE_ENTRY_POINT = 0x0001
"""The flag of keys to which a DS record points."""

_UNSIGNED = (None, "none", UNSIGNING)
"""Policies of zones without signatures."""


class Trust(NamedTuple):
    """The problem of a zone's chain of trust with the next step, or a note, or neither.

    `expires` is when the first signature of the apex ends, in seconds since the epoch; None if the zone is not signed.
    """

    problem: str | None = None
    note: str | None = None
    expires: int | None = None


class Parents:
    """Asks a resolver (None: that of the system) for DS records, until it fails once: one silence is long enough."""

    def __init__(self, resolver: Endpoint | None) -> None:
        self._resolver, self._failure = resolver, ""

    async def delegation(self, zone: str) -> tuple[list[Any], str]:
        """The DS records of the zone in its parent, and the reason if they are not known."""
        if self._failure:
            return [], self._failure
        try:
            resolver = dns.asyncresolver.Resolver(configure=self._resolver is None)
            if self._resolver is not None:
                resolver.nameservers, resolver.port = [self._resolver.host], self._resolver.port
            answer = await resolver.resolve(f"{zone}.", "DS", lifetime=RESOLVER_SECONDS, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return [], ""
        except (dns.exception.DNSException, OSError) as error:
            self._failure = "the resolver does not answer: " + " ".join(str(error).split())
            return [], self._failure
        return list(answer.rrset or ()), ""


async def examine(domain: Domain, connection: PrimaryConnection, parents: Parents) -> Trust:
    """Check the zone at its primary, and the DS record in its parent. Raises DnsError."""
    key, zone = TsigKey.of(domain), domain.name
    keys = [_parsed("DNSKEY", text) for text in await ask(connection, key, zone, "DNSKEY", SECONDS)]
    if not keys and domain.dnssec_policy not in _UNSIGNED:
        return Trust(
            f"the policy {domain.dnssec_policy} is set, but the zone is not signed: `rndc dnssec -status {zone}` and "
            "the log of named show why (often it cannot write to dnssec/)"
        )
    delegation, unknown = await parents.delegation(zone)
    if not keys:
        return Trust(_stale_delegation(zone) if delegation else None)
    signatures = [_parsed("RRSIG", text) for text in await ask(connection, key, zone, "RRSIG", SECONDS)]
    expires = min((signature.expiration for signature in signatures), default=None)
    problem = _problem_of_signatures(zone, signatures) or (
        delegation and _problem_of_delegation(zone, keys, delegation)
    )
    if problem:
        return Trust(problem, expires=expires)
    if unknown:
        return Trust(note=f"DS record not checked: {unknown}", expires=expires)
    return Trust(note=None if delegation else _missing(zone, keys), expires=expires)


def _parsed(rtype: str, text: str) -> Any:
    return dns.rdata.from_text(dns.rdataclass.IN, rtype, text)


def _problem_of_signatures(zone: str, signatures: Sequence[Any]) -> str | None:
    now = time.time()
    status = f"`rndc dnssec -status {zone}` and the log of named show why it does not sign it"
    if not signatures:
        return f"the zone has keys and no signatures, so validating resolvers refuse it: {status}"
    first = min(signatures, key=lambda one: one.expiration)
    covered, end = dns.rdatatype.to_text(first.type_covered), datetime.fromtimestamp(first.expiration, UTC)
    if first.expiration <= now:
        return f"the signature of its {covered} record expired at {end:%Y-%m-%d %H:%M} UTC: {status}"
    if first.expiration - now < LEFT_PART * (first.expiration - first.inception):
        return (
            f"the signature of its {covered} record expires at {end:%Y-%m-%d %H:%M} UTC, and was not renewed: {status}"
        )
    return None


def _problem_of_delegation(zone: str, keys: Sequence[Any], delegation: Sequence[Any]) -> str | None:
    if any(_fits(zone, key, one) for key in keys for one in delegation):
        return None
    tags = ", ".join(str(one.key_tag) for one in delegation)
    return (
        f"no key of the zone fits the DS record in its parent (key tag {tags}), so validating resolvers refuse all "
        f"names of it. Restore the keys from a backup (dnssec/), or replace the DS record: {_records(zone, keys)}"
    )


def _fits(zone: str, key: Any, delegation: Any) -> bool:
    if (dns.dnssec.key_id(key), key.algorithm) != (delegation.key_tag, delegation.algorithm):
        return False
    try:
        return bool(_digest(zone, key, delegation.digest_type).digest == delegation.digest)
    except dns.exception.DNSException:  # a digest that dnspython does not know
        return True


def _digest(zone: str, key: Any, kind: dns.dnssectypes.DSDigest) -> Any:
    return dns.dnssec.make_ds(f"{zone}.", key, kind, policy=dns.dnssec.allow_all_policy, validating=True)


def _stale_delegation(zone: str) -> str:
    return (
        "the zone is not signed, but its parent has a DS record, so validating resolvers refuse all names of it. Let "
        f"the registrar remove the DS record, or sign the zone: `ddnsd domain set {zone} --dnssec-policy default`"
    )


def _missing(zone: str, keys: Sequence[Any]) -> str:
    return f"its parent has no DS record, so nobody checks its signatures; add {_records(zone, keys)}"


def _records(zone: str, keys: Sequence[Any]) -> str:
    """The DS records that fit, as text."""
    anchors = [key for key in keys if key.flags & SECURE_ENTRY_POINT] or keys
    return "; ".join(f"{zone}. DS {_digest(zone, key, dns.dnssectypes.DSDigest.SHA256).to_text()}" for key in anchors)
