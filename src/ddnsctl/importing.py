# SPDX-License-Identifier: GPL-3.0-or-later
"""What is registered → a declaration that plans to nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddnsctl import emit, output, secrets, yamlfile
from ddnsctl.sync import declare
from ddnsctl.sync.errors import SyncError
from ddnsctl.sync.model import UNKNOWN, Capabilities, Domain, Host, Registered
from ddnsctl.sync.plan import Action, Options, make
from ddnsctl.sync.policy import Limits


@dataclass(frozen=True)
class Choice:
    """What is declared, and how."""

    domain: str | None = None
    """Only hosts in this domain."""
    stack: str | None = None
    """The declaration's stack; its hosts and domains alone, unless others are adopted."""
    adopt: bool = False
    """Also hosts that belong to no stack."""
    dynamic: bool = False
    """Addresses belong to the hosts' updaters."""
    server: str | None = None


def declaration(registered: Registered, capabilities: Capabilities, choice: Choice) -> str:
    """The declaration of the caller's own hosts as YAML. Warns of what would still be changed by it.

    Raises SyncError when nothing is chosen.
    """
    hosts = sorted((h for h in registered.hosts.values() if _chosen(h, choice)), key=lambda h: h.fqdn)
    domains = sorted((d for d in registered.domains.values() if _of_stack(d, choice)), key=lambda d: d.name)
    if not hosts and not domains:
        raise SyncError("nothing that is registered fits; `ddnsctl show` lists all of it")
    text = "".join(f"{line}\n" for line in _lines(hosts, domains, choice))
    _check(text, registered, capabilities)
    return text


def write(text: str, file: str) -> None:
    """A new file. Raises SyncError when there is one already."""
    try:
        secrets.write(Path(file), text.encode(), replace=False)
    except FileExistsError:
        raise SyncError(f"{file} exists; remove it, or write to another file") from None


def _chosen(host: Host, choice: Choice) -> bool:
    if not host.own:
        return False
    if choice.domain is not None and host.domain != choice.domain.lower().rstrip("."):
        return False
    return choice.stack is None or host.stack == choice.stack or (choice.adopt and host.stack is None)


def _of_stack(domain: Domain, choice: Choice) -> bool:
    fits = choice.domain is None or domain.name == choice.domain.lower().rstrip(".")
    return fits and domain.own and choice.stack is not None and domain.stack == choice.stack


def _lines(hosts: list[Host], domains: list[Domain], choice: Choice) -> Iterator[str]:
    common = Counter(host.domain for host in hosts).most_common(1)
    default = common[0][0] if common else None
    yield "version: 1"
    if choice.server is not None:
        yield f"server: {emit.scalar(choice.server)}"
    if choice.stack is not None:
        yield f"stack: {emit.scalar(choice.stack)}"
    if default is not None:
        yield f"defaults: {emit.flow({'domain': default})}"
    if domains:
        yield "domains:"
        yield from (f"  {emit.scalar(domain.name)}: {emit.flow(_domain_options(domain))}" for domain in domains)
    if hosts:
        yield "hosts:"
    for host in hosts:
        yield from _host_lines(host, default, choice)


def _domain_options(domain: Domain) -> dict[str, Any]:
    values = {"public": domain.public, "comment": domain.comment, "ttl": domain.ttl, "group": domain.group}
    return {name: value for name, value in values.items() if value}


def _host_lines(host: Host, default: str | None, choice: Choice) -> Iterator[str]:
    label, _, domain = host.fqdn.partition(".")
    name = emit.scalar(label if domain == default else host.fqdn)
    options = _host_options(host, choice)
    if not options:
        yield f"  {name}: {{}}"
        return
    yield f"  {name}:"
    for key, value in options.items():
        yield f"    {key}: {emit.flow(value) if isinstance(value, Mapping) else emit.scalar(value)}"


def _host_options(host: Host, choice: Choice) -> dict[str, Any]:
    options: dict[str, Any] = dict(_addresses(host, choice))
    values = {"wildcard": host.wildcard, "comment": host.comment, "ttl": host.ttl, "labels": dict(host.labels)}
    options |= {name: value for name, value in values.items() if value}
    if choice.adopt and host.stack != choice.stack:
        options["adopt"] = True
    return options


def _addresses(host: Host, choice: Choice) -> Iterator[tuple[str, str]]:
    """What says of both families that nothing changes. An unknown address beside a known one is left alone too."""
    if choice.dynamic:
        yield from (("ipv4", "dynamic"), ("ipv6", "dynamic"))
        return
    values = {"ipv4": host.ipv4, "ipv6": host.ipv6}
    literal = any(isinstance(value, str) for value in values.values())
    for family, value in values.items():
        if isinstance(value, str):
            yield family, value
        elif value is UNKNOWN and literal:
            yield family, "dynamic"


def _check(text: str, registered: Registered, capabilities: Capabilities) -> None:
    """Warn of what cannot be declared as it is, such as a comment that is empty and not missing."""
    document = yamlfile.read(text.encode(), "what is registered")
    declared = declare.declaration(document.data, locate=document.locate)
    plan = make(declared, registered, capabilities, Options(limits=Limits(percent=None, count=None)))
    for change in plan.changes:
        fields = [name for name in change.after if change.action is not Action.ADOPT or name != "stack"]
        if fields:
            output.warning(f"{change.name}: the next apply will write {', '.join(fields)} in a cleaner form")
