# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_domain`: one domain. Only the given options are declared."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from .._sync import names, plan_table, tsig_files
from .._sync.api import Server
from .._sync.errors import DeclarationError, Problem
from .._sync.model import Declaration, DomainSpec, Registered
from .._sync.plan import Options, Plan, make
from .execute import execute_plan, facts, predicted
from .spec import CONNECTION, Spec, state
from .task import Task

SPEC = (
    CONNECTION
    + state("present", "absent")
    + Spec(
        {
            "name": {"type": "str", "required": True},
            "public": {"type": "bool"},
            "comment": {"type": "str"},
            "ttl": {"type": "int"},
            "group": {"type": "str"},
            "available": {"type": "bool"},
            "dns_updates": {"type": "bool"},
            "owner": {"type": "str"},
            "primary": {"type": "str"},
            "key": {"type": "dict", "no_log": False, "options": {"file": {"type": "path", "required": True}}},
            "dnssec_policy": {"type": "str"},
            "gss_realm": {"type": "str"},
            "gss_hosts": {"type": "bool"},
            "network": {"type": "str"},
            "reverse": {"type": "str", "choices": ["off", "verified", "all"]},
        }
    )
)


def run(task: Task) -> dict[str, Any]:
    """Result keys: changed, diff, warnings, domain (if present)."""
    spec = _spec(task.params)
    server = task.server()
    registered = Registered({}, server.registered([]).domains)
    present = task.params["state"] == "present"
    declaration = Declaration(domains={spec.name: spec})
    if present:
        declaration = tsig_files.loaded(declaration)
    plan = make(declaration, registered, server.capabilities, Options(destroy=not present))
    execute_plan(task, plan, server)
    result = {
        "changed": bool(plan.changes),
        "diff": plan_table.diff(plan, server.url),
        "warnings": [str(note) for note in plan.notes],
    }
    return {**result, "domain": _domain(task, spec.name, plan, registered, server)} if present else result


def _domain(task: Task, name: str, plan: Plan, registered: Registered, server: Server) -> dict[str, Any]:
    """The domain as it is registered; in check mode as it would be."""
    if not plan.changes:
        return facts(registered.domains[name])
    if task.check:
        return predicted(plan.changes[0], registered)
    return facts(server.registered([]).domains[name])


def _spec(params: Mapping[str, Any]) -> DomainSpec:
    """The domain with the given options. Empty text and 0 remove a value. Raises DeclarationError."""
    problems: list[Problem] = []

    def parsed(option: str, parse: Callable[[Any], Any]) -> Any:
        try:
            return parse(params[option])
        except ValueError as error:
            problems.append(Problem(f"{option}: {error}"))
            return None

    parsers: dict[str, Callable[[Any], Any]] = {
        "public": names.flag,
        "comment": names.comment,
        "ttl": lambda value: None if value == 0 else names.ttl(value),
        "group": names.group,
        "available": names.flag,
        "dns_updates": names.flag,
        "owner": names.user,
        "primary": names.endpoint,
        "dnssec_policy": names.dnssec_policy,
        "gss_realm": names.gss_realm,
        "gss_hosts": names.flag,
        "network": names.network,
        "reverse": names.reverse,
    }
    given = {option: parsed(option, parse) for option, parse in parsers.items() if params[option] is not None}
    name = parsed("name", names.domain_name)
    if problems:
        raise DeclarationError(problems)
    key_file = params["key"] and params["key"]["file"]
    return DomainSpec(name, **given, key_file=key_file)
