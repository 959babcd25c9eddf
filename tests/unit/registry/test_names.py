# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: one validator for every door."""

import pytest

from ddnsd.registry.names import fold, is_full, owned_problem, problem


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


def test_names_made_of_a_name_count() -> None:
    name = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 58])
    assert len(name) == 250
    assert owned_problem(name, []) is None
    assert owned_problem(name, [f"a.{name}", f"_1.{name}"]) is None
    found = owned_problem(name, [f"*.{name}", f"_443._tcp.{name}", name])
    assert str(found) == "With _443._tcp. before it, the name has 260 characters. At most 253 are allowed."
    assert str(owned_problem(name, [f"{'_a.' * 30}{name}"])) == "A full name has at most 253 characters."
