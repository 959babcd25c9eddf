# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_sync`: a whole declaration."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

from .._sync import (
    certificates,
    declare,
    lease,
    lost_secrets,
    names,
    plan_table,
    saved,
    scope,
    secret_checks,
    secret_files,
    selection,
    tsig_files,
)
from .._sync.api import Server, Stacks
from .._sync.apply import GOOD, Outcome, Result
from .._sync.dry_run import asked, require
from .._sync.errors import DeclarationError, Problem, SyncError, Unsafe
from .._sync.model import FILE, Declaration, SecretSpec
from .._sync.plan import Change, Options, Plan, make
from .._sync.policy import Limits
from . import journal
from .execute import changed_anything
from .secret_writer import SecretWriter
from .spec import CONNECTION, Spec, state
from .task import Failed, Task, named

SPEC = (
    CONNECTION
    + state("present", "absent")
    + Spec(
        {
            # without a fallback, because `Task.server` compares the environment with the declaration
            "api_url": {"type": "str"},
            "declaration": {"type": "dict"},
            "src": {"type": "path"},
            "stack": {"type": "str"},
            "domain": {"type": "str"},
            "env": {"type": "str"},
            "vars": {"type": "dict", "default": {}},
            "prune": {"type": "bool", "default": False},
            "max_deletes": {"type": "str"},
            "max_changes": {"type": "str"},
            "only": {"type": "list", "elements": "str", "default": []},
            "secret_dir": {"type": "path"},
            "return_secrets": {"type": "bool", "default": False},
            "rotate": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "int", "default": 0},
            "verify_secrets": {"type": "bool", "default": False, "aliases": ["verify"]},
            "journal": {"type": "path"},
            "resume": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("declaration", "src")],
        required_one_of=[("declaration", "src")],
    )
)
BUSY = "Set `wait` to wait for it. If that run is dead, its lease ends within a minute"
NAMED = 10
"""The most failures in the message, and the most warnings of the server. The result's `changes` has all failures."""


class Part(NamedTuple):
    """The data of one file of a declaration, its positions, and its folder relative to that of the origin."""

    data: Any
    locate: declare.Locate = lambda _path: None
    folder: str = ""


@dataclass(frozen=True)
class Origin:
    """A declaration that the controller has composed, and the folder that relative paths start from."""

    parts: Sequence[Part]
    folder: str | None = None


def run(task: Task, origin: Origin | None = None) -> dict[str, Any]:
    """Result keys: changed, diff, warnings, changes, counts; with `return_secrets` secrets, with `resume` resumed."""
    declaration = read(task.params, origin or _given(task.params))
    options = journal.Options.of(task.params, check=task.check)
    if options.resume and options.path is None:
        raise DeclarationError([Problem("resume: needs `journal`, the file to continue")])
    if task.params["only"] and task.params["state"] == "absent":
        raise DeclarationError([Problem("only: not with `state: absent`, which deletes the whole stack")])
    server = task.server(declaration.server)
    folder = origin.folder if origin else None
    waited: list[str] = []
    with journal.earlier(options, server.url, declaration.stack) as earlier:
        former = earlier.lease if earlier is not None else ""
        turn = lease.Turn(task.params["wait"], former=former, hint=BUSY)
        with lease.held(server, None if task.check else declaration.stack, turn, waited.append):
            if earlier is not None and options.resume:
                # its paths are absolute; those of `ddnsctl` may be relative to a folder that is not known here
                journal.resume(earlier, options, server, lambda changes: _writer(task, changes, None, resumed=True))
            if server.stacks is not None and server.stacks.lease:
                waited += _collected(task, declaration, server, server.stacks, folder)
            return _run(_Run(task, declaration, server, folder, options, earlier), waited)


class _Run(NamedTuple):
    """What a task works on. `folder` is the folder of relative files."""

    task: Task
    declaration: Declaration
    server: Server
    folder: str | None
    options: journal.Options
    earlier: journal.Earlier | None


