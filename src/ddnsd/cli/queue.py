# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd queue …`: what DNS does not have yet."""

import json
from typing import Any

import click

from ddnsd.cli.domains import table
from ddnsd.cli.group import in_transaction, iso_time
from ddnsd.db.queue import HELD, SKIPPED, WAITING, Counts, Item
from ddnsd.db.queue import STATES as QUEUE_STATES
from ddnsd.operations import queue as operations
from ddnsd.registry.names import fold

MOST = 50
"""How many items `list` shows without --all."""

HEAD = ("ZONE", "NAME", "KIND", "STATE", "SINCE", "TRIES", "NEXT TRY", "REASON")
ZONE_HEAD = ("ZONE", "REFUSED", "HELD", "SKIPPED", "WAITING", "OLDEST")

STATES = {HELD: "held by a foreign record"}
"""States that are more than one word for people."""


@click.group()
def queue() -> None:
    """Pending and refused changes: list, retry, skip."""


@queue.command(name="list")
@click.option("--zone", metavar="ZONE", help="Only this zone.")
@click.option("--all", "everything", is_flag=True, help=f"All items; without it, the first {MOST}.")
@click.option("--json", "as_json", is_flag=True, help="Print all items as JSON.")
def list_(zone: str | None, everything: bool, as_json: bool) -> None:
    """List what DNS does not have yet.

    Hosts, records (RRsets) and removals of all zones: refused by the name server, held by a foreign
    record, skipped, or waiting to be sent. If there are many, numbers per zone come first.
    """
    limit = None if everything or as_json else MOST
    found = in_transaction(lambda c: operations.listed(c, fold(zone) if zone else None, limit))
    if as_json:
        click.echo(json.dumps([_fields(item) for item in found.items], indent=1))
        return
    if found.total > MOST:
        click.echo(table([ZONE_HEAD, *(_zone_row(name, numbers) for name, numbers in found.zones.items())]) + "\n")
    if found.items:
        click.echo(table([HEAD, *map(_row, found.items)]))
    if left := found.total - len(found.items):
        click.echo(f"{left} more are not shown. List them with --all or --zone.")


@queue.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--zone", metavar="ZONE", help="All items of this zone.")
@click.option("--all", "everything", is_flag=True, help="All items of all zones.")
def retry(names: tuple[str, ...], zone: str | None, everything: bool) -> None:
    """Retry refused, held and skipped items now.

    NAME is a full name: its host, its records and its removals. 'NAME TYPE' is only the record of that
    type.
    """
    if (bool(names) + (zone is not None) + everything) != 1:
        raise click.UsageError("Give names, or --zone, or --all.")
    due = in_transaction(lambda c: operations.retry(c, _folded(names), fold(zone) if zone is not None else None))
    click.echo(f"{_number(due)} due now")


@queue.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def skip(names: tuple[str, ...]) -> None:
    """Stop retrying refused items.

    Health checks do not count skipped items as a problem.

    A host or a record is retried after its owner changes it, or after `ddnsd queue retry`. A skipped
    removal is given up: the record stays in DNS.
    """
    for item in in_transaction(lambda c: operations.skip(c, _folded(names))):
        click.echo(f"skipped {item.kind} {item.place}")


def _folded(names: tuple[str, ...]) -> list[str]:
    """The names, folded; each may have a type after it."""
    pairs = (name.strip().partition(" ") for name in names)
    return [fold(name) + space + rtype for name, space, rtype in pairs]


def _number(count: int) -> str:
    return "1 item is" if count == 1 else f"{count} items are"


def _row(item: Item) -> tuple[str, ...]:
    state = STATES.get(item.state, item.state)
    return item.zone, item.place, item.kind, state, _time(item.since), str(item.tries), _due(item), item.reason or "-"


def _due(item: Item) -> str:
    if item.state == SKIPPED:
        return "never"
    if item.state == WAITING:
        return "after the thaw" if item.reason else "now"
    return _time(item.retry_at)


def _zone_row(name: str, numbers: Counts) -> tuple[str, ...]:
    return name, *(str(getattr(numbers, state)) for state in QUEUE_STATES), _time(numbers.since)


def _time(moment: int | None) -> str:
    return iso_time(moment) or "-"


def _fields(item: Item) -> dict[str, Any]:
    return {
        "zone": item.zone,
        "name": item.name,
        "type": item.rtype,
        "kind": item.kind,
        "state": item.state,
        "since": iso_time(item.since),
        "tries": item.tries,
        "next_try": iso_time(item.retry_at),
        "reason": item.reason,
    }
