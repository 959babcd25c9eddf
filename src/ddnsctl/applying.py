# SPDX-License-Identifier: GPL-3.0-or-later
"""From a plan to what became of it: show, ask, carry out, tell."""

from __future__ import annotations

import contextlib
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import click

from ddnsctl import journals, loader, output, planning, progress, secrets, session
from ddnsctl.loader import Sources
from ddnsctl.options import Connection
from ddnsctl.sync import apply as engine
from ddnsctl.sync import journal as records
from ddnsctl.sync import recheck
from ddnsctl.sync.api import Server
from ddnsctl.sync.errors import PartlyApplied, Problem, SyncError
from ddnsctl.sync.model import Declaration, HostSpec
from ddnsctl.sync.plan import Action, Change, Options, Plan
from ddnsctl.sync.policy import Limits

PARTLY = PartlyApplied.exit_code
TOKEN_ID = "token_id"  # noqa: S105
"""Where a journal says with which token its calls were made."""
DONE = {
    Action.CREATE: "added",
    Action.UPDATE: "changed",
    Action.REPLACE: "replaced",
    Action.DELETE: "deleted",
    Action.MOVE: "moved",
    Action.ADOPT: "adopted",
    Action.ROTATE: "rotated",
}
SHOWN = 20
"""The most failed changes that are told one by one."""


@dataclass(frozen=True)
class Settings:
    """How a plan is applied."""

    yes: bool = False
    resume: bool = False
    journal: str | None = None
    verify: float | None = None
    dns: tuple[str, ...] = ()


class Work(NamedTuple):
    """What is to be carried out, and where."""

    plan: Plan
    url: str
    server: Server
    token_id: str
    declared: Mapping[str, HostSpec] = {}
    """The declared hosts, as far as they are known: for --verify."""
    strict: bool = False
    """All preconditions are looked at before anything is changed."""
    vault: tuple[str, ...] = ()
    """Options of `ansible-vault`, for secrets."""


def declared(
    sources: Sources, settings: Settings, connection: Connection, *, prune: bool, limits: Limits | None
) -> int:
    """Plan and apply declarations. Answers the exit code; raises SyncError."""
    if not sources:
        raise SyncError(session.NOTHING)
    declaration = loader.load(sources)
    opened = session.open_session(connection, declaration.server)
    plan = opened.plan(declaration, Options(prune=prune, limits=limits or Limits()))
    work = Work(plan, opened.url, opened.server, opened.token_id, declaration.hosts, vault=sources.vault)
    return _finish(work, settings, _decide(work, settings, "Apply these changes?"))


def saved(plan: planning.Saved, sources: Sources, settings: Settings, connection: Connection) -> int:
    """Apply a saved plan, wholly or, when it is stale, not at all."""
    planning.same_server(connection, plan.url, plan.file)
    reached = session.connect(connection, plan.url or None, plan.file)
    work = Work(plan.plan, plan.url, *reached, strict=True, vault=sources.vault)
    return _finish(work, settings, _decide(work, settings, "Apply these changes?"))


def destroy(sources: Sources, settings: Settings, connection: Connection) -> int:
    """Delete everything of a stack."""
    if not sources and sources.stack is None:
        raise SyncError("say what is to be destroyed: a declaration, or --stack NAME")
    declaration = loader.load(sources)
    opened = session.open_session(connection, declaration.server)
    work = Work(opened.plan(declaration, Options(destroy=True)), opened.url, opened.server, opened.token_id)
    return _finish(work, settings, _decide(work, settings, "", confirm=declaration.stack or "destroy"))


