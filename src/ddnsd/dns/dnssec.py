# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the chain of trust of a zone: its keys and signatures, and the DS record in its parent (RFC 4035)."""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import dns.asyncresolver
import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.resolver

from ddnsd.db.rows import Domain
from ddnsd.dns import ds_records
from ddnsd.dns.bind.control import UNSIGNING
from ddnsd.dns.connection import PrimaryConnection, ask
from ddnsd.dns.ds_records import Comparison, Delegation, ParentState, Published
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

SECONDS = 5.0
RESOLVER_SECONDS = 3.0

LEFT_PART = 0.1
"""A signature with less than this part of its time left should have been renewed."""

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
    """Finds the DS records of zones: at the primary of the parent if it is one of `domains`, else at a resolver.

    The resolver (None: that of the system) is asked until it fails once: one silence is long enough.
    """

    def __init__(
        self, resolver: Endpoint | None, domains: Iterable[Domain] = (), seconds: float = RESOLVER_SECONDS
    ) -> None:
        self._resolver, self._failure, self._seconds = resolver, "", seconds
        self._domains = {domain.name: domain for domain in domains}

    async def delegation(self, zone: str) -> Delegation:
        """The DS records of the zone in its parent, or the reason if they are not known."""
        if around := ds_records.closest(zone, self._domains):
            found = await ds_records.at_parent(zone, self._domains[around])
            if found is not None:
                return found
        if self._failure:
            return Delegation(frozenset(), self._failure)
        try:
            resolver = dns.asyncresolver.Resolver(configure=self._resolver is None)
            if self._resolver is not None:
                resolver.nameservers, resolver.port = [self._resolver.host], self._resolver.port
            answer = await resolver.resolve(f"{zone}.", "DS", lifetime=self._seconds, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return Delegation(frozenset())
        except (dns.exception.DNSException, OSError) as error:
            self._failure = "the resolver does not answer: " + " ".join(str(error).split())
            return Delegation(frozenset(), self._failure)
        return Delegation(frozenset(answer.rrset or ()))


async def compare(
    domain: Domain, connection: PrimaryConnection, parents: Parents, *, only_signed: bool = False
) -> Comparison:
    """What the zone publishes about its keys, and the DS records in its parent. Raises DnsError.

    With `only_signed`, the parent of a zone that is not signed is not asked.
    """
    published = await ds_records.published(domain.name, ds_records.asks(domain, connection))
    if only_signed and not published.keys:
        return Comparison(published, Delegation(frozenset()))
    return Comparison(published, await parents.delegation(domain.name))


async def examine(domain: Domain, connection: PrimaryConnection, parents: Parents) -> Trust:
    """Check the zone at its primary, and the DS record in its parent. Raises DnsError."""
    key, zone = TsigKey.of(domain), domain.name
    keys = [_parsed("DNSKEY", text) for text in await ask(connection, key, zone, "DNSKEY", SECONDS)]
    if not keys and domain.dnssec_policy not in _UNSIGNED:
        return Trust(
            f"the policy {domain.dnssec_policy} is set, but the zone is not signed: `rndc dnssec -status {zone}` and "
            "the log of named show why (often it cannot write to dnssec/)"
        )
    delegation = await parents.delegation(zone)
    if not keys:
        return Trust(_stale_delegation(zone) if delegation.found else None)
    signatures = [_parsed("RRSIG", text) for text in await ask(connection, key, zone, "RRSIG", SECONDS)]
    expires = min((signature.expiration for signature in signatures), default=None)
    problem = _problem_of_signatures(zone, signatures) or (
        delegation.found and _problem_of_delegation(zone, keys, delegation.found)
    )
    if problem:
        return Trust(problem, expires=expires)
    if delegation.problem:
        return Trust(note=f"DS record not checked: {delegation.problem}", expires=expires)
    try:
        published = await ds_records.published(zone, ds_records.asks(domain, connection))
    except ds_records.UnprovenKeys as error:
        return Trust(str(error), expires=expires)
    return Trust(note=_difference(Comparison(published, delegation)), expires=expires)


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


def _problem_of_delegation(zone: str, keys: Sequence[Any], found: Iterable[Any]) -> str | None:
    published = Published(zone, tuple(keys))
    if published.fits(found):
        return None
    tags = ", ".join(str(one.key_tag) for one in found)
    return (
        f"no key of the zone fits the DS record in its parent (key tag {tags}), so validating resolvers refuse all "
        f"names of it. Restore the keys from a backup (dnssec/), or replace the DS record: {_records(published)}"
    )


def _stale_delegation(zone: str) -> str:
    return (
        "the zone is not signed, but its parent has a DS record, so validating resolvers refuse all names of it. Let "
        f"the registrar remove the DS record, or sign the zone: `ddnsd domain set {zone} --dnssec-policy default`"
    )


def _difference(compared: Comparison) -> str | None:
    """The difference between the zone and its parent, with the next step, or None."""
    published, state = compared.published, compared.state
    if state is ParentState.MATCHING:
        return None
    if state is ParentState.MISSING:
        if compared.delegation.parent is not None and not published.cds:
            return (
                f"its parent {compared.delegation.parent} has no DS record yet; the service adds it when the zone "
                f"publishes CDS records, or add {_records(published)}"
            )
        return f"its parent has no DS record, so nobody checks its signatures; add {_records(published)}"
    if not published.records:
        return "the zone asks for the removal of its DS record (CDS); let the registrar remove it"
    return f"its parent has other DS records than the zone asks for; replace them by {_records(published)}"


def _records(published: Published) -> str:
    """The DS records that fit, as text."""
    records = published.records or published.of_keys
    return "; ".join(f"{published.zone}. DS {text}" for text in ds_records.texts(records))
