# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads YAML and keeps the position of every key and value.

Mappings are `Map` and sequences are `Seq`: dictionaries and lists that also keep the parsed nodes of their members.
Keys are always text, so a host may be named `on` or `7`. Scalars follow the core schema of YAML 1.2, and `yes`, `no`,
`on` and `off` are booleans as in Ansible. All numbers but plain integers are text, and so are dates: `1.10` stays as it
is written, and no address turns into a number.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Tuple

import yaml

from .problems import DeclarationError, Location, Problem

KEYWORDS: dict[str, object] = {
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
INTEGER = re.compile(r"(?:0|-?[1-9][0-9]*)\Z")
MOST_LEVELS = 100
MOST_REPEATED = 2_000_000
"""The most values that all aliases of a document may repeat."""
BRACKETS = re.compile(r"[\[\]{}]|^[ ]*(?:[-?] +){9}", re.MULTILINE)

STR, INT, BOOL, NULL, MAP, SEQ, MERGE = (
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "bool", "null", "map", "seq", "merge")
)
PLAIN = "plain"
VAULT_HINT = "a declaration contains no secrets: write the plain value, or encrypt the whole file or inventory"

Position = Tuple[int, int]
"""Line and column, from 1."""


class Map(Dict[str, Any]):
    """A mapping; `nodes` has the parsed key of each member, and so its position."""

    __slots__ = ("nodes",)
    nodes: dict[str, yaml.Node | Placed]


class Seq(List[Any]):
    """A sequence; `nodes` has the parsed items."""

    __slots__ = ("nodes",)
    nodes: list[yaml.Node | Placed]


class Placed(NamedTuple):
    """Stands for a node of another file."""

    file: str
    start_mark: Any


class Document(NamedTuple):
    """The content of one file. `data` is None if the file cannot be parsed. `problems` has everything that is wrong."""

    file: str
    data: Any
    problems: tuple[Problem, ...]
    plain: bool = False
    """No text in it contains a dollar sign."""

    def locate(self, path: tuple[Any, ...]) -> Location | None:
        """The position of the key or item at `path`, or of the innermost part of the path that exists."""
        data, file, line, column = self.data, self.file, 1, 1
        for part in path:
            known = isinstance(data, Map) and part in data.nodes
            if not known and not (isinstance(data, Seq) and isinstance(part, int) and part < len(data)):
                break
            node = data.nodes[part]
            file, (line, column) = getattr(node, "file", self.file), _position(node)
            data = data[part]
        return Location(file, line, column)


class _Resolver:
    """Replaces PyYAML's resolver. `_Reader` finds the types of plain scalars, with one look-up each."""

    def resolve(self, kind: type, _value: str, implicit: tuple[bool, bool] | bool) -> str:
        """The tag of a node without an explicit tag."""
        if kind is yaml.ScalarNode:
            return PLAIN if isinstance(implicit, tuple) and implicit[0] else STR
        return MAP if kind is yaml.MappingNode else SEQ

    def descend_resolver(self, _parent: Any, _index: Any) -> None:
        """Do nothing: no tag depends on the path of a node."""

    def ascend_resolver(self) -> None:
        """Do nothing, as `descend_resolver`."""


if yaml.__with_libyaml__:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class _Composer(CParser, _Resolver):
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)

else:  # pragma: no cover - PyYAML without libyaml

    class _Composer(  # type: ignore[no-redef]
        yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser, yaml.composer.Composer, _Resolver
    ):
        def __init__(self, text: str) -> None:
            yaml.reader.Reader.__init__(self, text)
            yaml.scanner.Scanner.__init__(self)
            yaml.parser.Parser.__init__(self)
            yaml.composer.Composer.__init__(self)


def read(raw: bytes, file: str) -> Document:
    """Parse one file. Never raises: errors are in `problems` of the result."""
    try:
        node = compose(raw, file)
    except DeclarationError as error:
        return Document(file, None, error.problems)
    reader = _Reader(file)
    data = reader.value(node)
    return Document(file, data, tuple(reader.problems), plain=b"$" not in raw and b"\\" not in raw)


def compose(raw: bytes, file: str) -> yaml.Node:
    """The root node of the only document. Raises DeclarationError."""
    text = _decode(raw, file)
    try:
        if _may_be_deep(text) and (mark := _too_deep(text)) is not None:
            where = Location(file, mark.line + 1, mark.column + 1)
            raise DeclarationError([Problem(f"is nested deeper than {MOST_LEVELS} levels", where)])
        composer = _Composer(text)
        node: yaml.Node | None = composer.get_single_node()
    except yaml.YAMLError as error:
        raise DeclarationError([_syntax(error, text, file)]) from None
    if node is None:
        raise DeclarationError([Problem("is empty", Location(file), "a declaration begins with `version: 1`")])
    return node


def _may_be_deep(text: str) -> bool:
    """Whether a quick look at the text allows for more than MOST_LEVELS levels. The parser's own stack is limited."""
    depth = 0
    for found in BRACKETS.finditer(text):
        mark = found.group()
        if len(mark) > 1:
            return True
        depth = depth + 1 if mark in "[{" else max(0, depth - 1)
        if depth > MOST_LEVELS:
            return True
    return f"\n{' ' * MOST_LEVELS}" in text


