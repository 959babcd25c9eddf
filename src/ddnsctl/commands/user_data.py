# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl user-data`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from ddnsctl import options, output

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ddnsctl.options import Connection
    from ddnsctl.sync.api import Server

T = TypeVar("T")

UNIT, RUNCMD = "unit", "runcmd"
EC2_LIMIT = 16_384
"""The most bytes of user data that EC2 accepts, fewer than any other cloud."""
HOUR = 3600

CHOICE = (
    "choose where the machine's secret comes from: --enrol (the user data contains a token that works once, and the "
    "machine creates its own secret), --secret-file FILE (the host's present secret) or --new-secret (a new secret; "
    "the old one stops working at once)"
)


@click.command("user-data")
@click.argument("host", shell_complete=options.registered("hosts"))
@click.option("--enrol", is_flag=True, help="Include a token that works once; the machine creates its own secret.")
@click.option(
    "--lifetime",
    metavar="SECONDS",
    type=click.IntRange(60, 604_800),
    help="With --enrol: how long the token is valid; an hour by default, a week at most.",
)
@click.option("--secret-file", metavar="FILE", type=click.Path(), help="Include the secret in this file.")
@click.option("--new-secret", is_flag=True, help="Include a new secret; the host's old one stops working at once.")
@click.option(
    "--form",
    type=click.Choice([UNIT, RUNCMD]),
    default=UNIT,
    metavar="FORM",
    help="unit: the updater with a timer (default). runcmd: one call of curl at the first boot, less safe.",
)
@click.option("--no-updater", is_flag=True, help="Leave out the updater, for a machine image that contains it.")
@click.option("-o", "--out", metavar="FILE", type=click.Path(), help="Write to a file with mode 0600.")
@options.connection
def command(connection: Connection, no_updater: bool, **kwargs: Any) -> int:
    """Print cloud-init user data for the machine of a host.

    From its first boot on, the machine keeps the addresses of HOST up to date. HOST is a registered name, in full.

    The machine needs a secret: use exactly one of --enrol, --secret-file and --new-secret. Every program on a machine
    may be able to read its user data, and so a secret in it. A token is useless after the machine has used it. EGI's
    Dynamic DNS has no such tokens. --secret-file needs no token of yours and sends no request.

    With --form runcmd, the secret is visible in the command line of curl for a moment, and the address is sent once.

    EC2 accepts 16384 bytes of user data, less than the updater needs. Use an image that contains it, with --no-updater.
    """
    choice = Choice(updater=not no_updater, **kwargs)
    _write(_new_user_data(choice, connection), choice.out)
    return 0


class Choice(NamedTuple):
    """The options. Exactly one of `secret_file`, `new_secret` and `enrol` is set; `lifetime` is in seconds."""

    host: str
    form: str
    secret_file: str | None = None
    new_secret: bool = False
    enrol: bool = False
    lifetime: int | None = None
    updater: bool = True
    """Whether the user data contains the updater."""
    out: str | None = None

    def check(self) -> None:
        """Raises SyncError if the options contradict each other."""
        from ddnsctl.sync.errors import SyncError

        if [self.secret_file is not None, self.new_secret, self.enrol].count(True) != 1:
            raise SyncError(CHOICE)
        if self.form == RUNCMD and self.enrol:
            raise SyncError(
                "--enrol needs the updater, and --form runcmd has only curl: use --secret-file or --new-secret with it"
            )
        if self.lifetime is not None and not self.enrol:
            raise SyncError("--lifetime is the lifetime of an enrolment token: use it with --enrol")


def _new_user_data(choice: Choice, connection: Connection) -> str:
    """The user data. Raises SyncError, OSError. Makes a secret or token last, when everything else is checked."""
    from pathlib import Path

    from ddnsctl import cloud_init, session

    choice.check()
    fqdn, server = _host_name(choice.host), _server_url(connection)
    if choice.out is not None:
        _check_writable(Path(choice.out))
    if choice.enrol:
        token = _request(fqdn, connection, lambda found: _new_token(found, fqdn, choice.lifetime or HOUR))
        return cloud_init.with_token(fqdn, server, token, updater=choice.updater)
    if choice.new_secret:
        secret = _request(fqdn, connection, lambda found: _new_secret(found, fqdn))
    else:
        secret = _secret_in(Path(choice.secret_file or ""))
    session.warn_unless_encrypted(server, "the machine will send its secret")
    if choice.form == RUNCMD:
        return cloud_init.with_curl(fqdn, server, secret)
    return cloud_init.with_secret(fqdn, server, secret, updater=choice.updater)


