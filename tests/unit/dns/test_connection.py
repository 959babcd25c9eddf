# SPDX-License-Identifier: GPL-3.0-or-later
"""The kept connection to a name server, against a server that answers when it is told to."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.errors import NoAnswer

Asked = asyncio.Queue[tuple[bytes, Callable[[bytes], None]]]


def talk(test: Callable[[PrimaryConnection, Asked], Awaitable[None]]) -> None:
    """Run a test with a connection to a server, which hands over each question and what answers it."""

    async def run() -> None:
        asked: Asked = asyncio.Queue()
        ended = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError, ConnectionResetError):
                while True:
                    question = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                    asked.put_nowait((question, lambda answer: writer.write(len(answer).to_bytes(2) + answer)))
            writer.close()
            ended.set()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            primary = PrimaryConnection(Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]))
            try:
                async with asyncio.timeout(10):
                    await test(primary, asked)
            finally:
                primary.close()
                await ended.wait()

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
