# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that belong to a delegation are no unknown hosts."""

from ddnsd.dns.contents import is_below


def test_names_of_name_servers_in_a_delegated_zone() -> None:
    delegated = {"lab.example.org"}
    assert is_below(delegated, "ns.lab.example.org", "example.org")
    assert is_below(delegated, "a.ns.lab.example.org", "example.org")
    assert not is_below(delegated, "lab.example.org", "example.org")
    assert not is_below(delegated, "ns.example.org", "example.org")
    assert not is_below(set(), "ns.lab.example.org", "example.org")
