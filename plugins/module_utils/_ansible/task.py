# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs an operation with its options and server, and returns its result or failure."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Callable, Dict, Mapping

from .._sync import api
from .._sync.connect import VARIABLE, Named, open_server
from .._sync.errors import Refused, SyncError, Unsafe
from .http import Http
from .secret_writer import Encrypt, Vault

TOKEN = "DDNS_TOKEN"  # noqa: S105
_SERVERS: dict[tuple[Any, ...], api.Server] = {}


@dataclass(frozen=True)
class Task:
    """Validated options, and whether the task is in check mode."""

    params: Mapping[str, Any]
    check: bool = False
    vault: Vault | None = None
    """The vault of the play; None where there is none."""

    @property
    def encrypt(self) -> Encrypt | None:
        """Encrypts secrets with the vault of the play; None where there is none."""
        return self.vault.encrypt if self.vault is not None else None

    def server(self, declared: str | None = None) -> api.Server:
        """The server that the options or a declaration name. Raises SyncError.

        Each process finds out only once what kind of service it is, so a loop sends that request once.
        """
        names = ("api_token", "validate_certs", "ca_path", "timeout")
        options = tuple(self.params[name] for name in names)
        url = named(self.params["api_url"], declared).url_for(variable_of(self.params["api_token"]))
        if (url, options) not in _SERVERS:
            token, validate_certs, ca_path, timeout = options
            transport = Http(url, token, validate_certs=validate_certs, ca_path=ca_path, timeout=timeout)
            _SERVERS[url, options] = open_server(transport)
        return _SERVERS[url, options]


def named(option: str | None, declared: str | None) -> Named:
    """The servers that the option, the environment and a declaration name."""
    return Named(option, os.environ.get(VARIABLE) or None, declared, flag="api_url")


def variable_of(token: str) -> str:
    """The environment variable with this token; empty if there is none."""
    return TOKEN if token.strip() == os.environ.get(TOKEN, "").strip() else ""


Operation = Callable[[Task], Dict[str, Any]]
"""Makes the changes, or in check mode only finds out what they are. Raises SyncError."""


class Failed(SyncError):
    """A failure with a result, such as the changes before it."""

    def __init__(self, text: str, result: Mapping[str, Any]) -> None:
        super().__init__(text)
        self.result = result


def perform(operation: Operation, params: Mapping[str, Any], check: bool, vault: Vault | None = None) -> dict[str, Any]:
    """The task's result, for modules and action plugins."""
    try:
        return operation(Task(params, check, vault))
    except SyncError as error:
        return failure(error)


def failure(error: SyncError) -> dict[str, Any]:
    """The result of a failed task."""
    result: dict[str, Any] = {"failed": True, "changed": False, "msg": str(error)}
    if isinstance(error, Failed):
        result.update(error.result)
    elif isinstance(error, Refused) and error.fields:
        result["errors"] = error.fields
    elif isinstance(error, Unsafe):
        result["hosts"] = list(error.names)
    return result
