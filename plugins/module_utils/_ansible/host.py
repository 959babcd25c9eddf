# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_host`: one host. Only the given options are declared."""

from __future__ import annotations

from typing import Any, Mapping

from .._sync import declare, names, plan_table
from .._sync.api import Server
from .._sync.errors import Conflicts, DeclarationError, Problem
from .._sync.model import Declaration, HostSpec, Registered
from .._sync.plan import Options, Plan, make
from .._sync.policy import Limits
from .execute import execute_plan, facts, predicted
from .spec import CONNECTION, Spec, state
from .task import Task

SPEC = (
    CONNECTION
    + state("present", "absent")
    + Spec(
        {
            "name": {"type": "str", "required": True, "aliases": ["fqdn"]},
            "domain": {"type": "str"},
            "ipv4": {"type": "str"},
            "ipv6": {"type": "str"},
            "wildcard": {"type": "bool"},
            "comment": {"type": "str"},
            "ttl": {"type": "int"},
            "labels": {"type": "dict"},
            "stack": {"type": "str"},
            "adopt": {"type": "bool", "default": False},
            "adopt_from": {"type": "str"},
            "moved_from": {"type": "str"},
        }
    )
)
_ONE = Options(limits=Limits(percent=None, count=None))


def run(task: Task) -> dict[str, Any]:
    """Result keys: changed, diff, warnings, host (if present), secret (if one was made)."""
    spec, stack = _spec(task.params), _stack(task.params["stack"])
    server = task.server()
    found = server.registered([name for name in (spec.fqdn, spec.moved_from) if name])
    registered = Registered(found.hosts, user=found.user)
    present = task.params["state"] == "present"
    declaration = Declaration(stack, hosts={spec.fqdn: spec})
    plan = make(declaration, registered, server.capabilities, _ONE if present else Options(destroy=True))
    if not present and spec.fqdn in registered.hosts and not plan.changes:
        raise Conflicts(plan.notes)
    executed = execute_plan(task, plan, server)
    result = {
        "changed": bool(plan.changes),
        "diff": plan_table.diff(plan, server.url),
        "warnings": [*_warnings(plan), *executed.warnings],
    }
    if present:
        result["host"] = _host(task, spec.fqdn, plan, registered, server)
    return result if executed.secret is None else {**result, "secret": executed.secret}


def _warnings(plan: Plan) -> list[str]:
    """Warnings of new secrets, drift and notes."""
    again = [f"{c.name}: registered again, with a new secret: {c.reason}" for c in plan.changes if c.reason]
    return again + [f"{drift.name}: {drift.text}" for drift in plan.drift] + [str(note) for note in plan.notes]


def _host(task: Task, fqdn: str, plan: Plan, registered: Registered, server: Server) -> dict[str, Any]:
    """The host as it is registered; in check mode as it would be."""
    if not plan.changes:
        return facts(registered.hosts[fqdn])
    if task.check:
        return predicted(plan.changes[0], registered)
    return facts(server.registered([fqdn]).hosts[fqdn])


def _spec(params: Mapping[str, Any]) -> HostSpec:
    """The host with the given options. `none`, empty text and 0 remove a value. Raises DeclarationError."""
    fields = ("ipv4", "ipv6", "wildcard", "comment", "ttl", "labels", "moved_from", "adopt", "adopt_from")
    options = {field: params[field] for field in fields if params[field] is not None}
    for family in ("ipv4", "ipv6"):
        if options.get(family, "").strip().lower() == "none":
            options[family] = None
    if options.get("ttl") == 0:
        options["ttl"] = None
    return declare.host_spec(params["name"], options, default_domain=params["domain"])


def _stack(value: str | None) -> str | None:
    try:
        return None if value is None else names.stack(value)
    except ValueError as error:
        raise DeclarationError([Problem(f"stack: {error}")]) from None
