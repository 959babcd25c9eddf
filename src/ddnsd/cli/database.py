# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd db …`, `ddnsd export` and `ddnsd import`."""

import asyncio
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from ddnsd import settings
from ddnsd.db import migrate, postgres_tls
from ddnsd.operations import database_copy, export


@click.group()
def db() -> None:
    """Create, upgrade or move the database."""


_ca = click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Authority of PostgreSQL's certificate on other machines, as DDNSD_DATABASE_CA.",
)


@db.command()
@click.argument("url", default="service")
@_ca
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long to retry while the database is down; 0: try once.",
)
def upgrade(url: str, ca: Path | None, wait: float) -> None:
    """Create or upgrade the schema. Prints a line if it changed.

    URL is as for `db copy`; without it, the database of the settings.
    """
    found = _database_url(url, ca)
    if asyncio.run(migrate.upgrade_when_there(found, wait, lambda text: click.echo(text, err=True))):
        click.echo(f"The database now has the schema {migrate.NEWEST}.")


@db.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@_ca
@click.option(
    "--replace-moved", is_flag=True, help="Empty TO first if an earlier copy moved it to another database, to go back."
)
def copy(source: str, target: str, ca: Path | None, replace_moved: bool) -> None:
    """Move a running service to another database.

    FROM and TO are sqlite:///PATH or postgresql://USER@HOST/NAME; `service` is
    the database of the settings, and `-` a line of standard input, FROM before
    TO. TO must be empty. Updates get 911 during the copy. At the end FROM refuses changes, and
    you restart the service with TO.

    Do not write a password on the command line: use `-`, or PGPASSFILE or
    PGPASSWORD.
    """
    one, other = _database_url(source, ca), _database_url(target, ca)
    done = asyncio.run(
        database_copy.copy(one, other, lambda text: click.echo(text, err=True), replace_moved=replace_moved)
    )
    copied = f"{done.rows} rows were copied and compared" if done.rows else "the earlier copy is finished"
    click.echo(f"Moved {done.source} to {done.target}: {copied}.")
    click.echo("Set DDNSD_DATABASE_URL to the new database, and restart the service on every node.")
    click.echo("The old database refuses changes. `ddnsd db unfreeze` would let you use it again.")


@db.command()
@click.argument("url", default="service")
def unfreeze(url: str) -> None:
    """Use a database again that was moved.

    Removes the mark of `ddnsd db copy`. Changes since then are only in the
    other database: stop its services first. The service then sends all hosts
    to DNS.
    """
    peer = asyncio.run(database_copy.unfreeze(_database_url(url)))
    if peer is not None:
        click.echo(f"The database accepts changes again. No service may use {peer} any more.")


def _database_url(text: str, ca: Path | None = None) -> str:
    """The URL behind an argument, with this authority. Raises UsageError, SettingsError."""
    if text == "service":
        return settings.load().store_url
    url = sys.stdin.readline().strip() if text == "-" else text
    try:
        settings.check_database_url(url)
        verified = postgres_tls.with_ca(url, ca)
        settings.check_database_url(verified)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return verified


@contextmanager
def _private_file(path: str) -> Iterator[IO[str]]:
    """Open a file for writing that only its owner can read; `-` is standard output. Raises FileError."""
    if path == "-":
        yield sys.stdout
        return
    try:
        opened = open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
    except OSError as error:
        raise click.FileError(path, error.strerror) from None
    with opened as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            os.fchmod(file.fileno(), 0o600)  # it may have existed, with another mode
        yield file


@click.command(name="export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True), default="-")
@click.option("--tsig-secrets", is_flag=True, help="Also the encrypted TSIG secrets of hosts, keys and tokens.")
@click.option("--fleet-keys", is_flag=True, help="Also the encrypted keys of fleets of devices.")
def export_command(file: str, tsig_secrets: bool, fleet_keys: bool) -> None:
    """Write all tables as JSON, as they are at one moment. Updates go on.

    Secrets of hosts and tokens are hashes. TSIG keys of domains are in clear,
    so only you can read the new file.
    """
    with _private_file(file) as opened:
        asyncio.run(export.write(settings.load().store_url, opened, tsig_secrets=tsig_secrets, fleet_keys=fleet_keys))


@click.command(name="import")
@click.argument("file", type=click.File("r"), default="-")
def import_command(file: Any) -> None:
    """Fill an empty database from an export. A failure changes nothing."""
    asyncio.run(export.read(settings.load().store_url, file))
