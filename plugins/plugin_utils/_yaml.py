# SPDX-License-Identifier: GPL-3.0-or-later
"""A declaration's YAML, with the place of every key."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

from ..module_utils._sync.declare import Locate
from ..module_utils._sync.errors import DeclarationError, Location, Problem


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Scalars of YAML 1.2, and `yes`, `no`, `on`, `off` as Ansible has them; keys are text, and each stands once.

    What looks like a date or a number of base 60 is text: an address or a comment may look so. `ddnsctl` reads alike.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        """The mapping, with what it merges."""
        seen: set[str] = set()
        for key, _value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(problem="a key must be text", problem_mark=key.start_mark)
            if key.value in seen and key.tag != MERGE:
                text = f"{key.value!r} stands here twice"
                raise yaml.constructor.ConstructorError(problem=text, problem_mark=key.start_mark)
            seen.add(key.value)
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


MERGE = "tag:yaml.org,2002:merge"
for _tag, _pattern, _first in (
    ("bool", "true|True|TRUE|yes|Yes|YES|on|On|ON|false|False|FALSE|no|No|NO|off|Off|OFF", "tTyYoOfFnN"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", "[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", "-+0123456789."),
    ("merge", "<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})\\Z"), list(_first))


def read(content: bytes, name: str) -> tuple[Any, Locate]:
    """The only document, and where its keys stand. Raises DeclarationError."""
    try:
        loader = _Loader(content.decode("utf-8-sig"))
        root = loader.get_single_node()
        if root is None:
            raise DeclarationError([Problem("is empty", Location(name), "a declaration begins with `version: 1`")])
        data = loader.construct_document(root)
    except UnicodeDecodeError:
        raise DeclarationError([Problem("is not UTF-8 text", Location(name))]) from None
    except yaml.YAMLError as error:
        raise DeclarationError([_problem(error, name)]) from None
    return data, _Places(root, name)


class _Places:
    """A `Locate`: the keys of a mapping are looked for once."""

    def __init__(self, root: yaml.Node, name: str) -> None:
        self.root, self.name = root, name
        self.keys: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = {}

    def __call__(self, path: tuple[Any, ...]) -> Location:
        """The innermost part of the path that exists."""
        place, node = self.root, self.root
        for part in path:
            found = self._keys(node).get(str(part))
            if found is None:
                break
            place, node = found
        return Location(self.name, place.start_mark.line + 1, place.start_mark.column + 1)

    def _keys(self, node: yaml.Node) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        if id(node) not in self.keys:
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            self.keys[id(node)] = {key.value: (key, value) for key, value in pairs}
        return self.keys[id(node)]


def _problem(error: yaml.YAMLError, name: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    where = Location(name, mark.line + 1, mark.column + 1) if mark else Location(name)
    return Problem(f"is not valid YAML: {getattr(error, 'problem', None) or error}", where)
