# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies the plan of one host or domain, and describes the host or domain in the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from .._sync.api import Server
from .._sync.apply import Outcome, Sink, apply_plan
from .._sync.model import UNKNOWN, Domain, Host, Registered
from .._sync.plan import Change, Plan
from .task import Failed, Task


@dataclass(frozen=True)
class Executed:
    """The new secret, if there is one, and texts of the server."""

    secret: str | None = None
    warnings: Sequence[str] = ()


def execute_plan(task: Task, plan: Plan, server: Server, sink: Sink | None = None) -> Executed:
    """Apply the plan, unless in check mode. A new secret goes to `sink` or into the result. Raises Failed."""
    if task.check or not plan.changes:
        return Executed()
    secrets: list[str] = []
    outcome = apply_plan(plan, server, sink or (lambda _change, secret: secrets.append(secret)))
    if outcome.failed:
        text = "; ".join(result.error for result in outcome.failed)
        raise Failed(text, {"changed": changed_anything(outcome), "warnings": list(outcome.warnings)})
    return Executed(secrets[-1] if secrets else None, outcome.warnings)


def changed_anything(outcome: Outcome) -> bool:
    """Whether at least one change was made."""
    return any(result.status in ("applied", "pending") for result in outcome.results)


def facts(thing: Host | Domain) -> dict[str, Any]:
    """All fields as plain values. An address that the server did not report is `unknown`."""
    named = {name: _plain(getattr(thing, name)) for name in thing.__dataclass_fields__ if name != "facts"}
    return {**named, **thing.facts}


def predicted(change: Change, registered: Registered) -> dict[str, Any]:
    """The expected `facts` after the change."""
    if change.kind == "host":
        old: Host | Domain | None = registered.hosts.get(change.source or change.name)
        found = {**facts(old or Host(change.name, "", records={}, related={})), "fqdn": change.name, **change.after}
        if "owner" in change.after:
            found["own"] = True
        for name in ("records", "related"):
            before = getattr(old, name, None)
            if isinstance(before, Mapping) and name in change.after:
                merged = {**before, **change.after[name]}
                found[name] = {key: content for key, content in merged.items() if content is not None}
        return found
    return {**facts(registered.domains.get(change.name) or Domain(change.name)), **change.after}


def _plain(value: Any) -> Any:
    if value is UNKNOWN:
        return "unknown"
    return dict(value) if isinstance(value, Mapping) else value
