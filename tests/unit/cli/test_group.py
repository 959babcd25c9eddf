# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of commands are messages in words."""

import errno
import os

import click
import pytest
from click.testing import CliRunner

from ddnsd.cli.group import CommandGroup
from ddnsd.db.base import StoreDown

REFUSED, ABSENT = os.strerror(errno.ECONNREFUSED), os.strerror(errno.ENOENT)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOENT, ABSENT, "/etc/x.key"), f"/etc/x.key: {ABSENT}"),
        (OSError(errno.ECONNREFUSED, REFUSED), REFUSED),
        (OSError("no port is free"), "no port is free"),
        (StoreDown("PostgreSQL at h does not answer"), "PostgreSQL at h does not answer"),
        (StoreDown(), "the database cannot be used"),
    ],
)
def test_an_expected_error_is_a_message(error: Exception, text: str) -> None:
    @click.command()
    def fails() -> None:
        raise error

    done = CliRunner().invoke(CommandGroup(commands=[fails]), ["fails"])
    assert (done.exit_code, done.output) == (1, f"Error: {text}\n")