def rotate(
    hosts: tuple[str, ...], sources: Sources, folder: str | None, settings: Settings, connection: Connection
) -> int:
    """New secrets for hosts, and no other change."""
    declaration = loader.load(sources)
    opened = session.open_session(connection, declaration.server)
    names = session.full_names(hosts, opened.registered.hosts)
    asked = _only(declaration, names)
    plan = opened.plan(asked, Options(rotate=names))
    changes = tuple(_placed(change, folder) for change in plan.changes if change.action is Action.ROTATE)
    _refuse(changes)
    alone = replace(plan, changes=changes, drift=(), notes=(), unchanged=0)
    work = Work(alone, opened.url, opened.server, opened.token_id, vault=sources.vault)
    return _finish(work, settings, _decide(work, settings, "Make these secrets? The present ones are void at once."))


def _only(declaration: Declaration, names: Sequence[str]) -> Declaration:
    """The declaration of these hosts alone, as they are registered: nothing but their secrets is to change."""
    known = {name: declaration.hosts[name] for name in names if name in declaration.hosts}
    kept = {name: HostSpec(name, secret=spec.secret, where=spec.where) for name, spec in known.items()}
    return replace(declaration, hosts=kept, domains={})


def _placed(change: Change, folder: str | None) -> Change:
    return change if folder is None else replace(change, secret=secrets.in_folder(folder, change.name))


def _refuse(changes: Sequence[Change]) -> None:
    """Raises SinkError when a new secret would have no place to go."""
    homeless = [change.name for change in changes if change.secret is None]
    if homeless:
        hint = "declare `secret:` and name the declaration with -f, or use --secret-dir"
        problems = [Problem(f"{name}: nothing says where its secret goes", hint=hint) for name in homeless]
        raise secrets.SecretError(problems)


def resume(sources: Sources, settings: Settings, connection: Connection) -> int:
    """Go on with a journal."""
    path = journals.unfinished(settings.journal)
    journal, state = records.Journal.resume(str(path))
    with contextlib.closing(journal):
        plan, url = planning.read(state.plan), str(state.plan.get("url", ""))
        journal.set_changes(plan.changes)
        planning.same_server(connection, url, str(path))
        work = Work(plan, url, *session.connect(connection, url or None, str(path)))
        same_token = state.plan.get(TOKEN_ID, work.token_id) == work.token_id
        rest = recheck.remaining(plan.changes, state, work.server, same_token=same_token)
        left = len(plan.changes) - len(state.done)
        output.remark(f"Going on with {path}: {left} of {len(plan.changes)} changes are left.")
        shown = replace(plan, changes=rest.changes(plan.changes))
        secret_writer = secrets.SecretWriter(shown.changes, sources.vault, resumed=True)
        secret_writer.check()
        if shown.changes and not _agreed(shown, work.url, settings, "Apply the rest?"):
            return 1
        recorder = journals.Recorder(path, journal, secret_writer, len(plan.changes), len(state.done), resumed=True)
        return _finish(work, settings, _execute(work, recorder, rest, done=len(state.done)))


def _decide(work: Work, settings: Settings, question: str, *, confirm: str | None = None) -> int | None:
    """Show, ask and carry out; None when there is nothing to do, otherwise the exit code."""
    secret_writer = secrets.SecretWriter(work.plan.changes, work.vault)
    secret_writer.check()
    if not work.plan.changes:
        output.plan(work.plan, "text", url=work.url)
        return None
    for path in journals.unfinished_paths() if settings.journal is None else ():
        output.warning(f"an earlier run did not end: `ddnsctl apply --resume` goes on with {path}; or remove it")
    if not _agreed(work.plan, work.url, settings, question, confirm):
        return 1
    content = planning.content(work.plan, work.url) | {TOKEN_ID: work.token_id}
    return _execute(work, journals.Recorder.create(settings.journal, content, work.plan, secret_writer))


