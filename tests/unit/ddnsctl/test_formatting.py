# SPDX-License-Identifier: GPL-3.0-or-later
"""One layout, the same content, all comments kept."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsctl import emit, yamlfile
from ddnsctl.formatting import formatted, run
from ddnsctl.sync.errors import DeclarationError


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


def test_what_is_no_yaml_is_not_touched(tmp_path: Path) -> None:
    bad, good = tmp_path / "a.yml", tmp_path / "b.yml"
    bad.write_text("a: [\n")
    good.write_text("a:    1\n")
    with pytest.raises(DeclarationError, match=r"a\.yml:2:1"):
        run([str(tmp_path)], check=False, diff=False, sort=False)
    assert good.read_text() == "a:    1\n"


def test_check_and_diff_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.yml"
    file.write_text("version:    1\n")
    assert run([str(file)], check=True, diff=False, sort=False) == 1
    assert capsys.readouterr().out == f"{file}\n"
    assert run([str(file)], check=False, diff=True, sort=False) == 0
    assert "-version:    1\n+version: 1\n" in capsys.readouterr().out
    assert file.read_text() == "version:    1\n"
    assert run([str(file)], check=False, diff=False, sort=False) == 0
    assert file.read_text() == "version: 1\n"
    assert run([str(file)], check=True, diff=False, sort=False) == 0
    assert run([str(file)], check=False, diff=False, sort=False) == 0
    assert capsys.readouterr().out == f"{file}\n"


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
            found += draw(blanks) + " " * indent + emit.scalar(key) + draw(st.sampled_from([":", " :", ":  "]))
            if isinstance(value, dict) and value and draw(st.booleans()):
                found += "\n" + lines(value, indent + draw(st.integers(1, 5)))
            else:
                found += " " + (emit.flow(value) if isinstance(value, dict) else emit.scalar(value)) + "\n"
        return found

    return lines(draw(trees), 0) + draw(blanks)


@given(documents(), st.booleans())
def test_the_content_and_all_comments_stay(text: str, sort: bool) -> None:
    result = laid_out(text, sort=sort)
    before, after = yamlfile.read(text.encode(), "f"), yamlfile.read(result.encode(), "f")
    assert before.problems == after.problems == ()
    assert after.data == before.data
    remarks = [sorted(re.findall("(?m)^ *(# (?:remark|deep|shallow))$", one)) for one in (text, result)]
    assert remarks[0] == remarks[1]


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[3] / "examples").glob("*.yml")), ids=lambda f: f.name)
def test_examples_are_formatted(file: Path) -> None:
    assert formatted(file.read_bytes(), str(file)) == file.read_text()