def _too_deep(text: str) -> Any:
    """The position of the first collection that is too deep; None if there is none. Raises yaml.YAMLError."""
    composer, depth = _Composer(text), 0
    while composer.check_event():
        event = composer.get_event()
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MOST_LEVELS:
                return event.start_mark
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


def _decode(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        problem = Problem("is not UTF-8 text", Location(file, line, column), "save the file as UTF-8")
        raise DeclarationError([problem]) from None


def _syntax(error: yaml.YAMLError, text: str, file: str) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        at = max(error.position, 0)
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        return Problem("contains a control character", Location(file, line, column), "remove it")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
    error_text = str(getattr(error, "problem", None) or error)
    if "single document" in str(getattr(error, "context", None)):
        return Problem("contains more than one document", where, "put each document into its own file")
    lines = text.splitlines()
    indent = lines[where.line - 1][: where.column] if 0 < where.line <= len(lines) else ""
    if "\t" in indent and not indent.strip():
        return Problem("is indented with a tab, which YAML does not allow", where, "use spaces")
    return Problem(f"is not valid YAML: {error_text}", where)


class _Reader:
    """Turns nodes into values and collects problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.aliased: dict[int, Any] = {}
        self.sizes: dict[int, int] = {}
        self.repeated = 0
        self.scalars: dict[str, Any] = dict(KEYWORDS)

    def problem(self, text: str, node: yaml.Node, hint: str = "") -> None:
        self.problems.append(Problem(text, Location(self.file, *_position(node)), hint))

    def value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        known = self.aliased.get(id(node))
        if known is not None:
            if known is Ellipsis:
                self.problem("the value of an anchor contains the anchor itself", node)
                return None
            self.count(node)
            return known
        self.aliased[id(node)] = ...
        result: Map | Seq = self.map(node) if isinstance(node, yaml.MappingNode) else self.seq(node)
        self.aliased[id(node)] = result
        return result

    def count(self, node: yaml.Node) -> None:
        """Count the values that an alias repeats. Reports the first one that is too much."""
        before = self.repeated
        self.repeated += self.size(node)
        if before <= MOST_REPEATED < self.repeated:
            hint = "use fewer aliases, or smaller ones"
            self.problem(f"the aliases repeat more than {MOST_REPEATED} values", node, hint)

    def size(self, node: yaml.Node) -> int:
        """The number of values in a node, with those that aliases in it repeat."""
        if isinstance(node, yaml.ScalarNode):
            return 1
        known = self.sizes.get(id(node))
        if known is None:
            self.sizes[id(node)] = 1  # for an anchor that contains itself
            parts = (part[1] if isinstance(part, tuple) else part for part in node.value)
            known = self.sizes[id(node)] = 1 + sum(map(self.size, parts))
        return known

    def scalar(self, node: yaml.ScalarNode) -> Any:
        tag, text = node.tag, node.value
        if tag is PLAIN:
            try:
                return self.scalars[text]
            except KeyError:
                value = self.scalars[text] = _number(text)
                return value
        if tag in (STR, "!"):
            return text
        return self.tagged(node)

    def tagged(self, node: yaml.ScalarNode) -> Any:
        plain = KEYWORDS.get(node.value, _number(node.value))
        tags: dict[type, str] = {int: INT, bool: BOOL, type(None): NULL}
        if tags.get(type(plain)) == node.tag:
            return plain
        hint = VAULT_HINT if node.tag == "!vault" else "write the value without a tag"
        self.problem(f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')} is not allowed here", node, hint)
        return None

    def seq(self, node: yaml.Node) -> Seq:
        self.collection_tag(node, SEQ)
        result = Seq(self.value(item) for item in node.value)
        result.nodes = node.value
        return result

    def map(self, node: yaml.Node) -> Map:
        self.collection_tag(node, MAP)
        result = Map()
        nodes = result.nodes = {}
        merged: list[tuple[yaml.Node, Any]] = []
        for key_node, value_node in node.value:
            key = key_node.value
            value = self.scalar(value_node) if isinstance(value_node, yaml.ScalarNode) else self.value(value_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problem("a key must be text", key_node)
            elif key == "<<" and key_node.tag in (PLAIN, MERGE):
                merged.append((value_node, value))
            elif key in nodes:
                self.problem(f"the key {key!r} appears twice", key_node, f"first on line {_position(nodes[key])[0]}")
            else:
                result[key], nodes[key] = value, key_node
        for value_node, value in merged:
            self.merge(result, value_node, value)
        return result

    def merge(self, into: Map, node: yaml.Node, value: Any) -> None:
        for source in value if isinstance(value, Seq) else [value]:
            if not isinstance(source, Map):
                self.problem("<< takes only a mapping or a list of mappings", node)
                continue
            for key in source:
                if key not in into:
                    into[key], into.nodes[key] = source[key], source.nodes[key]

    def collection_tag(self, node: yaml.Node, usual: str) -> None:
        if node.tag != usual:
            self.problem(f"the tag {node.tag} is not allowed here", node, "write the value without a tag")


def _position(node: yaml.Node | Placed) -> Position:
    mark = node.start_mark
    return mark.line + 1, mark.column + 1


def _number(text: str) -> int | str:
    return int(text) if text[:1] in "-0123456789" and INTEGER.match(text) else text
