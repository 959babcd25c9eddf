# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests and replies of the fixed paths that old clients know, straight on ASGI.

Paths are few and the clients particular: repeated slashes and `/\\/` collapse, a reply always has a Content-Length
and is never a redirect, and whatever goes wrong is one of the words that a client understands.
"""

import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import structlog

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

BODY_LIMIT = 64 * 1024
METHODS = ("GET", "POST")
UNIX = "unix"
"""Stands for the peer of a Unix socket, which has no address."""

log = structlog.get_logger()

_SLASHES = re.compile(r"[/\\]+")


class Request(NamedTuple):
    """`params` are those of query and form, the first of each name; `peer` is the caller's address as text.

    `agent` is the User-Agent, "" when absent.
    """

    path: str
    params: dict[str, str]
    headers: dict[bytes, bytes]
    agent: str
    peer: str | None
    tls: bool

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


def text_reply(status: int, text: str, *headers: tuple[bytes, bytes]) -> Reply:
    """`text/plain` without a newline at the end."""
    return Reply(status, text.encode(), headers=headers)


def json_reply(status: int, content: object, *headers: tuple[bytes, bytes]) -> Reply:
    """`application/json`."""
    return Reply(status, json.dumps(content).encode(), b"application/json", headers)


class Dispatcher:
    """An ASGI application: a handler for each path, `below` for all paths under a prefix, a reply for everything else.

    The applications of `below` see the caller's own address and scheme, and paths without a slash at the end.
    `unix_proxy` says that what comes over a Unix socket comes from a proxy of ours.
    """

    def __init__(
        self, routes: dict[str, Handler], proxies: Sequence[Network], below: Mapping[str, Application] | None = None, *,
        unix_proxy: bool = False,
    ) -> None:  # fmt: skip
        self._routes, self._proxies, self._below = routes, proxies, below or {}
        self._unix_proxy = unix_proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] not in self._routes and (application := self._application(scope["path"])):
            await application(self._seen(scope), receive, send)
            return
        await _send(send, await self._answer(scope, receive))

    def _application(self, path: str) -> Application | None:
        first = path[1:].partition("/")[0]
        return self._below.get("/" + first) if first or path == "/" else None  # old clients send //update

    def _seen(self, scope: Scope) -> Scope:
        peer, tls = self._origin(scope, _headers(scope))
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
                if body is None:
                    return text_reply(413, "too much")
                params = params | _form(scope, body)
            return await handler(self._request(scope, path, params))
        except Exception:
            # Not the request: it may hold a secret. A bug of ours counts as a fault of ours.
            log.exception("unexpected error", path=path)
            return text_reply(503, "911")

    def _request(self, scope: Scope, path: str, params: dict[str, str]) -> Request:
        headers = _headers(scope)
        agent = headers.get(b"user-agent", b"").decode("latin-1")
        return Request(path, params, headers, agent, *self._origin(scope, headers))

    def _origin(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[str | None, bool]:
        """The caller's address, and whether the request came over TLS."""
        client = scope.get("client")
        peer, tls = client[0] if client else None, scope.get("scheme") == "https"
        if peer and self._trusted(peer):
            peer = self._forwarded(headers.get(b"x-forwarded-for", b"").decode("latin-1"), peer)
            tls = headers.get(b"x-forwarded-proto", b"").strip().lower() == b"https" or tls
        # a zone id says nothing outside the machine
        return peer.partition("%")[0] if peer and peer != UNIX else None, tls

    def _trusted(self, text: str) -> bool:
        if text == UNIX or not self._proxies:
            return text == UNIX and self._unix_proxy
        address = ipaddress.ip_address(text)
        return any(address in network for network in self._proxies)

    def _forwarded(self, header: str, peer: str) -> str:
        """The right-most hop that is no proxy of ours; what is left of a hop that does not parse is not believed."""
        for hop in reversed([part.strip() for part in header.split(",") if part.strip()]):
            try:
                peer = str(ipaddress.ip_address(hop.strip("[]")))
            except ValueError:
                return peer
            if not self._trusted(peer):
                return peer
        return peer


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
    body = bytearray()
    while True:
        message = await receive()
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
