# SPDX-License-Identifier: GPL-3.0-or-later
"""Completion of registered names and stacks in shells.

It asks the service that the command line or the environment names. Nothing is offered, and no error is shown, if the
service is unknown or does not answer at once. A command for the token is not run, because it may ask a question.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from ddnsctl import session
from ddnsctl.options import Connection
from ddnsctl.sync.api import Server, object_in
from ddnsctl.sync.errors import SyncError
from ddnsctl.sync.rest import RestServer

SECONDS = 2.0
"""How long to wait for an answer."""
MOST = 1000
"""How many hosts are read."""


def hosts(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Full names of registered hosts."""
    return _offered(context, incomplete, _hosts)


def stacks(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Names of the user's stacks."""
    return _offered(context, incomplete, _stacks)


def hosts_or_files(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Full names of registered hosts; files if no name matches."""
    return hosts(context, incomplete) or [CompletionItem(incomplete, type="file")]


def _offered(context: click.Context, incomplete: str, read: Callable[[Server], Iterable[str]]) -> list[CompletionItem]:
    names: Iterable[str] = ()
    with contextlib.suppress(SyncError, OSError), contextlib.redirect_stderr(io.StringIO()):
        if (server := _server(context)) is not None:
            names = sorted(read(server))
    return [CompletionItem(name) for name in names if name.lower().startswith(incomplete.lower())]


def _server(context: click.Context) -> Server | None:
    """The service; None if there is no token without a command. Raises SyncError, OSError."""
    given: dict[str, Any] = context.params
    file = given.get("token_file")
    if not (file or os.environ.get("DDNS_TOKEN") or os.environ.get("DDNS_TOKEN_FILE")):
        return None
    connection = Connection(given.get("server"), file, None, given.get("ca"), SECONDS)
    return session.connect(connection, None, session.NO_FILE).server


def _hosts(server: Server) -> list[str]:
    if not isinstance(server, RestServer):
        return list(server.registered().hosts)
    answer = object_in(server.call("GET", f"/api/hosts?limit={MOST}"))
    return [str(host["fqdn"]) for host in answer.get("items", ())]


def _stacks(server: Server) -> set[str]:
    if not isinstance(server, RestServer):
        return {host.stack for host in server.registered().hosts.values() if host.stack}
    return {str(stack["name"]) for stack in server.items("/api/stacks")}
