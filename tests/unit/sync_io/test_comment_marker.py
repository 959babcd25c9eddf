# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner's mark in a comment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsctl.sync import comment_marker

STACKS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)


@pytest.mark.parametrize(
    ("comment", "stack", "kept"),
    [
        (None, None, ""),
        ("", None, ""),
        ("Front end", None, "Front end"),
        (None, "web-prod", "[ddns:web-prod]"),
        ("Front end", "web-prod", "Front end [ddns:web-prod]"),
        ("[ddns:a]", "b", "[ddns:a] [ddns:b]"),
    ],
)
def test_encoded_and_decoded(comment: str | None, stack: str | None, kept: str) -> None:
    assert comment_marker.encode(comment, stack) == kept
    assert comment_marker.decode(kept) == (comment or None, stack)


@pytest.mark.parametrize("text", ["[ddns:a] b", "a[ddns:b]", "[ddns:]", "[ddns:a b]", "[ddns:" + "a" * 64 + "]"])
def test_other_comments_carry_no_mark(text: str) -> None:
    assert comment_marker.decode(text) == (text, None)


@given(comment=st.text(max_size=150), stack=STACKS)
def test_every_comment_survives(comment: str, stack: str) -> None:
    assert comment_marker.decode(comment_marker.encode(comment, stack)) == (comment or None, stack)


def test_the_most_that_fits() -> None:
    room = 255 - len(" [ddns:web]")
    assert len(comment_marker.encode("c" * room, "web")) == 255
    with pytest.raises(ValueError, match=r"256 characters with the marker of stack web; shorten it to at most 255"):
        comment_marker.encode("c" * (room + 1), "web")
    with pytest.raises(ValueError, match=r"256 characters; shorten it to at most 255"):
        comment_marker.encode("c" * 256, None)
