# SPDX-License-Identifier: GPL-3.0-or-later
"""Who calls, behind proxies that write what they like."""

import ipaddress

import pytest

from ddnsd.web.client_address import HOPS, UNIX, Fault, Origin, Origins

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


def origin(
    peer: str | None, forwarded: str | None, *, unix_proxy: bool = False, proto: str = "https"
) -> tuple[Origin, list[Fault]]:
    """Where the request comes from, and the hops that could not be read."""
    heard: list[Fault] = []
    headers = {b"x-forwarded-proto": proto.encode()}
    if forwarded is not None:
        headers[b"x-forwarded-for"] = forwarded.encode("latin-1")
    scope = {"client": (peer, 1) if peer else None, "scheme": "http"}
    return Origins(PROXIES, unix_proxy=unix_proxy, unreadable=heard.append).of(scope, headers), heard


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        ("192.0.2.1", "unknown", "192.0.2.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "spoofed, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.7", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.7:80, [fd00::1]:80", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.8, 10.0.0.7", "10.0.0.8"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", '"198.51.100.1"', "198.51.100.1"),
        ("10.0.0.1", '"198.51.100.1:4711"', "198.51.100.1"),
        ("10.0.0.1", "\\t 198.51.100.1  ", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, , ,", "198.51.100.1"),
        ("10.0.0.1", "2001:DB8::1", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", '"[2001:db8::1]:4711"', "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1%eth0", "2001:db8::1"),
        ("10.0.0.1", "[2001:db8::1%25eth0]:80", "2001:db8::1"),
        (UNIX, "198.51.100.1:4711", "198.51.100.1"),
        (UNIX, "203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("fe80::1%eth0", "198.51.100.1", "fe80::1"),
    ],
)
def test_the_right_most_hop_that_is_no_proxy(peer: str, forwarded: str | None, expected: str) -> None:
    (found, _, fault), heard = origin(peer, forwarded.replace("\\t", "\t") if forwarded else forwarded, unix_proxy=True)
    assert (found, fault, heard) == (expected, None, [])


@pytest.mark.parametrize(
    ("forwarded", "hop"),
    [
        ("unknown", "unknown"),
        ("_hidden", "_hidden"),
        ("198.51.100.1, unknown", "unknown"),
        ("198.51.100.1, unix:", "unix:"),
        ("unknown, 10.0.0.7", "unknown"),
        ("198.51.100.1:http", "198.51.100.1:http"),
        ("198.51.100.1:", "198.51.100.1:"),
        ("198.51.100.256", "198.51.100.256"),
        ("198.51.100.1 4711", "198.51.100.1 4711"),
        ("2001:db8:0:0:0:0:0:1:4711", "2001:db8:0:0:0:0:0:1:4711"),
        ("[2001:db8::1", "[2001:db8::1"),
        ("[198.51.100.1]:80]", "[198.51.100.1]:80]"),
        ("for=198.51.100.1", "for=198.51.100.1"),
        ("198.51.100.1;proto=https", "198.51.100.1;proto=https"),
        ('"', '"'),
        (",", ","),
        ("\xff\x00", "\xff\x00"),
    ],
)
@pytest.mark.parametrize("peer", ["10.0.0.1", UNIX])
def test_a_hop_that_cannot_be_read_is_nobodys_address(peer: str, forwarded: str, hop: str) -> None:
    fault = Fault(peer, hop)
    assert origin(peer, forwarded, unix_proxy=True) == ((None, True, fault), [fault])


@pytest.mark.parametrize(("unix_proxy", "forwarded"), [(True, None), (True, ""), (False, None), (False, "192.0.2.1")])
def test_nobody_is_known_behind_a_unix_socket_that_says_nothing(unix_proxy: bool, forwarded: str | None) -> None:
    assert origin(UNIX, forwarded, unix_proxy=unix_proxy) == ((None, unix_proxy, Fault(UNIX, None)), [])


def test_hops_are_looked_at_up_to_a_number() -> None:
    own = ", 10.0.0.7" * (HOPS - 1)
    assert origin("10.0.0.1", f"198.51.100.1{own}")[0][0] == "198.51.100.1"
    (peer, _, fault), heard = origin("10.0.0.1", "198.51.100.1, 10.0.0.7, 10.0.0.8" + own)
    assert (peer, heard) == (None, [fault])


@pytest.mark.parametrize(
    ("peer", "proto", "tls"),
    [("10.0.0.1", "HTTPS", True), ("10.0.0.1", "http", False), ("192.0.2.1", "https", False), (None, "https", False)],
)
def test_tls_is_what_a_proxy_says(peer: str | None, proto: str, tls: bool) -> None:
    (found, seen, _), _ = origin(peer, "198.51.100.1", proto=proto)
    assert (seen, found is None) == (tls, peer is None)
