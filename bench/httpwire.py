# SPDX-License-Identifier: GPL-3.0-or-later
"""Ready-made HTTP/1.1 requests, and as much of an answer's grammar as a load generator needs."""

import base64

_END = b"\r\n\r\n"


def basic(user: str, secret: str) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def get(path: str, authorization: str, *, keep: bool = True) -> bytes:
    """A GET request to a server on loopback."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: bench", f"Authorization: {authorization}"]
    if not keep:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode()


def update(name: str, authorization: str, address: str, *, keep: bool = True) -> bytes:
    """The request that moves a host."""
    return get(f"/nic/update?hostname={name}&myip={address}", authorization, keep=keep)


def frame(data: bytes) -> int:
    """Length of the first whole answer in `data`, 0 when incomplete. RuntimeError without a Content-Length."""
    head = data.find(_END)
    if head < 0:
        return 0
    at = data[:head].lower().find(b"\r\ncontent-length:")
    if at < 0:
        raise RuntimeError(f"an answer without Content-Length: {data[:head]!r}")
    length = head + 4 + int(data[at + 17 : head + 2].split(b"\r", 1)[0])
    return length if len(data) >= length else 0


def body(answer: bytes) -> bytes:
    """What follows the head."""
    return answer[answer.find(_END) + 4 :]


def word(answer: bytes) -> str:
    """Status and first word of the body: `200 good`."""
    return answer[9:13].decode() + body(answer).split(b" ", 1)[0].decode()
