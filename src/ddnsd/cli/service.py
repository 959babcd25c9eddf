# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd serve|dev|settings|doctor|housekeeping|reconcile`: run and maintain the service."""

import asyncio
import signal
import sys
from typing import IO

import click

from ddnsd import settings, systemd
from ddnsd.dns.reconcile import Difference
from ddnsd.operations import certificate_notices, doctor, repair, retention
from ddnsd.settings import Settings


@click.command()
def serve() -> None:
    """Run the service.

    It listens on the sockets that systemd passes, or else on the configured addresses.

    SIGHUP reads the settings again; `ddnsd settings` shows which of them then
    apply, and which need a restart.

    While the database is down, or needs `ddnsd db upgrade`, updates get 911.
    """
    import uvloop  # here: the other commands start twice as fast without a server

    from ddnsd import app

    unit = systemd.unit()
    loaded = settings.load()
    app.set_up_logging(loaded.log_level, addresses=loaded.log_addresses)
    uvloop.run(app.serve(loaded, unit, lambda url: click.echo(f"ready: {url}"), settings.load))


@click.command(name="dev")
def dev_command() -> None:
    """Run service and BIND in one folder, for tests and development."""
    import uvloop

    from ddnsd import app, dev

    # also in the background of a script and during the start: the name server must not keep running
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    loaded = settings.load(**dev.defaults())
    app.set_up_logging(loaded.log_level, addresses=loaded.log_addresses)
    uvloop.run(dev.run(loaded))


@click.command(name="settings")
@click.option(
    "--check", "file", type=click.File("rb"), help="Only check this TOML file, before it becomes that of DDNSD_CONFIG."
)
def settings_command(file: IO[bytes] | None) -> None:
    """Print every setting: value, source and meaning.

    With --check, print only what is wrong with a file; `-` is standard input.
    """
    if file is not None:
        settings.load(file.read())
        return
    loaded = settings.load()
    for name, field in Settings.model_fields.items():
        value = getattr(loaded, name)
        reload = ", can be reloaded" if name in settings.RELOADABLE else ""
        click.echo(f"{settings.PREFIX}{name.upper()} = {_shown(value)}  ({settings.source(name)}{reload})")
        click.echo(f"    {field.description}")


def _shown(value: object) -> str:
    if isinstance(value, tuple | dict):
        return ",".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "-" if value is None or str(value) == "" else str(value)


@click.command(name="doctor")
def doctor_command() -> None:
    """Check settings, database, name servers and providers.

    The exit status is 1 if there is a problem.
    """
    problems = 0
    for subject, problem in asyncio.run(doctor.examine(settings.load())):
        click.echo(f"{'ok' if problem is None else 'FAIL':<4} {subject}{'' if problem is None else ': ' + problem}")
        problems += problem is not None
    sys.exit(1 if problems else 0)


@click.command(name="housekeeping")
def housekeeping_command() -> None:
    """Remove old rows from the database, and note certificates that end soon. A timer runs this daily."""
    loaded = settings.load()
    for kind, count in asyncio.run(retention.run(loaded)).items():
        click.echo(f"{kind}: {count} removed")
    for ending in asyncio.run(certificate_notices.run(loaded)):
        click.echo(f"{ending.fqdn}: its certificate ends soon and has not been renewed")


@click.command()
@click.option("--check", is_flag=True, help="Only report; exit 2 if DNS and database differ.")
def reconcile(check: bool) -> None:
    """Compare database and zones, and repair differences.

    Then compare again, and report what is left.
    """
    done = asyncio.run(repair.reconcile(settings.load(), repair=not check))
    for difference in done.found:
        wanted, there = (", ".join(texts) or "nothing" for texts in (difference.wanted, difference.found))
        click.echo(f"{_place(difference)}: database {wanted}; DNS {there}{_why(difference)}")
    if done.found and not check:
        click.echo(f"{len(done.found) - len(done.left)} repaired")
        for difference in done.left:
            click.echo(f"{_place(difference)}: not repaired{_why(difference)}")
    for reason in done.frozen.values():
        click.echo(f"not compared: {reason}", err=True)
    for zone, reason in done.failures.items():
        click.echo(f"Error: {zone}: {reason}", err=True)
    sys.exit(1 if done.failures else 2 if done.left else 0)


def _place(difference: Difference) -> str:
    return " ".join(filter(None, (difference.fqdn, difference.rtype)))


def _why(difference: Difference) -> str:
    return f"; {difference.reason}" if difference.reason else ""
