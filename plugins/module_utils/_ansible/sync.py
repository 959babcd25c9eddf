# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_sync`: a whole declaration."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

from .._sync import declare, lease, lost_secrets, names, plan_table, saved, scope, secret_files, tsig_files
from .._sync.api import Server, Stacks
from .._sync.apply import GOOD, Outcome, Result, apply_plan
from .._sync.dry_run import asked, require
from .._sync.errors import DeclarationError, Problem, SyncError, Unsafe
from .._sync.model import FILE, Declaration, SecretSpec
from .._sync.plan import Change, Options, Plan, make
from .._sync.policy import Limits
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
            "secret_dir": {"type": "path"},
            "return_secrets": {"type": "bool", "default": False},
            "rotate": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "int", "default": 0},
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
    """Result keys: changed, diff, warnings, changes, counts, and with `return_secrets` secrets (by host)."""
    declaration = read(task.params, origin or _given(task.params))
    server = task.server(declaration.server)
    waited: list[str] = []
    turn = lease.Turn(task.params["wait"], hint=BUSY)
    with lease.held(server, None if task.check else declaration.stack, turn, waited.append):
        if server.stacks is not None and server.stacks.lease:
            waited += _collected(task, declaration, server, server.stacks, origin.folder if origin else None)
        return _run(task, declaration, server, origin, waited)


def _collected(
    task: Task, declaration: Declaration, server: Server, stacks: Stacks, folder: str | None
) -> Sequence[str]:
    """Store the secrets that an earlier run has made, but not stored. Returns texts for the user. Raises SyncError."""
    shared = task.params["secret_dir"]
    declared = {
        name: replace(spec, secret=SecretSpec(FILE, str(Path(shared).absolute() / name)))
        if shared is not None and spec.secret is None
        else spec
        for name, spec in declaration.hosts.items()
    }

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


def _run(
    task: Task, declaration: Declaration, server: Server, origin: Origin | None, waited: Sequence[str]
) -> dict[str, Any]:
    try:
        plan, secret_writer = _checked(task, declaration, server, origin.folder if origin else None)
    except SyncError as error:
        if error.plan is None:
            raise
        raise Failed(str(error), _refused(error, server.url)) from error
    returns = secret_writer.returns
    outcome = None
    if not task.check and plan.changes:
        outcome = _applied(plan, server, secret_writer)
    result = {
        "changed": bool(plan.changes) if outcome is None else changed_anything(outcome),
        "diff": plan_table.diff(plan, server.url),
        "warnings": [
            *waited,
            *_overruled(task.params["api_url"], declaration.server),
            *plan_table.remarks(plan),
            *_dropped(secret_writer.without_destination() if outcome is None else secret_writer.dropped),
            *_of_server(outcome),
        ],
        "changes": _changes(plan.changes, outcome),
        "counts": plan_table.summary(plan),
    }
    if outcome is not None and outcome.failed:
        raise Failed(_text(outcome, len(secret_writer.returned) + len(secret_writer.dropped)), result)
    return {**result, "secrets": secret_writer.returned} if returns else result


def _applied(plan: Plan, server: Server, secret_writer: SecretWriter) -> Outcome:
    """Apply the plan, and tell the server at the end whether all new secrets are stored."""
    stacks = server.stacks
    if stacks is None:
        return apply_plan(plan, server, secret_writer)
    collected, stacks.all_stored = stacks.all_stored, False
    outcome = apply_plan(plan, server, secret_writer)
    stacks.all_stored = collected and all(result.status in GOOD or result.refused for result in outcome.results)
    return outcome


def _checked(task: Task, declaration: Declaration, server: Server, folder: str | None) -> tuple[Plan, SecretWriter]:
    """The plan, and the writer of its secrets. Raises SyncError; if the plan is refused, the error has it."""
    options = _options(task.params)
    declaration = tsig_files.loaded(declaration, folder or "")
    plan = make(declaration, scope.read(server, declaration, options), server.capabilities, options)
    plan = asked(plan, server, declaration.hosts)
    secret_writer = SecretWriter(
        plan.changes,
        task.params["secret_dir"],
        folder,
        returns=bool(task.params["return_secrets"]),
        encrypt=task.encrypt,
    )
    require(plan, secret_writer.problems())
    return plan, secret_writer


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
    limits = Limits() if params["max_deletes"] is None else _parsed(params, "max_deletes", Limits.parse)
    rotate = _parsed(params, "rotate", lambda hosts: tuple(names.host_name(host) for host in hosts))
    return Options(params["prune"], params["state"] == "absent", rotate, limits)


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


def _text(outcome: Outcome, lost: int) -> str:
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
    return text
