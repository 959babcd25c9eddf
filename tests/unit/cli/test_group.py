# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected errors of commands are messages in words; where a command helps, it is named."""

import errno
import os

import click
import pytest
from click.testing import CliRunner

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
        (Invalid(user=Reason(Code.USER_MISSING, user="bob")), "there is no user 'bob' (ddnsd user add bob)"),
        (
            Invalid(scopes=Reason(Code.USER_NO_ADMINISTRATOR, user="bob")),
            "bob is no administrator (ddnsd user add bob --admin)",
        ),
        (NoDomain(Code.DOMAIN_MISSING, domain="a.example.org"), "there is no domain a.example.org"),
        (NoDomain(), "no such domain"),
    ],
)
def test_an_expected_error_is_a_message(error: Exception, text: str) -> None:
    @click.command()
    def fails() -> None:
        raise error

    done = CliRunner().invoke(CommandGroup(commands=[fails]), ["fails"])
    assert (done.exit_code, done.output) == (1, f"Error: {text}\n")
