# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and replies of the fixed paths that old clients know, straight on ASGI.

Paths are few and the clients particular: repeated slashes and `/\\/` collapse, a reply always has a Content-Length
and is never a redirect, and whatever goes wrong is one of the words that a client understands.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import structlog

from ddnsd.web.client_address import Fault, Origins

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT = 64 * 1024
FIELDS = 2000
"""Fields of a form at most."""

METHODS = ("GET", "POST")

SIGNED_IN = "signed_in"

log = structlog.get_logger()

_SLASHES = re.compile(r"[/\\]+")


class Request(NamedTuple):
    """`params` are those of query and form, the first of each name; `agent` is the User-Agent, "" when absent.

    `peer` is the caller's address as text, None where it is not known, which `fault` explains.
    """

    path: str
    params: dict[str, str]
    headers: dict[bytes, bytes]
    agent: str
    peer: str | None
    tls: bool
    fault: Fault | None = None

    def header(self, name: str) -> str:
        """A header's value, "" when absent."""
        return self.headers.get(name.encode(), b"").decode("latin-1")


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    content_type: bytes = b"text/plain; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Request], Awaitable[Reply]]


class Disconnected(Exception):
    """the client has gone before its request was whole"""


def signed_in(scope: Scope) -> None:
    """Tell the connection that it knows who calls, and that the body may take longer than a stranger's."""
    scope.setdefault("state", {})[SIGNED_IN] = True


def has_signed_in(scope: Mapping[str, Any]) -> bool:
    """Whether it was told so of this request."""
    return SIGNED_IN in scope.get("state", ())


def text_reply(status: int, text: str, *headers: tuple[bytes, bytes]) -> Reply:
    """`text/plain` without a newline at the end."""
    return Reply(status, text.encode(), headers=headers)


def json_reply(status: int, content: object, *headers: tuple[bytes, bytes]) -> Reply:
    """`application/json`."""
    return Reply(status, json.dumps(content).encode(), b"application/json", headers)


class Dispatcher:
    """An ASGI application: a handler for each path, `below` for all paths under a prefix, a reply for everything else.

    The applications of `below` see the caller's own address and scheme, and paths without a slash at the end.
    """

    def __init__(
        self, routes: dict[str, Handler], origins: Origins, below: Mapping[str, Application] | None = None
    ) -> None:
        self._routes, self._origins, self._below = routes, origins, below or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] not in self._routes and (application := self._application(scope["path"])):
            await application(self._seen(scope), receive, send)
            return
        try:
            reply = await self._answer(scope, receive)
        except Disconnected:
            return
        await _send(send, reply)

    def _application(self, path: str) -> Application | None:
        first = path[1:].partition("/")[0]
        return self._below.get("/" + first) if first or path == "/" else None  # old clients send //update

    def _seen(self, scope: Scope) -> Scope:
        peer, tls, _ = self._origins.of(scope, _headers(scope))
        client = (peer, 0) if peer else None
        path = scope["path"].rstrip("/")
        return {**scope, "path": path, "client": client, "scheme": "https" if tls else "http"}

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        path = scope["path"]
        handler = self._routes.get(path)
        if handler is None:
            path = _SLASHES.sub("/", path).rstrip("/") or "/"
            handler = self._routes.get(path)
        if handler is None:
            return text_reply(404, "not found")
        if scope["method"] not in METHODS:
            return text_reply(405, "method not allowed", (b"allow", b"GET, POST"))
        try:
            params = _params(scope["query_string"])
            if scope["method"] == "POST":
                body = await _body(receive)
                if body is None or body.count(b"&") >= FIELDS:
                    return text_reply(413, "too much")
                params = params | _form(scope, body)
            return await handler(self._request(scope, path, params))
        except Disconnected:
            raise
        except Exception:
            # Not the request: it may hold a secret. A bug of ours counts as a fault of ours.
            log.exception("unexpected error", path=path)
            return text_reply(503, "911")

    def _request(self, scope: Scope, path: str, params: dict[str, str]) -> Request:
        headers = _headers(scope)
        agent = headers.get(b"user-agent", b"").decode("latin-1")
        return Request(path, params, headers, agent, *self._origins.of(scope, headers))


def _headers(scope: Scope) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        # a list header may come several times (RFC 9110, 5.3)
        headers[name] = headers[name] + b"," + value if name == b"x-forwarded-for" and name in headers else value
    return headers


def _params(octets: bytes) -> dict[str, str]:
    params: dict[str, str] = {}
    for name, value in parse_qsl(octets.decode("latin-1"), keep_blank_values=True):
        params.setdefault(name, value)
    return params


def _form(scope: Scope, body: bytes) -> dict[str, str]:
    kind = dict(scope["headers"]).get(b"content-type", b"").partition(b";")[0].strip().lower()
    return _params(body) if kind == b"application/x-www-form-urlencoded" else {}


async def _body(receive: Receive) -> bytes | None:
    """The body, None where it is too large. Raises Disconnected: half a form means something else than all of it."""
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
    headers = [
        (b"content-type", reply.content_type),
        (b"content-length", str(len(reply.body)).encode()),
        (b"cache-control", b"no-store"),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
