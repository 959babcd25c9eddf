# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd db …`, `ddnsd export` and `ddnsd import`."""

import asyncio
from typing import Any

import click

from ddnsd import settings
from ddnsd.db import migrate
from ddnsd.operations import export


@click.group()
def db() -> None:
    """Create or upgrade the database schema."""


@db.command()
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long to retry while the database is down; 0: try once.",
)
def upgrade(wait: float) -> None:
    """Create or upgrade the schema. Prints a line if it changed."""
    url = settings.load().store_url
    if asyncio.run(migrate.upgrade_when_there(url, wait, lambda text: click.echo(text, err=True))):
        click.echo(f"The database now has the schema {migrate.NEWEST}.")


@click.command(name="export")
@click.argument("file", type=click.File("w"), default="-")
def export_command(file: Any) -> None:
    """Write all tables as JSON.

    Secrets of hosts and tokens are hashes. TSIG keys are in clear.
    """
    file.write(asyncio.run(export.to_json(settings.load().store_url)))


@click.command(name="import")
@click.argument("file", type=click.File("r"), default="-")
def import_command(file: Any) -> None:
    """Fill an empty database from an export."""
    asyncio.run(export.from_json(settings.load().store_url, file.read()))
