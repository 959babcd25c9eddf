# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for somebody else's HTTP server: it answers as a test says, and keeps what it was asked."""

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: str

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def basic(self) -> str:
        """`LOGIN:PASSWORD` of the Basic credentials."""
        return base64.b64decode(self.headers["authorization"].removeprefix("Basic ")).decode()


Said = tuple[int, str]


@dataclass
class Web:
    """Answers with `answer(asked)`, a status and a body; 200 and the body where it is a plain text."""

    answer: Callable[[Asked], Said | str] = lambda _: (404, "")
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def says(self, *answers: Said | str) -> None:
        """Give these answers in turn, the last one for ever."""
        left = list(answers)
        self.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]

    def taken(self) -> list[Asked]:
        """What was asked since the last call."""
        taken, self.asked = self.asked, []
        return taken


def _handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            web.asked.append(asked)
            said = web.answer(asked)
            status, text = said if isinstance(said, tuple) else (200, said)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", text)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing: the test looks at `asked`."""

    return Handler


@contextmanager
def web(answer: Callable[[Asked], Said | str] | None = None, certificate: Path | None = None) -> Iterator[Web]:
    """The server on a free loopback port; with HTTPS where a PEM file with key and certificate is given."""
    stand_in = Web(answer) if answer else Web()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(stand_in)) as server:
        stand_in.port = server.server_address[1]
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
            stand_in.scheme = "https"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()
