# SPDX-License-Identifier: GPL-3.0-or-later
"""UPDATE messages as dnspython reads them, and what answers mean."""

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.update
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsd.dns.errors import BadKey, BadSignature, BadTime, PrerequisiteFailed, Refusal, Unreachable
from ddnsd.dns.message import DHCID, Signed, Update
from ddnsd.dns.tsig import TsigKey

KEY = TsigKey.generate("k")
ZONE = "dyn.example.org"


def read(update: Update) -> dns.update.UpdateMessage:
    message = received(update.to_wire(KEY).wire)
    assert message.had_tsig
    return message


def received(wire: bytes) -> dns.update.UpdateMessage:
    message = dns.message.from_wire(wire, keyring=KEY.dnspython)
    assert isinstance(message, dns.update.UpdateMessage)
    return message


def test_a_host_is_replaced_as_dnspython_would() -> None:
    fqdn = f"www.{ZONE}"
    ours = read(Update(ZONE).require_absent(fqdn, DHCID).replace(fqdn, 60, "192.0.2.1", "2001:db8::1"))
    theirs = dns.update.UpdateMessage(ZONE)
    theirs.absent("www", "DHCID")
    for rtype in ("A", "AAAA"):
        theirs.delete("www", rtype)
    theirs.add("www", 60, "A", "192.0.2.1")
    theirs.add("www", 60, "AAAA", "2001:db8::1")
    theirs = received(theirs.to_wire())
    assert [str(r) for r in ours.zone] == [str(r) for r in theirs.zone]
    assert [str(r) for r in ours.prerequisite] == [str(r) for r in theirs.prerequisite]
    assert [str(r) for r in ours.update] == [str(r) for r in theirs.update]


def test_the_apex_wildcards_and_deep_names() -> None:
    names = [ZONE, f"*.a.{ZONE}", f"a.b.c.{ZONE}"]
    update = Update(ZONE)
    for name in names:
        update.require_unused(name).remove(name, "192.0.2.1", "2001:db8::1")
    message = read(update)
    assert [r.name.to_text(omit_final_dot=True) for r in message.prerequisite] == names
    assert {r.rdtype for r in message.prerequisite} == {dns.rdatatype.ANY}
    assert len(message.update) == 6


@given(st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True), min_size=1, max_size=4))
def test_any_name_survives(labels: list[str]) -> None:
    fqdn = ".".join([*labels, ZONE])
    message = read(Update(ZONE).replace(fqdn, 60, "192.0.2.1", None))
    assert {r.name.to_text(omit_final_dot=True) for r in message.update} == {fqdn}


def answer(signed: Signed, rcode: str = "NOERROR", error: int = 0, key: TsigKey = KEY) -> bytes:
    query = dns.message.from_wire(signed.wire, keyring=KEY.dnspython)
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.from_text(rcode))
    response.use_tsig(key.dnspython, tsig_error=error)
    assert query.mac is not None
    response.request_mac = query.mac
    return response.to_wire()


@pytest.fixture
def signed() -> Signed:
    return Update(ZONE).require_unused(f"a.{ZONE}").to_wire(KEY)


def test_an_acknowledgement(signed: Signed) -> None:
    signed.read(answer(signed))


@pytest.mark.parametrize(
    ("rcode", "error", "expected"),
    [
        ("REFUSED", 0, Refusal),
        ("SERVFAIL", 0, Refusal),
        ("NOTZONE", 0, Refusal),
        ("NOTAUTH", 0, Refusal),
        ("YXDOMAIN", 0, PrerequisiteFailed),
        ("YXRRSET", 0, PrerequisiteFailed),
        ("NXRRSET", 0, PrerequisiteFailed),
        ("NOTAUTH", dns.rcode.BADKEY, BadKey),
        ("NOTAUTH", dns.rcode.BADSIG, BadSignature),
        ("NOTAUTH", dns.rcode.BADTIME, BadTime),
    ],
)
def test_refusals(signed: Signed, rcode: str, error: int, expected: type[Refusal]) -> None:
    with pytest.raises(expected) as caught:
        signed.read(answer(signed, rcode, error))
    assert type(caught.value) is expected


def test_an_answer_that_is_not_theirs(signed: Signed) -> None:
    other = Update(ZONE).require_unused(f"b.{ZONE}").to_wire(KEY)
    with pytest.raises(BadSignature):
        signed.read(signed.wire[:2] + answer(other)[2:])
    unsigned = dns.message.Message(id=int.from_bytes(signed.wire[:2]))
    unsigned.flags = dns.opcode.to_flags(dns.opcode.UPDATE) | dns.flags.QR
    with pytest.raises((BadSignature, Unreachable)):
        signed.read(unsigned.to_wire())


@given(st.binary(max_size=200))
def test_garbage_is_no_acknowledgement(octets: bytes) -> None:
    signed = Update(ZONE).require_unused(f"a.{ZONE}").to_wire(KEY)
    with pytest.raises((Unreachable, Refusal)):
        signed.read(signed.wire[:2] + octets)
