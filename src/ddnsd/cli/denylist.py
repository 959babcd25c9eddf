# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd deny …`; a running service reads the changed lists within seconds."""

import json
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from sqlalchemy import Connection

from ddnsd.cli.domains import table
from ddnsd.cli.group import in_transaction
from ddnsd.db.denylist import Denial, everything
from ddnsd.operations import hosts
from ddnsd.registry import stored_denylist
from ddnsd.registry.errors import NoDenial, Taken

T = TypeVar("T")

HEAD = ("KIND", "VALUE", "BY", "COMMENT")

KIND = click.argument("kind", type=click.Choice(stored_denylist.KINDS))


@click.group()
def deny() -> None:
    """Deny networks, user agents and names."""


@deny.command()
@KIND
@click.argument("value")
@click.option("--comment", help="Reason, for other administrators.")
@click.option("--exist-ok", is_flag=True, help="Do not fail if the entry exists.")
def add(kind: str, value: str, comment: str | None, exist_ok: bool) -> None:
    """Deny a network, a user agent, or a name for new hosts.

    A user agent matches by its beginning.

    A name is a label or a full name, with * for any characters.
    """
    try:
        made = in_transaction(lambda c: stored_denylist.add(c, kind, value, comment or None, actor=hosts.ACTOR))
    except Taken:
        if not exist_ok:
            raise
    else:
        click.echo(f"denied {kind} {made.value}")


@deny.command()
@KIND
@click.argument("value")
@click.option("--exist-ok", is_flag=True, help="Do not fail if there is no such entry.")
def remove(kind: str, value: str, exist_ok: bool) -> None:
    """Remove an entry. Blocked hosts stay blocked."""

    def work(connection: Connection) -> Denial:
        found = stored_denylist.named(connection, kind, value)
        stored_denylist.remove(connection, found, actor=hosts.ACTOR)
        return found

    try:
        gone = in_transaction(work)
    except NoDenial:
        if not exist_ok:
            raise
    else:
        click.echo(f"removed {kind} {gone.value}")


@deny.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print all fields as JSON.")
def list_(as_json: bool) -> None:
    """List the entries; those of the settings are not shown."""
    found = in_transaction(everything)
    if as_json:
        click.echo(json.dumps([_item(denial) for denial in found], indent=1))
    elif found:
        click.echo(table([HEAD, *((d.kind, d.value, d.created_by, d.comment or "-") for d in found)]))


def _item(denial: Denial) -> dict[str, Any]:
    created = datetime.fromtimestamp(denial.created // 1_000_000, UTC).isoformat()
    return {
        "kind": denial.kind,
        "value": denial.value,
        "comment": denial.comment,
        "created_by": denial.created_by,
        "created": created,
    }
