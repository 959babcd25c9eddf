# SPDX-License-Identifier: GPL-3.0-or-later
"""The kept connection to a name server, against a server that answers when it is told to."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn
from unittest.mock import Mock

import pytest

from ddnsd.dns.connection import DEPTH, MOST_CONNECTIONS, PrimaryConnection
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.errors import NoAnswer, Unreachable

Asked = asyncio.Queue[tuple[bytes, Callable[[bytes], None]]]


def talk(test: Callable[[PrimaryConnection, Asked], Awaitable[None]]) -> None:
    """Run a test with a connection to a server, which hands over each question and what answers it."""

    async def run() -> None:
        asked: Asked = asyncio.Queue()
        connections: list[asyncio.Task[None] | None] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(asyncio.current_task())
            with suppress(asyncio.IncompleteReadError, ConnectionResetError):
                while True:
                    question = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                    asked.put_nowait((question, lambda answer: writer.write(len(answer).to_bytes(2) + answer)))
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            primary = PrimaryConnection(Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]))
            try:
                async with asyncio.timeout(10):
                    await test(primary, asked)
            finally:
                primary.close()
                await asyncio.gather(*filter(None, connections))

    asyncio.run(run())


def test_answers_find_their_questions() -> None:
    async def test(primary: PrimaryConnection, asked: Asked) -> None:
        first = asyncio.create_task(primary.exchange(b"\0\1first", 5))
        second = asyncio.create_task(primary.exchange(b"\0\2second", 5))
        (_, answer), _ = await asked.get(), await asked.get()
        answer(b"\0\2to the second")
        answer(b"\0\1to the first")
        assert (await first, await second) == (b"\0\1to the first", b"\0\2to the second")

    talk(test)


def test_equal_ids_are_sent_one_after_the_other() -> None:
    async def test(primary: PrimaryConnection, asked: Asked) -> None:
        pending = [asyncio.create_task(primary.exchange(b"\0\1" + bytes([n]), 5)) for n in range(3)]
        for n in range(3):
            question, answer = await asked.get()
            assert question == b"\0\1" + bytes([n])
            await asyncio.sleep(0.01)
            assert asked.empty(), "two questions with one id are under way"
            answer(question)
        assert await asyncio.gather(*pending) == [b"\0\1" + bytes([n]) for n in range(3)]

    talk(test)


def test_silence_ends_all_that_wait() -> None:
    async def test(primary: PrimaryConnection, asked: Asked) -> None:
        pending = [primary.exchange(b"\0\1", 0.1), primary.exchange(b"\0\1", 5), primary.exchange(b"\0\2", 5)]
        failures = await asyncio.gather(*pending, return_exceptions=True)
        assert all(isinstance(failure, NoAnswer) for failure in failures), failures

    talk(test)


def test_one_message_at_a_time_tries_a_name_server_that_does_not_answer() -> None:
    async def test(primary: PrimaryConnection, asked: Asked) -> None:
        assert isinstance(await _failure(primary.exchange(b"\0\1", 0.1)), NoAnswer)
        await asked.get()
        trial = asyncio.create_task(primary.exchange(b"\0\2", 5))
        _, answer = await asked.get()
        others = [await _failure(primary.exchange(bytes([0, n]), 5)) for n in range(3, 10)]
        assert {type(failure) for failure in others} == {Unreachable}
        assert asked.empty(), "a message was sent beside the trial"
        answer(b"\0\2")
        await trial
        pending = [asyncio.create_task(primary.exchange(bytes([1, n]), 5)) for n in range(3)]
        for _ in pending:
            question, answer = await asked.get()
            answer(question)
        assert await asyncio.gather(*pending) == [bytes([1, n]) for n in range(3)]

    talk(test)


async def _sent(primary: PrimaryConnection, asked: Asked, number: int) -> list[tuple[asyncio.Task[bytes], bytes]]:
    """So many messages that have arrived at the server."""
    wires = [bytes([1, n]) for n in range(number)]
    tasks = []
    for wire in wires:
        tasks.append(asyncio.create_task(primary.exchange(wire, 5)))
        await asyncio.sleep(0.005)  # a new connection is made meanwhile
    return list(zip(tasks, wires, strict=True))


async def _answered(asked: Asked, sent: list[tuple[asyncio.Task[bytes], bytes]]) -> None:
    for _ in sent:
        question, answer = await asked.get()
        answer(question)
    for task, wire in sent:
        assert await task == wire


def test_a_busy_name_server_gets_a_few_more_connections() -> None:
    async def test(primary: PrimaryConnection, asked: Asked) -> None:
        await _answered(asked, await _sent(primary, asked, DEPTH))
        assert len(primary._open) == 1
        await _answered(asked, await _sent(primary, asked, 2 * MOST_CONNECTIONS * DEPTH))
        assert len(primary._open) == MOST_CONNECTIONS
        assert primary.connections == 1, "it looks as if the name server had restarted"

    talk(test)


def test_messages_are_spread_where_no_more_connections_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(primary: PrimaryConnection, asked: Asked) -> None:
        await _answered(asked, await _sent(primary, asked, 1))

        async def refused() -> NoReturn:
            raise ConnectionRefusedError

        monkeypatch.setattr(primary, "_connect", refused)
        await _answered(asked, await _sent(primary, asked, 2 * DEPTH))
        assert (len(primary._open), primary.answers) == (1, True)

    talk(test)


def test_a_lost_connection_leaves_the_others() -> None:
    async def test(primary: PrimaryConnection, asked: Asked) -> None:
        sent = await _sent(primary, asked, 2 * DEPTH)
        first, second = primary._open
        second.abort("closed by the name server")
        assert primary._open == [first]
        for _ in sent:
            question, answer = await asked.get()
            answer(question)
        outcomes = await asyncio.gather(*(task for task, _ in sent), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {bytes, NoAnswer}

    talk(test)


def test_messages_of_one_turn_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(primary: PrimaryConnection, asked: Asked) -> None:
        await _answered(asked, await _sent(primary, asked, 1))
        (connection,) = primary._open
        transport = Mock(wraps=connection._transport)
        monkeypatch.setattr(connection, "_transport", transport)
        wires = [bytes([1, n]) for n in range(DEPTH)]
        await _answered(asked, [(asyncio.create_task(primary.exchange(wire, 5)), wire) for wire in wires])
        transport.write.assert_called_once()

    talk(test)


async def _failure(exchange: Awaitable[bytes]) -> BaseException | bytes:
    (outcome,) = await asyncio.gather(exchange, return_exceptions=True)
    return outcome
