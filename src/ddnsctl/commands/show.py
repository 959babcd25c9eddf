# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl show`: a table on a terminal, lines with tabs in a pipe, JSON for programs; or a saved plan."""

from __future__ import annotations

import fnmatch
import json
import sys
from dataclasses import asdict
from enum import Enum
from typing import TYPE_CHECKING, Any

import click

from ddnsctl import options, output

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ddnsctl.loader import Sources
    from ddnsctl.sync.model import Host

COLUMNS = ("host", "ipv4", "ipv6", "wildcard", "stack", "dns", "comment", "alias")
FIXED = 3
"""The number of columns that are always shown. Others are left out if they are empty."""
WILDCARDS = frozenset("*?[")
DNS_COLOURS = {"current": "green", "pending": "yellow", "conflict": "red"}


@click.command("show")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=options.registered("hosts_or_files"))
@click.option("--domain", metavar="NAME", help="Only hosts in this domain.")
@click.option("--stack", metavar="NAME", help="Only hosts of this stack.", shell_complete=options.registered("stacks"))
@click.option(
    "--silent-days",
    type=click.IntRange(1, 3650),
    metavar="N",
    help="Only hosts that sent no request for N days, changed or unchanged.",
)
@click.option(
    "--tsig",
    is_flag=True,
    help="Print the TSIG keys for DNS UPDATE of the hosts and keys in the files NAME, whose secrets are in files.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(output.FORMATS),
    default="text",
    metavar="FORMAT",
    help="text, json, ndjson (one line per host), or markdown for a plan.",
)
@options.connection
def command(
    names: tuple[str, ...],
    domain: str | None,
    stack: str | None,
    silent_days: int | None,
    tsig: bool,
    form: str,
    connection: options.Connection,
) -> int:
    """List registered hosts, or show a saved plan.

    NAME is a full name, its first label, or a pattern such as 'vm-*'. Exit code: 1 if a NAME without wildcards is not
    registered. In a pipe, columns are separated by tabs.

    If NAME is a file that `plan -o` wrote, its plan is shown, without a connection to the server.

    With --tsig, NAME is a declaration. Its TSIG keys are printed one per line, as `nsupdate -y` takes them. They are
    secret. Exit code: 1 if a secret is missing.
    """
    from ddnsctl import saved_plans, session
    from ddnsctl.loader import Sources

    if tsig:
        if domain is not None or stack is not None or silent_days is not None or not names:
            raise click.UsageError("--tsig takes the files of declarations, and of the options only --format")
        return _print_tsig_keys(Sources(names), form)
    if (saved := saved_plans.find(Sources(names))) is not None:
        if domain is not None or stack is not None or silent_days is not None:
            raise click.UsageError("--domain, --stack and --silent-days select registered hosts, not changes of a plan")
        output.plan(saved.plan, form, url=saved.url)
        return 0
    if form == "markdown":
        raise click.UsageError("markdown is a format of plans: name a file that `plan -o` wrote")
    exact = [name.lower().rstrip(".") for name in names if "." in name and not set(name) & WILDCARDS]
    wanted = exact if exact and len(exact) == len(names) else None
    opened = session.open_session(connection, session.NO_FILE, wanted, None if names else stack)
    chosen = _chosen(opened.registered.hosts, names, domain=domain, stack=stack)
    if silent_days is not None:
        silent = opened.server.silent(silent_days)
        chosen = [host for host in chosen if host.fqdn in silent]
    _print(chosen, form)
    return 0


def _print_tsig_keys(sources: Sources, form: str) -> int:
    from ddnsctl import loader, tsig_keys

    found, problems = tsig_keys.of(loader.load(sources), sources.vault)
    if form == "text":
        click.echo("".join(f"{key.text}\n" for key in found), nl=False)
    elif form == "json":
        click.echo(json.dumps([key._asdict() for key in found], indent=2))
    elif form == "ndjson":
        click.echo("".join(json.dumps(key._asdict()) + "\n" for key in found), nl=False)
    else:
        raise click.UsageError("markdown is a format of plans")
    for problem in problems:
        click.echo(str(problem), err=True)
    return 1 if problems else 0


def _chosen(hosts: Mapping[str, Host], names: Sequence[str], *, domain: str | None, stack: str | None) -> list[Host]:
    """The hosts of these names and patterns (all if there are none) in this domain and stack. Raises UnknownNames."""
    from ddnsctl import session

    patterns = [name.lower() for name in names if set(name) & WILDCARDS]
    exact = session.full_names(tuple(name for name in names if not set(name) & WILDCARDS), hosts)
    return [
        host
        for name, host in sorted(hosts.items(), key=lambda item: (item[1].domain, item[0]))
        if (not names or name in exact or any(_matches(name, pattern) for pattern in patterns))
        and (domain is None or host.domain == domain.lower().rstrip("."))
        and (stack is None or host.stack == stack)
    ]


def _matches(name: str, pattern: str) -> bool:
    """Whether the full name or its first label matches the pattern."""
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name.partition(".")[0], pattern)


def _print(hosts: Sequence[Host], form: str) -> None:
    if form == "json":
        click.echo(json.dumps([_json_values(host) for host in hosts], indent=2))
    elif form == "ndjson":
        click.echo("".join(json.dumps(_json_values(host)) + "\n" for host in hosts), nl=False)
    elif sys.stdout.isatty():
        _print_table(hosts)
    else:
        click.echo("".join("\t".join(row) + "\n" for row in [COLUMNS, *map(_row, hosts)]), nl=False)


def _json_values(host: Host) -> dict[str, Any]:
    """All fields of a host as JSON values. An address that the server did not report is `unknown`."""
    values = {name: value.value if isinstance(value, Enum) else value for name, value in asdict(host).items()}
    return {**host.facts, **{name: value for name, value in values.items() if name != "facts"}}


def _row(host: Host) -> tuple[str, ...]:
    wildcard = "yes" if host.wildcard else ""
    values = (host.fqdn, host.ipv4, host.ipv6, wildcard, host.stack, _dns(host), host.comment, host.alias)
    return tuple(_text(value) for value in values)


def _dns(host: Host) -> str:
    blocked = "" if host.available else " (not available)"
    return host.dns + (f": {host.conflict}" if host.conflict else "") + blocked


def _text(value: str | list[str] | Enum | None) -> str:
    if isinstance(value, list):
        value = ", ".join(value)
    text = str(value.value) if isinstance(value, Enum) else value or ""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def _print_table(hosts: Iterable[Host]) -> None:
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
