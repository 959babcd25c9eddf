# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl plan`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ddnsctl import options, output

if TYPE_CHECKING:
    from ddnsctl.loader import Sources
    from ddnsctl.sync.policy import Limits

PENDING = 2


@click.command("plan")
@options.sources()
@options.pruning
@options.max_changes
@options.only
@options.secrets
@click.option(
    "--format",
    "form",
    type=click.Choice(output.FORMATS),
    default="text",
    metavar="FORMAT",
    help="text, json, ndjson (one line per change) or markdown (for a pull request).",
)
@click.option("-o", "--out", metavar="FILE", type=click.Path(), help="Save the plan, for `apply FILE`.")
@options.connection
def command(
    sources: Sources,
    connection: options.Connection,
    prune: bool,
    max_deletes: Limits | None,
    max_changes: Limits | None,
    only: tuple[str, ...],
    repair: bool,
    form: str,
    out: str | None,
) -> int:
    """Show what `apply` would change. This command changes nothing.

    \b
      +    register the host                  -/+  register it again, with a new secret
      ~    change it in place                   >    rename it; it keeps its secret
      -    delete it                            @    take it over (`adopt: true`)
                                                !    give it a new secret

    The server checks the changes without making them. If it would refuse some, or a new secret cannot be written, all
    reasons are printed after the plan. A deletion names the other records and the related names that go with the host.

    With --secrets, the plan replaces secrets whose file is missing or that the server no longer accepts. Use it only
    where all files are: a file that is on another machine is missing here.

    Exit code: 0 if there are no changes, 2 if there are, 3 if a safety rule refuses the plan, 1 if it cannot be applied
    for another reason. A saved plan contains no secrets. `apply` applies all of it or refuses it.
    """
    from ddnsctl import loader, saved_plans, session
    from ddnsctl.sync.plan import Options
    from ddnsctl.sync.policy import Limits

    declared = loader.load_any(sources)
    chosen = Options(prune=prune, limits=max_deletes or Limits(), max_changes=max_changes, only=only)
    opened = session.open_for(connection, declared, chosen)
    with output.refused_plans(opened.url, form):
        plan = opened.plan(declared, chosen, sources.vault, repair=repair)
    output.plan(plan, form, url=opened.url)
    if out is not None:
        saved_plans.save(plan, opened.url, out)
        output.remark(f"\nSaved to {out}. Apply it with: ddnsctl apply {out}")
    return PENDING if plan.changes else 0
