# SPDX-License-Identifier: GPL-3.0-or-later
"""The dispatcher: peers behind proxies, parameters, and faults of ours."""

import ipaddress
from typing import Any

import pytest

from ddnsd.faces.http import UNIX, Dispatcher, Reply, Request, text_reply

PROXIES = (ipaddress.ip_network("10.0.0.0/8"),)


async def call(
    handler: Any, *, method: str = "GET", query: str = "", path: str = "/x", headers: Any = (),
    peer: str | None = "10.0.0.1", body: bytes = b"", unix_proxy: bool = False,
) -> tuple[int, bytes]:  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "query_string": query.encode(), "scheme": "http",
        "headers": [(k.encode(), v.encode()) for k, v in headers], "client": (peer, 1) if peer else None,
    }  # fmt: skip
    await Dispatcher({"/x": handler}, PROXIES, unix_proxy=unix_proxy)(scope, receive, send)
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()
    return sent[0]["status"], sent[1]["body"]


async def peer(request: Request) -> Reply:
    return text_reply(200, f"{request.peer} {request.tls}")


@pytest.mark.parametrize(
    ("socket", "forwarded", "expected"),
    [
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.7", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", "198.51.100.1, spoofed", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
async def test_the_right_most_hop_that_is_no_proxy(socket: str, forwarded: str, expected: str) -> None:
    headers = [("x-forwarded-for", forwarded), ("x-forwarded-proto", "https")]
    _, body = await call(peer, peer=socket, headers=headers)
    assert body.decode() == f"{expected} {socket == '10.0.0.1'}"


@pytest.mark.parametrize(
    ("trusted", "socket", "forwarded", "expected"),
    [
        (True, UNIX, "198.51.100.1", "198.51.100.1 True"),
        (True, UNIX, "203.0.113.9, 10.0.0.7", "203.0.113.9 True"),
        (True, UNIX, "unix, 10.0.0.7", "10.0.0.7 True"),
        (True, UNIX, "spoofed", "None True"),
        (True, UNIX, "", "None True"),
        (False, UNIX, "198.51.100.1", "None False"),
        (True, None, "198.51.100.1", "None False"),  # a TCP client that has gone already
    ],
)
async def test_a_proxy_on_a_unix_socket(trusted: bool, socket: str | None, forwarded: str, expected: str) -> None:
    headers = [("x-forwarded-for", forwarded), ("x-forwarded-proto", "https")]
    _, body = await call(peer, peer=socket, headers=headers, unix_proxy=trusted)
    assert body.decode() == expected


async def test_parameters_of_query_and_form() -> None:
    async def show(request: Request) -> Reply:
        return text_reply(200, repr(sorted(request.params.items())))

    form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")]
    status, body = await call(show, method="POST", query="a=1&b=", headers=form, body=b"a=2&c=%C3%A9")
    assert (status, body.decode()) == (200, "[('a', '2'), ('b', ''), ('c', 'é')]")
    status, _ = await call(show, method="POST", headers=form, body=b"a" * 70_000)
    assert status == 413


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
        ("/api", "/api"), ("/api/", "/api"), ("/api/hosts/", "/api/hosts"), ("/api/hosts", "/api/hosts"),
        ("/apis", None), ("/", None), ("/x/api", None), ("//api", None),
    ],
)  # fmt: skip
async def test_an_application_below_a_prefix(path: str, seen: str | None) -> None:
    calls: list[Any] = []
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-proto", b"https")]
    scope = {
        "type": "http", "method": "GET", "path": path, "query_string": b"", "scheme": "http", "headers": headers,
        "client": ("10.0.0.1", 1),
    }  # fmt: skip
    await Dispatcher({"/x": peer}, PROXIES, {"/api": application})(scope, lambda: None, send)  # type: ignore[arg-type, return-value]
    assert [call["path"] for call in calls] == ([seen] if seen else [])
    for call in calls:
        assert (call["client"], call["scheme"]) == (("198.51.100.1", 0), "https")
    assert (sent == []) == bool(seen)
