# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible runs plugins with the managed machine's Python, down to 3.8."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
SYNC = sorted((ROOT / "plugins" / "module_utils" / "_sync").glob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path), feature_version=(3, 8))


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_3_8_reads_it(path: Path) -> None:
    assert tree(path).body


@pytest.mark.parametrize("path", SYNC, ids=lambda path: path.name)
def test_annotations_are_not_evaluated(path: Path) -> None:
    body = tree(path).body
    future = [node for node in body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    assert future or path.name == "__init__.py"


@pytest.mark.parametrize("path", SYNC, ids=lambda path: path.name)
def test_the_engine_imports_the_standard_library_and_itself(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            assert (node.module or "").partition(".")[0] not in ("ansible", "yaml", "ddnsctl", "ddnsd", "requests")
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & {"ansible", "yaml", "requests"}


@pytest.mark.parametrize("path", SYNC, ids=lambda path: path.name)
def test_nothing_newer_than_python_3_8_is_called(path: Path) -> None:
    newer = {"removeprefix", "removesuffix", "is_relative_to", "readlink", "bit_count", "pairwise", "cache"}
    used = {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    imported = {a.name for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) for a in node.names}
    assert not newer & (used | imported)
