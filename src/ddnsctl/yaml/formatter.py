# SPDX-License-Identifier: GPL-3.0-or-later
"""Formats YAML with block mappings. It works on lines, so comments, quotes and anchors do not change.

The parsed document has the position of each key. The line of a key is indented by the depth of the key, and the lines
of its value move with it. A comment belongs to the key below it, or to the key above if it is indented deeper.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import yaml

from ddnsctl.sync.errors import DeclarationError, Location, Problem
from ddnsctl.yaml import reader

IGNORED = "x-"
"""The beginning of keys that are not read. They may have anchors for what follows."""
ORDER = (
    "version",
    IGNORED,
    "include",
    "server",
    "stack",
    "vars",
    "environments",
    "defaults",
    "domains",
    "hosts",
    "keys",
)
SORTED = ("domains", "hosts", "keys")
STEP = 2
Path = tuple[str, ...]


def formatted(raw: bytes, file: str, *, sort: bool = False) -> str:
    """The formatted text. Raises DeclarationError if it is not valid YAML."""
    before = reader.read(raw, file)
    if before.problems:
        raise DeclarationError(before.problems)
    text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    node = reader.compose(text.encode(), file)
    if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value:
        return tidy([(line, True) for line in text.split("\n")])
    document = YamlLayout(text, node)
    # sorting may move an anchor behind its use; then the keys are not sorted
    for rank in (_sorted if sort else _sections, _sections, None):
        result = document.text(rank)
        after = reader.read(result.encode(), file)
        if not after.problems and after.data == before.data:
            return result
    raise DeclarationError(
        [Problem("cannot be formatted without changing its content", Location(file), "format it by hand")]
    )


def _sections(path: tuple[str, ...]) -> tuple[int, str]:
    """The rank of a key: sections have a fixed order."""
    section = IGNORED if path[0].startswith(IGNORED) else path[0]
    known = len(path) == 1 and section in ORDER
    return (ORDER.index(section) if known else len(ORDER)), ""


def _sorted(path: tuple[str, ...]) -> tuple[int, str]:
    """As `_sections`; domains, hosts and keys are sorted by name."""
    rank, _ = _sections(path)
    return rank, path[1] if len(path) == 2 and path[0] in SORTED else ""


class Key(NamedTuple):
    """A key of a block mapping. Lines and columns are counted from 0."""

    path: Path
    line: int
    column: int
    end: int
    """The last line of its value, without lines of keys in the value."""
    gap: tuple[int, int] | None
    """The columns between key and value, if both are on one line."""
    verbatim: range
    """Lines whose trailing spaces belong to the value."""

    @property
    def depth(self) -> int:
        return len(self.path) - 1

    @property
    def indent(self) -> int:
        """The column of the key in the formatted text."""
        return self.depth * STEP


def keys(node: yaml.MappingNode, path: Path = ()) -> Iterator[Key]:
    """All keys of a block mapping and of mappings in it, in the order of their lines."""
    for key, value in node.value:
        at = (*path, key.value)
        aliased = value.start_mark.index < key.end_mark.index
        nested = isinstance(value, yaml.MappingNode) and not value.flow_style and not aliased
        yield _key(at, key, None if nested or aliased else value)
        if nested:
            yield from keys(value, at)


def _key(path: Path, key: yaml.Node, value: yaml.Node | None) -> Key:
    start, line = key.start_mark, key.start_mark.line
    if value is None:
        return Key(path, line, start.column, line, None, range(0))
    end = _last_line(value)
    gap = (key.end_mark.column, value.start_mark.column) if value.start_mark.line == line else None
    verbatim = range(line + 1, end + 1) if isinstance(value, yaml.ScalarNode) else range(0)
    return Key(path, line, start.column, end, gap, verbatim)


def _last_line(value: yaml.Node) -> int:
    if isinstance(value, yaml.SequenceNode) and not value.flow_style and value.value:
        return max(map(_last_line, value.value))
    if isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
        return max(_last_line(part) for pair in value.value for part in pair)
    end: yaml.Mark = value.end_mark
    return end.line if end.column or end.line == value.start_mark.line else end.line - 1


class YamlLayout:
    """The lines and keys of a document."""

    def __init__(self, text: str, node: yaml.MappingNode) -> None:
        self.lines = text.split("\n")
        self.keys = list(keys(node))
        self.verbatim = {line for key in self.keys for line in key.verbatim}

    def text(self, rank: Callable[[Path], object] | None) -> str:
        """The formatted document. `rank` sorts the keys of a mapping by their paths; equal ranks keep their order."""
        first, after = self.keys[0].line, self.footer()
        marked = [(line, number in self.verbatim) for number, line in enumerate(self.indented())]
        starts = [first, *(self.start(i) for i in range(1, len(self.keys)))]
        ends = [*starts[1:], after]
        body = list(self.ordered(0, len(self.keys), 0, starts, ends, rank))
        kept = [*marked[:first], *(marked[number] for number in body), *marked[after:]]
        return tidy(kept)

    def ordered(
        self,
        begin: int,
        end: int,
        depth: int,
        starts: Sequence[int],
        ends: Sequence[int],
        rank: Callable[[Path], object] | None,
    ) -> Iterator[int]:
        """The line numbers of the keys from `begin` to `end`, ordered by rank."""
        heads = [i for i in range(begin, end) if self.keys[i].depth == depth]
        blocks = list(zip(heads, [*heads[1:], end], strict=False))
        if rank is not None:
            blocks.sort(key=lambda block: rank(self.keys[block[0]].path))  # type: ignore[arg-type,return-value]
        for head, following in blocks:
            yield from range(starts[head], ends[head])
            yield from self.ordered(head + 1, following, depth + 1, starts, ends, rank)

    def start(self, index: int) -> int:
        """The first line of a key with the comments and empty lines above it."""
        key, before = self.keys[index], self.keys[index - 1]
        line = key.line
        while line - 1 > before.end and self.is_above(self.lines[line - 1], key, before):
            line -= 1
        return line

    def is_above(self, line: str, key: Key, before: Key) -> bool:
        """Whether a comment or an empty line between two keys belongs to the second."""
        deeper = _column(line) > key.column and before.depth > key.depth
        return not line.strip() or not deeper

    def footer(self) -> int:
        """The first line after the last key whose comments belong to the document."""
        last = self.keys[-1].end + 1
        for number in range(last, len(self.lines)):
            if self.lines[number].strip() and _column(self.lines[number]) == 0:
                return number
        end = len(self.lines)
        while end > last and not self.lines[end - 1].strip():
            end -= 1
        return end

    def indented(self) -> Iterator[str]:
        """All lines with their new indentation."""
        yield from self.lines[: self.keys[0].line]
        for index, key in enumerate(self.keys):
            yield _spaced(key, self.lines[key.line])
            shift = key.indent - key.column
            for number in range(key.line + 1, key.end + 1):
                yield _moved(self.lines[number], shift)
            following = self.keys[index + 1] if index + 1 < len(self.keys) else None
            for number in range(key.end + 1, following.line if following else len(self.lines)):
                yield self.comment(number, key, following)

    def comment(self, number: int, before: Key, following: Key | None) -> str:
        """A line between two keys, or after the last one."""
        line = self.lines[number]
        if following is None:
            return line if number >= self.footer() else _at(line, before.indent)
        return _at(line, (following if self.is_above(line, following, before) else before).indent)


def _column(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _at(line: str, column: int) -> str:
    return " " * column + line.strip() if line.strip() else ""


def _moved(line: str, shift: int) -> str:
    return " " * max(0, _column(line) + shift) + line.lstrip(" ") if line.strip() else line


def _spaced(key: Key, line: str) -> str:
    """The line of a key: at its column, with one space between key and value."""
    if key.gap is not None:
        between = line[slice(*key.gap)]
        if re.fullmatch(r" *: +", between):
            line = line[: key.gap[0]] + ": " + line[key.gap[1] :]
    return " " * key.indent + line.strip(" ") if not line[: key.column].strip() else line


def tidy(lines: Sequence[tuple[str, bool]]) -> str:
    """Remove trailing spaces and repeated empty lines, and end with one line break. Verbatim lines do not change."""
    kept: list[str] = []
    for line, verbatim in lines:
        shown = line if verbatim else line.rstrip()
        if shown or verbatim or (kept and kept[-1]):
            kept.append(shown)
    while kept and not kept[-1].strip():
        kept.pop()
    return "\n".join(kept) + "\n"
