# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of one host or domain: carried out or not, and what a result says of the thing afterwards."""

from __future__ import annotations

from typing import Any, Mapping

from .._sync.api import Server
from .._sync.apply import Outcome, apply
from .._sync.model import UNKNOWN, Domain, Host, Registered
from .._sync.plan import Change, Plan
from .task import Failed, Task


def execute(task: Task, plan: Plan, server: Server) -> str | None:
    """Carry out the plan, unless in check mode; the new secret if it made one. Raises Failed."""
    secrets: list[str] = []
    if not task.check and plan.changes:
        outcome = apply(plan, server, lambda _change, secret: secrets.append(secret))
        if outcome.failed:
            text = "; ".join(result.error for result in outcome.failed)
            raise Failed(text, {"changed": changed_anything(outcome)})
    return secrets[-1] if secrets else None


def changed_anything(outcome: Outcome) -> bool:
    """Whether at least one change was made."""
    return any(result.status in ("applied", "pending") for result in outcome.results)


def facts(thing: Host | Domain) -> dict[str, Any]:
    """All that the server tells of it, as plain values; an address that it does not know is `unknown`."""
    named = {name: _plain(getattr(thing, name)) for name in thing.__dataclass_fields__ if name != "facts"}
    return {**named, **thing.facts}


def predicted(change: Change, registered: Registered) -> dict[str, Any]:
    """What `facts` will say, as far as it is known, once the change is made."""
    if change.kind == "host":
        old: Host | Domain | None = registered.hosts.get(change.source or change.name)
        return {**facts(old or Host(change.name, "")), "fqdn": change.name, **change.after}
    return {**facts(registered.domains.get(change.name) or Domain(change.name)), **change.after}


def _plain(value: Any) -> Any:
    if value is UNKNOWN:
        return "unknown"
    return dict(value) if isinstance(value, Mapping) else value
