# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation shows the configurations of DHCP servers as they are printed."""

import re
from pathlib import Path

import pytest

from ddnsd.dns.endpoint import Endpoint
from ddnsd.registry.dhcp_configs import ADDRESS, PROGRAMS, DhcpTarget, endpoint, server_of

PAGE = Path(__file__).parents[3] / "docs" / "dhcp.md"
TARGET = DhcpTarget(
    "office", "TSIG_SECRET", ["office.example.org", "2.0.192.in-addr.arpa"], Endpoint("192.0.2.53", 5301)
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_page_has_the_configuration(program: str) -> None:
    blocks = re.findall(r"```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert PROGRAMS[program](TARGET) in blocks


def test_only_zones_of_their_kind_are_listed() -> None:
    assert (TARGET.forward, TARGET.reverse) == (["office.example.org"], ["2.0.192.in-addr.arpa"])
    assert "endpoint = [2001:db8::53]:53\n" in PROGRAMS["dnsmasq"](TARGET._replace(server=Endpoint("2001:db8::53", 53)))


@pytest.mark.parametrize(
    ("listen", "server"),
    [
        ((), f"{ADDRESS}:53"),
        (("0.0.0.0:5301",), f"{ADDRESS}:5301"),
        (("[::]:5301",), f"{ADDRESS}:5301"),
        (("198.51.100.1:5301", "[2001:db8::1]:53"), "198.51.100.1:5301"),
    ],
)
def test_the_address_is_that_of_the_service_if_it_is_known(listen: tuple[str, ...], server: str) -> None:
    assert str(endpoint(listen)) == server


@pytest.mark.parametrize(
    ("text", "server"),
    [("192.0.2.9", "192.0.2.9:5301"), ("192.0.2.9:53", "192.0.2.9:53"), ("2001:db8::9", "[2001:db8::9]:5301")],
)
def test_the_address_may_be_given(text: str, server: str) -> None:
    assert str(server_of(text, 5301)) == server


@pytest.mark.parametrize("text", ["", "ns.example.org", "192.0.2.9:0", "192.0.2.9:x"])
def test_a_name_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"ADDRESS:PORT|address"):
        server_of(text, 5301)
