# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes declarations as YAML that readers of YAML 1.1 and 1.2 understand alike."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ddnsctl.sync import records
from ddnsctl.sync.model import DYNAMIC, UNKNOWN, Domain, Host, Key, Sentinel

_PLAIN = re.compile(r"[A-Za-z0-9/](?:[\w./:+ -]*[\w./+-])?", re.ASCII)
_SPECIAL = re.compile(
    r"[-+.]?[0-9][0-9_.,:eExXoObB+-]*|y|n|yes|no|on|off|true|false|null|\.inf|\.nan|0[xob][0-9a-f]+", re.IGNORECASE
)
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-f]+(?:::?[0-9a-f]+)*::[0-9a-f:]*[0-9a-f]", re.ASCII)

SHORT = 100
"""The most characters of a line with all options of a host."""


def scalar(value: str | float | bool | None) -> str:
    """A value on one line. Text is quoted if a reader could take it for another type, or for a variable."""
    if not isinstance(value, str):
        return json.dumps(value)
    value = value.replace("${", "$${")
    if _ADDRESS.fullmatch(value):
        return value
    plain = _PLAIN.fullmatch(value) and not _SPECIAL.fullmatch(value) and ": " not in value and "  " not in value
    return value if plain else f'"{"".join(map(_escaped, value))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08X}"


def flow(value: Any) -> str:
    """A value on one line, such as `{a: 1, b: [text]}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    return f"[{', '.join(map(flow, value))}]" if isinstance(value, (list, tuple)) else scalar(value)


def rendered(content: Mapping[str, Any]) -> str:
    """A declaration from the values of `declare.as_data`. A host has one line, or one for each option."""
    lines = []
    for key, value in content.items():
        if not isinstance(value, Mapping) or key not in ("hosts", "domains", "keys"):
            lines.append(f"{key}: {flow(value)}")
            continue
        lines.append(f"{key}:")
        for name, options in value.items():
            short = f"  {scalar(name)}: {flow(options)}"
            many = [f"  {scalar(name)}:", *(f"    {option}: {flow(item)}" for option, item in options.items())]
            lines += [short] if len(short) <= SHORT or not options else many
    return "".join(f"{line}\n" for line in lines)


def declaration(
    hosts: Sequence[Host],
    domains: Sequence[Domain],
    server: str | None,
    stack: str | None,
    *,
    keys: Sequence[Key] = (),
    adopt: bool = False,
    dynamic: bool = False,
) -> str:
    """The declaration of registered hosts, domains and keys; `adopt` and `dynamic` as with `ddnsctl import`."""
    lines = [*_lines(hosts, domains, server, stack, adopt=adopt, dynamic=dynamic), *_key_lines(keys)]
    return "".join(f"{line}\n" for line in lines)


def _key_lines(keys: Sequence[Key]) -> Iterator[str]:
    if keys:
        yield "keys:"
    for key in keys:
        yield f"  {scalar(key.name)}: {flow({'hosts': key.hosts, 'secret': 'none'})}"


def _lines(
    hosts: Sequence[Host],
    domains: Sequence[Domain],
    server: str | None,
    stack: str | None,
    *,
    adopt: bool,
    dynamic: bool,
) -> Iterator[str]:
    common = Counter(host.domain for host in hosts).most_common(1)
    default = common[0][0] if common else None
    yield "version: 1"
    if server is not None:
        yield f"server: {scalar(server)}"
    if stack is not None:
        yield f"stack: {scalar(stack)}"
    if default is not None:
        yield f"defaults: {flow({'domain': default})}"
    if domains:
        yield "domains:"
        yield from (f"  {scalar(domain.name)}: {flow(_domain_options(domain))}" for domain in domains)
    if hosts:
        yield "hosts:"
    for host in hosts:
        options = dict(_addresses(host, dynamic=dynamic)) | _host_options(host)
        if adopt and host.stack != stack:
            options["adopt"] = True
        yield from _host_lines(host, default, options)


def _domain_options(domain: Domain) -> dict[str, Any]:
    values = {"public": domain.public, "comment": domain.comment, "ttl": domain.ttl, "group": domain.group}
    values |= {"primary": domain.primary if domain.key else None, "dnssec_policy": domain.dnssec_policy}
    values |= {"gss_realm": domain.gss_realm, "gss_hosts": domain.gss_hosts}
    values |= {"network": domain.network, "reverse": None if domain.reverse == "off" else domain.reverse}
    return {name: value for name, value in values.items() if value}


def _host_options(host: Host) -> dict[str, Any]:
    values = {"wildcard": host.wildcard, "comment": host.comment, "ttl": host.ttl, "labels": dict(host.labels)}
    values["related"] = {} if isinstance(host.related, Sentinel) else dict(host.related)
    values |= {"protect": host.protect, "ptr": host.ptr}
    return {name: value for name, value in values.items() if value}


def _addresses(host: Host, *, dynamic: bool) -> Iterator[tuple[str, Any]]:
    """Addresses whose plan changes neither family. An unknown address beside a known one becomes dynamic."""
    if host.alias is not None:
        yield "alias", host.alias
        return
    if dynamic:
        yield from (("ipv4", "dynamic"), ("ipv6", "dynamic"))
        return
    values = {"ipv4": host.ipv4, "ipv6": host.ipv6}
    literal = any(isinstance(value, (str, list)) for value in values.values())
    for family, value in values.items():
        if isinstance(value, (str, list)):
            yield family, value
        elif value is DYNAMIC or (value is UNKNOWN and literal):
            yield family, "dynamic"


def _host_lines(host: Host, default: str | None, options: Mapping[str, Any]) -> Iterator[str]:
    label, _, domain = host.fqdn.partition(".")
    name = scalar(label if domain == default else host.fqdn)
    rrsets = {} if isinstance(host.records, Sentinel) else host.records
    if not options and not rrsets:
        yield f"  {name}: {{}}"
        return
    yield f"  {name}:"
    for key, value in options.items():
        yield f"    {key}: {flow(value)}"
    if rrsets:
        yield "    records:"
        for key, content in sorted(rrsets.items()):
            yield f"      {scalar(key.removeprefix('@ '))}: {flow(_rrset(key, content))}"


def _rrset(key: str, content: Mapping[str, Any]) -> Any:
    values = [records.literal(key.split()[1], value) for value in content["values"]]
    return {"values": values, "ttl": content["ttl"]} if content["ttl"] else values
