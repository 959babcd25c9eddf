# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers to transfers that no name server should give, and logs of names. Real ones are in the integration tests."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

import dns.message
import dns.rdatatype
import dns.rrset
import pytest

from ddnsd.db.rows import Domain
from ddnsd.dns import errors
from ddnsd.dns.message import CNAME, NS, A
from ddnsd.dns.places import addresses, found_at, is_as_wanted, matches
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.zone_transfer import MOST_UNSIGNED, WHOLE, State, entry, fetch, is_newer, log_of, messages, state_of

KEY = TsigKey.generate("key.example.org")
SOA = "ns.example.org. me.example.org. {} 1 1 1 1"
ONE, TWO = (socket.inet_aton(text) for text in ("192.0.2.1", "192.0.2.2"))

Answer = Callable[[dns.message.Message], list[bytes]]


@asynccontextmanager
async def primary(answer: Answer) -> AsyncIterator[Domain]:
    """A name server that gives this answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        question = dns.message.from_wire(wire, keyring={KEY.dnspython.name: KEY.dnspython})
        for message in answer(question):
            writer.write(struct.pack("!H", len(message)) + message)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fields: dict[str, Any] = dict.fromkeys(Domain._fields, 0)
    key = {"key_name": KEY.name, "key_algorithm": KEY.algorithm, "key_secret": KEY.secret}
    async with server:
        yield Domain(**fields | key | {"name": "example.org", "primary": f"127.0.0.1:{port}"})


def signed(*records: tuple[str, str, str], sign: bool = True) -> Answer:
    """One message with these records."""

    def answer(question: dns.message.Message) -> list[bytes]:
        message = dns.message.make_response(question)
        for name, rtype, text in records:
            message.answer.append(dns.rrset.from_text(name, 60, "IN", rtype, text))
        if not sign:
            message.tsig = message.keyring = None
        return [message.to_wire(multi=True)]

    return answer


def soa(serial: int) -> tuple[str, str, str]:
    return "example.org.", "SOA", SOA.format(serial)


def at(address: str) -> tuple[str, str, str]:
    return "A.Example.org.", "A", address


async def test_differences_are_read_in_their_order() -> None:
    steps = (soa(9), soa(7), at("192.0.2.1"), soa(8), at("192.0.2.2"), soa(8), at("192.0.2.2"), soa(9), soa(9))
    async with primary(signed(*steps)) as domain:
        found = await fetch(domain, 7)
    assert (found.serial, found.whole) == (9, False)
    assert state_of(found.logs["a.example.org"]).records == {(A, ONE): False, (A, TWO): False}


@pytest.mark.parametrize(
    ("since", "answer", "error"),
    [
        (None, lambda _: [], errors.Unreachable),
        (None, lambda _: [b"garbage"], errors.Refusal),
        (None, lambda q: [struct.pack("!6H", q.id, 0x8400, 0, 1, 0, 0) + b"\xc0\x0c" + b"\0" * 10], errors.Refusal),
        (None, signed(soa(9), at("192.0.2.1"), soa(9), sign=False), errors.Refusal),
        (None, signed(at("192.0.2.1"), soa(9)), errors.Refusal),
        (None, signed(soa(9), at("192.0.2.1"), soa(9), at("192.0.2.2")), errors.Refusal),
        (None, signed(soa(9), at("192.0.2.1")), errors.Unreachable),
        (None, signed(), errors.Unreachable),
        (7, signed(soa(9), soa(6), at("192.0.2.1"), soa(9), soa(9)), errors.Refusal),
        (7, signed(soa(9), soa(7), soa(8), soa(7), soa(9), soa(9)), errors.Refusal),
    ],
)
async def test_what_is_not_a_transfer(since: int | None, answer: Answer, error: type[Exception]) -> None:
    async with primary(answer) as domain:
        with pytest.raises(error):
            await fetch(domain, since)


def several(*parts: list[tuple[str, str, str]], unsigned: Collection[int] = ()) -> Answer:
    """Messages with these records; the signatures of those with a number in `unsigned` are left to the next one."""

    def answer(question: dns.message.Message) -> list[bytes]:
        made, context = [], None
        for number, part in enumerate(parts):
            message = dns.message.make_response(question)
            for name, rtype, text in part:
                message.answer.append(dns.rrset.from_text(name, 60, "IN", rtype, text))
            if number in unsigned:
                message.tsig = message.keyring = None
                made.append(message.to_wire())
                assert context is not None
                context.update(made[-1])
            else:
                made.append(message.to_wire(multi=True, tsig_ctx=context))
                context = message.tsig_ctx
        return made

    return answer


MIDDLE = [[(f"{number}.example.org.", "A", "192.0.2.1")] for number in range(4)]


@pytest.mark.parametrize("unsigned", [(), (1, 2), (4,)])
async def test_messages_are_passed_on_without_signatures(unsigned: Collection[int]) -> None:
    async with primary(several([soa(9)], *MIDDLE, [at("192.0.2.2"), soa(9)], unsigned=unsigned)) as domain:
        found = [dns.message.from_wire(wire) async for wire in messages(domain)]
    assert [message.had_tsig for message in found] == [False] * 6
    assert [rrset.to_text() for message in found[1:5] for rrset in message.answer] == [
        f"{number}.example.org. 60 IN A 192.0.2.1" for number in range(4)
    ]
    assert found[-1].answer[-1].rdtype == found[0].answer[0].rdtype == dns.rdatatype.SOA


def tampered(answer: Answer, number: int) -> Answer:
    """The same answer with another address in one message."""

    def other(question: dns.message.Message) -> list[bytes]:
        made = answer(question)
        assert ONE in made[number]
        made[number] = made[number].replace(ONE, TWO)
        return made

    return other


@pytest.mark.parametrize(
    ("answer", "passed", "error"),
    [
        (lambda _: [], 0, errors.Unreachable),
        (lambda _: [b"garbage"], 0, errors.Refusal),
        (signed(soa(9), at("192.0.2.1"), soa(9), sign=False), 0, errors.Refusal),
        (signed(at("192.0.2.1"), soa(9)), 0, errors.Refusal),
        (signed(), 0, errors.Unreachable),
        (several([soa(9)], *MIDDLE), 5, errors.Unreachable),
        (several([soa(9)], *MIDDLE, [soa(9)], unsigned=(4, 5)), 4, errors.Refusal),
        (several([soa(9)], *MIDDLE * 30, [soa(9)], unsigned=range(1, MOST_UNSIGNED + 5)), 1, errors.Refusal),
        (tampered(several([soa(9)], *MIDDLE, [soa(9)]), 2), 2, errors.Refusal),
        (tampered(several([soa(9)], *MIDDLE, [soa(9)], unsigned=(2,)), 2), 2, errors.Refusal),
    ],
)
async def test_nothing_is_passed_on_that_was_not_verified(answer: Answer, passed: int, error: type[Exception]) -> None:
    found = []

    async def read(domain: Domain) -> None:
        async for wire in messages(domain):
            found.append(wire)  # noqa: PERF401  # those before the error count

    async with primary(answer) as domain:
        with pytest.raises(error):
            await read(domain)
    assert len(found) == passed


def test_serials_go_round() -> None:
    assert is_newer(2, 1)
    assert is_newer(1, 2**32 - 1)
    assert not is_newer(1, 1)
    assert not is_newer(1, 2)


def test_a_log_has_the_last_state() -> None:
    log = log_of(State({(A, ONE): True, (A, TWO): False}, whole=False)) + entry(A, TWO)
    assert state_of(log) == State({(A, ONE): True, (A, TWO): True}, whole=False)
    assert state_of(WHOLE + log).whole
    assert state_of(log_of(state_of(log))) == state_of(log)


def test_states_are_compared_with_what_is_wanted() -> None:
    wanted = addresses("192.0.2.1", None)
    for records, whole, fits in (
        ({}, False, True),
        ({}, True, False),
        ({(A, ONE): True}, True, True),
        ({(A, TWO): False}, False, True),
        ({(A, ONE): False}, False, False),
        ({(A, TWO): True}, False, False),
        ({(NS, b""): True}, False, True),
        ({(CNAME, b""): True}, False, False),
    ):
        assert is_as_wanted(State(records, whole), None, wanted) == fits, records
    assert found_at(State({(A, TWO): True}, whole=False), None, wanted) == {(A, ONE), (A, TWO)}
    assert found_at(State({(A, TWO): True}, whole=True), None, wanted) == {(A, TWO)}
    assert matches(entry(A, ONE), {None: wanted})
    assert not matches(entry(A, ONE) + entry(CNAME, b""), {None: wanted})
    assert not matches(b"", {None: wanted})
    assert matches(b"", {None: frozenset()})
