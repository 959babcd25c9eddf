# SPDX-License-Identifier: GPL-3.0-or-later
"""Links of the documentation lead somewhere, and each block of the operators' pages is run by a test."""

import re
from pathlib import Path

import pytest
import yaml
from support.machines.follow import shows
from support.pages import DOCS, REPOSITORY, Block, anchors, blocks, commands, links

PAGES = sorted(
    page
    for folder in ("", "docs", "roles", "extensions/molecule")
    for page in (REPOSITORY / folder).glob("**/*.md" if folder else "*.md")
)
OPERATORS = ("server.md", "operations.md", "client.md", "capacity.md")
NOT_TRIED = [
    ("server.md", "needs the parent zone"),
    ("server.md", "needs an OpenID Connect provider"),
    ("client.md", "needs an account at another provider"),
]
"""A new one needs a good reason: a reader will copy it."""
BLOCKS = [block for name in OPERATORS for _, block in blocks(DOCS / name)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for target in links(page):
        name, _, part = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (part and file.suffix == ".md" and part not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.tried_here], ids=lambda block: block.place)
def test_a_block_can_be_followed(block: Block) -> None:
    if block.language == "console":
        assert list(commands(block))
    else:
        assert block.file
    if block.language == "yaml":
        assert yaml.safe_load(block.text)


@pytest.mark.parametrize("block", [b for b in BLOCKS if "tried by" in b.notes], ids=lambda block: block.place)
def test_the_other_test_of_a_block_has_its_commands(block: Block) -> None:
    text = "\n".join((REPOSITORY / name).read_text() for name in block.notes["tried by"].split())
    wanted = set()
    if block.language == "console":
        for command in commands(block):
            for words in re.findall(r"ddnsd((?: [a-z]+)+)(?= |$)", command.text):
                wanted |= set(words.split())
    assert {word for word in wanted if word not in text} == set()


def test_only_these_blocks_are_tried_by_no_test() -> None:
    found = [(block.page.name, block.notes["not tried"]) for block in BLOCKS if "not tried" in block.notes]
    assert found == NOT_TRIED


def test_the_long_scenario_follows_all_of_them() -> None:
    (scenarios,) = re.findall(r"^LONG_SCENARIOS = (.+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert "guide" in scenarios.split()
    (play,) = yaml.safe_load((REPOSITORY / "extensions/molecule/guide/converge.yml").read_text())
    words = " ".join(task["ansible.builtin.command"]["argv"] for task in play["tasks"])
    assert set(re.findall(r"\w+\.md", words)) == set(OPERATORS)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (["a", "b"], True),
        (["a", "… ends"], True),
        (["b", "a"], False),
        (["a", "b …", "… ends"], False),
        (["x"], False),
        ([], True),
    ],
)
def test_output_is_compared_in_its_order(expected: list[str], found: bool) -> None:
    assert shows("a\nb\nit ends\n", expected) is found
