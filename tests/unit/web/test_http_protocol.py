# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection on a clock of ours: who uses up their time, who sends too much at once, and who is not at fault."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvicorn

from ddnsd.web.asgi import signed_in
from ddnsd.web.connection_limits import Sources
from ddnsd.web.http_protocol import PIPELINED, TAKE_SECONDS, OneSendProtocol, State

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
App = Callable[[Any, Any, Any], Awaitable[None]]


class Client:
    """A client's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, octets: bytes) -> None:
        self._writer.write(octets)
        await self._writer.drain()
        await turn()

    async def answer(self, ends: bytes) -> bytes:
        """What comes until this does."""
        async with asyncio.timeout(10):
            return await self._reader.readuntil(ends)

    async def rest(self) -> bytes:
        """What comes until the server closes."""
        async with asyncio.timeout(10):
            return await self._reader.read()

    def is_open(self) -> bool:
        return not self._reader.at_eof() and self._reader.exception() is None

    def end(self) -> None:
        """Send no more."""
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()


class Wired:
    """A server whose time is ours."""

    def __init__(self, port: int, state: State) -> None:
        self.port, self.state = port, state

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        found = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        await turn()
        try:
            yield found
        finally:
            found.close()

    async def pass_seconds(self, seconds: float) -> None:
        """As much time passes, second after second."""
        begin = self.state.now
        while self.state.now < begin + seconds:
            self.state.tick(min(self.state.now + 1, begin + seconds))
            self.state.expire()
        await turn()


async def turn() -> None:
    """What is on its way over loopback arrives."""
    for _ in range(5):
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def served(app: App, most: int = 0) -> AsyncIterator[Wired]:
    config = uvicorn.Config(app, http=OneSendProtocol, ws="none", lifespan="off", access_log=False, log_config=None)
    state = State(Sources(most))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: OneSendProtocol(config, state, {}), "127.0.0.1", 0)
    try:
        yield Wired(server.sockets[0].getsockname()[1], state)
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await turn()
        for task in state.tasks:
            task.cancel()


async def respond(send: Any, body: bytes) -> None:
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


async def count_body(scope: Any, receive: Any, send: Any) -> None:
    """Answers how long the body was, or nothing where it did not come whole."""
    octets = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        octets += len(message["body"])
        if not message["more_body"]:
            break
    await respond(send, b"%d octets" % octets)


async def known(scope: Any, receive: Any, send: Any) -> None:
    """As above, of a caller who has signed in."""
    signed_in(scope)
    await count_body(scope, receive, send)


# ---- time


async def test_a_silent_connection_is_closed() -> None:
    async with served(count_body) as wired, wired.client() as client:
        await wired.pass_seconds(10)
        assert client.is_open()
        await wired.pass_seconds(1)
        assert await client.rest() == b""


async def test_a_head_has_ten_seconds_however_it_trickles() -> None:
    async with served(count_body) as wired, wired.client() as client:
        await wired.pass_seconds(5)
        for number in range(5):
            await client.send(GET[number : number + 1])
            await wired.pass_seconds(1)
        assert client.is_open()
        await wired.pass_seconds(1)
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_the_next_head_has_its_own_ten_seconds_and_an_idle_connection_five() -> None:
    async with served(count_body) as wired, wired.client() as client, wired.client() as idle:
        for one in (client, idle):
            await one.send(GET)
            await one.answer(b"0 octets")
        await wired.pass_seconds(5)
        await client.send(GET[:-1])
        await wired.pass_seconds(9)
        assert await idle.rest() == b""
        await client.send(GET[-1:] + b"\r\n")
        await client.answer(b"0 octets")
        await wired.pass_seconds(6)  # and an empty line does not prolong it
        assert await client.rest() == b""


async def test_an_early_answer_leaves_the_body_its_time_and_the_connection_in_use() -> None:
    async def early(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"no")

    async with served(early) as wired, wired.client() as client:
        await client.send(POST)
        await client.answer(b"no")
        await wired.pass_seconds(9)
        await client.send(b"x" * 100)
        await wired.pass_seconds(4)
        await client.send(GET)
        await client.answer(b"no")
        await client.send(POST)
        await client.answer(b"no")
        await wired.pass_seconds(11)
        assert await client.rest() == b""


async def test_a_body_that_stands_still_is_given_up_and_not_carried_out() -> None:
    async with served(known) as wired, wired.client() as client:
        await client.send(POST + b"x" * 50)
        await wired.pass_seconds(10)
        assert client.is_open()
        await wired.pass_seconds(1)
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer
        assert b"octets" not in answer
        assert not wired.state.tasks


async def test_a_stranger_has_ten_seconds_for_a_body_and_a_known_caller_two_minutes() -> None:
    for app, seconds in ((count_body, 10), (known, 120)):
        async with served(app) as wired, wired.client() as client, wired.client() as quick:
            for one in (client, quick):
                await one.send(POST)
            for _ in range(seconds // 5):
                for one in (client, quick):
                    await one.send(b"x")
                await wired.pass_seconds(5)
            assert client.is_open()
            await quick.send(b"x" * (100 - seconds // 5))
            await quick.answer(b"100 octets")
            await client.send(b"x")
            await wired.pass_seconds(1)
            assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_time_in_which_we_do_not_read_is_not_the_clients() -> None:
    go = asyncio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await count_body(scope, receive, send)

    async with served(late) as wired, wired.client() as client:
        octets = 1_000_000
        sending = asyncio.create_task(
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % octets + b"x" * octets)
        )
        await turn()
        await wired.pass_seconds(300)
        go.set()
        await client.answer(b"%d octets" % octets)
        await sending


async def test_a_request_under_way_takes_as_long_as_it_takes() -> None:
    go = asyncio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await respond(send, b"at last")

    async with served(late) as wired, wired.client() as client:
        await client.send(GET)
        await wired.pass_seconds(300)
        go.set()
        await client.answer(b"at last")


async def test_who_does_not_take_the_answer_is_cut_off() -> None:
    async def much(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"x" * 20_000_000)

    async with served(much) as wired, wired.client() as client:
        await client.send(GET)
        async with asyncio.timeout(30):
            while wired.state.connections:
                await wired.pass_seconds(1)
        assert wired.state.now > TAKE_SECONDS


# ---- sizes


async def test_what_follows_a_refusal_is_read_for_a_while_so_that_the_answer_arrives() -> None:
    async with served(count_body) as wired, wired.client() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 500_000)
        assert (await client.answer(b"headers.")).startswith(b"HTTP/1.1 431 ")
        assert await client.rest() == b""
        await wired.pass_seconds(3)
        assert not wired.state.connections


async def test_a_head_in_many_pieces_is_measured_as_a_whole() -> None:
    async with served(count_body) as wired:
        for size, status in ((16_000, b"200"), (16_400, b"431")):
            async with wired.client() as client:
                head = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * size
                for start in range(0, len(head), 4000):
                    await client.send(head[start : start + 4000])
                with contextlib.suppress(ConnectionError):
                    await client.send(b"\r\n\r\n")
                assert (await client.answer(b"\r\n")).split()[1] == status


async def test_a_head_behind_a_body_is_not_counted_with_it() -> None:
    async with served(count_body) as wired, wired.client() as client:
        long = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000
        body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000
        await client.send(body + long)
        await client.send(b"x" * 3000 + b"\r\n\r\n")
        await client.answer(b"9000 octets")
        await client.answer(b"0 octets")


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_what_follows_a_body_is_no_header_and_not_endless() -> None:
    go = asyncio.Event()
    seen: list[bytes] = []

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        seen.extend(name for name, _ in scope["headers"])
        await count_body(scope, receive, send)

    async with served(late) as wired:
        async with wired.client() as client:
            await client.send(CHUNKED + b"1\r\nx\r\n0\r\nAuthorization: x\r\nHost: b\r\n\r\n" + GET)
            go.set()
            await client.answer(b"1 octets")
            await client.answer(b"0 octets")
            assert seen == [b"host", b"transfer-encoding", b"host"]
        go.clear()
        for more in (b"X: y\r\n" * 20_000, b"X: " + b"y" * 100_000):
            async with wired.client() as client:
                await client.send(CHUNKED + b"1\r\nx\r\n0\r\n" + more)
                assert (await client.answer(b"headers.")).startswith(b"HTTP/1.1 431 ")


async def test_chunks_may_be_small_but_not_only() -> None:
    async with served(count_body) as wired:
        for chunk, status in ((b"10\r\n" + b"x" * 16 + b"\r\n", b"200"), (b"1\r\nx\r\n", b"400")):
            async with wired.client() as client:
                await client.send(CHUNKED + chunk * 10_000)
                await client.send(b"0\r\n\r\n")
                assert (await client.answer(b"\r\n")).split()[1] == status


async def test_requests_that_wait_are_few_and_those_before_are_answered() -> None:
    go = asyncio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await respond(send, b"yes")

    async with served(late) as wired, wired.client() as client:
        await client.send(GET * 1000)
        go.set()
        assert (await client.rest()).count(b"yes") == 1 + PIPELINED


async def test_an_earlier_answer_is_not_mixed_up_with_a_refusal() -> None:
    async with served(count_body) as wired, wired.client() as client:
        await client.send(GET + b"\0\0\r\n\r\n")
        answer = await client.rest()
        assert (answer.count(b"HTTP/1.1 "), answer[:15]) == (1, b"HTTP/1.1 200 OK")


# ---- connections


async def test_connections_of_a_source_are_counted() -> None:
    async with served(count_body, most=2) as wired, wired.client() as one, wired.client():
        async with wired.client() as third:
            with contextlib.suppress(ConnectionError):
                assert await third.rest() == b""
        assert len(wired.state.connections) == 2
        one.close()
        await turn()
        async with wired.client() as again:
            await again.send(GET)
            await again.answer(b"0 octets")


async def test_who_sends_no_more_gets_the_answers() -> None:
    async with served(count_body) as wired:
        async with wired.client() as client:
            await client.send(GET + POST + b"x" * 100)
            client.end()
            answer = await client.rest()
            assert (answer.count(b" 200 OK"), answer.endswith(b"100 octets")) == (2, True)
        for part in (b"", GET[:-2], POST + b"x"):
            async with wired.client() as client:
                await client.send(part)
                client.end()
                assert await client.rest() == b""
