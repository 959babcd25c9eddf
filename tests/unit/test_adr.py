# SPDX-License-Identifier: GPL-3.0-or-later
"""The index of the decisions is current, and each page has the four parts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted((REPOSITORY / "docs" / "adr").glob("[0-9]*.md"))

NEEDED = ["Context", "Decision", "Alternatives"]


def test_the_index_is_current() -> None:
    made = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "adr-index"], capture_output=True, text=True, check=True
    )
    page = (REPOSITORY / "docs" / "adr" / "README.md").read_text()
    assert page == made.stdout, "run: scripts/adr-index >docs/adr/README.md"


def test_no_number_is_used_twice() -> None:
    numbers = [page.name[:4] for page in PAGES]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name[:4])
def test_a_page_has_context_decision_and_alternatives(page: Path) -> None:
    parts = re.findall(r"^\*\*(\w+)\.\*\*", page.read_text(), re.MULTILINE)
    assert [part for part in parts if part in NEEDED] == NEEDED


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name[:4])
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
