# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the server what it would do with a plan: which changes it would refuse, and what goes with deleted hosts."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable, Mapping, Sequence

from .api import Done, Server
from .changes import Action, Change
from .errors import NotApplicable, Problem, Refused, SyncError
from .model import HostSpec
from .plan import Plan
from .stack_changes import before_rename


def asked(plan: Plan, server: Server, declared: Mapping[str, HostSpec] | None = None) -> Plan:
    """The plan with `refusals` of the server, and with `removes` of its deletions. Nothing is changed.

    Changes of RRsets whose values only look different are left out.

    If the server cannot tell now, the plan has a note. A server that cannot tell at all is not asked.
    """
    indexes = _indexes(plan) if server.capabilities.checks else []
    if not indexes:
        return plan
    try:
        checked = before_rename(plan.changes)
        answers = server.check([checked[index] for index in indexes])
    except SyncError as error:
        return _noted(plan, [Problem(f"the server could not check the changes: {error}")])
    changes: list[Change | None] = list(plan.changes)
    refused: list[Problem] = []
    notes: list[Problem] = []
    for index, answer in zip(indexes, answers):
        change = plan.changes[index]
        if isinstance(answer, Done):
            rewritten = change.action is Action.UPDATE and change.after.keys() <= {"records", "related"}
            same = answer.status == "unchanged" and rewritten
            changes[index] = None if same else replace(change, removes=answer.removes)
        else:
            spec = (declared or {}).get(change.name)
            problem = Problem(f"{change.action.value} {change.name}: {answer}", spec.where if spec else None)
            (notes if isinstance(answer, Refused) and answer.status >= 500 else refused).append(problem)
    left = tuple(change for change in changes if change is not None)
    same_hosts = plan.unchanged + len(changes) - len(left)
    return _noted(replace(plan, changes=left, unchanged=same_hosts, refusals=(*plan.refusals, *refused)), notes)


def require(plan: Plan, more: Iterable[Problem] = ()) -> None:
    """Raises NotApplicable with all refusals of the plan, and with `more`."""
    problems = (*plan.refusals, *more)
    if problems:
        raise NotApplicable(problems, replace(plan, refusals=problems))


def grown(reviewed: Plan, now: Plan) -> list[Problem]:
    """The deletions that remove records now which a reviewed plan did not list."""
    problems = []
    for old, new in zip(reviewed.changes, now.changes):
        added = [record for record in new.removes if record not in old.removes]
        if added:
            text = f"{new.name}: the deletion would also remove {', '.join(added)}, which the plan does not list"
            problems.append(Problem(text, hint="make a new plan"))
    return problems


def _noted(plan: Plan, notes: Sequence[Problem]) -> Plan:
    return replace(plan, notes=(*plan.notes, *notes))


def _indexes(plan: Plan) -> list[int]:
    """The changes to ask about: those of hosts, except new names in domains that the plan itself changes."""
    domains = [change.name for change in plan.changes if change.kind == "domain" and change.action is not Action.DELETE]
    return [
        index
        for index, change in enumerate(plan.changes)
        if change.kind == "host" and not (_takes_name(change) and any(change.name.endswith(f".{d}") for d in domains))
    ]


def _takes_name(change: Change) -> bool:
    return change.action in (Action.CREATE, Action.MOVE)
