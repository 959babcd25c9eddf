# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks stored secrets: are the files there, and does the server still accept what is in them?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Callable, Container, NamedTuple, Sequence

from .api import Server
from .errors import Problem, SyncError
from .model import Declaration, HostSpec, SecretSpec
from .plan import Options, Plan

WORKERS = 8

Read = Callable[[SecretSpec], "str | None"]
"""Reads the secret in a file; None if the file is missing or empty. Raises OSError, SyncError."""


class Broken(NamedTuple):
    """A stored secret that does not work, or that cannot be checked; `is_known`: it certainly does not work."""

    spec: HostSpec
    text: str
    is_known: bool = True

    def problem(self, hint: str = "") -> Problem:
        """The problem, for a report; `hint` says how to replace a secret that does not work."""
        return Problem(f"{self.spec.fqdn}: {self.text}", self.spec.where, hint if self.is_known else "")


def repairing(
    options: Options, declaration: Declaration, registered: Container[str], server: Server, read: Read
) -> tuple[Options, list[Problem]]:
    """The options for a plan that replaces secrets that do not work, and notes on those that cannot be checked."""
    found = broken(declaration, registered, server, read)
    reasons = {one.spec.fqdn: one.text for one in found if one.is_known}
    notes = [one.problem() for one in found if not one.is_known]
    if not server.capabilities.verifies:
        notes.append(Problem(f"{server.capabilities.server} cannot check secrets; only missing files are found"))
    return replace(options, rotate=(*options.rotate, *reasons), reasons=reasons), notes


def noted(plan: Plan, notes: Sequence[Problem]) -> Plan:
    """The plan with further notes."""
    return replace(plan, notes=(*plan.notes, *notes))


def broken(declaration: Declaration, registered: Container[str], server: Server, read: Read) -> list[Broken]:
    """The secrets in files of registered hosts that do not work, sorted. The server is asked about all at once."""
    specs = [
        spec
        for name, spec in sorted(declaration.hosts.items())
        if name in registered and spec.secret is not None and spec.secret.in_file
    ]
    with ThreadPoolExecutor(WORKERS) as pool:
        contents = dict(zip((spec.fqdn for spec in specs), pool.map(lambda spec: _content(spec, read), specs)))
    stored = {name: secret for name, secret in contents.items() if isinstance(secret, str)}
    valid: dict[str, bool] = {}
    unchecked = ""
    if stored and server.capabilities.verifies:
        try:
            valid = dict(server.all_valid(stored))
        except SyncError as error:
            unchecked = f"cannot be checked: {error}"
    found = {name: secret for name, secret in contents.items() if isinstance(secret, Broken)}
    for spec in specs:
        if spec.fqdn in stored and unchecked:
            found[spec.fqdn] = Broken(spec, f"{spec.secret} {unchecked}", is_known=False)
        elif valid.get(spec.fqdn) is False:
            found[spec.fqdn] = Broken(spec, f"{spec.secret} has a secret that is no longer valid")
    return [found[name] for name in sorted(found)]


def _content(spec: HostSpec, read: Read) -> str | Broken:
    if spec.secret is None:
        raise ValueError(f"{spec.fqdn} declares no secret")
    try:
        return read(spec.secret) or Broken(spec, f"{spec.secret} is missing or empty")
    except (OSError, SyncError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Broken(spec, f"{spec.secret} cannot be checked: {text}", is_known=False)
