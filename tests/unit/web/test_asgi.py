# SPDX-License-Identifier: GPL-3.0-or-later
"""The dispatcher: parameters, applications below it, and faults of ours."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from ddnsd.web.asgi import FIELDS, SENT_AT_ONCE, SPOOLED, Dispatcher, Instead, Reply, Request, text_reply
from ddnsd.web.client_address import Origins

ORIGINS = Origins((ipaddress.ip_network("10.0.0.0/8"),))


async def call(
    handler: Any,
    *,
    method: str = "GET",
    query: str = "",
    path: str = "/x",
    headers: Any = (),
    body: bytes = b"",
    cut: bool = False,
) -> tuple[int, bytes]:
    sent: list[Any] = []

    messages: Iterator[dict[str, Any]] = iter(
        [{"type": "http.request", "body": body, "more_body": cut}, {"type": "http.disconnect"}]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "scheme": "http",
        "headers": [(k.encode(), v.encode()) for k, v in headers],
        "client": ("10.0.0.1", 1),
    }
    await Dispatcher({"/x": handler}, ORIGINS)(scope, receive, send)
    if cut:
        assert sent == []
        return 0, b""
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()
    return sent[0]["status"], sent[1]["body"]


async def peer(request: Request) -> Reply:
    return text_reply(200, f"{request.peer} {request.tls}")


async def test_parameters_of_query_and_form() -> None:
    async def show(request: Request) -> Reply:
        return text_reply(200, repr(sorted(request.params.items())))

    form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")]
    status, body = await call(show, method="POST", query="a=1&b=", headers=form, body=b"a=2&c=%C3%A9")
    assert (status, body.decode()) == (200, "[('a', '2'), ('b', ''), ('c', 'é')]")
    status, _ = await call(show, method="POST", headers=form, body=b"a" * 70_000)
    assert status == 413
    fields = "&".join(f"p{n}=" for n in range(FIELDS))
    assert (await call(show, method="POST", headers=form, body=fields.encode()))[0] == 200
    assert (await call(show, method="POST", headers=form, body=f"{fields}&a=1".encode()))[0] == 413


async def test_half_a_form_is_not_carried_out() -> None:
    async def never(_request: Request) -> Reply:
        raise AssertionError("half a form was carried out")

    form = [("content-type", "application/x-www-form-urlencoded")]
    await call(never, method="POST", headers=form, body=b"myip=192.0.2.1", cut=True)


async def test_methods_paths_and_bugs() -> None:
    async def broken(_request: Request) -> Reply:
        raise KeyError("bug")

    assert await call(peer, method="DELETE") == (405, b"method not allowed")
    assert (await call(peer, path="//x/"))[0] == 200
    assert (await call(peer, path="/\\/x"))[0] == 200
    assert (await call(peer, path="/y"))[0] == 404
    assert await call(broken) == (503, b"911")


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/api/hosts/", "/api/hosts"),
        ("/api/hosts", "/api/hosts"),
        ("/apis", None),
        ("/", None),
        ("/x/api", None),
        ("//api", None),
    ],
)
async def test_an_application_below_a_prefix(path: str, seen: str | None) -> None:
    calls: list[Any] = []
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-proto", b"https")]
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "scheme": "http",
        "headers": headers,
        "client": ("10.0.0.1", 1),
    }
    await Dispatcher({"/x": peer}, ORIGINS, {"/api": application})(scope, lambda: None, send)  # type: ignore[arg-type, return-value]
    assert [call["path"] for call in calls] == ([seen] if seen else [])
    for call in calls:
        assert (call["client"], call["scheme"]) == (("198.51.100.1", 0), "https")
    assert (sent == []) == bool(seen)


class Client:
    """Receives an answer, and may leave at some part of it."""

    def __init__(self, stays: int = 1000) -> None:
        self.sent: list[Any] = []
        self.left = asyncio.Event()
        self._stays = stays
        self._asked = False

    async def receive(self) -> dict[str, Any]:
        if self._asked:
            await self.left.wait()
            return {"type": "http.disconnect"}
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if len(self.sent) == self._stays:
            self.left.set()
        await asyncio.sleep(0)

    async def get(self, parts: Any) -> tuple[int, bytes]:
        async def handler(_request: Request) -> Reply:
            return Reply(200, b"", parts=parts)

        scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "scheme": "http", "headers": []}
        await Dispatcher({"/x": handler}, ORIGINS)(scope | {"client": ("10.0.0.1", 1)}, self.receive, self.send)
        if not self.sent:
            return 0, b""
        head, *bodies = self.sent
        body = b"".join(message["body"] for message in bodies)
        if not self.left.is_set():
            assert dict(head["headers"])[b"content-length"] == str(len(body)).encode()
            assert [message.get("more_body", False) for message in bodies][-1] is False
        return head["status"], body


@pytest.mark.parametrize("size", [1, SPOOLED, 3 * SPOOLED])
async def test_parts_have_their_length_before_them(size: int) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for begin in range(0, size, 100_000):
            yield b"x" * min(100_000, size - begin)

    assert await Client().get(parts()) == (200, b"x" * size)


async def test_parts_that_cannot_be_read_are_another_answer() -> None:
    async def gone() -> AsyncIterator[bytes]:
        yield b"half"
        raise Instead(text_reply(503, "away"))

    async def wrong() -> AsyncIterator[bytes]:
        yield b"half"
        raise ValueError

    assert await Client().get(gone()) == (503, b"away")
    assert await Client().get(wrong()) == (503, b"911")


async def test_parts_are_not_read_for_a_client_that_has_left() -> None:
    closed = False
    client = Client()

    async def parts() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            yield b"one"
            client.left.set()
            await asyncio.sleep(0)
            yield b"two"
            raise AssertionError("the list was read on")
        finally:
            closed = True

    assert await client.get(parts()) == (0, b"")
    assert closed


async def test_nothing_is_sent_to_a_client_that_has_left() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"x" * 20 * SENT_AT_ONCE

    client = Client(stays=3)
    assert (await client.get(parts()))[0] == 200
    assert len(client.sent) < 6
