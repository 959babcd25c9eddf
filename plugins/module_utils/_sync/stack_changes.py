# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a plan that concerns the stack itself: its name, its protection, and what it gives to other stacks.

A new name is one change, made before all others. Hosts and domains of the former name count as those of the new one in
the rest of the plan. A protection counts as it is registered, so it is taken away in a plan of its own.

    declared              registered                       plan
    --------------------  -------------------------------  ---------------
    moved_from            hosts only under the former name  move
    moved_from            hosts under both names            -, note
    moved_from            no host under the former name     -
    protect, gives        equal, or not declared            -
    protect, gives        differs                           update, or in the move
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Iterable, NamedTuple, Sequence

from .changes import Action, Change
from .errors import Problem, Unsafe
from .model import Declaration, Domain, Host, Registered, RegisteredStack

SHOWN = 20


class StackPlan(NamedTuple):
    """The change of the stack, if there is one, what is registered afterwards, and notes."""

    change: Change | None
    registered: Registered
    notes: Sequence[Problem] = ()


def plan(declaration: Declaration, registered: Registered) -> StackPlan:
    """Plan the stack of the declaration."""
    stack, former = declaration.stack, declaration.moved_from
    if stack is None:
        return StackPlan(None, registered)
    notes: list[Problem] = []
    moved = former is not None and _size(registered, former) > 0
    if moved and _size(registered, stack):
        text = f"the stack {former} is not renamed, because both {former} and {stack} have hosts or domains"
        notes.append(Problem(text, declaration.where, "adopt the others, or remove `moved_from`"))
        moved = False
    current = registered.stacks.get(former if moved and former else stack) or RegisteredStack()
    wanted = {"protect": declaration.protect, "gives": declaration.gives}
    after: dict[str, Any] = {
        name: _plain(value) for name, value in wanted.items() if value is not None and value != getattr(current, name)
    }
    before: dict[str, Any] = {name: _plain(getattr(current, name)) for name in after}
    if moved and former is not None:
        before["hosts"] = sum(host.own and host.stack == former for host in registered.hosts.values())
        return StackPlan(Change(Action.MOVE, "stack", stack, before, after, former), renamed(registered, former, stack))
    change = Change(Action.UPDATE, "stack", stack, before, after) if after else None
    return StackPlan(change, registered, notes)


def _size(registered: Registered, stack: str) -> int:
    things: list[Host | Domain] = [*registered.hosts.values(), *registered.domains.values()]
    return sum(thing.own and thing.stack == stack for thing in things)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool) else dict(value)


def renamed(registered: Registered, former: str, stack: str) -> Registered:
    """What is registered after the stack has got the new name."""
    hosts = {n: replace(h, stack=stack) if h.own and h.stack == former else h for n, h in registered.hosts.items()}
    domains = {n: replace(d, stack=stack) if d.own and d.stack == former else d for n, d in registered.domains.items()}
    return replace(registered, hosts=hosts, domains=domains)


def after_rename(changes: Iterable[Change], registered: Registered) -> Registered:
    """What is registered after the changes have given their stack its new name; unchanged if they do not."""
    for change in changes:
        if change.kind == "stack" and change.source:
            return renamed(registered, change.source, change.name)
    return registered


def before_rename(changes: Sequence[Change]) -> list[Change]:
    """The changes with preconditions that hold before the stack gets its new name."""
    names = {change.name: change.source for change in changes if change.kind == "stack" and change.source}
    if not names:
        return list(changes)
    return [
        replace(change, before={**change.before, "stack": names[change.before["stack"]]})
        if change.before.get("stack") in names
        else change
        for change in changes
    ]


def check_protection(changes: Iterable[Change], registered: Registered, stack: str | None) -> None:
    """Raises Unsafe if the changes delete or replace protected hosts, or hosts of a protected stack."""
    gone = [change.source or change.name for change in changes if _removes(change)]
    known = registered.stacks.values()
    if gone and any(found.protect for found in known):
        text = f"the stack {stack} is protected, so its hosts cannot be deleted or replaced: {_named(gone)}"
        raise Unsafe(f"{text}. If this is intended, apply `protect: false` of the stack first", gone)
    protected = [name for name in gone if _is_protected(registered.hosts.get(name))]
    if protected:
        text = f"protected hosts cannot be deleted or replaced: {_named(protected)}"
        raise Unsafe(f"{text}. If this is intended, apply `protect: false` of these hosts first", protected)


def _removes(change: Change) -> bool:
    return change.kind == "host" and (change.action is Action.DELETE or change.again)


def _is_protected(host: Host | None) -> bool:
    return host is not None and host.protect


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
