# SPDX-License-Identifier: GPL-3.0-or-later
"""Registered hosts and domains, for `ddns_host_info`, `ddns_domain_info` and the inventory."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, Mapping, Sequence

from .._sync import names
from .._sync.errors import DeclarationError, Problem
from .._sync.model import Host
from .execute import facts
from .spec import CONNECTION, Spec
from .task import Task

HOSTS = CONNECTION + Spec(
    {
        "name": {"type": "list", "elements": "str", "aliases": ["fqdn"]},
        "domain": {"type": "list", "elements": "str"},
        "stack": {"type": "list", "elements": "str"},
        "labels": {"type": "dict"},
    }
)
DOMAINS = CONNECTION + Spec({"name": {"type": "list", "elements": "str"}})


def hosts(task: Task) -> dict[str, Any]:
    """Result keys: changed, hosts (those that match all given filters, by name).

    If the parameter `others` is false, hosts of other users are left out.
    """
    params = task.params
    wanted = parsed("name", names.host_name, params["name"])
    domains = parsed("domain", names.domain_name, params["domain"])
    found = task.server().registered(wanted).hosts.values()
    kept = filtered(found, domains, params["stack"], params["labels"])
    others = params.get("others", True)
    return {"changed": False, "hosts": [facts(host) for host in kept if host.own or others]}


def domains(task: Task) -> dict[str, Any]:
    """Result keys: changed, domains (by name)."""
    wanted = parsed("name", names.domain_name, task.params["name"])
    found = task.server().registered([]).domains
    shown = [facts(found[name]) for name in sorted(found) if wanted is None or name in wanted]
    return {"changed": False, "domains": shown}


def filtered(
    found: Iterable[Host],
    domains: Sequence[str] | None,
    stacks: Sequence[str] | None,
    labels: Mapping[str, Any] | None,
) -> Iterator[Host]:
    """The hosts of any of these domains and any of these stacks that have all of these labels, by name."""
    wanted = names.labels(labels or {}).items()
    for host in sorted(found, key=lambda host: host.fqdn):
        if domains is not None and host.domain not in domains:
            continue
        if stacks is not None and host.stack not in stacks:
            continue
        if all(host.labels.get(key) == value for key, value in wanted):
            yield host


def parsed(option: str, parse: Any, values: Sequence[str] | None) -> list[str] | None:
    """All values in canonical form; None if the option is not given. Raises DeclarationError."""
    if values is None:
        return None
    problems: list[Problem] = []

    def one(index: int, value: str) -> str:
        try:
            return str(parse(value))
        except ValueError as error:
            problems.append(Problem(f"{option}[{index}]: {error}"))
            return ""

    result = [one(index, value) for index, value in enumerate(values)]
    if problems:
        raise DeclarationError(problems)
    return result
