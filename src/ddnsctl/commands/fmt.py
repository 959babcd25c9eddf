# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl fmt`"""

from __future__ import annotations

import click

from ddnsctl import options


@click.command("fmt")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=options.FILE)
@click.option("--check", is_flag=True, help="Change nothing; exit 1 and name the files that are not formatted.")
@click.option("--diff", is_flag=True, help="Show what changes, and change nothing.")
@click.option("--sort", is_flag=True, help="Sort domains and hosts by name.")
def command(paths: tuple[str, ...], check: bool, diff: bool, sort: bool) -> int:
    """Format declarations: one layout, the same content, all comments kept.

    Sections stand in the order version, server, stack, defaults, domains, hosts; levels are indented by two spaces; no
    trailing blanks, no two empty lines in a row, one line break at the end. Formatting a formatted file changes
    nothing. Names the files that it changed. For - the formatted text goes to standard output.
    """
    from ddnsctl import formatting

    return formatting.run(paths, check=check, diff=diff, sort=sort)
