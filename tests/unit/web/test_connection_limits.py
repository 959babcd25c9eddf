# SPDX-License-Identifier: GPL-3.0-or-later
"""Which connections are one source's."""

import ipaddress

import pytest

from ddnsd.web.connection_limits import Sources


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_a_source_is_an_address_or_a_network(one: str, other: str, same: bool) -> None:
    sources = Sources(1)
    assert sources.enter(one)
    assert sources.enter(other) is not same
    sources.leave(one)
    assert sources.enter(one)


def test_how_many_and_for_whom_without_a_limit() -> None:
    sources = Sources(2, [ipaddress.ip_network("192.0.2.0/28"), ipaddress.ip_network("2001:db8::/64")])
    for address in ("192.0.2.1", "::ffff:192.0.2.2", "2001:db8::7"):
        assert [sources.enter(address) for _ in range(5)] == [True] * 5
    assert [sources.enter("192.0.2.17") for _ in range(4)] == [True, True, False, False]
    sources.leave("192.0.2.17")
    assert [sources.enter("192.0.2.17") for _ in range(2)] == [True, False]
    unlimited = Sources(0)
    assert [unlimited.enter("192.0.2.17") for _ in range(2000)] == [True] * 2000
