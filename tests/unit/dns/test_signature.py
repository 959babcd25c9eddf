# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures are those that dnspython makes and takes; nothing else is verified."""

import time

import dns.exception
import dns.message
import dns.rcode
import dns.rrset
import dns.tsig
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsd.dns import signature
from ddnsd.dns.errors import BadSignature, NoAnswer, Refusal
from ddnsd.dns.message import Signed, Update
from ddnsd.dns.tsig import ALGORITHMS, TsigKey

ZONE = "dyn.example.org"
KEY = TsigKey.generate("key.dyn.example.org")
OTHER = TsigKey.generate("key.dyn.example.org")
KEYS = [TsigKey("k", algorithm=algorithm, secret=KEY.secret) for algorithm in ALGORITHMS]


def answer(question: bytes, key: TsigKey, *records: str, rcode: int = 0, error: int = 0) -> bytes:
    """What a name server would answer, with records of the zone's name."""
    query = dns.message.from_wire(question, keyring=key.dnspython)
    response = dns.message.make_response(query, tsig_error=error)
    response.set_rcode(dns.rcode.Rcode(rcode))
    for record in records:
        response.answer.append(dns.rrset.from_text(f"{ZONE}.", 60, "IN", *record.split(" ", 1)))
    return response.to_wire()


def accepts(wire: bytes, question: Signed, key: TsigKey) -> bool:
    """Whether dnspython does."""
    try:
        message = dns.message.from_wire(wire, keyring=key.dnspython, request_mac=question.mac)
    except (dns.exception.DNSException, ValueError):
        return False
    return bool(message.had_tsig)


SOA = "SOA ns.example.org. mail.example.org. 4000000000 1 2 3 4"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
def test_each_algorithm(key: TsigKey) -> None:
    question = Signed.query(ZONE, "SOA", key)
    told = dns.message.from_wire(question.wire, keyring=key.dnspython)
    assert told.mac == question.mac
    good = answer(question.wire, key, "NS ns.example.org.", SOA)
    assert signature.verified_end(good, key, question.mac) is not None
    assert question.serial(good) == 4_000_000_000
    assert question.serial(answer(question.wire, key)) is None


QUESTION = Signed.query(ZONE, "SOA", KEY)
GOOD = answer(QUESTION.wire, KEY, SOA)


@given(at=st.integers(0, len(GOOD) - 1), octet=st.integers(0, 255))
def test_an_octet_that_was_changed(at: int, octet: int) -> None:
    wire = GOOD[:at] + bytes((octet,)) + GOOD[at + 1 :]
    if signature.verified_end(wire, KEY, QUESTION.mac) is not None:
        assert accepts(wire, QUESTION, KEY)
        assert wire[2:] == GOOD[2:] or wire.lower() == GOOD.lower()  # the id is not signed, and names have no case


@given(length=st.integers(0, len(GOOD) - 1), more=st.binary(max_size=20))
def test_an_answer_that_was_cut_or_continued(length: int, more: bytes) -> None:
    assert signature.verified_end(GOOD[:length], KEY, QUESTION.mac) is None
    if more:
        assert signature.verified_end(GOOD + more, KEY, QUESTION.mac) is None


@given(st.binary(max_size=600))
def test_any_octets(wire: bytes) -> None:
    assert signature.verified_end(wire, KEY, QUESTION.mac) is None
    with pytest.raises((NoAnswer, Refusal)):
        QUESTION.verify(wire)


def test_other_keys_and_questions() -> None:
    assert signature.verified_end(GOOD, OTHER, QUESTION.mac) is None
    assert signature.verified_end(GOOD, KEY, Signed.query(ZONE, "A", KEY).mac) is None
    assert signature.verified_end(QUESTION.wire, KEY, QUESTION.mac) is None
    with pytest.raises(BadSignature):
        QUESTION.verify(Signed.query(ZONE, "SOA", KEY).wire)


@pytest.mark.parametrize("seconds", [-1000, 1000])
def test_an_old_or_early_answer(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    moment = time.time() + seconds
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: moment)
        assert signature.verified_end(GOOD, KEY, QUESTION.mac) is None


def test_refusals_are_told_by_dnspython() -> None:
    update = Update(ZONE).to_wire(KEY)
    for rcode in (dns.rcode.REFUSED, dns.rcode.NXRRSET):
        with pytest.raises(Refusal, match=dns.rcode.to_text(rcode)):
            update.verify(answer(update.wire, KEY, rcode=rcode))
    update.verify(answer(update.wire, KEY))
    bad = answer(update.wire, KEY, rcode=dns.rcode.NOTAUTH, error=dns.rcode.BADKEY)
    with pytest.raises(Refusal, match="BADKEY"):
        update.verify(bad)


def several(key: TsigKey, query: dns.message.Message) -> list[bytes]:
    """An answer of four messages, signed here."""
    found = signature.tsig_of(query.to_wire())
    assert found is not None
    signer, made = signature.AnswerSigner(key, found), []
    for number in range(4):
        plain = dns.message.make_response(dns.message.make_query(ZONE, "AXFR", id=query.id))
        plain.answer.append(dns.rrset.from_text(f"{number}.{ZONE}.", 60, "IN", "A", "192.0.2.1"))
        made.append(signer.sign(plain.to_wire()))
    return made


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.algorithm)
def test_an_answer_of_several_messages(key: TsigKey) -> None:
    query = dns.message.make_query(ZONE, "AXFR")
    query.use_tsig(key.dnspython)
    made = several(key, query)

    def read(messages: list[bytes]) -> list[bool]:
        context, signed = None, []
        for wire in messages:
            message = dns.message.from_wire(
                wire, keyring=key.dnspython, request_mac=query.mac, xfr=True, tsig_ctx=context, multi=True
            )
            context = message.tsig_ctx
            signed.append(message.had_tsig)
        return signed

    assert read(made) == [True] * 4
    for wrong in (made[1:], [made[0], made[2]], [made[0], made[1].replace(b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02")]):
        with pytest.raises(dns.tsig.BadSignature):
            read(wrong)
