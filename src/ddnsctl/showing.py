# SPDX-License-Identifier: GPL-3.0-or-later
"""Registered hosts: a table on a terminal, tab-separated lines in a pipe, JSON for programs."""

from __future__ import annotations

import fnmatch
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from ddnsctl import output, session
from ddnsctl.sync.model import Host, Sentinel

COLUMNS = ("host", "ipv4", "ipv6", "wildcard", "stack", "dns", "comment")
FIXED = 3
"""So many columns always appear; the others where they say something."""
DNS_COLOURS = {"current": "green", "pending": "yellow", "conflict": "red"}


def chosen(hosts: Mapping[str, Host], names: Sequence[str], *, domain: str | None, stack: str | None) -> list[Host]:
    """The hosts of these names and patterns (all without any), in this domain and stack. Raises UnknownNames."""
    patterns = [name.lower() for name in names if set(name) & set("*?[")]
    exact = session.full_names(tuple(name for name in names if not set(name) & set("*?[")), hosts)
    return [
        host
        for name, host in sorted(hosts.items(), key=lambda item: (item[1].domain, item[0]))
        if (not names or name in exact or any(_fits(name, pattern) for pattern in patterns))
        and (domain is None or host.domain == domain.lower().rstrip("."))
        and (stack is None or host.stack == stack)
    ]


def _fits(name: str, pattern: str) -> bool:
    """Whether the full name or its first label is like the pattern."""
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name.partition(".")[0], pattern)


def show(hosts: Sequence[Host], form: str) -> None:
    """Print them as `text`, `json` or `ndjson`."""
    if form == "json":
        click.echo(json.dumps([_record(host) for host in hosts], indent=2))
    elif form == "ndjson":
        click.echo("".join(json.dumps(_record(host)) + "\n" for host in hosts), nl=False)
    elif sys.stdout.isatty():
        _table(hosts)
    else:
        click.echo("".join("\t".join(row) + "\n" for row in [COLUMNS, *map(_row, hosts)]), nl=False)


def _record(host: Host) -> dict[str, Any]:
    """All of a host as JSON values; an address that the server could not say is `unknown`."""
    values = {name: value.value if isinstance(value, Sentinel) else value for name, value in asdict(host).items()}
    return {**host.facts, **{name: value for name, value in values.items() if name != "facts"}}


def _row(host: Host) -> tuple[str, ...]:
    values = (host.fqdn, host.ipv4, host.ipv6, "yes" if host.wildcard else "", host.stack, _dns(host), host.comment)
    return tuple(_text(value) for value in values)


def _dns(host: Host) -> str:
    blocked = "" if host.available else " (not available)"
    return host.dns + (f": {host.conflict}" if host.conflict else "") + blocked


def _text(value: str | Sentinel | None) -> str:
    text = value.value if isinstance(value, Sentinel) else value or ""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _table(hosts: Iterable[Host]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [_row(host) for host in hosts]
    used = [i for i, name in enumerate(COLUMNS) if i < FIXED or any(row[i] not in ("", "unknown") for row in rows)]
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for i in used:
        table.add_column({"wildcard": "*"}.get(COLUMNS[i], COLUMNS[i]), no_wrap=COLUMNS[i] != "comment")
    for row in rows:
        row = (*row[:3], "*" if row[3] else "", *row[4:])
        style = DNS_COLOURS.get(row[5].partition(":")[0].partition(" ")[0], "dim")
        cells = [Text(cell, style={0: "bold", 5: style}.get(i, "")) for i, cell in enumerate(row)]
        table.add_row(*(cells[i] for i in used))
    console = Console(no_color=output.wants_colour() is False, highlight=False)
    console.print(table)
    console.print(Text(f"\n{len(rows)} {'host' if len(rows) == 1 else 'hosts'}", style="dim"))