def _write(text: str, out: str | None) -> None:
    """Write the user data to a file with mode 0600, or to standard output. Raises OSError."""
    from pathlib import Path

    from ddnsctl.sync import secret_files

    octets = text.encode()
    if out is None:
        _warn_of_readers()
        click.echo(text, nl=False)
    else:
        secret_files.write(Path(out), octets, durable=False)
        output.remark(f"Written to {out}, {len(octets)} bytes.")
    if len(octets) > EC2_LIMIT:
        output.warning(
            f"the user data has {len(octets)} bytes, but EC2 accepts only {EC2_LIMIT}. On EC2, use an image with the "
            "updater (--no-updater), or --form runcmd. OpenStack accepts 65535 bytes, Azure 65536, Google Cloud 262144"
        )


def _warn_of_readers() -> None:
    """Warn if standard output is a file that others can read, because the shell created it."""
    import os
    import stat
    import sys

    try:
        found = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError):
        return
    if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
        output.warning("others can read the file that standard output goes to: use --out FILE, or `umask 077` before")


def _host_name(given: str) -> str:
    from ddnsctl.sync import names
    from ddnsctl.sync.errors import SyncError

    try:
        return names.host_name(given)
    except ValueError as error:
        raise SyncError(f"HOST: {error}") from None


def _server_url(connection: Connection) -> str:
    from ddnsctl import session
    from ddnsctl.transport import base_url

    return base_url(session.address(connection, None, session.NO_FILE))


def _check_writable(out: Path) -> None:
    """Raises SyncError if the file cannot be written."""
    from ddnsctl.sync import secret_files
    from ddnsctl.sync.errors import SyncError

    if out.is_dir():
        raise SyncError(f"{out} is a folder: name a file")
    if reason := secret_files.unwritable(out.parent):
        raise SyncError(reason)


def _secret_in(file: Path) -> str:
    """Raises SyncError, OSError."""
    from ddnsctl.sync.errors import SyncError

    secret = file.read_text(encoding="utf-8", errors="replace").strip()
    if not (secret and secret.isascii() and secret.isprintable()):
        raise SyncError(f"{file} contains no secret: it must be one line of printable ASCII characters")
    return secret


def _request(fqdn: str, connection: Connection, ask: Callable[[Server], T]) -> T:
    """The result of `ask`, for a host of the caller. Raises SyncError, OSError."""
    from ddnsctl import session
    from ddnsctl.sync.errors import Refused, Stale, SyncError

    try:
        server = session.connect(connection, None, session.NO_FILE).server
        found = server.registered([fqdn]).hosts.get(fqdn)
        if found is not None and not found.own:
            raise SyncError(f"{fqdn} belongs to the user {found.owner}: use a token of {found.owner}")
        return ask(server)
    except (Refused, Stale) as error:
        if isinstance(error, Refused) and error.status != 404:
            raise
        raise SyncError(f"{fqdn} is not registered, or not yours; `ddnsctl show` lists your hosts") from None


def _new_token(server: Server, fqdn: str, lifetime: int) -> str:
    from ddnsctl.sync.errors import NotSupported, Problem

    if not server.capabilities.enrols:
        text = f"{server.capabilities.server} cannot create enrolment tokens"
        hint = "use --secret-file, or --new-secret, which replaces the host's secret"
        raise NotSupported([Problem(text, hint=hint)])
    return server.enrolment(fqdn, lifetime)


def _new_secret(server: Server, fqdn: str) -> str:
    from ddnsctl.sync.changes import Action, Change
    from ddnsctl.sync.errors import SyncError

    done = server.execute(Change(Action.ROTATE, "host", fqdn))
    if done.secret is None:
        raise SyncError(f"{fqdn}: the server sent no new secret; try again")
    return done.secret
