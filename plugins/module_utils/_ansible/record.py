# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_record`: one RRset of a registered host. Other RRsets, and the host itself, are not changed."""

from __future__ import annotations

from typing import Any, Mapping

from .._sync import declare, plan_table, records
from .._sync.dry_run import asked, require
from .._sync.errors import DeclarationError, Problem
from .._sync.model import Declaration, HostSpec, Registered, Sentinel
from .._sync.plan import Options, make
from .execute import execute_plan
from .spec import CONNECTION, Spec, state
from .task import Task

SPEC = (
    CONNECTION
    + state("present", "absent")
    + Spec(
        {
            "host": {"type": "str", "required": True},
            "domain": {"type": "str"},
            "name": {"type": "str", "default": records.APEX},
            "type": {"type": "str", "required": True},
            "values": {"type": "list", "elements": "str"},
            "ttl": {"type": "int"},
        },
        required_if=[("state", "present", ["values"])],
    )
)


def run(task: Task) -> dict[str, Any]:
    """Result keys: changed, diff, warnings, record (if present)."""
    key, spec = _spec(task.params)
    server = task.server()
    found = server.registered([spec.fqdn])
    registered = Registered(found.hosts, user=found.user)
    if spec.fqdn not in registered.hosts:
        raise DeclarationError([Problem(f"{spec.fqdn} is not registered", hint="register it with ddns_host")])
    plan = make(Declaration(hosts={spec.fqdn: spec}), registered, server.capabilities, Options())
    plan = asked(plan, server)
    require(plan)
    executed = execute_plan(task, plan, server)
    result = {
        "changed": bool(plan.changes),
        "diff": plan_table.diff(plan, server.url),
        "warnings": [
            *(f"{drift.name}: {drift.text}" for drift in plan.drift),
            *map(str, plan.notes),
            *executed.warnings,
        ],
    }
    if task.params["state"] == "absent":
        return result
    if plan.changes and not task.check:
        registered = server.registered([spec.fqdn])
    host = registered.hosts[spec.fqdn]
    content = None if isinstance(host.records, Sentinel) else host.records.get(key)
    if plan.changes and task.check:
        content = plan.changes[0].after["records"][key]
    return {**result, "record": _record(spec.fqdn, key, content)}


def _spec(params: Mapping[str, Any]) -> tuple[str, HostSpec]:
    """The key of the RRset, and the host with nothing else declared. Raises DeclarationError."""
    given = f"{params['name']} {params['type']}"
    content = None if params["state"] == "absent" else {"values": params["values"], "ttl": params["ttl"] or None}
    spec = declare.host_spec(params["host"], {"records": {given: content}}, default_domain=params["domain"])
    rrsets = {} if isinstance(spec.records, Sentinel) else spec.records
    (key,) = rrsets
    return key, HostSpec(spec.fqdn, records=rrsets, keeps_records=True)


def _record(host: str, key: str, content: Mapping[str, Any] | None) -> dict[str, Any]:
    """The RRset in the result."""
    name, rtype = key.split(" ")
    fqdn = host if name == records.APEX else f"{name}.{host}"
    return {"host": host, "name": name, "type": rtype, "fqdn": fqdn, **(content or {})}