def _writer(task: Task, changes: Sequence[Change], folder: str | None, *, resumed: bool = False) -> SecretWriter:
    """The writer of the secrets of changes. Relative files are relative to `folder`; None: they are refused."""
    returns = bool(task.params["return_secrets"])
    shared = task.params["secret_dir"]
    return SecretWriter(changes, shared, folder, returns=returns, encrypt=task.encrypt, resumed=resumed)


def _collected(
    task: Task, declaration: Declaration, server: Server, stacks: Stacks, folder: str | None
) -> Sequence[str]:
    """Store the secrets that an earlier run has made, but not stored. Returns texts for the user. Raises SyncError."""
    declared = _with_files(task, declaration).hosts

    def has(place: SecretSpec, secret: str) -> bool:
        path = Path(folder or "") / Path(place.path).expanduser()
        return place.kind == FILE and secret_files.read(path) == secret

    try:
        found = lost_secrets.collect(
            server, stacks, declared, lambda changes: SecretWriter(changes, None, folder, encrypt=task.encrypt), has
        )
    except OSError as error:
        raise SyncError(f"secrets of an earlier run cannot be stored: {error}") from error
    stacks.all_stored = True
    return found.texts()


def _with_files(task: Task, declaration: Declaration) -> Declaration:
    """The declaration, with files in `secret_dir` for the secrets of hosts that name none."""
    shared = task.params["secret_dir"]
    if shared is None:
        return declaration
    folder = Path(shared).absolute()
    hosts = {
        name: replace(spec, secret=SecretSpec(FILE, str(folder / name))) if spec.secret is None else spec
        for name, spec in declaration.hosts.items()
    }
    return replace(declaration, hosts=hosts)


def _run(run: _Run, waited: Sequence[str]) -> dict[str, Any]:
    task, declaration, server = run.task, run.declaration, run.server
    try:
        plan, secret_writer = _checked(task, declaration, server, run.folder)
    except SyncError as error:
        if error.plan is None:
            raise
        raise Failed(str(error), _refused(error, server.url)) from error
    replaced = _replaced(run, plan)
    outcome = None
    if not task.check and plan.changes:
        outcome = _applied(plan, server, secret_writer, run.options)
    before = _resumed(run.earlier)
    result: dict[str, Any] = {
        "changed": _changed(plan.changes, outcome) or before["changed"],
        "diff": plan_table.diff(plan, server.url),
        "warnings": [
            *waited,
            *replaced,
            *_overruled(task.params["api_url"], declaration.server),
            *plan_table.remarks(plan),
            *_dropped(secret_writer.without_destination() if outcome is None else secret_writer.dropped),
            *_of_server(outcome),
        ],
        "changes": _changes(plan.changes, outcome),
        "counts": plan_table.summary(plan),
    }
    result = {**before, **result}
    secrets = secret_writer.returned
    if run.earlier is not None:
        result["warnings"] += [*_dropped(run.earlier.secrets.dropped), *_of_server(run.earlier.outcome)]
        secrets = {**run.earlier.secrets.returned, **secrets}
    if outcome is not None and outcome.failed:
        raise Failed(_text(outcome, len(secrets) + len(secret_writer.dropped), run.options.path), result)
    return {**result, "secrets": secrets} if secret_writer.returns else result


def _changed(changes: Sequence[Change], outcome: Outcome | None) -> bool:
    """Whether the changes were made, or would be made in check mode."""
    return bool(changes) if outcome is None else changed_anything(outcome)


def _resumed(earlier: journal.Earlier | None) -> dict[str, Any]:
    """The result of doing what an earlier task had left: changed, and the changes in `resumed`."""
    if earlier is None or not earlier.resumed:
        return {"changed": False}
    changed = _changed(earlier.changes, earlier.outcome)
    if earlier.outcome is None:
        return {"changed": changed, "resumed": _changes(earlier.changes, None)}
    done = earlier.opened.found.state.done
    results = [result for index, result in enumerate(earlier.outcome.results) if index not in done]
    return {"changed": changed, "resumed": [_change(result.change, result) for result in results]}


