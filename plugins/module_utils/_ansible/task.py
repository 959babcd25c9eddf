# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of an operation: its options, its server, and its result or failure."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping

from .._sync import api
from .._sync.connect import VARIABLE, Named, open_server
from .._sync.errors import Refused, SyncError, Unsafe
from .http import Http

TOKEN = "DDNS_TOKEN"  # noqa: S105
_SERVERS: dict[tuple[Any, ...], api.Server] = {}


@dataclass(frozen=True)
class Task:
    """What an operation gets: validated options, and whether it may change anything."""

    params: Mapping[str, Any]
    check: bool = False

    def server(self, declared: str | None = None) -> api.Server:
        """The service of the connection options, or the one that a declaration names. Raises SyncError.

        What kind of service it is, is asked once for each process: a loop asks once.
        """
        names = ("api_token", "validate_certs", "ca_path", "timeout")
        options = tuple(self.params[name] for name in names)
        where = named(self.params["api_url"], declared).url_for(variable_of(self.params["api_token"]))
        if (where, options) not in _SERVERS:
            token, validate_certs, ca_path, timeout = options
            transport = Http(where, token, validate_certs=validate_certs, ca_path=ca_path, timeout=timeout)
            _SERVERS[where, options] = open_server(transport)
        return _SERVERS[where, options]


def named(option: str | None, declared: str | None) -> Named:
    """The servers that the option, the environment and a declaration name."""
    return Named(option, os.environ.get(VARIABLE) or None, declared, flag="api_url")


def variable_of(token: str) -> str:
    """The environment variable that holds this token; empty if none does."""
    return TOKEN if token.strip() == os.environ.get(TOKEN, "").strip() else ""


Operation = Callable[[Task], Dict[str, Any]]
"""Does what the options ask for, or only finds out what it would do. Raises SyncError."""


class Failed(SyncError):
    """A failure that has a result of its own, such as what was changed before it."""

    def __init__(self, text: str, result: Mapping[str, Any]) -> None:
        super().__init__(text)
        self.result = result


def perform(operation: Operation, params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """The task's result, as modules and action plugins answer it."""
    try:
        return operation(Task(params, check))
    except SyncError as error:
        return failure(error)


def failure(error: SyncError) -> dict[str, Any]:
    """The result of a task that failed."""
    result: dict[str, Any] = {"failed": True, "changed": False, "msg": str(error)}
    if isinstance(error, Failed):
        result.update(error.result)
    elif isinstance(error, Refused) and error.fields:
        result["errors"] = error.fields
    elif isinstance(error, Unsafe):
        result["hosts"] = list(error.names)
    return result
