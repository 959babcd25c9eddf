# SPDX-License-Identifier: GPL-3.0-or-later
"""What the registry says is recognised, and said as a sentence."""

import pytest

from ddnsd.web.portal.i18n import Language
from ddnsd.web.portal.messages import translated


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("there is a user alice already", "There is a user alice already."),
        ("the name me is reserved", "The name me is reserved."),
        ("alice has a token named 'ci' already", "There is a token 'ci' already."),
        (
            "alice has no host a.example.org, b.example.org",
            "There is no such host of yours: a.example.org, b.example.org.",
        ),
        ("the domain a.example.org exists already", "The domain a.example.org exists already."),
        (
            "the host a.b.example.org lies in b.example.org already: rename or delete it first",
            "The host a.b.example.org lies in b.example.org already. Rename or remove it first.",
        ),
        (
            "nas.a.example.org is a related name of the host a.example.org: remove it first",
            "nas.a.example.org is a related name of the host a.example.org. Remove it first.",
        ),
        (
            "the host a.example.org has a wildcard, which answers for b.a.example.org: take it off first",
            "The host a.example.org has a wildcard, which answers for b.a.example.org. Take it off first.",
        ),
        ("A domain has at least one dot.", "A domain has at least one dot."),
        ("192.0.2.0/24 is denied already", "192.0.2.0/24 is denied already."),
        ("'x' is not an address or a network such as 192.0.2.0/24.", "x is no network such as 192.0.2.0/24."),
        ("0.0.0.0/0 is too much: /8 at most.", "0.0.0.0/0 is too much: /8 at most."),
        ("You have asked for a.example.org already.", "You have asked for a.example.org already."),
        ("Enter a text of 1 to 1000 characters.", "Enter a text of 1 to 1000 characters."),
        (
            "alice owns hosts or domains: delete them, or give them to somebody else, first",
            "alice owns hosts or domains: remove them, or give them to somebody else, first.",
        ),
        ("nobody has foreseen this: 100 %", "nobody has foreseen this: 100 %"),
    ],
)
def test_sentences(said: str, shown: str) -> None:
    assert translated(Language("en"), said) == shown
