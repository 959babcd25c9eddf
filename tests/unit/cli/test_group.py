# SPDX-License-Identifier: GPL-3.0-or-later
"""Expected errors of commands are one line; where a command helps, it is named."""

import click
import pytest
from click.testing import CliRunner

from ddnsd.cli.group import CommandGroup
from ddnsd.registry.errors import Code, Invalid, NoDomain, Reason, RegistryError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (Invalid(user=Reason(Code.USER_MISSING, user="bob")), "there is no user 'bob' (ddnsd user add bob)"),
        (
            Invalid(scopes=Reason(Code.USER_NO_ADMINISTRATOR, user="bob")),
            "bob is no administrator (ddnsd user add bob --admin)",
        ),
        (NoDomain(Code.DOMAIN_MISSING, domain="a.example.org"), "there is no domain a.example.org"),
        (NoDomain(), "no such domain"),
    ],
)
def test_an_error_is_one_line(error: RegistryError, line: str) -> None:
    @click.group(cls=CommandGroup)
    def main() -> None:
        pass

    @main.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(main, ["fail"])
    assert (result.exit_code, result.stderr) == (1, f"Error: {line}\n")
