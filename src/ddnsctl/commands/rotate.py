# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl rotate`"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ddnsctl import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ddnsctl.loader import Sources
    from ddnsctl.sync.changes import Change
    from ddnsctl.sync.model import Declaration


@click.command("rotate", cls=options.OptionalNumbers)
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True, shell_complete=options.registered("hosts"))
@click.option("--secret-dir", metavar="DIR", type=click.Path(), help="Write each new secret to DIR/FULL-NAME.")
@options.yes
@options.leasing
@options.sources(argument=False)
@options.connection
def command(
    hosts: tuple[str, ...],
    sources: Sources,
    connection: options.Connection,
    secret_dir: str | None,
    **kwargs: Any,
) -> int:
    """Replace the secrets of hosts. The old secrets stop working at once.

    HOST is a registered name, in full or its first label if that is unique. The new secret goes to the file that the
    declaration (-f) names, or to --secret-dir. If a host has neither, nothing is changed.
    """
    from ddnsctl import execution, leases, loader, output, secrets, session
    from ddnsctl.sync.plan import Action, Options

    declaration = loader.load(sources)
    opened = session.open_by_names(connection, declaration.server, hosts)
    names = session.full_names(hosts, opened.registered.hosts)
    with output.refused_plans(opened.url):
        plan = opened.plan(_secrets_only(declaration, names), Options(rotate=names), sources.vault)
    changes = tuple(change for change in plan.changes if change.action is Action.ROTATE)
    if secret_dir is not None:
        changes = tuple(replace(change, secret=secrets.in_folder(secret_dir, change.name)) for change in changes)
    _check_destinations(changes)
    secrets.SecretWriter(changes, sources.vault).check()
    alone = replace(plan, changes=changes, drift=(), notes=(), unchanged=0)
    work = execution.Work(alone, opened.url, opened.server, opened.token_id, vault=sources.vault)
    question = "Replace these secrets? The present ones stop working at once."
    settings = execution.Settings(**kwargs)
    with leases.held(opened.server, declaration.stack, settings):
        leases.collect(opened.server, declaration, sources.vault)
        return execution.run(work, settings, question)


def _secrets_only(declaration: Declaration, names: Sequence[str]) -> Declaration:
    """The declaration of these hosts with nothing but their secrets, so that nothing else changes."""
    from ddnsctl.sync.model import HostSpec

    known = {name: declaration.hosts[name] for name in names if name in declaration.hosts}
    kept = {name: HostSpec(name, secret=spec.secret, where=spec.where) for name, spec in known.items()}
    return replace(declaration, hosts=kept, domains={}, keys={}, moved_from=None, protect=None, gives=None)


def _check_destinations(changes: Sequence[Change]) -> None:
    """Raises SecretError if a new secret has no file to go to."""
    from ddnsctl.secrets import SecretError
    from ddnsctl.sync.errors import Problem
    from ddnsctl.sync.model import NONE

    hint = "declare `secret:` and name the declaration with -f, or use --secret-dir"
    without = [change.name for change in changes if change.secret is None or change.secret.kind == NONE]
    if without:
        raise SecretError([Problem(f"{name}: no file is named for its secret", hint=hint) for name in without])
