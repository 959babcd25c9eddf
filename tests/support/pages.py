# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of documentation: their headings, links and fenced blocks, and what comments in the source say about blocks.

`<!-- tried by: FILE … -->` before a block names tests that run the same, and `<!-- not tried: REASON -->` says why none
can. `<!-- section tried by: FILE … -->` is about all blocks up to the next heading of its level. All other blocks are
run as they are written, in their order. `<!-- output varies -->` says that the shown output is an example.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"

_HEADING = re.compile(r"(#+) (.+)")
_FENCE = re.compile(r"```(\w*)")
_COMMENT = re.compile(r"<!-- (section )?(tried by|not tried|output varies)(?:: (.+?))? -->")
_FILE = re.compile(r"# (\S+\.\w+)(?=\n|:)")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    """Of its fence, from 1."""
    language: str
    text: str
    notes: dict[str, str]
    """What comments say about it."""

    @property
    def place(self) -> str:
        """Where a reader finds it."""
        return f"{self.page.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that it is, or is a part of, as its first line says."""
        found = _FILE.match(self.text)
        return found[1] if found else None

    @property
    def tried_here(self) -> bool:
        """Whether following the page runs it."""
        return not {"tried by", "not tried"} & self.notes.keys()


@dataclass(frozen=True)
class Command:
    """A command after a prompt, and the output that the page shows."""

    text: str
    root: bool
    """Whether the prompt is root's, on a machine."""
    output: list[str] = field(default_factory=list)


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block. Raises ValueError if it begins with something else."""
    command: Command | None = None
    continued = False
    for line in block.text.splitlines():
        if continued:
            assert command is not None
            command = Command(f"{command.text}\n{line}", command.root)
        elif line.startswith(("$ ", "# ")):
            if command is not None:
                yield command
            command = Command(line[2:], line[0] == "#")
        elif command is None:
            raise ValueError(f"{block.place}: no prompt")
        else:
            command.output.append(line)
        continued = line.endswith("\\")
    if command is not None:
        yield command


def blocks(page: Path) -> Iterator[tuple[str, Block]]:
    """The blocks of a page in their order, each with the heading that it is below."""
    heading, level, depth = "", 0, 0
    section: dict[str, str] = {}
    notes: dict[str, str] = {}
    body: list[str] | None = None
    language, begin = "", 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if body is not None:
            if line == "```":
                yield heading, Block(page, begin, language, "\n".join(body) + "\n", section | notes)
                body, notes = None, {}
            else:
                body.append(line)
        elif fence := _FENCE.fullmatch(line):
            body, language, begin = [], fence[1], number
        elif title := _HEADING.fullmatch(line):
            heading = title[2]
            if len(title[1]) <= level:
                section, level = {}, 0
            depth = len(title[1])
        elif comment := _COMMENT.fullmatch(line):
            note = {comment[2]: comment[3] or ""}
            if comment[1]:
                section, level = note, depth
            else:
                notes |= note
        elif line:
            notes = {}


def anchors(page: Path) -> set[str]:
    """What a link to a part of the page may name."""
    found: set[str] = set()
    for title in _headings(page):
        plain = re.sub(r"[^\w\- ]", "", _LINK.sub(lambda m: m[0][1 : m[0].index("]")], title).lower()).replace(" ", "-")
        number = sum(1 for anchor in found if re.fullmatch(rf"{re.escape(plain)}(-\d+)?", anchor))
        found.add(f"{plain}-{number}" if number else plain)
    return found


def links(page: Path) -> Iterator[str]:
    """The targets of the page's links, but those on other sites."""
    for target in _LINK.findall(re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)):
        if not re.match(r"[a-z]+:", target):
            yield target


def _headings(page: Path) -> Iterator[str]:
    fenced = False
    for line in page.read_text().splitlines():
        fenced ^= line.startswith("```")
        if not fenced and (title := _HEADING.fullmatch(line)):
            yield title[2]
