# SPDX-License-Identifier: GPL-3.0-or-later
"""A token gives no more than it has: the proofs that need no service."""

import re
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsd.registry.errors import Invalid
from ddnsd.registry.token_scope import TokenScope

ALL = TokenScope(("read", "write"))

# (own, wanted, what goes beyond)
CASES = [
    (ALL, ALL, set()),
    (ALL, TokenScope(("read",), ("a",), ("b",), ("192.0.2.0/24",), 1), set()),
    (ALL, TokenScope(("admin",)), {"scopes"}),
    (TokenScope(("admin",)), TokenScope(("read", "write", "admin")), set()),
    (TokenScope(("read",)), ALL, {"scopes"}),
    (TokenScope(("read",), ("*.org",)), TokenScope(("read",), ("a.org", "*.b.org")), set()),
    (TokenScope(("read",), ("*.org",)), TokenScope(("read",), ("a.org", "*")), {"domains"}),
    (TokenScope(("read",), ("?.org",)), TokenScope(("read",), ("a.org",)), {"domains"}),  # more than is certain
    (TokenScope(("read",), ("?.org",)), TokenScope(("read",), ("?.org",)), set()),
    (TokenScope(("read",), hosts=("[ab].org",)), TokenScope(("read",), hosts=("a.org",)), {"hosts"}),
    (TokenScope(("read",), hosts=("web-*",)), TokenScope(("read",), hosts=("web-?",)), set()),
    (TokenScope(("read",), networks=("192.0.2.0/24",)), TokenScope(("read",), networks=("192.0.2.128/25",)), set()),
    (
        TokenScope(("read",), networks=("192.0.2.0/24",)),
        TokenScope(("read",), networks=("192.0.0.0/16",)),
        {"networks"},
    ),
    (TokenScope(("read",), networks=("192.0.2.0/24",)), TokenScope(("read",), networks=("::/0",)), {"networks"}),
    (TokenScope(("read",), networks=("::/0", "0.0.0.0/0")), TokenScope(("read",), networks=("::1/128",)), set()),
    (TokenScope(("read",), stacks=("Web-*",)), TokenScope(("read",), stacks=("Web-a_b",)), set()),
    (TokenScope(("read",), stacks=("Web-*",)), TokenScope(("read",), stacks=("Web-a", "db")), {"stacks"}),
    (TokenScope(("read",), expires=5), TokenScope(("read",), expires=6), {"expires"}),
    (TokenScope(("read",), expires=5), TokenScope(("read",), expires=5), set()),
]


@pytest.mark.parametrize(("own", "wanted", "beyond"), CASES)
def test_cases(own: TokenScope, wanted: TokenScope, beyond: set[str]) -> None:
    if beyond:
        with pytest.raises(Invalid) as refused:
            own.narrowed(wanted)
        assert set(refused.value.fields) == beyond
    else:
        assert own.covers(own.narrowed(wanted))


def test_what_is_left_open_is_as_with_the_own_token() -> None:
    own = TokenScope(("read", "write"), ("a",), ("b",), ("192.0.2.0/24",), 9, ("web",))
    assert own.narrowed(TokenScope(("read",))) == TokenScope(("read",), ("a",), ("b",), ("192.0.2.0/24",), 9, ("web",))
    assert not own.covers(TokenScope(("read",)))


NAMES = st.text("ab.-", max_size=6)


@given(own=st.text("ab.*?[]-", min_size=1, max_size=5), other=st.text("ab.*?-", min_size=1, max_size=5), name=NAMES)
def test_whatever_a_covered_pattern_fits_the_own_one_fits(own: str, other: str, name: str) -> None:
    covered = TokenScope((), hosts=(own,)).covers(TokenScope((), hosts=(other,)))
    if covered and fnmatchcase(name, other):
        assert fnmatchcase(name, own)
    if own == re.sub(r"[?\[\]]", "", own) and other == own.replace("*", "a"):
        assert covered
