# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl show`"""

from __future__ import annotations

import click

from ddnsctl import options


@click.command("show")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--domain", metavar="NAME", help="Only hosts in this domain.")
@click.option("--stack", metavar="NAME", help="Only hosts of this stack.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "ndjson"]),
    default="text",
    metavar="FORMAT",
    help="text, json, or ndjson (a line for each host).",
)
@options.connection
def command(
    names: tuple[str, ...], domain: str | None, stack: str | None, form: str, connection: options.Connection
) -> int:
    """Show the registered hosts.

    A NAME is a full name or its first label, and may be a pattern, such as 'vm-*'. Exits 1 when a NAME that is no
    pattern is not registered. In a pipe the table is lines with tabs.
    """
    from ddnsctl import session, showing

    opened = session.open_session(connection, None, session.NO_FILE)
    hosts = showing.chosen(opened.registered.hosts, names, domain=domain, stack=stack)
    showing.show(hosts, form)
    return 0
