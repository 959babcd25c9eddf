# SPDX-License-Identifier: GPL-3.0-or-later
"""Connects to the server that the options name."""

from __future__ import annotations

import ipaddress
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ddnsctl import output
from ddnsctl.options import Connection
from ddnsctl.secrets import SecretWriter
from ddnsctl.sync import certificates, scope, selection, tsig_files
from ddnsctl.sync.api import Server
from ddnsctl.sync.connect import VARIABLE, Named, open_server
from ddnsctl.sync.dry_run import asked, require
from ddnsctl.sync.errors import Conflicts, Problem, SyncError, Unsafe
from ddnsctl.sync.model import Declaration, HostSpec, Registered
from ddnsctl.sync.plan import Options, Plan, make
from ddnsctl.sync.unfinished import token_id

NO_TOKEN = "there is no token: set DDNS_TOKEN, or use --token-file or --token-command"  # noqa: S105
COMMAND_SECONDS = 300.0
"""How long a command for the token may run: it may ask its user for a password."""
DECLARATION = "the declaration"
NO_FILE = ""
"""The file's name, for commands that read no file."""


class UnknownNames(SyncError):
    """Names on the command line that match no host, or several."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("some names do not match exactly one registered host")
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Session:
    """A connected server, and what is registered there."""

    url: str
    server: Server
    registered: Registered
    token_id: str

    def plan(
        self, declaration: Declaration, options: Options, vault: Sequence[str] = (), *, repair: bool = False
    ) -> Plan:
        """The plan for a declaration, which the server has checked. `vault` is as in `SecretWriter`.

        `repair`: it also replaces stored secrets that do not work.

        Raises SyncError. If the plan is refused, the error has the plan, and all reasons.
        """
        if repair:
            from ddnsctl import secret_checks
            from ddnsctl.sync.secret_checks import noted

            chosen = selection.declared(declaration, options.only)
            options, notes = secret_checks.repairing(options, chosen, self.registered.hosts, self.server, vault)
            return noted(self.plan(declaration, options, vault), notes)
        declaration = tsig_files.loaded(declaration)
        try:
            plan = make(declaration, self.registered, self.server.capabilities, options)
        except (Conflicts, Unsafe) as error:
            error.plan = asked(error.plan, self.server, declaration.hosts)
            if isinstance(error, Unsafe):
                raise
            raise Conflicts(error.plan.refusals, error.plan) from None
        plan = checked(plan, self.server, declaration.hosts, vault)
        if options.destroy:
            return plan
        chosen = selection.declared(declaration, options.only)
        return certificates.planned(plan, chosen.hosts, self.server.capabilities)


def checked(plan: Plan, server: Server, declared: Mapping[str, HostSpec], vault: Sequence[str] = ()) -> Plan:
    """The plan with what goes with its deletions. Raises NotApplicable if the server or a file for a secret refuses it.

    `vault` is as in `SecretWriter`.
    """
    found = asked(plan, server, declared)
    require(found, SecretWriter(plan.changes, vault).problems())
    return found


class Token(NamedTuple):
    """A token, and the environment variable it came from; empty if it came from --token-file."""

    value: str
    variable: str = ""

    @property
    def id(self) -> str:
        """Identifies the token without revealing it."""
        return token_id(self.value)


class Connected(NamedTuple):
    """A connected server, and `Token.id` of the token."""

    server: Server
    token_id: str


def token(connection: Connection) -> Token:
    """From an option, otherwise DDNS_TOKEN, DDNS_TOKEN_FILE or DDNS_TOKEN_COMMAND. Raises SyncError, OSError."""
    if connection.token_file is not None and connection.token_command is not None:
        raise SyncError("--token-file and --token-command both give the token: use one of them")
    variables: dict[str, Callable[[str], str]] = {
        "DDNS_TOKEN": str.strip,
        "DDNS_TOKEN_FILE": _content,
        "DDNS_TOKEN_COMMAND": lambda command: _printed(command, "DDNS_TOKEN_COMMAND"),
    }
    variable = next((name for name in variables if os.environ.get(name, "").strip()), "")
    if connection.token_file is not None:
        found = Token(_content(connection.token_file))
    elif connection.token_command is not None:
        found = Token(_printed(connection.token_command, "--token-command"))
    elif variable:
        found = Token(variables[variable](os.environ[variable]), variable)
    else:
        raise SyncError(NO_TOKEN)
    if not found.value.isascii() or not found.value.isprintable() or " " in found.value:
        raise SyncError("the token must be one word of ASCII characters: check where it comes from")
    return found


def _content(file: str) -> str:
    given = Path(file).read_text().strip()
    if not given:
        raise SyncError(f"{file} is empty: write the token into it")
    return given


def _printed(command: str, what: str) -> str:
    """What the command prints to standard output. Raises SyncError."""
    try:
        words = shlex.split(command)
        ended = subprocess.run(words, stdout=subprocess.PIPE, timeout=COMMAND_SECONDS, check=True)  # noqa: S603
        given = ended.stdout.decode().strip()
    except subprocess.TimeoutExpired:
        raise SyncError(f"{what}: the command has not ended after {COMMAND_SECONDS:.0f} seconds") from None
    except subprocess.CalledProcessError as error:
        raise SyncError(f"{what}: the command failed with exit code {error.returncode}") from None
    except UnicodeDecodeError:
        raise SyncError(f"{what}: the command printed something that is not text") from None
    except (OSError, ValueError, IndexError) as error:
        raise SyncError(f"{what}: the command cannot be run: {error}") from None
    if not given:
        raise SyncError(f"{what}: the command printed no token")
    return given


def named(connection: Connection, declared: str | None, what: str = DECLARATION) -> Named:
    """The servers that the option, DDNS_SERVER and a file name; `what` is the file that names `declared`."""
    return Named(connection.server, os.environ.get(VARIABLE) or None, declared, what)


def address(connection: Connection, declared: str | None, what: str = DECLARATION) -> str:
    """The URL of the service. Raises SyncError."""
    return named(connection, declared, what).url()


def connect(connection: Connection, declared: str | None, what: str = DECLARATION) -> Connected:
    """Connect to the server. Raises SyncError, OSError."""
    from ddnsctl.transport import RequestsTransport

    servers = named(connection, declared, what)
    servers.url()
    given = token(connection)
    url = servers.url_for(given.variable)
    transport = RequestsTransport(url, given.value, ca=connection.ca, timeout=connection.timeout)
    if remark := servers.overruled():
        output.warning(remark)
    warn_unless_encrypted(url, "the token is sent")
    return Connected(open_server(transport), given.id)


def warn_unless_encrypted(url: str, what: str) -> None:
    """Warn if a secret goes to another machine over plain HTTP; `what` is like "the token is sent"."""
    if urlsplit(url).scheme == "http" and not _is_loopback(urlsplit(url).hostname or ""):
        output.warning(f"{what} unencrypted to {url}; use https")


def open_session(
    connection: Connection, what: str, names: Sequence[str] | None = None, stack: str | None = None
) -> Session:
    """Connect to the server that no declaration names, and read what is registered for the caller.

    With `names` or `stack`, at least the hosts with these names and of this stack; otherwise all.
    """
    server, token_id = connect(connection, None, what)
    wanted = names if names is not None or stack is None else ()
    return Session(_url(connection, None), server, server.registered(wanted, stack), token_id)


def open_for(connection: Connection, declaration: Declaration, options: Options) -> Session:
    """Connect to the server of a declaration, and read what its plan needs."""
    return read(connection, declaration, options, connect(connection, declaration.server))


def read(connection: Connection, declaration: Declaration, options: Options, connected: Connected) -> Session:
    """What a plan needs, from a server that is connected."""
    registered = scope.read(connected.server, declaration, options)
    return Session(_url(connection, declaration.server), connected.server, registered, connected.token_id)


def open_by_names(connection: Connection, declared: str | None, names: Sequence[str]) -> Session:
    """Connect to the server, and read the hosts with these names; all hosts if a name is only a first label."""
    server, token_id = connect(connection, declared)
    full = [name.lower().rstrip(".") for name in names]
    wanted = full if all("." in name for name in full) else None
    return Session(_url(connection, declared), server, server.registered(wanted), token_id)


def _url(connection: Connection, declared: str | None) -> str:
    return address(connection, declared).rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def full_names(given: tuple[str, ...], registered: Mapping[str, Any]) -> tuple[str, ...]:
    """The full registered names; a unique first label is enough. Raises UnknownNames."""
    found: list[str] = []
    problems: list[Problem] = []
    for name in given:
        folded = name.lower().rstrip(".")
        matches = [folded] if folded in registered else [n for n in registered if n.partition(".")[0] == folded]
        if len(matches) == 1:
            found.append(matches[0])
        elif matches:
            problems.append(Problem(f"{name} matches {', '.join(sorted(matches)[:5])}", hint="write the full name"))
        else:
            problems.append(Problem(f"{name} is not registered", hint=_close(folded, registered)))
    if problems:
        raise UnknownNames(problems)
    return tuple(dict.fromkeys(found))


def _close(name: str, registered: Mapping[str, Any]) -> str:
    import difflib

    close = difflib.get_close_matches(name, registered, 1)
    return f"did you mean {close[0]}?" if close else "`ddnsctl show` lists registered hosts"