def _replaced(run: _Run, plan: Plan) -> list[str]:
    """Delete the journal of an earlier task that the plan replaces. Returns texts for the user. Raises Failed."""
    if run.earlier is None:
        return []
    try:
        hosts = selection.declared(run.declaration, run.task.params["only"]).hosts
        return journal.replaced(run.earlier, run.options, hosts, plan)
    except SyncError as error:
        outcome = run.earlier.outcome
        reasons = [f"{result.change.name}: {result.error}" for result in outcome.failed[:NAMED]] if outcome else []
        raise Failed("\n".join([str(error), *reasons]), _resumed(run.earlier)) from error


def _applied(plan: Plan, server: Server, secret_writer: SecretWriter, options: journal.Options) -> Outcome:
    """Apply the plan, and tell the server at the end whether all new secrets are stored."""
    stacks = server.stacks
    if stacks is None:
        return journal.apply(options, plan, server, secret_writer)
    collected, stacks.all_stored = stacks.all_stored, False
    outcome = journal.apply(options, plan, server, secret_writer)
    stacks.all_stored = collected and all(result.status in GOOD or result.refused for result in outcome.results)
    return outcome


def _checked(task: Task, declaration: Declaration, server: Server, folder: str | None) -> tuple[Plan, SecretWriter]:
    """The plan, and the writer of its secrets. Raises SyncError; if the plan is refused, the error has it."""
    options = _options(task.params)
    declaration = tsig_files.loaded(declaration, folder or "")
    registered = scope.read(server, declaration, options)
    notes: Sequence[Problem] = ()
    if task.params["verify_secrets"] and not options.destroy:
        stored = _with_files(task, selection.declared(declaration, options.only))
        options, notes = secret_checks.repairing(options, stored, registered.hosts, server, _reader(task, folder))
    plan = make(declaration, registered, server.capabilities, options)
    plan = secret_checks.noted(asked(plan, server, declaration.hosts), notes)
    if not options.destroy:
        hosts = selection.declared(declaration, options.only).hosts
        plan = certificates.planned(plan, hosts, server.capabilities, folder)
    secret_writer = _writer(task, plan.changes, folder)
    require(plan, secret_writer.problems())
    return plan, secret_writer


def _reader(task: Task, folder: str | None) -> secret_checks.Read:
    """Reads stored secrets. Relative files are relative to `folder`."""

    def content(secret: SecretSpec) -> str | None:
        path = Path(folder or "") / Path(secret.path).expanduser()
        if secret.kind == FILE:
            return secret_files.read(path)
        if task.vault is None:
            raise SyncError("only the controller can decrypt secrets")
        if not path.exists():
            return None
        return task.vault.decrypt(path.read_bytes()).decode("utf-8", errors="replace").strip() or None

    return content


def _refused(error: SyncError, url: str) -> dict[str, Any]:
    """The result of a task whose plan is refused: what would have been changed."""
    hosts = {"hosts": list(error.names)} if isinstance(error, Unsafe) else {}
    return {
        "changed": False,
        "diff": plan_table.diff(error.plan, url),
        "changes": _changes(error.plan.changes, None),
        "counts": plan_table.summary(error.plan),
        **hosts,
    }


def _overruled(option: str | None, declared: str | None) -> list[str]:
    """A warning if the option names another server than the declaration."""
    text = named(option, declared).overruled()
    return [text] if text else []


def _dropped(hosts: Sequence[str]) -> list[str]:
    """A warning about new secrets that are not written anywhere."""
    if not hosts:
        return []
    named = ", ".join(hosts[:NAMED]) + (" …" if len(hosts) > NAMED else "")
    hint = "set `secret_dir`, or declare `secret: {file: …}`, then use `rotate`; or accept it with `secret: none`"
    return [f"new secrets are not saved, because no file is named for them: {named} ({hint})"]