def _agreed(plan: Plan, url: str, settings: Settings, question: str, confirm: str | None = None) -> bool:
    """Show the plan and ask; True when it is to be carried out."""
    output.plan(plan, "text", url=url)
    if settings.yes:
        click.echo(err=True)
        return True
    if not output.is_terminal():
        raise SyncError("there is no terminal to ask at; read the plan above, and use --yes to apply it")
    click.echo(err=True)
    if confirm is None:
        agreed = click.confirm(click.style(question, bold=True), err=True)
    else:
        text = click.style(f"This cannot be undone. Type {confirm} to delete all of it", bold=True)
        agreed = click.prompt(text, default="", show_default=False, err=True) == confirm
    if not agreed:
        output.error("not agreed; nothing has been changed")
    return agreed


def _execute(work: Work, recorder: journals.Recorder, rest: recheck.Rest | None = None, *, done: int = 0) -> int:
    """Apply, and tell what became of it; an earlier run has `done` so many changes. Answers the exit code."""
    # a pipeline that is cancelled leaves the same journal as Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    outcome = None
    try:
        with recorder, progress.shown(len(work.plan.changes) - done) as recorder.advance:
            outcome = engine.apply(
                work.plan, work.server, recorder.secret_writer, journal=recorder, rest=rest, strict=work.strict
            )
    except KeyboardInterrupt:
        if not recorder.kept:
            raise
        output.error(f"interrupted; {recorder.left} changes are left. {_how_to_go_on(recorder)}")
        return PARTLY
    _tell(outcome, recorder, done)
    return PARTLY if outcome.failed else 0


def _how_to_go_on(recorder: journals.Recorder) -> str:
    return f"Go on with: ddnsctl apply --resume{_chosen(recorder)}"


def _chosen(recorder: journals.Recorder) -> str:
    return "" if recorder.path.parent == journals.FOLDER else f" --journal {recorder.path}"


def _tell(outcome: engine.Outcome, recorder: journals.Recorder, before: int) -> None:
    failed = outcome.failed
    good = [result for result in outcome.results if result.status in engine.GOOD]
    counts = Counter(DONE[result.change.action] for result in good if result.status in ("applied", "pending"))
    text = ", ".join(f"{counts[word]} {word}" for word in DONE.values() if counts[word]) or "nothing had to be changed"
    earlier = f" ({before} in an earlier run)" if before else ""
    colour = "yellow" if failed else "green"
    click.echo(click.style(f"Applied: {text}{earlier}.", fg=colour, bold=True), color=output.wants_colour())
    pending = sum(result.status == "pending" for result in good)
    if pending:
        output.remark(f"{pending} of them are not in DNS yet; the service sees to it by itself.")
    dropped = recorder.secret_writer.dropped
    if dropped:
        names = ", ".join(dropped[:3]) + (" …" if len(dropped) > 3 else "")
        secrets_were = "1 new secret was" if len(dropped) == 1 else f"{len(dropped)} new secrets were"
        output.remark(f"{secrets_were} not kept: no `secret:` is declared for {names}; `ddnsctl rotate` makes others.")
    _tell_failures(failed, recorder)


def _tell_failures(failed: Sequence[engine.Result], recorder: journals.Recorder) -> None:
    if not failed:
        return
    problems = [Problem(f"{r.change.action.value} {r.change.name}: {r.error}") for r in failed[:SHOWN]]
    output.error(f"{len(failed)} {'change' if len(failed) == 1 else 'changes'} failed; the others are done", problems)
    if len(failed) > SHOWN:
        output.remark(f"  … and {len(failed) - SHOWN} more, in {recorder.path}")
    if all(result.refused for result in failed):
        output.remark(
            "The server refused them, so none of them was done. Remove the causes and go on (ddnsctl apply --resume"
            f"{_chosen(recorder)}), or remove {recorder.path} and make the plan anew."
        )
    else:
        output.remark(_how_to_go_on(recorder))


def _finish(work: Work, settings: Settings, code: int | None) -> int:
    """Wait for DNS if that was asked for. Answers the exit code."""
    if code or settings.verify is None:
        return code or 0
    from ddnsctl import verify

    wanted = verify.wanted(work.plan, work.declared)
    return verify.wait(wanted, work.server, settings.dns, settings.verify)
