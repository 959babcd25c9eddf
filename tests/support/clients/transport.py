# SPDX-License-Identifier: GPL-3.0-or-later
"""Transports for the sync engine: plain HTTP, one that counts and breaks, and a scripted one without any server."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from ddnsctl.sync.api import Response, Transport
from ddnsctl.sync.errors import LostAnswer, Unreachable

CHANGING = ("/nic/register", "/nic/unregister", "/nic/update", "/nic/generate_secret")


class HttpTransport:
    """HTTP with the standard library, a connection for each request."""

    def __init__(self, url: str, token: str | None = None, timeout: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> Response:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=self._timeout)
        try:
            try:
                connection.connect()
            except OSError as error:
                raise Unreachable(f"{self.url}: {error}") from error
            try:
                target = path + (f"?{urlencode(query)}" if query else "")
                connection.request(method, target, body, {**({} if anonymous else self._headers), **(headers or {})})
                answer = connection.getresponse()
                found = {name.lower(): value for name, value in answer.getheaders()}
                return Response(answer.status, found, answer.read())
            except (OSError, http.client.HTTPException) as error:
                raise LostAnswer(f"{self.url}{path}: no answer: {error!r}") from error
        finally:
            connection.close()


@dataclass
class Watched:
    """Passes everything on, counts it, and lets a test interfere.

    `before` and `after` are called with the number of the changing request, from 1, around it; what they raise is the
    caller's answer.
    """

    inner: Transport
    url: str = field(init=False)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    changing: int = 0
    before: Callable[[int], None] = lambda _number: None
    after: Callable[[int], None] = lambda _number: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.url = self.inner.url

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> Response:
        bare = path.partition("?")[0]
        changes = (method != "GET" or bare in CHANGING) and not bare.endswith("/verify-secret")
        with self._lock:
            self.calls[method, bare] += 1
            self.changing += changes
            number = self.changing
        if changes:
            self.before(number)
        response = self.inner.request(method, path, query=query, body=body, headers=headers, anonymous=anonymous)
        if changes:
            self.after(number)
        return response


def lose(*numbers: int) -> Callable[[int], None]:
    """A `before` (the request never arrives) or an `after` (only its answer is lost) for `Watched`."""

    def act(number: int) -> None:
        if number in numbers:
            raise LostAnswer(f"the answer to changing request {number} is lost")

    return act


@dataclass(frozen=True)
class Asked:
    """A request as a script sees it; `query` are the pairs in order, `content` is the JSON body."""

    method: str
    path: str
    query: list[tuple[str, str]]
    content: Any
    headers: Mapping[str, str]
    anonymous: bool = False


class Scripted:
    """Answers what a test has written down, in that order; an unexpected request fails, and so does one left over."""

    url = "http://ddns.example.org"

    def __init__(self) -> None:
        self._expected: list[tuple[str, Response | Exception]] = []
        self.asked: list[Asked] = []

    def expect(self, line: str, answer: Any = None, *, status: int = 200, **headers: str) -> "Scripted":
        """`line` is `METHOD /path?query`; `answer` is JSON content, bytes, or an exception to raise."""
        if isinstance(answer, Exception):
            self._expected.append((line, answer))
            return self
        kind = "text/html" if isinstance(answer, bytes) else "application/json"
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        lower = {name.replace("_", "-"): value for name, value in headers.items()}
        self._expected.append((line, Response(status, {"content-type": kind, **lower}, body)))
        return self

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> Response:
        line = f"{method} {path}" + (f"?{urlencode(query)}" if query else "")
        assert self._expected, f"unexpected request: {line}"
        expected, answer = self._expected.pop(0)
        assert line == expected
        bare, _, text = path.partition("?")
        pairs = parse_qsl(text) + list((query or {}).items())
        content = json.loads(body) if body else None
        self.asked.append(Asked(method, bare, pairs, content, dict(headers or {}), anonymous))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def done(self) -> None:
        """Nothing that was expected is left over."""
        assert self._expected == []