def _of_server(outcome: Outcome | None) -> list[str]:
    """The warnings of the server, at most `NAMED` of them."""
    texts = () if outcome is None else outcome.warnings
    more = len(texts) - NAMED
    return [*texts[:NAMED], *([f"and {more} more warnings of the server"] if more > 0 else [])]


def _given(params: Mapping[str, Any]) -> Origin:
    """The declaration in the options, which only the controller can compose."""
    if params["declaration"] is None:
        raise DeclarationError([Problem("src: only the controller can read it; set `declaration`")])
    if params["env"] or params["vars"]:
        raise DeclarationError([Problem("env, vars: `declaration` must be a mapping, or use `src`")])
    return Origin([Part({"version": 1, **params["declaration"]})])


def read(params: Mapping[str, Any], origin: Origin) -> Declaration:
    """The declaration of the options `domain` and `stack`, and of all files. Raises DeclarationError."""
    domain, stack = _parsed(params, "domain", names.domain_name), _parsed(params, "stack", names.stack)
    found: list[Declaration] = []
    problems: list[Problem] = []
    for part in origin.parts:
        _read_part(part, domain, found, problems)
    if problems:
        raise DeclarationError(list(dict.fromkeys(problems)))  # files with shared values are read for several others
    declaration = declare.merge(found)
    if stack is None or declaration.stack == stack:
        return declaration
    if declaration.stack is not None:
        text = f"the declaration names the stack {declaration.stack}, but the option `stack` names {stack}"
        raise DeclarationError([Problem(text, declaration.where, "remove one of them")])
    return replace(declaration, stack=stack)


def _read_part(part: Part, domain: str | None, found: list[Declaration], problems: list[Problem]) -> None:
    try:
        declared = declare.declaration(part.data, default_domain=domain, locate=part.locate)
    except DeclarationError as error:
        problems += error.problems
    else:
        found.append(declare.rebased(declared, part.folder) if part.folder else declared)


def _parsed(params: Mapping[str, Any], option: str, parse: Any) -> Any:
    try:
        return None if params[option] is None else parse(params[option])
    except ValueError as error:
        raise DeclarationError([Problem(f"{option}: {error}")]) from None


def _options(params: Mapping[str, Any]) -> Options:
    limits = _parsed(params, "max_deletes", Limits.parse) or Limits()
    max_changes = _parsed(params, "max_changes", Limits.parse)
    rotate = _parsed(params, "rotate", lambda hosts: tuple(names.host_name(host) for host in hosts))
    only = tuple(params["only"])
    return Options(params["prune"], params["state"] == "absent", rotate, limits, max_changes, only)


def _changes(changes: Sequence[Change], outcome: Outcome | None) -> list[dict[str, Any]]:
    """All changes; after a run with `status`, and `error` if it failed."""
    results: Sequence[Result | None] = outcome.results if outcome else [None] * len(changes)
    return [_change(change, result) for change, result in zip(changes, results)]


def _change(change: Change, result: Result | None) -> dict[str, Any]:
    shown = saved.change_dict(change)
    if result is not None:
        shown["status"] = result.status
        if result.status not in GOOD:
            shown["error"] = result.error
    return shown


def _text(outcome: Outcome, lost: int, kept: Path | None) -> str:
    """The failures in words. Ansible prints the result of a failed task, so it contains no secrets."""
    failed = outcome.failed
    reasons = Counter(result.error for result in failed)
    shown = [f"{result.change.name}: {result.error}" for result in failed[:NAMED]]
    if len(reasons) == 1 and len(failed) > 1:
        shown = [f"{', '.join(result.change.name for result in failed[:NAMED])}: {failed[0].error}"]
    more = [f"and {len(failed) - NAMED} more"] if len(failed) > NAMED else []
    text = "\n".join([f"{len(failed)} of {len(outcome.results)} changes failed:", *shown, *more])
    if lost:
        text += (
            f"\n{lost} new secrets are lost, because they have no file; set `secret_dir`, and `rotate` to these hosts"
        )
    if kept is not None:
        text += f"\nThe journal {kept} has what is left; `resume` continues it"
    return text
