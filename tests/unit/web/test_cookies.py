# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own cookies, beside whatever a browser sends with them."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from ddnsd.web.portal import cookies


def read(header: str, name: str = "a") -> str:
    return cookies.value(Request({"type": "http", "headers": [(b"cookie", header.encode("latin-1"))]}), name)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("a=1", "1"),
        ("b=2; a=1;c", "1"),
        ("aa=2;a=1", "1"),
        ("a=1; a=2", "2"),
        ('a="x=="', "x=="),
        ("a=x==", "x=="),
        ('a="', '"'),
        ('a="x\\"y"', ""),
        ("a", ""),
        ("", ""),
        ("A=1", ""),
    ],
)
def test_what_is_found(header: str, value: str) -> None:
    assert read(header) == value


@pytest.mark.parametrize("value", ["eyJh.0-_", "eyJhIjogMX0=", "dGVzdA==.0123", "de"])
def test_what_we_set_comes_back(value: str) -> None:
    response = Response()
    response.set_cookie("a", value)
    assert read(response.headers["set-cookie"].partition(";")[0]) == value


def test_no_cookie_at_all() -> None:
    assert cookies.value(Request({"type": "http", "headers": []}), "a") == ""
