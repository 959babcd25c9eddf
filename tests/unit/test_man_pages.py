# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual pages are current, and have every command and option."""

import pytest
from support import scripts

from ddnsctl.cli import COMMANDS

MAN_PAGES = scripts.script("man-pages")


@pytest.mark.parametrize("name", list(MAN_PAGES.PROGRAMS))
def test_the_page_is_current(name: str) -> None:
    file = MAN_PAGES.ROOT / "man" / f"{name}.1"
    assert file.read_text() == MAN_PAGES.page(name), "run .venv/bin/python scripts/man-pages"


def test_a_page_has_commands_options_and_paragraphs() -> None:
    page = MAN_PAGES.page("ddnsctl")
    for command in COMMANDS:
        assert f".SS {command.replace('-', chr(92) + '-')} " in page
    assert "\\fB\\-\\-max\\-deletes N|N%|all\\fR" in page
    assert ".SS domain move [OPTIONS] NAME" in MAN_PAGES.page("ddnsd")


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ("One\nparagraph.\n\nAnother.", ["One paragraph.", ".PP", "Another."]),
        ("Head\n\n\b\n  a  -b\n  .c", ["Head", ".PP", ".nf", "  a  \\-b", "  .c", ".fi"]),
        (".x \\ 'y'", ["\\&.x \\e 'y'"]),
        ("'x", ["\\&'x"]),
    ],
)
def test_text_is_written_as_it_is(given: str, lines: list[str]) -> None:
    assert MAN_PAGES.text(given) == lines
