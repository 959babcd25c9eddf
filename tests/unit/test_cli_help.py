# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd --help` and that of its groups show each description as a whole."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from ddnsd.cli.app import main


def groups(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from groups(command, (*path, name))


@pytest.mark.parametrize("path", list(groups(main)), ids=" ".join)
def test_no_description_is_cut(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"], terminal_width=80)
    commands = result.stdout.partition("Commands:\n")[2]
    assert commands
    assert "..." not in commands
