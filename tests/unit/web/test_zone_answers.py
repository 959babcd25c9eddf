# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of a transfer, as answers to who asks at the port for DNS UPDATE."""

import dns.flags
import dns.message
import dns.rrset

from ddnsd.web.dnsupdate import messages
from ddnsd.web.dnsupdate.messages import MOST_OCTETS, passed_on


def query(name: str, rtype: str = "AXFR") -> tuple[bytes, int]:
    """A query, and where its question ends."""
    wire = dns.message.make_query(name, rtype).to_wire()
    return wire, len(wire)


def primary(number: int, *, question: bool = True) -> bytes:
    """A message with so many records, as the primary sends it."""
    made = dns.message.make_response(dns.message.make_query("example.org", "AXFR"))
    made.flags |= dns.flags.AA
    made.flags &= ~dns.flags.RD
    if not question:
        made.question = []
    for n in range(number):
        made.answer.append(dns.rrset.from_text(f"h{n}.example.org.", 60, "IN", "TXT", f'"{"x" * 200}"'))
    return made.to_wire(max_size=0xFFFF)


def test_the_answer_has_the_id_of_the_request() -> None:
    wire, end = query("EXAMPLE.org")
    header = messages.header_of(wire)
    assert header is not None
    assert messages.asks_for_zone(wire, end)
    assert not messages.asks_for_zone(*query("example.org", "IXFR"))
    for question in (True, False):
        (made,) = passed_on(primary(3, question=question), header)
        read = dns.message.from_wire(made)
        assert (read.id, [str(one.name) for one in read.question]) == (header.id, ["example.org."] * question)
        assert {str(rrset.name) for rrset in read.answer} == {f"h{n}.example.org." for n in range(3)}
        assert read.flags & (dns.flags.QR | dns.flags.AA) == dns.flags.QR | dns.flags.AA


def test_a_message_without_room_for_a_signature_is_divided() -> None:
    header, long = messages.header_of(query("example.org")[0]), primary(300)
    assert header is not None
    assert MOST_OCTETS < len(long) <= 0xFFFF
    made = [dns.message.from_wire(part) for part in passed_on(long, header)]
    assert [len(part.question) for part in made] == [1, 0]
    assert [str(rrset.name) for part in made for rrset in part.answer] == [f"h{n}.example.org." for n in range(300)]
    assert {part.id for part in made} == {header.id}
