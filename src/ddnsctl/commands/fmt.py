# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl fmt`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ddnsctl import options, output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ddnsctl.sync.errors import Problem


@click.command("fmt")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=options.FILE)
@click.option("--check", is_flag=True, help="Change nothing. Print the names of unformatted files; exit 1 if any.")
@click.option("--diff", is_flag=True, help="Change nothing. Print the difference.")
@click.option("--sort", is_flag=True, help="Sort domains, hosts and keys by name.")
def command(paths: tuple[str, ...], check: bool, diff: bool, sort: bool) -> int:
    """Format declarations. Content and comments do not change.

    The order of the sections is version, x-… keys, include, server, stack, vars, environments, defaults, domains,
    hosts, keys. Each level is indented by two spaces. Trailing spaces and repeated empty lines are removed. The file
    ends with one line break. Prints the names of the files that were changed. If PATH is -, the formatted text goes to
    standard output.
    """
    return format_files(paths, check=check, diff=diff, sort=sort)


def format_files(paths: Sequence[str], *, check: bool, diff: bool, sort: bool) -> int:
    """Format files and return the exit code. Raises OSError, and DeclarationError with all problems of all files."""
    from pathlib import Path

    from ddnsctl import loader
    from ddnsctl.sync.errors import DeclarationError
    from ddnsctl.yaml.formatter import formatted

    problems: list[Problem] = []
    changed: list[tuple[str, str, str]] = []
    for file, raw in loader.contents(paths, problems):
        try:
            _check_declaration(raw, file)
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
        if diff:
            _print_difference(file, before, after)
        else:
            click.echo(file)
        if not check and not diff:
            Path(file).write_bytes(after.encode())
    return 1 if check and changed else 0


def _check_declaration(raw: bytes, file: str) -> None:
    """Raises DeclarationError if it is readable YAML, but no declaration."""
    from ddnsctl.sync.errors import DeclarationError, Location, Problem
    from ddnsctl.yaml import reader
    from ddnsctl.yaml.formatter import IGNORED, ORDER

    document = reader.read(raw, file)
    if document.problems:
        raise DeclarationError(document.problems)
    if not isinstance(document.data, dict) or "version" not in document.data:
        text, hint = "is not a declaration, so it is not formatted", "a declaration has `version: 1`"
        raise DeclarationError([Problem(text, Location(file), hint)])
    if unknown := [key for key in document.data if key not in ORDER and not key.startswith(IGNORED)]:
        where = document.locate((unknown[0],))
        raise DeclarationError([Problem(f"is not a declaration: {unknown[0]}: unknown key", where)])


def _print_difference(file: str, before: str, after: str) -> None:
    import difflib

    shown = difflib.unified_diff(before.splitlines(True), after.splitlines(True), file, f"{file} (formatted)")
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in shown:
        click.echo(click.style(line.rstrip("\n"), fg=colours.get(line[0])), color=output.wants_colour())
