# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP requests byte for byte: what a tidy client library would normalise, refuse to send, or hide."""

import base64
import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass

AGENT = "conformance/1.0"


@dataclass(frozen=True)
class Answer:
    """One answer as it came; `headers` by lower-case name; `closed`: the server closed the connection after it."""

    status: int
    headers: dict[str, str]
    content: bytes
    closed: bool | None = None

    @property
    def status_code(self) -> int:
        return self.status

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", errors="replace")


def basic(user: str, password: str) -> str:
    """The value of an `Authorization` header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def request(
    target: str | bytes,
    *,
    method: str = "GET",
    version: str = "1.1",
    headers: Mapping[str, str | bytes] | None = None,
    agent: str | None = AGENT,
    body: bytes = b"",
) -> bytes:
    """The octets of a request; nothing in `target` and `headers` is quoted or folded."""
    lines = [method.encode() + b" " + (target if isinstance(target, bytes) else target.encode("latin-1"))]
    lines[0] += f" HTTP/{version}".encode()
    fields: dict[str, str | bytes] = {"Host": "localhost"} if version == "1.1" else {}
    if agent is not None:
        fields["User-Agent"] = agent
    if body or method == "POST":
        fields["Content-Length"] = str(len(body))
    for name, value in (fields | dict(headers or {})).items():
        lines.append(name.encode("latin-1") + b": " + (value if isinstance(value, bytes) else value.encode("latin-1")))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def exchange(
    octets: bytes,
    port: int,
    *,
    host: str = "127.0.0.1",
    source: str | None = None,
    method: str = "GET",
    until_closed: float | None = None,
    timeout: float = 10.0,
) -> Answer:
    """Send `octets` on a connection of their own, from the address `source`, and read one answer.

    With `until_closed` it then waits that many seconds for the server to close, and says whether it did.
    """
    own = (source, 0) if source else None
    with socket.create_connection((host, port), timeout=timeout, source_address=own) as connection:
        connection.sendall(octets)
        answer = http.client.HTTPResponse(connection, method=method)
        try:
            answer.begin()
            content = answer.read()
            headers = {name.lower(): value for name, value in answer.getheaders()}
        finally:
            answer.close()
        closed = None if until_closed is None else _closes(connection, until_closed)
        return Answer(answer.status, headers, content, closed)


def _closes(connection: socket.socket, seconds: float) -> bool:
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
