# SPDX-License-Identifier: GPL-3.0-or-later
"""DS records from what a zone publishes: keys that prove themselves, CDS records that fit them."""

import asyncio
from collections.abc import Sequence
from typing import Any

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ddnsd.dns import ds_records
from ddnsd.dns.ds_records import Comparison, Delegation, ParentState, Published
from ddnsd.registry import ds_views

ZONE = "lab.example.org"
OWNER = dns.name.from_text(ZONE)


class Key:
    """A key with its DNSKEY record."""

    def __init__(self, flags: int = 257) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.record: Any = dns.dnssec.make_dnskey(self.private.public_key(), 13, flags)

    def signature(self, records: Sequence[Any], lifetime: int = 3600) -> Any:
        covered = dns.rrset.from_rdata_list(OWNER, 60, list(records))
        return dns.dnssec.sign(covered, self.private, OWNER, self.record, lifetime=lifetime)

    @property
    def ds(self) -> Any:
        return dns.dnssec.make_ds(OWNER, self.record, "SHA256")


def published(keys: Sequence[Any], signatures: Sequence[Any] = (), cds: Sequence[str] = ()) -> Published:
    records = {
        "DNSKEY": keys,
        "RRSIG": signatures,
        "CDS": [dns.rdata.from_text("IN", "CDS", text) for text in cds],
    }

    async def ask(name: str, rtype: str) -> dns.message.Message:
        answer = dns.message.make_response(dns.message.make_query(name, rtype))
        if records[rtype]:
            answer.answer.append(dns.rrset.from_rdata_list(OWNER, 60, list(records[rtype])))
        return answer

    return asyncio.run(ds_records.published(ZONE, ask))


def test_records_follow_the_cds_records() -> None:
    old, new = Key(), Key()
    keys = [old.record, new.record]
    signatures = [old.signature(keys)]
    assert published(keys, signatures).records == {old.ds, new.ds}
    both = published(keys, signatures, [new.ds.to_text(), old.ds.to_text()])
    assert both.records == {old.ds, new.ds}
    assert published(keys, signatures, [old.ds.to_text()]).records == {old.ds}


def test_keys_without_sep_count_only_if_there_are_no_others() -> None:
    anchor, zone_key = Key(257), Key(256)
    keys = [anchor.record, zone_key.record]
    assert published(keys, [anchor.signature(keys)]).records == {anchor.ds}
    assert published([zone_key.record], [zone_key.signature([zone_key.record])]).records == {zone_key.ds}


def test_what_does_not_prove_itself_is_refused() -> None:
    key, other = Key(), Key()
    with pytest.raises(ds_records.UnprovenKeys, match=r"no key of lab\.example\.org signs"):
        published([key.record], [other.signature([other.record])])
    expired = key.signature([key.record], lifetime=-10)
    with pytest.raises(ds_records.UnprovenKeys, match="no key"):
        published([key.record], [expired])
    with pytest.raises(ds_records.UnprovenKeys, match="fit no key that signs"):
        published([key.record], [key.signature([key.record])], [other.ds.to_text()])
    standby = [key.record, other.record]
    with pytest.raises(ds_records.UnprovenKeys, match="fit no key that signs"):
        published(standby, [key.signature(standby)], [other.ds.to_text()])


def test_a_zone_can_ask_for_no_record() -> None:
    key = Key()
    found = published([key.record], [key.signature([key.record])], ["0 0 0 00"])
    assert found.withdrawn
    assert found.records == frozenset()
    assert published([]).records == frozenset()


@pytest.mark.parametrize("parent", [None, "example.org"])
def test_the_state_of_the_parent(parent: str | None) -> None:
    key, other = Key(), Key()
    mine = Published(ZONE, (key.record,), ())
    states = {
        ParentState.MATCHING: Delegation(frozenset({key.ds}), "", parent),
        ParentState.MISSING: Delegation(frozenset(), "", parent),
        ParentState.OUTDATED: Delegation(frozenset({other.ds, key.ds}), "", parent),
        ParentState.UNKNOWN: Delegation(frozenset(), "it is silent", parent),
    }
    for state, delegation in states.items():
        found = Comparison(mine, delegation)
        assert found.state is state
        text = ds_views.in_words(found)
        assert (parent or "the parent") in text
        assert ("it is silent" in text) == (state is ParentState.UNKNOWN)
        shown = ds_views.as_json(found)
        assert (shown["state"], shown["parent"]) == (state.value, parent)
        assert (shown["parent_records"] is None) == (state is ParentState.UNKNOWN)
    assert f"key {dns.dnssec.key_id(other.record)} are old" in ds_views.in_words(
        Comparison(mine, states[ParentState.OUTDATED])
    )


def test_a_zone_that_is_not_signed() -> None:
    key = Key()
    nothing = Published(ZONE, ())
    assert Comparison(nothing, Delegation(frozenset())).state is ParentState.MATCHING
    stale = Comparison(nothing, Delegation(frozenset({key.ds})))
    assert stale.state is ParentState.OUTDATED
    assert "but its parent has DS records" in ds_views.unsigned(stale)


def test_the_closest_domain_around() -> None:
    domains = {"org", "example.org", "b.example.org", ZONE}
    assert ds_records.closest(ZONE, domains) == "example.org"
    assert ds_records.closest("a.b.example.org", domains) == "b.example.org"
    assert ds_records.closest("example.net", domains) is None


def test_a_referral_is_not_an_answer_of_the_parent() -> None:
    async def ask(name: str, rtype: str) -> dns.message.Message:
        answer = dns.message.make_response(dns.message.make_query(name, rtype))
        if name == ZONE:
            answer.flags |= dns.flags.AA
        return answer

    assert asyncio.run(ds_records.at_primary(ZONE, ask)) == frozenset()
    assert asyncio.run(ds_records.at_primary(f"x.{ZONE}", ask)) is None
