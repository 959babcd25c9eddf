# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd deny …`; a running service takes the lists over within seconds."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
from sqlalchemy import Connection

from ddnsd import admin, settings
from ddnsd.cli_domains import table
from ddnsd.db.denylist import Denial, everything
from ddnsd.registry import stored_denylist
from ddnsd.registry.errors import NoDenial, Taken

T = TypeVar("T")

HEAD = ("KIND", "VALUE", "BY", "COMMENT")

KIND = click.argument("kind", type=click.Choice(stored_denylist.KINDS))


@click.group()
def deny() -> None:
    """What is denied beside the settings: networks, user agents, and names."""


@deny.command()
@KIND
@click.argument("value")
@click.option("--comment", help="Why, for other administrators.")
@click.option("--exist-ok", is_flag=True, help="Where it is denied already, that is fine.")
def add(kind: str, value: str, comment: str | None, exist_ok: bool) -> None:
    """Deny a network to all hosts, a user agent by its beginning, or a name to new hosts.

    A name is a label or a full name, with * for any characters.
    """
    try:
        made = _store(lambda c: stored_denylist.add(c, kind, value, comment or None, actor=admin.ACTOR))
    except Taken:
        if not exist_ok:
            raise
    else:
        click.echo(f"denied {kind} {made.value}")


@deny.command()
@KIND
@click.argument("value")
@click.option("--exist-ok", is_flag=True, help="Where it is not denied, that is fine.")
def remove(kind: str, value: str, exist_ok: bool) -> None:
    """Deny it no more; a host that was blocked stays so."""

    def work(connection: Connection) -> Denial:
        found = stored_denylist.named(connection, kind, value)
        stored_denylist.remove(connection, found, actor=admin.ACTOR)
        return found

    try:
        gone = _store(work)
    except NoDenial:
        if not exist_ok:
            raise
    else:
        click.echo(f"removed {kind} {gone.value}")


@deny.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Everything that is known of them, as JSON.")
def list_(as_json: bool) -> None:
    """List what is denied, by kind and value; what the settings deny is not among it."""
    found = _store(everything)
    if as_json:
        click.echo(json.dumps([_item(denial) for denial in found], indent=1))
    elif found:
        click.echo(table([HEAD, *((d.kind, d.value, d.created_by, d.comment or "-") for d in found)]))


def _item(denial: Denial) -> dict[str, Any]:
    created = datetime.fromtimestamp(denial.created // 1_000_000, UTC).isoformat()
    return {
        "kind": denial.kind, "value": denial.value, "comment": denial.comment, "created_by": denial.created_by,
        "created": created,
    }  # fmt: skip


def _store(work: Callable[[Connection], T]) -> T:
    return asyncio.run(admin.with_store(settings.load().store_url, work))
