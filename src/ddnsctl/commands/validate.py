# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl validate`"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from ddnsctl import options, output

if TYPE_CHECKING:
    from ddnsctl.loader import Sources


@click.command("validate")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of declarations, for editors, and exit.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    metavar="FORMAT",
    help="text, or json: an object with counts, or with all problems and their places.",
)
@click.option(
    "--render",
    is_flag=True,
    help="Print the resolved declaration, with the values of includes, variables, ranges and defaults.",
)
@options.sources()
def command(sources: Sources, schema: bool, form: str, render: bool) -> int:
    """Check declarations without connecting to a server.

    Reports all errors at once, with file, line and column. With --render it prints the declaration as it is understood,
    with full names. The paths of secrets are relative to the current folder. With --schema it prints the JSON Schema.
    In an editor with the YAML language server, this first line of a declaration turns on checks and completion:

    \b
      # yaml-language-server: $schema=declaration.schema.json
    """
    from ddnsctl import loader
    from ddnsctl.sync import saved
    from ddnsctl.sync.errors import Problem, SyncError

    if schema:
        from importlib import resources

        click.echo(resources.files("ddnsctl").joinpath("schema/declaration.schema.json").read_text(), nl=False)
        return 0
    try:
        declared = loader.load_any(sources)
    except SyncError as error:
        if form == "json":
            problems = [saved.note_dict(problem) for problem in output.problems(error)] or [
                saved.note_dict(Problem(str(error)))
            ]
            click.echo(json.dumps({"valid": False, "problems": problems}, indent=2))
            return error.exit_code
        raise
    if render:
        from ddnsctl.sync import declare
        from ddnsctl.yaml import writer

        click.echo(writer.rendered(declare.as_data(declared)), nl=False)
        return 0
    if form == "json":
        numbers = {"hosts": len(declared.hosts), "domains": len(declared.domains), "keys": len(declared.keys)}
        click.echo(json.dumps({"valid": True, "stack": declared.stack, **numbers}, indent=2))
        return 0
    counts = f"{_count(len(declared.hosts), 'host')}, {_count(len(declared.domains), 'domain')}"
    counts += f", {_count(len(declared.keys), 'key')}" if declared.keys else ""
    stack = f" of stack {declared.stack}" if declared.stack else ", no stack"
    click.echo(f"valid: {counts}{stack}")
    return 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
