# SPDX-License-Identifier: GPL-3.0-or-later
"""The dispatcher: parameters, applications below it, and faults of ours."""

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest

from ddnsd.web.asgi import FIELDS, Dispatcher, Reply, Request, text_reply
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
