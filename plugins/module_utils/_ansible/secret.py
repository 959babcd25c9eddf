# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_secret`: keeps a valid secret of a host, or makes a new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

from .._sync import names, plan_table, secret_files
from .._sync.api import Server
from .._sync.errors import DeclarationError, Problem, SyncError
from .._sync.model import Declaration, HostSpec, Registered, SecretSpec
from .._sync.plan import Options, make
from .execute import execute_plan
from .spec import CONNECTION, Spec, state
from .task import Task

SPEC = (
    CONNECTION
    + state("present", "rotated")
    + Spec(
        {
            "name": {"type": "str", "required": True, "aliases": ["fqdn"]},
            "domain": {"type": "str"},
            "secret": {"type": "str", "no_log": True},
            "path": {"type": "path"},
            "return_secrets": {"type": "bool", "default": False, "no_log": False},
        }
    )
)


def run(task: Task) -> dict[str, Any]:
    """Result keys: changed, diff (without secrets), fqdn, secret (if one was made and is asked for)."""
    fqdn = _fqdn(task.params)
    path = Path(task.params["path"]).absolute() if task.params["path"] else None
    try:
        return _Secret(task, fqdn, path).run()
    except OSError as error:
        raise SyncError(f"path: {error.filename or path}: {error.strerror or error}") from error


def _fqdn(params: Mapping[str, Any]) -> str:
    try:
        domain = None if params["domain"] is None else names.domain_name(params["domain"])
        return names.host_name(params["name"], domain)
    except ValueError as error:
        raise DeclarationError([Problem(f"name: {error}")]) from None


class _Secret:
    def __init__(self, task: Task, fqdn: str, path: Path | None) -> None:
        self.task, self.fqdn, self.path = task, fqdn, path
        self.warnings: list[str] = []

    def run(self) -> dict[str, Any]:
        server = self.task.server()
        registered = Registered(server.registered([self.fqdn]).hosts)
        if self.fqdn not in registered.hosts and self.task.check:  # an earlier task may register it in a real run
            self.warnings.append(f"{self.fqdn} is not registered yet")
            return self.result(True, {"before": "", "after": f"{self.fqdn}:\n  secret: (new secret)\n"})
        if self.fqdn not in registered.hosts:
            raise SyncError(f"{self.fqdn} is not registered, or you may not see it; register it with ddns_host")
        if self.task.params["state"] == "rotated":
            return self.replace(server, registered)
        given = self.task.params["secret"] or (secret_files.read(self.path) if self.path else None)
        if given and self.is_valid(server, given):
            return self.keep(given)
        return self.replace(server, registered)

    def is_valid(self, server: Server, secret: str) -> bool:
        """Whether the secret is valid. If the server cannot tell, it counts as valid, with a warning."""
        if server.capabilities.verifies:
            return server.valid(self.fqdn, secret)
        self.warnings.append(
            f"{server.capabilities.server} cannot check secrets, so the given one is assumed to be valid"
        )
        return True

    def keep(self, secret: str) -> dict[str, Any]:
        """Keep a valid secret, and write it to the file if it is not there."""
        path = self.path
        if path is None or secret_files.contains(path, secret):
            return self.result(False, {"before": "", "after": ""})
        if not self.task.check:
            with secret_files.new_file(path) as file:
                file.write(f"{secret}\n".encode())
        return self.result(True, {"before": "", "after": f"{self.fqdn}:\n  secret: (the given one → file {path})\n"})

    def replace(self, server: Server, registered: Registered) -> dict[str, Any]:
        """Make a new secret, and write it to the file or return it."""
        place = SecretSpec("file", str(self.path)) if self.path else None
        declaration = Declaration(hosts={self.fqdn: HostSpec(self.fqdn, secret=place)})
        plan = make(declaration, registered, server.capabilities, Options(rotate=(self.fqdn,)))
        result = self.result(True, plan_table.diff(plan, server.url))
        if not (self.path or self.task.params["return_secrets"]):
            text = f"{self.fqdn} needs a new secret, but it would not be stored anywhere, so nothing has been changed"
            raise SyncError(f"{text}: set `path`, or `return_secrets`")
        if self.task.check:
            return result
        if self.path:
            with secret_files.new_file(self.path) as file:  # nothing is changed if the folder is not writable
                file.write(f"{execute_plan(self.task, plan, server).secret or ''}\n".encode())
            return result
        return {**result, "secret": execute_plan(self.task, plan, server).secret}

    def result(self, changed: bool, difference: Mapping[str, str]) -> dict[str, Any]:
        return {"changed": changed, "fqdn": self.fqdn, "diff": difference, "warnings": self.warnings}
