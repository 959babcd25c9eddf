# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_sync`: a whole declaration."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from .._sync import declare, names, render, saved
from .._sync.apply import GOOD, Outcome, Result, apply
from .._sync.errors import DeclarationError, Problem
from .._sync.model import Declaration
from .._sync.plan import Change, Options, make
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
            # without a fallback: `Task.server` compares the environment with the declaration
            "api_url": {"type": "str"},
            "declaration": {"type": "dict"},
            "src": {"type": "path"},
            "stack": {"type": "str"},
            "domain": {"type": "str"},
            "prune": {"type": "bool", "default": False},
            "max_deletes": {"type": "str"},
            "secret_dir": {"type": "path"},
            "return_secrets": {"type": "bool", "default": False},
            "rotate": {"type": "list", "elements": "str", "default": []},
        },
        mutually_exclusive=[("declaration", "src")],
        required_one_of=[("declaration", "src")],
    )
)
NAMED = 10
"""So many failures are told in the message; the result's `changes` has all."""


@dataclass(frozen=True)
class Origin:
    """Where a declaration was read: its data, how to find places in it, and what its relative paths start from."""

    data: Any
    locate: declare.Locate = field(default=lambda _path: None)
    folder: str | None = None


def run(task: Task, origin: Origin | None = None) -> dict[str, Any]:
    """Result keys: changed, diff, warnings, changes, counts, and with `return_secrets` secrets (by host)."""
    declaration = _declaration(task.params, origin)
    server = task.server(declaration.server)
    plan = make(declaration, server.registered(), server.capabilities, _options(task.params))
    returns = bool(task.params["return_secrets"])
    secret_writer = SecretWriter(
        plan.changes, task.params["secret_dir"], origin.folder if origin else None, returns=returns
    )
    secret_writer.check()
    outcome = None
    if not task.check and plan.changes:
        outcome = apply(plan, server, secret_writer)
    result = {
        "changed": bool(plan.changes) if outcome is None else changed_anything(outcome),
        "diff": render.diff(plan, server.url),
        "warnings": [
            *_overruled(task.params["api_url"], declaration.server),
            *render.remarks(plan),
            *_unkept(secret_writer.without_destination() if outcome is None else secret_writer.dropped),
        ],
        "changes": _changes(plan.changes, outcome),
        "counts": render.summary(plan),
    }
    if outcome is not None and outcome.failed:
        raise Failed(_text(outcome, len(secret_writer.returned) + len(secret_writer.dropped)), result)
    return {**result, "secrets": secret_writer.returned} if returns else result


def _overruled(option: str | None, declared: str | None) -> list[str]:
    """A warning where the option names another server than the declaration."""
    text = named(option, declared).overruled()
    return [text] if text else []


def _unkept(hosts: Sequence[str]) -> list[str]:
    """A warning of new secrets that nobody keeps."""
    if not hosts:
        return []
    named = ", ".join(hosts[:NAMED]) + (" …" if len(hosts) > NAMED else "")
    hint = "set `secret_dir`, declare `secret: {file: …}`, or set `return_secrets` and `no_log`; `rotate` makes others"
    return [f"new secrets are not kept, since nothing says where they go: {named} ({hint})"]


def _declaration(params: Mapping[str, Any], origin: Origin | None) -> Declaration:
    if origin is None:
        given = params["declaration"]
        if given is None:
            raise DeclarationError([Problem("src: only the controller reads it; give `declaration`")])
        origin = Origin({"version": 1, **given})
    declaration = declare.declaration(
        origin.data, default_domain=_parsed(params, "domain", names.domain_name), locate=origin.locate
    )
    stack = _parsed(params, "stack", names.stack)
    if stack is None or declaration.stack == stack:
        return declaration
    if declaration.stack is not None:
        text = f"the declaration is of the stack {declaration.stack}, the option `stack` names {stack}"
        raise DeclarationError([Problem(text, declaration.where, "leave out one of them")])
    return Declaration(stack, declaration.server, declaration.hosts, declaration.domains, declaration.where)


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
    """Each change; once it was tried, with its `status`, and `error` where it failed."""
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
    """What failed, in words. Secrets are not in the result of a failed task, since Ansible prints that."""
    failed = outcome.failed
    reasons = Counter(result.error for result in failed)
    shown = [f"{result.change.name}: {result.error}" for result in failed[:NAMED]]
    if len(reasons) == 1 and len(failed) > 1:
        shown = [f"{', '.join(result.change.name for result in failed[:NAMED])}: {failed[0].error}"]
    more = [f"and {len(failed) - NAMED} more"] if len(failed) > NAMED else []
    text = "\n".join([f"{len(failed)} of {len(outcome.results)} changes failed:", *shown, *more])
    if lost:
        text += (
            f"\n{lost} new secrets had no file to go to and are lost; set `secret_dir`, and name the hosts in `rotate`"
        )
    return text
