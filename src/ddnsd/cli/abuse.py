# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd abuse …`: reports of the public form."""

import json
from datetime import UTC, datetime
from typing import Any

import click

from ddnsd import settings
from ddnsd.cli.domains import table
from ddnsd.cli.group import in_transaction, short_text
from ddnsd.db.abuse_reports import AbuseReport
from ddnsd.operations import abuse as operations
from ddnsd.registry import abuse_reports
from ddnsd.registry.abuse_reports import Decision

HEAD = ("ID", "NAME", "OWNER", "KIND", "STATE", "REPORTED")

REPORT = click.argument("report_id", metavar="ID", type=click.IntRange(min=1))
REPLY = click.option("--reply", metavar="TEXT", help="The answer to the reporter. It is kept; no mail is sent.")


@click.group()
def abuse() -> None:
    """Reports of abuse: list, block the host or put it in quarantine, dismiss."""


@abuse.command(name="list")
@click.option("--all", "every", is_flag=True, help="Closed reports, too.")
@click.option("--json", "as_json", is_flag=True, help="Print all fields as JSON.")
def list_(every: bool, as_json: bool) -> None:
    """List the open reports, oldest first."""
    found = in_transaction(lambda c: operations.listed(c, every=every))
    if as_json:
        click.echo(json.dumps([_fields(report) for report in found], indent=1))
    elif found:
        click.echo(table([HEAD, *map(_row, found)]))


@abuse.command()
@REPORT
@click.option("--json", "as_json", is_flag=True, help="Print all fields as JSON.")
def show(report_id: int, as_json: bool) -> None:
    """Print one report, with the answer to the reporter."""
    fields = _fields(in_transaction(lambda c: abuse_reports.found(c, report_id)))
    if as_json:
        click.echo(json.dumps(fields, indent=1))
        return
    texts = {name: fields.pop(name) for name in ("text", "reply")}
    for name, value in fields.items():
        if value is not None:
            click.echo(f"{name.replace('_', ' ')}: {value}")
    for name, text in texts.items():
        if text is not None:
            click.echo(f"\n{name}:\n{text}")


@abuse.command()
@REPORT
@click.option("--reason", metavar="TEXT", callback=short_text, help="Why. The owner of the host can read it.")
@REPLY
def block(report_id: int, reason: str | None, reply: str | None) -> None:
    """Block the host, remove its records, and close the report."""
    in_transaction(lambda c: operations.block(c, report_id, Decision(reason, reply)))


@abuse.command()
@REPORT
@click.option("--reason", metavar="TEXT", callback=short_text, help="Why. The owner of the host can read it.")
@REPLY
def quarantine(report_id: int, reason: str | None, reply: str | None) -> None:
    """Put the host in quarantine, and close the report.

    The host is blocked, and its names point to DDNSD_QUARANTINE_ADDRESSES.
    """
    policy = settings.load().policy()
    in_transaction(lambda c: operations.quarantine(c, report_id, Decision(reason, reply), policy))


@abuse.command()
@REPORT
@REPLY
def dismiss(report_id: int, reply: str | None) -> None:
    """Close the report, and leave the host as it is."""
    in_transaction(lambda c: operations.dismiss(c, report_id, Decision(reply=reply)))


def _row(report: AbuseReport) -> tuple[str, ...]:
    return str(report.id), report.name, report.owner or "-", report.kind, report.state, _time(report.created) or "-"


def _time(moment: int | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(moment // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _fields(report: AbuseReport) -> dict[str, Any]:
    fields = {name: value for name, value in report._asdict().items() if name != "host_id"}
    blocked = None if report.blocked is None else bool(report.blocked)
    return fields | {"blocked": blocked, "decided": _time(report.decided), "created": _time(report.created)}
