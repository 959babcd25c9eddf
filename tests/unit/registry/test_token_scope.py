# SPDX-License-Identifier: GPL-3.0-or-later
"""A token gives no more than it has: the proofs that need no service."""

import re
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsd.registry.errors import Invalid
from ddnsd.registry.token_scope import Limits

ALL = Limits(("read", "write"))

# (own, wanted, what goes beyond)
CASES = [
    (ALL, ALL, set()),
    (ALL, Limits(("read",), ("a",), ("b",), ("192.0.2.0/24",), 1), set()),
    (ALL, Limits(("admin",)), {"scopes"}),
    (Limits(("admin",)), Limits(("read", "write", "admin")), set()),
    (Limits(("read",)), ALL, {"scopes"}),
    (Limits(("read",), ("*.org",)), Limits(("read",), ("a.org", "*.b.org")), set()),
    (Limits(("read",), ("*.org",)), Limits(("read",), ("a.org", "*")), {"domains"}),
    (Limits(("read",), ("?.org",)), Limits(("read",), ("a.org",)), {"domains"}),  # more than is certain
    (Limits(("read",), ("?.org",)), Limits(("read",), ("?.org",)), set()),
    (Limits(("read",), hosts=("[ab].org",)), Limits(("read",), hosts=("a.org",)), {"hosts"}),
    (Limits(("read",), hosts=("web-*",)), Limits(("read",), hosts=("web-?",)), set()),
    (Limits(("read",), networks=("192.0.2.0/24",)), Limits(("read",), networks=("192.0.2.128/25",)), set()),
    (Limits(("read",), networks=("192.0.2.0/24",)), Limits(("read",), networks=("192.0.0.0/16",)), {"networks"}),
    (Limits(("read",), networks=("192.0.2.0/24",)), Limits(("read",), networks=("::/0",)), {"networks"}),
    (Limits(("read",), networks=("::/0", "0.0.0.0/0")), Limits(("read",), networks=("::1/128",)), set()),
    (Limits(("read",), expires=5), Limits(("read",), expires=6), {"expires"}),
    (Limits(("read",), expires=5), Limits(("read",), expires=5), set()),
]


@pytest.mark.parametrize(("own", "wanted", "beyond"), CASES)
def test_cases(own: Limits, wanted: Limits, beyond: set[str]) -> None:
    if beyond:
        with pytest.raises(Invalid) as refused:
            own.narrowed(wanted)
        assert set(refused.value.fields) == beyond
    else:
        assert own.covers(own.narrowed(wanted))


def test_what_is_left_open_is_as_with_the_own_token() -> None:
    own = Limits(("read", "write"), ("a",), ("b",), ("192.0.2.0/24",), 9)
    assert own.narrowed(Limits(("read",))) == Limits(("read",), ("a",), ("b",), ("192.0.2.0/24",), 9)
    assert not own.covers(Limits(("read",)))


NAMES = st.text("ab.-", max_size=6)


@given(own=st.text("ab.*?[]-", min_size=1, max_size=5), other=st.text("ab.*?-", min_size=1, max_size=5), name=NAMES)
def test_whatever_a_covered_pattern_fits_the_own_one_fits(own: str, other: str, name: str) -> None:
    covered = Limits((), hosts=(own,)).covers(Limits((), hosts=(other,)))
    if covered and fnmatchcase(name, other):
        assert fnmatchcase(name, own)
    if own == re.sub(r"[?\[\]]", "", own) and other == own.replace("*", "a"):
        assert covered
