# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses with ports, as operators write them."""

import pytest

from ddnsd.dns.endpoint import Endpoint


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:53", "127.0.0.1", 53),
        ("[::1]:8053", "::1", 8053),
        ("ns.example.org:5300", "ns.example.org", 5300),
        ("[2001:DB8::0]:1", "2001:db8::", 1),
    ],
)
def test_with_a_port(text: str, host: str, port: int) -> None:
    assert Endpoint.from_text(text) == Endpoint(host, port)
    assert Endpoint.from_text(str(Endpoint(host, port))) == Endpoint(host, port)


@pytest.mark.parametrize("text", ["", "::1", "127.0.0.1", "a:0", "a:65536", "a:x", ":53", "[::1]", "a:-1", "[x]:1"])
def test_without_a_usable_port(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Endpoint.from_text(text)


def test_a_default_port() -> None:
    assert Endpoint.from_text("192.0.2.1", 53) == Endpoint("192.0.2.1", 53)
    assert Endpoint.from_text("2001:db8::1", 53) == Endpoint("2001:db8::1", 53)
    assert Endpoint.from_text("[2001:db8::1]", 53) == Endpoint("2001:db8::1", 53)
    assert Endpoint.from_text("192.0.2.1:5300", 53) == Endpoint("192.0.2.1", 5300)
