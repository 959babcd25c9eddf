# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and replies of the fixed paths that old clients use, directly on ASGI.

Old clients are strict. Repeated slashes and `/\\/` are collapsed. A reply always has a Content-Length, and it is never
a redirect. An unexpected error is answered with `911`, which clients understand.
"""

import asyncio
import json
import re
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
from typing import IO, Any, NamedTuple
from urllib.parse import parse_qsl

import structlog

from ddnsd.web.client_address import Fault, Origins
from ddnsd.web.request_metrics import API, HANDLERS, OTHER, PORTAL, RequestMetrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT = 64 * 1024
FIELDS = 2000
"""Maximum number of fields in a form."""

SPOOLED = 1024 * 1024
"""How much of a long answer is kept in memory; the rest is in a temporary file without a name."""

SENT_AT_ONCE = 128 * 1024

METHODS = ("GET", "POST")

SIGNED_IN = "signed_in"

log = structlog.get_logger()

_SLASHES = re.compile(r"[/\\]+")


class Request(NamedTuple):
    """A request of a fixed path.

    `params` has the fields of the form, then those of the query; the first field of each name counts. `agent` is the
    User-Agent, "" when absent. `peer` is the client's address as text; None if it is unknown, and `fault` says why.
    `body` is that of a POST, of any type.
    """

    path: str
    params: dict[str, str]
    headers: dict[bytes, bytes]
    agent: str
    peer: str | None
    tls: bool
    fault: Fault | None = None
    body: bytes = b""

    def header(self, name: str) -> str:
        """The value of a header; "" when absent."""
        return self.headers.get(name.encode(), b"").decode("latin-1")


class Reply(NamedTuple):
    """An answer: `body`, or for a long one its `parts`, which are sent after the last one was read."""

    status: int
    body: bytes
    content_type: bytes = b"text/plain; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    parts: AsyncGenerator[bytes, None] | None = None


Handler = Callable[[Request], Awaitable[Reply]]


class Disconnected(Exception):
    """the client disconnected before its request, or the answer, was complete"""


class Instead(Exception):
    """The parts of an answer cannot be read; has the answer to send instead."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def signed_in(scope: Scope) -> None:
    """Mark the request as authenticated: its body may then take longer than that of an unknown caller."""
    scope.setdefault("state", {})[SIGNED_IN] = True


def has_signed_in(scope: Mapping[str, Any]) -> bool:
    """Whether `signed_in` was called for this request."""
    return SIGNED_IN in scope.get("state", ())


def text_reply(status: int, text: str, *headers: tuple[bytes, bytes]) -> Reply:
    """A `text/plain` reply, without a newline at the end."""
    return Reply(status, text.encode(), headers=headers)


def json_reply(status: int, content: object, *headers: tuple[bytes, bytes]) -> Reply:
    """An `application/json` reply."""
    return Reply(status, json.dumps(content).encode(), b"application/json", headers)


