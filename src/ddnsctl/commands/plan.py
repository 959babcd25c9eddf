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
@click.option(
    "--format",
    "form",
    type=click.Choice(output.FORMATS),
    default="text",
    metavar="FORMAT",
    help="text, json, ndjson (a line for each change) or markdown (for a pull request).",
)
@click.option("-o", "--out", metavar="FILE", type=click.Path(), help="Save the plan, for `apply FILE`.")
@options.connection
def command(
    sources: Sources,
    connection: options.Connection,
    prune: bool,
    max_deletes: Limits | None,
    form: str,
    out: str | None,
) -> int:
    """Show what would change. Nothing is changed.

    \b
      +    the host would be registered        -/+  … registered anew, with a new secret
      ~    … changed in place                  >    … renamed, keeping its secret
      -    … deleted                           @    … taken over (`adopt: true`)
                                               !    … given a new secret

    Exits 0 when there is nothing to do, 2 when there is, 3 when a safety rule refuses the plan. A saved plan holds no
    secrets; `apply` carries it out as it is, or not at all.
    """
    from ddnsctl import planning

    planned, url = planning.make(sources, connection, prune=prune, limits=max_deletes)
    output.plan(planned, form, url=url)
    if out is not None:
        planning.save(planned, url, out)
        output.remark(f"\nSaved to {out}. Carry it out with: ddnsctl apply {out}")
    return PENDING if planned.changes else 0
