# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: one validator for every door."""

import pytest

from ddnsd.registry.names import fold, is_full, problem


@pytest.mark.parametrize(
    "name", ["a", "www", "a-b", "1st", "xn--bcher-kva", "a" * 63, "a.b.c", ".".join(["a" * 49] * 5)]
)
def test_well_formed(name: str) -> None:
    assert problem(name) is None


@pytest.mark.parametrize(
    "name",
    ["", "-a", "a-", "a_b", "a b", "a..b", ".a", "a" * 64, "é", "a\n", "*.a", "a.b/", ".".join(["a" * 50] * 5), "a\0"],
)
def test_ill_formed(name: str) -> None:
    assert problem(name)


def test_folding_and_full_names() -> None:
    assert fold(" WWW.Example.ORG. ") == "www.example.org"
    assert is_full("www.example.org")
    assert not is_full("www")
    assert not is_full("a..b")
