# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of `ddnsctl user-data` to user data: what secret or token goes into it, and where it is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from ddnsctl import output, secrets, session, userdata
from ddnsctl.options import Connection
from ddnsctl.sync import names
from ddnsctl.sync.api import Server
from ddnsctl.sync.changes import Action, Change
from ddnsctl.sync.errors import NotSupported, Problem, Refused, Stale, SyncError

T = TypeVar("T")

EC2_LIMIT = 16_384
"""Octets of user data that EC2 takes, fewer than any other cloud."""
HOUR = 3600

CHOICE = (
    "say where the machine's secret comes from, by one of --enrol (a token that works once goes into the user data, "
    "and the machine makes its own secret), --secret-file FILE (the secret that the host has) and --new-secret (a new "
    "one, which voids the host's old secret at once)"
)


@dataclass(frozen=True)
class Choice:
    """One of `secret_file`, `new_secret` and `enrol` says where the secret comes from; `lifetime` is in seconds.

    `updater` says that the updater itself goes into the user data.
    """

    host: str
    form: str
    secret_file: str | None = None
    new_secret: bool = False
    enrol: bool = False
    lifetime: int | None = None
    updater: bool = True
    out: str | None = None

    def check(self) -> None:
        """Raises SyncError where it makes no sense."""
        if [self.secret_file is not None, self.new_secret, self.enrol].count(True) != 1:
            raise SyncError(CHOICE)
        if self.form == userdata.RUNCMD and self.enrol:
            raise SyncError("curl cannot enrol: --form runcmd needs --secret-file or --new-secret")
        if self.lifetime is not None and not self.enrol:
            raise SyncError("--lifetime is that of an enrolment token: it needs --enrol")


def make(choice: Choice, connection: Connection) -> str:
    """The user data. Raises SyncError, OSError; only then may the host's secret or token have changed."""
    choice.check()
    fqdn, server = _host_name(choice.host), _server(connection)
    if choice.out is not None:
        _check_writable(Path(choice.out))
    if choice.enrol:
        token = _of_host(fqdn, connection, lambda found: _token(found, fqdn, choice.lifetime or HOUR))
        return userdata.with_token(fqdn, server, token, updater=choice.updater)
    if choice.new_secret:
        secret = _of_host(fqdn, connection, lambda found: _rotated(found, fqdn))
    else:
        secret = _secret_in(Path(choice.secret_file or ""))
    session.warn_unless_encrypted(server, "the machine's secret will travel")
    if choice.form == userdata.RUNCMD:
        return userdata.with_curl(fqdn, server, secret)
    return userdata.with_secret(fqdn, server, secret, updater=choice.updater)


def keep(text: str, out: str | None) -> None:
    """Write the user data to a file that only its owner reads, or to standard output. Raises OSError."""
    octets = text.encode()
    if out is None:
        click.echo(text, nl=False)
    else:
        secrets.write(Path(out), octets, replace=True)
        output.remark(f"Written to {out}, {len(octets)} bytes.")
    if len(octets) > EC2_LIMIT:
        output.warning(
            f"the user data has {len(octets)} bytes, and EC2 takes {EC2_LIMIT}: there, use an image with the updater "
            "(--no-updater), or --form runcmd; OpenStack takes 65535 bytes, Azure 65536, Google Cloud 262144"
        )


def _host_name(given: str) -> str:
    try:
        return names.host_name(given)
    except ValueError as error:
        raise SyncError(f"HOST: {error}") from None


def _server(connection: Connection) -> str:
    from ddnsctl.transport import base_url

    return base_url(session.address(connection, None, session.NO_FILE))


def _check_writable(out: Path) -> None:
    """Before anything is changed. Raises SyncError."""
    if out.is_dir() or (problems := secrets.unwritable([out.parent])):
        raise SyncError(f"{out} is a folder; name a file" if out.is_dir() else str(problems[0]))


def _secret_in(file: Path) -> str:
    """Raises SyncError, OSError."""
    try:
        secret = file.read_text().strip()
    except UnicodeDecodeError:
        secret = ""
    if not (secret and secret.isascii() and secret.isprintable()):
        raise SyncError(f"{file} does not hold a secret: one line of printable ASCII characters")
    return secret


def _of_host(fqdn: str, connection: Connection, ask: Callable[[Server], T]) -> T:
    """What the service is asked for one host. Raises SyncError, OSError."""
    try:
        server = session.connect(connection, None, session.NO_FILE).server
        found = server.registered([fqdn]).hosts.get(fqdn)
        if found is not None and not found.own:
            raise SyncError(f"{fqdn} belongs to the user {found.owner}; use a token of {found.owner}")
        return ask(server)
    except (Refused, Stale) as error:
        if isinstance(error, Refused) and error.status != 404:
            raise
        raise SyncError(f"{fqdn} is not registered, or not yours; `ddnsctl show` lists what is") from None


def _token(server: Server, fqdn: str, lifetime: int) -> str:
    if not server.capabilities.enrols:
        text = f"{server.capabilities.server} makes no enrolment tokens"
        raise NotSupported(
            [Problem(text, hint="use --secret-file, or --new-secret, which voids the host's old secret")]
        )
    return server.enrolment(fqdn, lifetime)


def _rotated(server: Server, fqdn: str) -> str:
    done = server.execute(Change(Action.ROTATE, "host", fqdn))
    if done.secret is None:
        raise SyncError(f"{fqdn}: the server did not answer the new secret; try again")
    return done.secret
