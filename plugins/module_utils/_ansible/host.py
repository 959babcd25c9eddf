# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_host`: one host. Only the given options are declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

from .._sync import declare, names, plan_table
from .._sync.api import Server
from .._sync.dry_run import asked, require
from .._sync.errors import Conflicts, DeclarationError, Problem
from .._sync.model import DYNAMIC, EXEC, Declaration, HostSpec, Registered
from .._sync.plan import Action, Options, Plan, make
from .._sync.policy import Limits
from .execute import execute_plan, facts, predicted
from .secret_writer import SecretWriter
from .spec import CONNECTION, Spec, state
from .task import Task

SPEC = (
    CONNECTION
    + state("present", "absent")
    + Spec(
        {
            "name": {"type": "str", "required": True, "aliases": ["fqdn"]},
            "domain": {"type": "str"},
            "ipv4": {"type": "list", "elements": "str"},
            "ipv6": {"type": "list", "elements": "str"},
            "alias": {"type": "str"},
            "wildcard": {"type": "bool"},
            "comment": {"type": "str"},
            "ttl": {"type": "int"},
            "labels": {"type": "dict"},
            "protect": {"type": "bool"},
            "ptr": {"type": "bool"},
            "records": {"type": "dict"},
            "related": {"type": "dict"},
            "stack": {"type": "str"},
            "adopt": {"type": "bool", "default": False},
            "adopt_from": {"type": "str"},
            "moved_from": {"type": "str"},
            "secret": {
                "type": "dict",
                "no_log": False,
                "options": {
                    "file": {"type": "path"},
                    "vault": {"type": "path"},
                    "exec": {"type": "list", "elements": "str"},
                },
                "mutually_exclusive": [("file", "vault", "exec")],
                "required_one_of": [("file", "vault", "exec")],
            },
            "return_secrets": {"type": "bool", "default": False, "no_log": False},
        }
    )
)
_DECLARED = (
    "ipv4",
    "ipv6",
    "alias",
    "wildcard",
    "comment",
    "ttl",
    "labels",
    "protect",
    "ptr",
    "records",
    "related",
    "moved_from",
    "adopt",
    "adopt_from",
)
_ONE = Options(limits=Limits(percent=None, count=None))


def run(task: Task) -> dict[str, Any]:
    """Result keys: changed, diff, warnings, host (if present), secret (if one was made and is asked for)."""
    spec, stack = _spec(task.params), _stack(task.params["stack"])
    server = task.server()
    found = server.registered([name for name in (spec.fqdn, spec.moved_from) if name])
    registered = Registered(found.hosts, user=found.user)
    present = task.params["state"] == "present"
    declaration = Declaration(stack, hosts={spec.fqdn: spec})
    plan = make(declaration, registered, server.capabilities, _ONE if present else Options(destroy=True))
    if not present and spec.fqdn in registered.hosts and not plan.changes:
        raise Conflicts(plan.notes)
    if task.check or any(c.action is Action.DELETE or {"records", "related"} & c.after.keys() for c in plan.changes):
        plan = asked(plan, server)
    secrets = SecretWriter(plan.changes, returns=bool(task.params["return_secrets"]), encrypt=task.encrypt)
    require(plan, secrets.problems())
    executed = execute_plan(task, plan, server, secrets)
    result = {
        "changed": bool(plan.changes),
        "diff": plan_table.diff(plan, server.url),
        "warnings": [*_warnings(plan), *_lost(plan, secrets, spec), *executed.warnings],
    }
    if present:
        result["host"] = _host(task, spec.fqdn, plan, registered, server)
    return {**result, "secret": secrets.returned[spec.fqdn]} if secrets.returned else result


def _warnings(plan: Plan) -> list[str]:
    """Warnings of new secrets, drift and notes."""
    again = [f"{c.name}: registered again, with a new secret: {c.reason}" for c in plan.changes if c.reason]
    return again + [f"{drift.name}: {drift.text}" for drift in plan.drift] + [str(note) for note in plan.notes]


def _lost(plan: Plan, secrets: SecretWriter, spec: HostSpec) -> list[str]:
    """A warning about a new secret that is not stored, if a machine needs it or had the former one."""
    dynamic = DYNAMIC in (spec.ipv4, spec.ipv6)
    needed = {c.name for c in plan.changes if dynamic or c.action is not Action.CREATE}
    return [
        f"{name}: the new secret is not stored anywhere. Set `secret: {{file: …}}` or `return_secrets`; "
        "`ddns_secret` makes another one"
        for name in secrets.without_destination()
        if name in needed
    ]


def _host(task: Task, fqdn: str, plan: Plan, registered: Registered, server: Server) -> dict[str, Any]:
    """The host as it is registered; in check mode as it would be."""
    if not plan.changes:
        return facts(registered.hosts[fqdn])
    if task.check:
        return predicted(plan.changes[0], registered)
    return facts(server.registered([fqdn]).hosts[fqdn])


def _spec(params: Mapping[str, Any]) -> HostSpec:
    """The host with the given options. `none`, empty text and 0 remove a value. Raises DeclarationError."""
    options = {field: params[field] for field in _DECLARED if params[field] is not None}
    for family in ("ipv4", "ipv6"):
        if len(given := options.get(family, ())) == 1:
            options[family] = None if given[0].strip().lower() == "none" else given[0]
    if options.get("alias", "").strip().lower() == "none":
        options["alias"] = None
    if options.get("ttl") == 0:
        options["ttl"] = None
    secret = {kind: place for kind, place in (params["secret"] or {}).items() if place}
    if secret:
        options["secret"] = {
            kind: place if kind == EXEC else str(Path(place).absolute()) for kind, place in secret.items()
        }
    return declare.host_spec(params["name"], options, default_domain=params["domain"])


def _stack(value: str | None) -> str | None:
    try:
        return None if value is None else names.stack(value)
    except ValueError as error:
        raise DeclarationError([Problem(f"stack: {error}")]) from None
