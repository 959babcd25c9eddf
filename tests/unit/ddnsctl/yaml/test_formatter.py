# SPDX-License-Identifier: GPL-3.0-or-later
"""One layout, the same content, all comments kept."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsctl.yaml import reader
from ddnsctl.yaml.formatter import formatted
from ddnsctl.yaml.writer import flow, scalar


def laid_out(text: str, *, sort: bool = False) -> str:
    result = formatted(text.encode(), "f.yml", sort=sort)
    assert formatted(result.encode(), "f.yml", sort=sort) == result
    return result


BEFORE = """\
# Licence line

hosts:
        # about a
        a:
                ipv4:    192.0.2.1   # trailing  \t


                # the last word on a
                comment: |
                     text\x20\x20
                       more

        # about b
        b: {ipv4: 192.0.2.2,
            ipv6: 2001:db8::1}
            # deeper, but b has no block
        "on":
           comment: >-
             folded
              text
           <<:
             - *x
# about stack
stack:   s\x20\x20
version: 1
defaults: &x {domain:   d.example.org}
# the end
"""

AFTER = """\
# Licence line

version: 1
# about stack
stack: s
hosts:
  # about a
  a:
    ipv4: 192.0.2.1   # trailing

    # the last word on a
    comment: |
         text\x20\x20
           more

  # about b
  b: {ipv4: 192.0.2.2,
      ipv6: 2001:db8::1}
  # deeper, but b has no block
  "on":
    comment: >-
      folded
       text
# the end
"""


def test_the_layout() -> None:
    assert laid_out(re.sub(r"defaults.*\n| *<<:\n *- \*x\n", "", BEFORE)) == AFTER


def test_sections_change_places_unless_an_anchor_forbids_it() -> None:
    text = "hosts:\n   a: &x {ipv4: 192.0.2.1}\ndefaults: {labels: {<<: *x}}\nversion: 1\n"
    assert laid_out(text) == text.replace("   a", "  a")


def test_hosts_are_sorted_with_what_belongs_to_them() -> None:
    text = "hosts:\n  b:\n    ipv4: 192.0.2.2\n  # about a\n  a:\n    ipv6: null\n    ipv4: 192.0.2.1\nversion: 1\n"
    assert laid_out(text, sort=True) == (
        "version: 1\nhosts:\n  # about a\n  a:\n    ipv6: null\n    ipv4: 192.0.2.1\n  b:\n    ipv4: 192.0.2.2\n"
    )
    assert laid_out(text).index("b:") < laid_out(text).index("a:")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\ufeffversion: 1\r\nstack: s\r\n", "version: 1\nstack: s\n"),
        ("version: 1", "version: 1\n"),
        ("version: 1\n\n\n", "version: 1\n"),
        ("\n\nversion: 1\n", "version: 1\n"),
        ("---\nversion: 1\n", "---\nversion: 1\n"),
        ('{"version": 1,\n   "hosts": {}}\n', '{"version": 1,\n   "hosts": {}}\n'),
        ("hosts:\n    a:\n    b:\n", "hosts:\n  a:\n  b:\n"),
        ("hosts:\n    a:\n        # empty\n    b:\n", "hosts:\n  a:\n  # empty\n  b:\n"),
        ("hosts:\n    a:\n        ttl: 1\n        # of a\n    b:\n", "hosts:\n  a:\n    ttl: 1\n    # of a\n  b:\n"),
        (
            "hosts:\n    a:\n        ttl: 1\n      # half\nversion: 1\n",
            "version: 1\nhosts:\n  a:\n    ttl: 1\n    # half\n",
        ),
    ],
)
def test_details(before: str, after: str) -> None:
    assert laid_out(before) == after


texts = st.text(st.sampled_from("ab7:#-' é\\\"{[&*!|>%@,"), max_size=6)
names = st.sampled_from(["a", "b", "on", "7", "x y", "version", "hosts"])
blanks = st.sampled_from(["", "\n", "\n\n", "# remark\n", "      # deep\n", "  # shallow\n\n"])
scalars = st.none() | st.booleans() | st.integers(0, 99) | texts
trees = st.dictionaries(
    names | texts,
    scalars | st.dictionaries(names, scalars | st.dictionaries(names, scalars, max_size=2), max_size=3),
    min_size=1,
    max_size=4,
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Block mappings with any indentation, and remarks between their keys."""

    def lines(tree: dict[str, Any], indent: int) -> str:
        found = ""
        for key, value in tree.items():
            found += draw(blanks) + " " * indent + scalar(key) + draw(st.sampled_from([":", " :", ":  "]))
            if isinstance(value, dict) and value and draw(st.booleans()):
                found += "\n" + lines(value, indent + draw(st.integers(1, 5)))
            else:
                found += " " + (flow(value) if isinstance(value, dict) else scalar(value)) + "\n"
        return found

    return lines(draw(trees), 0) + draw(blanks)


@given(documents(), st.booleans())
def test_the_content_and_all_comments_stay(text: str, sort: bool) -> None:
    result = laid_out(text, sort=sort)
    before, after = reader.read(text.encode(), "f"), reader.read(result.encode(), "f")
    assert before.problems == after.problems == ()
    assert after.data == before.data
    remarks = [sorted(re.findall("(?m)^ *(# (?:remark|deep|shallow))$", one)) for one in (text, result)]
    assert remarks[0] == remarks[1]


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[4] / "examples").glob("*.yml")), ids=lambda f: f.name)
def test_examples_are_formatted(file: Path) -> None:
    assert formatted(file.read_bytes(), str(file)) == file.read_text()