class Dispatcher:
    """An ASGI application: a handler per path, an application per prefix in `below`, and 404 for everything else.

    A handler of a path with a slash at the end has all paths with one more part, such as /u/TOKEN.

    The applications of `below` get the client's own address and scheme, and paths without a slash at the end.
    """

    def __init__(
        self,
        routes: dict[str, Handler],
        origins: Origins,
        below: Mapping[str, Application] | None = None,
        requests: RequestMetrics | None = None,
    ) -> None:
        self._routes, self._origins, self._below = routes, origins, below or {}
        self._requests = requests or RequestMetrics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        if scope["path"] not in self._routes and (application := self._application(scope["path"])):
            await self._pass_on(application, scope, receive, send)
            return
        try:
            reply = await self._answer(scope, receive)
            if reply.parts is None:
                await _send(send, reply)
            else:
                await _send_parts(receive, send, reply, reply.parts)
        except Disconnected:
            return
        handler = HANDLERS.get(scope["path"]) or HANDLERS.get(_normal(scope["path"]), OTHER)
        self._requests.count(handler, reply.status, time.perf_counter() - began)

    async def _pass_on(self, application: Application, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await application(self._seen(scope), receive, noted)
        if status:  # else the client has gone
            handler = API if scope["path"].startswith("/api") else PORTAL
            self._requests.count(handler, status, time.perf_counter() - began)

    def _application(self, path: str) -> Application | None:
        first = path[1:].partition("/")[0]
        return self._below.get("/" + first) if first or path == "/" else None  # but not //update of old clients

    def _seen(self, scope: Scope) -> Scope:
        peer, tls, _ = self._origins.of(scope, _headers(scope))
        client = (peer, 0) if peer else None
        path = scope["path"].rstrip("/")
        return {**scope, "path": path, "client": client, "scheme": "https" if tls else "http"}

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        path = scope["path"]
        handler = self._routes.get(path)
        if handler is None:
            path = _normal(path)
            handler = self._routes.get(path) or self._routes.get(_above(path))
        if handler is None:
            return text_reply(404, "not found")
        if scope["method"] not in METHODS:
            return text_reply(405, "method not allowed", (b"allow", b"GET, POST"))
        try:
            params, body = _params(scope["query_string"]), b""
            if scope["method"] == "POST":
                read = await _body(receive)
                if read is None or read.count(b"&") >= FIELDS:
                    return text_reply(413, "too much")
                body = read
                if body and not _is_readable(scope):
                    return text_reply(400, "send the form as application/x-www-form-urlencoded, not compressed")
                params = params | _form(scope, body)
            return await handler(self._request(scope, path, params, body))
        except Disconnected:
            raise
        except Exception:
            # Do not log the request: it may contain a secret. A bug is a server fault, so the answer is 911.
            log.exception("unexpected error", path=path if path in self._routes else _above(path))
            return text_reply(503, "911")

    def _request(self, scope: Scope, path: str, params: dict[str, str], body: bytes) -> Request:
        headers = _headers(scope)
        agent = headers.get(b"user-agent", b"").decode("latin-1")
        return Request(path, params, headers, agent, *self._origins.of(scope, headers), body)


def _normal(path: str) -> str:
    return _SLASHES.sub("/", path).rstrip("/") or "/"


def _above(path: str) -> str:
    """The path without its last part, with a slash: that of a handler whose last part is a secret."""
    return path.rpartition("/")[0] + "/"


def _headers(scope: Scope) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        # a list header may be sent several times (RFC 9110, 5.3)
        headers[name] = headers[name] + b"," + value if name == b"x-forwarded-for" and name in headers else value
    return headers


def _params(octets: bytes) -> dict[str, str]:
    params: dict[str, str] = {}
    for name, value in parse_qsl(octets.decode("latin-1"), keep_blank_values=True):
        params.setdefault(name, value)
    return params


def is_encoded(content_encoding: str) -> bool:
    """Whether a body with this header is compressed or otherwise encoded. The service decodes no body."""
    return content_encoding.strip().lower() not in ("", "identity")


def _is_readable(scope: Scope) -> bool:
    """Whether the body may be a form. A form in parts is not: ignored, it could mean another address."""
    encoding = _headers(scope).get(b"content-encoding", b"").decode("latin-1")
    return not is_encoded(encoding) and not _media_type(scope).startswith(b"multipart/")


def _media_type(scope: Scope) -> bytes:
    return _headers(scope).get(b"content-type", b"").partition(b";")[0].strip().lower()


def _form(scope: Scope, body: bytes) -> dict[str, str]:
    return _params(body) if _media_type(scope) == b"application/x-www-form-urlencoded" else {}


async def _body(receive: Receive) -> bytes | None:
    """The body; None if it is too large. Raises Disconnected, because half a form could mean something else."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            return None
        if not message.get("more_body"):
            return bytes(body)


async def _send(send: Send, reply: Reply) -> None:
    await _send_head(send, reply, len(reply.body))
    await send({"type": "http.response.body", "body": reply.body})


async def _send_head(send: Send, reply: Reply, length: int) -> None:
    headers = [
        (b"content-type", reply.content_type),
        (b"content-length", str(length).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})


async def _send_parts(receive: Receive, send: Send, reply: Reply, parts: AsyncGenerator[bytes, None]) -> None:
    """Send a long answer from a temporary file: its length must be known first. Raises Disconnected."""
    left = asyncio.ensure_future(_until_disconnected(receive))
    try:
        with tempfile.SpooledTemporaryFile(SPOOLED) as file:
            try:
                await _spool(parts, file, left)
            except Disconnected:
                raise
            except Instead as error:
                await _send(send, error.reply)
                return
            except Exception:
                log.exception("unexpected error")
                await _send(send, text_reply(503, "911"))
                return
            await _send_file(send, reply, file, left)
    finally:
        left.cancel()


async def _spool(parts: AsyncGenerator[bytes, None], file: IO[bytes], left: asyncio.Future[None]) -> None:
    async with aclosing(parts):
        async for part in parts:
            if left.done():
                raise Disconnected
            await asyncio.to_thread(file.write, part)


async def _send_file(send: Send, reply: Reply, file: IO[bytes], left: asyncio.Future[None]) -> None:
    length = file.tell()
    file.seek(0)
    await _send_head(send, reply, length)
    while length > 0:
        if left.done():
            raise Disconnected
        part = await asyncio.to_thread(file.read, SENT_AT_ONCE)
        length -= len(part)
        await send({"type": "http.response.body", "body": part, "more_body": length > 0})


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
