# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl rotate`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ddnsctl import options

if TYPE_CHECKING:
    from ddnsctl.loader import Sources


@click.command("rotate")
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
@click.option("--secret-dir", metavar="DIR", type=click.Path(), help="Keep each new secret in a file DIR/FULL-NAME.")
@options.yes
@options.sources(argument=False)
@options.connection
def command(
    hosts: tuple[str, ...],
    sources: Sources,
    connection: options.Connection,
    secret_dir: str | None,
    yes: bool,
) -> int:
    """Make new secrets for hosts. The old ones are void at once.

    A HOST is a registered name, in full or its first label where that is unique. Its new secret goes where the
    declaration (-f) says, or into --secret-dir; a host with neither is refused before anything is changed.
    """
    from ddnsctl import applying

    settings = applying.Settings(yes=yes)
    return applying.rotate(hosts, sources, secret_dir, settings, connection)
