# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl apply`"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from ddnsctl import options

if TYPE_CHECKING:
    from ddnsctl.loader import Sources
    from ddnsctl.sync.policy import Limits

VERIFY = "60"


class Apply(click.Command):
    """`--verify` takes a number if one follows; any other word after it is a file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As Click."""
        joined: list[str] = []
        for argument in args:
            if joined and joined[-1] == "--verify":
                number = re.fullmatch(r"\d+(\.\d+)?", argument)
                joined[-1] = f"--verify={argument if number else VERIFY}"
                joined += [] if number else [argument]
            else:
                joined.append(argument)
        if joined and joined[-1] == "--verify":
            joined[-1] = f"--verify={VERIFY}"
        return super().parse_args(ctx, joined)


@click.command("apply", cls=Apply)
@options.sources()
@options.pruning
@options.yes
@click.option("--resume", is_flag=True, help="Go on with what an earlier run began, by its journal.")
@click.option("--journal", metavar="FILE", type=click.Path(), help="The journal; by default a file in .ddnsctl.")
@click.option(
    "--verify",
    metavar="[SECONDS]",
    type=float,
    callback=options.seconds,
    help=f"Wait until the domains' name servers answer as declared; {VERIFY} seconds by default.",
)
@click.option(
    "--dns",
    metavar="HOST:PORT",
    multiple=True,
    help="With --verify: ask this name server and not those of the domains' NS records. Repeatable.",
)
@options.connection
def command(
    sources: Sources,
    connection: options.Connection,
    prune: bool,
    max_deletes: Limits | None,
    **kwargs: Any,
) -> int:
    """Make what is registered as it is declared.

    Shows the plan, asks, and carries it out, past changes that fail. A plan that `plan -o` saved is carried out as it
    was shown, and refused (exit code 5) when what it rests on has changed.

    What is done is written to a journal, which goes away in the end. If changes failed, or the run was interrupted, it
    stays (exit code 4), and `ddnsctl apply --resume` goes on where that run ended. A call whose answer was lost is made
    again with its key, and answered as before, with the same secrets. After a day, with another
    token, and with EGI's service, that is not possible: then the plan shows which secrets are replaced. What the server
    refused is never sent as something else.

    Secrets of new hosts go where the declaration says (`secret: {file: …}`), with mode 0600, and nowhere else.
    """
    from ddnsctl import applying, planning
    from ddnsctl.sync.errors import SyncError

    settings = applying.Settings(**kwargs)
    if settings.resume:
        if sources:
            raise SyncError("--resume goes on with the plan in the journal; name no declaration beside it")
        return applying.resume(sources, settings, connection)
    saved = planning.saved_plan(sources)
    if saved is not None:
        if prune or max_deletes is not None:
            raise SyncError("a saved plan is carried out as it is: --prune and --max-deletes belong to `plan`")
        return applying.saved(saved, sources, settings, connection)
    return applying.declared(sources, settings, connection, prune=prune, limits=max_deletes)
