# SPDX-License-Identifier: GPL-3.0-or-later
"""Deny lists judge as a plain look at every entry would."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsd.registry.addresses import reached
from ddnsd.registry.denylist import DenyList

V4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(8, 32)).map(lambda t: ipaddress.ip_network(t, strict=False))
V6 = st.tuples(st.integers(0, 2**128 - 1), st.integers(16, 128)).map(lambda t: ipaddress.ip_network(t, strict=False))
V6_ONLY = V6.filter(lambda network: network.version == 6)


def deny(*, networks: list[str] = [], agents: list[str] = [], names: list[str] = []) -> DenyList:  # noqa: B006
    made = DenyList()
    made.use([ipaddress.ip_network(n) for n in networks], agents, names)
    return made


@given(st.lists(V4 | V6_ONLY, max_size=5), st.ip_addresses(), st.data())
def test_addresses(networks: list[ipaddress.IPv4Network], address: ipaddress.IPv4Address, data: st.DataObject) -> None:
    made = DenyList()
    made.use(networks, [], [])
    near = [n.network_address for n in networks] + [n.broadcast_address for n in networks]
    asked = data.draw(st.sampled_from([address, *near, *(a + 1 for a in near if int(a) < 2**32 - 1)]))
    expected = any(asked in network for network in networks if network.version == asked.version)
    assert made.has_address([asked]) is expected


def test_nothing_is_denied_at_first() -> None:
    made = DenyList()
    assert not made.has_address(reached(["192.0.2.1"]))
    assert not made.has_name("www.example.org", "example.org")
    assert not "curl".startswith(made.agents)


def test_the_last_use_counts_alone() -> None:
    made = deny(networks=["192.0.2.0/24"], agents=["Evil"], names=["bank"])
    assert made.has_address(reached(["198.51.100.1", "192.0.2.255"]))
    assert "evil/1".startswith(made.agents)
    made.use([], [], [])
    assert not made.has_address(reached(["192.0.2.255"]))
    assert not "evil/1".startswith(made.agents)
    assert not made.has_name("bank.example.org", "example.org")


@pytest.mark.parametrize(
    ("pattern", "fqdn", "expected"),
    [
        ("bank", "bank.dyn.example.org", True),
        ("bank", "my.bank.dyn.example.org", True),
        ("bank", "banks.dyn.example.org", False),
        ("bank*", "banks.dyn.example.org", True),
        ("*bank*", "the-banks.dyn.example.org", True),
        ("dyn", "www.dyn.example.org", False),  # a label of the domain
        ("www.dyn.example.org", "www.dyn.example.org", True),
        ("www.dyn.example.org", "a.www.dyn.example.org", False),
        ("*.www.dyn.example.org", "a.www.dyn.example.org", True),
        ("www.*", "www.dyn.example.org", True),
    ],
)
def test_names(pattern: str, fqdn: str, expected: bool) -> None:
    for names in ([pattern], ["other", pattern, "a.b.c"]):
        assert deny(names=names).has_name(fqdn, "dyn.example.org") is expected
