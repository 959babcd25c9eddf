# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl quotas`: a table on a terminal, lines with tabs in a pipe, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from ddnsctl import options

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS = ("quota", "used", "limit")


@click.command("quotas")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", metavar="FORMAT", help="text or json."
)
@options.connection
def command(form: str, connection: options.Connection) -> int:
    """Show how much you may have, and what you use of it.

    Hosts, tokens, keys and stored answers are counted exactly. Changes are counted by the hour or minute. In a pipe,
    columns are separated by tabs.
    """
    from ddnsctl import session
    from ddnsctl.sync.errors import SyncError
    from ddnsctl.sync.rest import RestServer

    server = session.connect(connection, None, session.NO_FILE).server
    if not isinstance(server, RestServer):
        raise SyncError("this service does not tell quotas; only ddnsd does")
    found = server.quotas()
    if form == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        _print([COLUMNS, *(_row(name, quota) for name, quota in found.items())])
    return 0


def _row(name: str, quota: Mapping[str, Any]) -> tuple[str, str, str]:
    limit, used = quota.get("limit"), quota.get("used")
    return name, "" if used is None else str(used), "no limit" if limit is None else str(limit)


def _print(rows: list[tuple[str, str, str]]) -> None:
    if not sys.stdout.isatty():
        click.echo("".join("\t".join(row) + "\n" for row in rows), nl=False)
        return
    width, digits = (max(len(row[i]) for row in rows) for i in (0, 1))
    for name, used, limit in rows:
        click.echo(f"{name:<{width}}  {used:>{digits}}  {limit}")
