# SPDX-License-Identifier: GPL-3.0-or-later
"""Formatting declarations: which files, which order, and that they say the same afterwards."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import click
import yaml

from ddnsctl import layout, loader, output, yamlfile
from ddnsctl.sync.errors import DeclarationError, Location, Problem

ORDER = ("version", "server", "stack", "defaults", "domains", "hosts")
SORTED = ("domains", "hosts")


def run(paths: Sequence[str], *, check: bool, diff: bool, sort: bool) -> int:
    """Format files. Answers the exit code. Raises DeclarationError with all that is wrong, OSError."""
    problems: list[Problem] = []
    changed: list[tuple[str, str, str]] = []
    for file, raw in loader.contents(paths, problems):
        try:
            after = formatted(raw, file, sort=sort)
        except DeclarationError as error:
            problems += error.problems
            continue
        if file == loader.STDIN and not check and not diff:
            click.echo(after, nl=False)
        elif after.encode() != raw:
            changed.append((file, raw.decode("utf-8-sig"), after))
    if problems:
        raise DeclarationError(problems)
    for file, before, after in changed:
        _tell(file, before, after, diff=diff)
        if not check and not diff:
            Path(file).write_bytes(after.encode())
    return 1 if check and changed else 0


def _tell(file: str, before: str, after: str, *, diff: bool) -> None:
    if not diff:
        click.echo(file)
        return
    shown = difflib.unified_diff(before.splitlines(True), after.splitlines(True), file, f"{file} (formatted)")
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in shown:
        click.echo(click.style(line.rstrip("\n"), fg=colours.get(line[0])), color=output.wants_colour())


def formatted(raw: bytes, file: str, *, sort: bool = False) -> str:
    """The text in its layout. Raises DeclarationError when it is not YAML."""
    before = yamlfile.read(raw, file)
    if before.problems:
        raise DeclarationError(before.problems)
    text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    node = yamlfile.compose(text.encode(), file)
    if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value:
        return layout.tidy([(line, True) for line in text.split("\n")])
    document = layout.Layout(text, node)
    # an anchor may come after its use when keys change places; then they stay
    for rank in (_sorted if sort else _sections, _sections, None):
        result = document.text(rank)
        after = yamlfile.read(result.encode(), file)
        if not after.problems and after.data == before.data:
            return result
    raise DeclarationError([Problem("cannot be formatted without changing what it says", Location(file))])


def _sections(path: tuple[str, ...]) -> tuple[int, str]:
    """The order of sections."""
    known = len(path) == 1 and path[0] in ORDER
    return (ORDER.index(path[0]) if known else len(ORDER)), ""


def _sorted(path: tuple[str, ...]) -> tuple[int, str]:
    """As `_sections`, and domains and hosts by name."""
    rank, _ = _sections(path)
    return rank, path[1] if len(path) == 2 and path[0] in SORTED else ""
