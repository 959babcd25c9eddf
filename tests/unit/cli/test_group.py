# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected errors of commands are messages in words; where a command helps, it is named."""

import errno
import os
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from ddnsd.cli.app import main
from ddnsd.cli.group import CommandGroup
from ddnsd.db.base import StoreDown
from ddnsd.registry.errors import Code, Invalid, NoDomain, Reason

REFUSED, ABSENT = os.strerror(errno.ECONNREFUSED), os.strerror(errno.ENOENT)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOENT, ABSENT, "/etc/x.key"), f"/etc/x.key: {ABSENT}"),
        (OSError(errno.ECONNREFUSED, REFUSED), REFUSED),
        (OSError("no port is free"), "no port is free"),
        (StoreDown("PostgreSQL at h does not answer"), "PostgreSQL at h does not answer"),
        (StoreDown(), "the database cannot be used"),
        (
            Invalid(user=Reason(Code.USER_MISSING, user="bob")),
            "There is no user bob. Create the user with `ddnsd user add bob`.",
        ),
        (
            Invalid(scopes=Reason(Code.USER_NO_ADMINISTRATOR, user="bob")),
            "bob is not an administrator. Change this with `ddnsd user add bob --admin`.",
        ),
        (NoDomain(Code.DOMAIN_MISSING, domain="a.example.org"), "There is no domain a.example.org."),
        (NoDomain(), "There is no such domain."),
    ],
)
def test_an_expected_error_is_a_message(error: Exception, text: str) -> None:
    @click.command()
    def fails() -> None:
        raise error

    done = CliRunner().invoke(CommandGroup(commands=[fails]), ["fails"])
    assert (done.exit_code, done.output) == (1, f"Error: {text}\n")


def _groups(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _groups(command, (*path, name))


@pytest.mark.parametrize("path", list(_groups(main)), ids=" ".join)
def test_no_description_is_cut(path: tuple[str, ...]) -> None:
    lines = CliRunner().invoke(main, [*path, "--help"], terminal_width=80).output.splitlines()
    assert "Commands:" in lines
    assert [line for line in lines[1:] if line.endswith("...")] == []
