# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl destroy`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ddnsctl import options

if TYPE_CHECKING:
    from ddnsctl.loader import Sources


@click.command("destroy")
@options.sources()
@options.yes
@click.option("--journal", metavar="FILE", type=click.Path(), help="The journal; by default a file in .ddnsctl.")
@options.connection
def command(sources: Sources, connection: options.Connection, yes: bool, journal: str | None) -> int:
    """Delete everything of a stack.

    All hosts and domains that are registered for the stack go, declared or not; --stack NAME needs no declaration. Of a
    declaration without a stack, the declared hosts and domains go. Asks for the stack's name.
    """
    from ddnsctl import applying

    return applying.destroy(sources, applying.Settings(yes=yes, journal=journal), connection)
