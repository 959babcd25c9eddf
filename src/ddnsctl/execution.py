# SPDX-License-Identifier: GPL-3.0-or-later
"""Executes plans for `apply`, `destroy` and `rotate`: shows the plan, asks, makes the changes, reports the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import click

from ddnsctl import journals, output, progress, secrets
from ddnsctl.sync import apply as engine
from ddnsctl.sync import plan_table
from ddnsctl.sync.api import Server
from ddnsctl.sync.errors import PartlyApplied, Problem, SyncError
from ddnsctl.sync.model import HostSpec
from ddnsctl.sync.plan import Action, Plan
from ddnsctl.sync.recheck import Rest
from ddnsctl.sync.unfinished import TOKEN_ID, Recorder, with_url

PARTLY = PartlyApplied.exit_code
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
"""The most failed changes, and warnings of the server, that are printed."""


@dataclass(frozen=True)
class Settings:
    """How a plan is executed: the options of the command."""

    yes: bool = False
    resume: bool = False
    journal: str | None = None
    verify: float | None = None
    dns: tuple[str, ...] = ()
    wait: float | None = None
    force_unlock: bool = False


class Work(NamedTuple):
    """A plan and the server to execute it on."""

    plan: Plan
    url: str
    server: Server
    token_id: str
    declared: Mapping[str, HostSpec] = {}
    """The declared hosts, if they are known: for --verify."""
    strict: bool = False
    """Check all preconditions before the first change."""
    vault: tuple[str, ...] = ()
    """Options of `ansible-vault`, for secrets."""
    whole: bool = False
    """The plan has just been made, and is for everything that is declared. It supersedes earlier journals."""
    destroys: bool = False
    """The plan deletes all of its stack, so nothing that an earlier run left is wanted any more."""


def run(work: Work, settings: Settings, question: str, *, typed: str | None = None) -> int:
    """Show the plan, ask `question`, execute the plan, and wait for DNS with --verify. Returns the exit code.

    With `typed`, the user confirms by typing this word.
    """
    secret_writer = secrets.SecretWriter(work.plan.changes, work.vault)
    superseded = [] if settings.journal else _superseded(work)
    if not work.plan.changes:
        output.plan(work.plan, "text", url=work.url)
        _drop(superseded)
        return verified(work, settings)
    if not confirmed(work.plan, work.url, settings, question, typed):
        return 1
    _drop(superseded)
    content = with_url(work.plan, work.url) | {TOKEN_ID: work.token_id}
    lease = work.server.stacks.lease if work.server.stacks is not None else ""
    recorder = journals.create(settings.journal, content, work.plan, secret_writer, lease)
    return execute(work, recorder, secret_writer) or verified(work, settings)


def _superseded(work: Work) -> list[Path]:
    """The journals that this plan makes useless. Warns about all others of the same server and stack."""
    superseded = []
    for journal in journals.of_stack(work.plan.stack, work.url):
        path = journal.path
        hint = f"an earlier run is unfinished: continue it with `ddnsctl apply --resume`, or delete {path}"
        if work.destroys or (work.whole and journal.is_superseded(work.declared, work.plan)):
            superseded.append(path)
            if work.plan.changes:
                output.remark(f"{hint}. If you apply this plan, that journal is deleted, too.")
        elif journal.awaits_secrets:
            output.warning(
                "an earlier run is unfinished, and its answers have secrets that are not stored yet: first continue it "
                f"with `ddnsctl apply --resume --journal {path}`. If you do not need them, delete {path}"
            )
        else:
            output.warning(hint)
    return superseded


def _drop(superseded: Sequence[Path]) -> None:
    for path in superseded:
        journals.drop(path)
        output.remark(f"Deleted {path}: this plan replaces what the earlier run left.")


def confirmed(plan: Plan, url: str, settings: Settings, question: str, typed: str | None = None) -> bool:
    """Show the plan and ask whether to execute it. Raises SyncError if there is no terminal to ask at."""
    output.plan(plan, "text", url=url)
    if settings.yes:
        click.echo(err=True)
        return True
    if not output.is_terminal():
        raise SyncError("this needs a confirmation, but there is no terminal: check the plan above, then use --yes")
    click.echo(err=True)
    if typed is None:
        agreed = click.confirm(click.style(question, bold=True), err=True)
    else:
        text = click.style(f"This cannot be undone. Type {typed} to delete all of it", bold=True)
        agreed = click.prompt(text, default="", show_default=False, err=True) == typed
    if not agreed:
        output.error("not confirmed, so nothing has been changed")
    return agreed


def execute(
    work: Work, recorder: Recorder, secret_writer: secrets.SecretWriter, rest: Rest | None = None, *, done: int = 0
) -> int:
    """Make the changes and report the result. `done` changes are from an earlier run. Returns the exit code."""
    outcome = None
    stacks = work.server.stacks
    collected = stacks is not None and stacks.all_stored
    if stacks is not None:
        stacks.all_stored = False  # until the secrets of this run are stored
    try:
        with recorder, progress.shown(len(work.plan.changes) - done) as recorder.advance:
            outcome = engine.apply_plan(
                work.plan, work.server, secret_writer, journal=recorder, rest=rest, strict=work.strict
            )
    except KeyboardInterrupt:
        if not recorder.kept:
            raise
        output.error(f"interrupted; {recorder.left} changes are left. {_how_to_continue(recorder)}")
        return PARTLY
    if stacks is not None:
        certain = all(result.status in engine.GOOD or result.refused for result in outcome.results)
        stacks.all_stored = collected and certain
    report(outcome, recorder, secret_writer.dropped, done)
    return PARTLY if outcome.failed else 0


def verified(work: Work, settings: Settings) -> int:
    """Wait for DNS if --verify is given. Returns the exit code."""
    if settings.verify is None:
        return 0
    from ddnsctl.dns import verify

    expected = verify.expectations(work.plan, work.declared)
    return verify.wait(expected, work.server, settings.dns, settings.verify)


def _how_to_continue(recorder: Recorder) -> str:
    return f"Continue with: ddnsctl apply --resume{_journal_option(recorder)}"


def _journal_option(recorder: Recorder) -> str:
    return "" if recorder.path.parent == journals.FOLDER else f" --journal {recorder.path}"


def report(outcome: engine.Outcome, recorder: Recorder, dropped: Sequence[str], before: int) -> None:
    """Print what was done, what failed, and what to do next. `dropped` hosts have new secrets that are not stored."""
    failed = outcome.failed
    good = [result for result in outcome.results if result.status in engine.GOOD]
    counts = Counter(DONE[result.change.action] for result in good if result.status in ("applied", "pending"))
    text = ", ".join(f"{counts[word]} {word}" for word in DONE.values() if counts[word]) or "nothing had to be changed"
    earlier = f" ({before} in an earlier run)" if before else ""
    colour = "yellow" if failed else "green"
    click.echo(click.style(f"Applied: {text}{earlier}.", fg=colour, bold=True), color=output.wants_colour())
    pending = sum(result.status == "pending" for result in good)
    if pending:
        output.remark(f"{pending} of them are not in DNS yet. The service publishes them as soon as it can.")
    for text in outcome.warnings[:SHOWN]:
        output.warning(text)
    if len(outcome.warnings) > SHOWN:
        output.remark(f"  … and {len(outcome.warnings) - SHOWN} more warnings of the server")
    if dropped:
        hosts = "1 host has" if len(dropped) == 1 else f"{len(dropped)} hosts have"
        output.remark(
            f"{hosts} no stored secret, because no `secret:` is declared. That is fine if no machine updates itself "
            "(`secret: none` says so); otherwise declare a file, and use `ddnsctl rotate`."
        )
    _report_failures(outcome, recorder)


def _headline(outcome: engine.Outcome) -> str:
    """`2 of 5 changes failed; the other 3 are made`."""
    failed, total = len(outcome.failed), len(outcome.results)
    text = f"{failed} of {total} {'change' if total == 1 else 'changes'} failed"
    if failed == total:
        return text + ("; nothing was changed" if all(result.refused for result in outcome.failed) else "")
    return text + (f"; the other {total - failed} are made" if total - failed > 1 else "; the other one is made")


def _report_failures(outcome: engine.Outcome, recorder: Recorder) -> None:
    failed = outcome.failed
    if not failed:
        return
    problems = [Problem(f"{plan_table.title(r.change)}: {r.error}") for r in failed[:SHOWN]]
    output.error(_headline(outcome), problems)
    if len(failed) > SHOWN:
        output.remark(f"  … and {len(failed) - SHOWN} more, in {recorder.path}")
    if all(result.refused for result in failed):
        output.remark(
            "The server refused them, so they were not made. Fix the causes and continue (ddnsctl apply --resume"
            f"{_journal_option(recorder)}), or delete {recorder.path} and make a new plan."
        )
    else:
        output.remark(_how_to_continue(recorder))
