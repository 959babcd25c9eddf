# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl apply`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ddnsctl import options

if TYPE_CHECKING:
    from ddnsctl.execution import Settings
    from ddnsctl.loader import Sources
    from ddnsctl.saved_plans import SavedPlan
    from ddnsctl.sync.plan import Options
    from ddnsctl.sync.policy import Limits

QUESTION = "Apply these changes?"


@click.command("apply", cls=options.OptionalNumbers)
@options.sources()
@options.pruning
@options.max_changes
@options.only
@options.secrets
@options.yes
@click.option("--resume", is_flag=True, help="Continue an earlier run from its journal.")
@options.journal
@options.leasing
@click.option(
    "--verify",
    metavar="[SECONDS]",
    type=float,
    callback=options.seconds,
    help=f"Wait until the domains' name servers answer as declared, at most {options.DEFAULTS['--verify']} seconds by "
    "default.",
)
@click.option(
    "--dns",
    metavar="HOST:PORT",
    multiple=True,
    help="With --verify: ask this name server instead of those in the domains' NS records. Repeatable.",
)
@options.connection
def command(
    sources: Sources,
    connection: options.Connection,
    prune: bool,
    max_deletes: Limits | None,
    max_changes: Limits | None,
    only: tuple[str, ...],
    repair: bool,
    **kwargs: Any,
) -> int:
    """Register, change and delete hosts as declared.

    Shows the plan, asks for confirmation, and makes the changes. If the server would refuse a change of the plan,
    nothing is changed. If a change fails later, the others are still made. A plan that `plan -o` saved is applied as it
    was shown. It is refused (exit code 5) if its hosts have changed since.

    A journal records the progress. It is deleted when all changes are done. If changes failed, or the run was
    interrupted, it stays (exit code 4), and `ddnsctl apply --resume` continues. If an answer of the server was lost,
    the same request is sent again, and the server repeats its answer, with the same secrets. This is not possible after
    a day, with another token, or with EGI's service: then the plan shows which secrets are replaced. A change that the
    server refused is not sent in another form. A journal says which process uses it, and only one can. A later `apply`
    of the same stack deletes the journal if its plan covers everything that was left.

    While it runs, it holds the lease of the stack. If somebody else applies the same stack, nothing is changed (exit
    code 6), unless you use --wait. The lease of a run that died ends within a minute.

    New secrets are written to the files that the declaration names (`secret: {file: …}`), with mode 0600, and nowhere
    else.
    """
    from ddnsctl import execution, saved_plans
    from ddnsctl.sync.errors import SyncError
    from ddnsctl.sync.plan import Options
    from ddnsctl.sync.policy import Limits

    settings = execution.Settings(**kwargs)
    if settings.resume:
        if sources:
            raise SyncError("--resume continues the plan in the journal: remove the declaration from the command line")
        return _resume(sources, settings, connection)
    saved = saved_plans.find(sources)
    if saved is not None:
        if prune or max_deletes or max_changes or only or repair or sources.env or sources.variables:
            options_of_plan = "--prune, --max-deletes, --max-changes, --only, --secrets, --env and --var"
            raise SyncError(f"a saved plan is applied unchanged: use {options_of_plan} with `plan` instead")
        return _apply_saved_plan(saved, sources, settings, connection)
    chosen = Options(prune, limits=max_deletes or Limits(), max_changes=max_changes, only=only)
    return _apply_declarations(sources, settings, connection, chosen, repair=repair)


def _apply_declarations(
    sources: Sources, settings: Settings, connection: options.Connection, chosen: Options, *, repair: bool
) -> int:
    from ddnsctl import execution, leases, loader, output
    from ddnsctl.sync import selection

    declaration = loader.load_any(sources)
    hosts = selection.declared(declaration, chosen.only).hosts
    with leases.opened(connection, declaration, chosen, settings, sources.vault) as opened:
        with output.refused_plans(opened.url):
            plan = opened.plan(declaration, chosen, sources.vault, repair=repair)
        work = execution.Work(
            plan, opened.url, opened.server, opened.token_id, hosts, vault=sources.vault, whole=not chosen.only
        )
        return execution.run(work, settings, QUESTION)


def _apply_saved_plan(saved: SavedPlan, sources: Sources, settings: Settings, connection: options.Connection) -> int:
    from ddnsctl import execution, leases, output, saved_plans, session
    from ddnsctl.sync import dry_run, recheck
    from ddnsctl.sync.errors import Stale

    saved_plans.check_server(connection, saved.url, saved.file)
    connected = session.connect(connection, saved.url or None, saved.file)
    with leases.held(connected.server, saved.plan.stack, settings):
        leases.look_for_lost_secrets(connected.server)
        registered = connected.server.registered(recheck.names_of(saved.plan.changes))
        if problems := recheck.check(saved.plan.changes, registered):
            raise Stale(problems)
        with output.refused_plans(saved.url):
            plan = session.checked(saved.plan, connected.server, {}, sources.vault)
        if grown := dry_run.grown(saved.plan, plan):
            raise Stale(grown)
        work = execution.Work(plan, saved.url, *connected, strict=True, vault=sources.vault)
        return execution.run(work, settings, QUESTION)


def _resume(sources: Sources, settings: Settings, connection: options.Connection) -> int:
    import contextlib
    from dataclasses import replace

    from ddnsctl import execution, journals, leases, output, saved_plans, secrets, session
    from ddnsctl.sync import recheck, unfinished

    path = journals.unfinished(settings.journal)
    journal, found = unfinished.resume(path)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(journal))
        plan, state, url = found.plan, found.state, found.url
        saved_plans.check_server(connection, url, str(path))
        work = execution.Work(plan, url, *session.connect(connection, url or None, str(path)))
        stack.enter_context(leases.held(work.server, plan.stack, settings, found.lease))
        journal.take(work.server.stacks.lease if work.server.stacks is not None else "")
        same_token = found.has_same_token(work.token_id)
        rest = recheck.remaining(plan.changes, state, work.server, same_token=same_token)
        output.remark(f"Resuming {path}: {len(found.left)} of {len(plan.changes)} changes are left.")
        shown = replace(plan, changes=rest.changes(plan.changes))
        secret_writer = secrets.SecretWriter(shown.changes, sources.vault, resumed=True)
        secret_writer.check()
        if shown.changes and not execution.confirmed(shown, work.url, settings, "Apply the remaining changes?"):
            return 1
        done = len(state.done)
        recorder = unfinished.Recorder(
            path, journal, len(plan.changes), done, resumed=True, flush=secret_writer.flush, drop=journals.drop
        )
        code = execution.execute(work, recorder, secret_writer, rest, done=done)
        return code or execution.verified(work, settings)
