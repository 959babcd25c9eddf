# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl destroy`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ddnsctl import options

if TYPE_CHECKING:
    from ddnsctl.loader import Sources


@click.command("destroy", cls=options.OptionalNumbers)
@options.sources()
@options.yes
@options.journal
@options.leasing
@options.connection
def command(sources: Sources, connection: options.Connection, **kwargs: Any) -> int:
    """Delete all hosts and domains of a stack.

    Deletes everything that is registered for the stack, declared or not. With --stack NAME no declaration is needed. If
    the declaration has no stack, the declared hosts and domains are deleted. You confirm by typing the stack's name.

    If only --stack names the stack and nothing is registered for it, that is an error: the name may be misspelt.
    """
    from ddnsctl import execution, leases, loader, output
    from ddnsctl.sync.errors import SyncError
    from ddnsctl.sync.plan import Options

    if not sources and sources.stack is None:
        raise SyncError("nothing to delete is named: name a declaration, or a stack with --stack NAME")
    declaration = loader.load(sources)
    chosen = Options(destroy=True)
    settings = execution.Settings(**kwargs)
    with leases.opened(connection, declaration, chosen, settings) as opened:
        with output.refused_plans(opened.url):
            plan = opened.plan(declaration, chosen)
        if not sources and not plan.changes and not plan.notes:
            raise SyncError(
                f"nothing is registered for stack {sources.stack}; `ddnsctl show` lists hosts with their stacks"
            )
        work = execution.Work(plan, opened.url, opened.server, opened.token_id, destroys=declaration.stack is not None)
        return execution.run(work, settings, "", typed=declaration.stack or "destroy")
