# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks stored secrets: are the files there, and does the server still accept what is in them?"""

from __future__ import annotations

from collections.abc import Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ddnsctl.sync import secret_files
from ddnsctl.sync.api import Server
from ddnsctl.sync.errors import Problem, SyncError
from ddnsctl.sync.model import FILE, VAULT, Declaration, HostSpec, SecretSpec
from ddnsctl.sync.plan import Options, Plan

WORKERS = 8
HINT = "`ddnsctl apply --secrets` makes a new one"


class Broken(NamedTuple):
    """A stored secret that does not work, or that cannot be checked; `is_known`: it certainly does not work."""

    spec: HostSpec
    text: str
    is_known: bool = True

    @property
    def problem(self) -> Problem:
        """The problem, for a report."""
        return Problem(f"{self.spec.fqdn}: {self.text}", self.spec.where, HINT if self.is_known else "")


def problems(
    declaration: Declaration, registered: Container[str], server: Server, vault: Sequence[str] = ()
) -> list[Problem]:
    """Everything that is wrong with the files of registered hosts that declare one. `vault` is as in `SecretWriter`."""
    return [found.problem for found in broken(declaration, registered, server, vault)]


def repairing(
    options: Options, declaration: Declaration, registered: Container[str], server: Server, vault: Sequence[str] = ()
) -> tuple[Options, list[Problem]]:
    """The options for a plan that replaces secrets that do not work, and notes on those that cannot be checked."""
    found = broken(declaration, registered, server, vault)
    reasons = {one.spec.fqdn: one.text for one in found if one.is_known}
    notes = [one.problem for one in found if not one.is_known]
    if not server.capabilities.verifies:
        notes.append(Problem(f"{server.capabilities.server} cannot check secrets; only missing files are found"))
    return replace(options, rotate=(*options.rotate, *reasons), reasons=reasons), notes


def noted(plan: Plan, notes: Sequence[Problem]) -> Plan:
    """The plan with further notes."""
    return replace(plan, notes=(*plan.notes, *notes))


def broken(
    declaration: Declaration, registered: Container[str], server: Server, vault: Sequence[str] = ()
) -> list[Broken]:
    """The secrets in files of registered hosts that do not work, sorted. The server is asked about all at once."""
    specs = [
        spec
        for name, spec in sorted(declaration.hosts.items())
        if name in registered and spec.secret is not None and spec.secret.in_file
    ]
    with ThreadPoolExecutor(WORKERS) as pool:
        read = dict(zip((spec.fqdn for spec in specs), pool.map(lambda spec: _read(spec, vault), specs), strict=True))
    stored = {name: secret for name, secret in read.items() if isinstance(secret, str)}
    valid: dict[str, bool] = {}
    unchecked = ""
    if stored and server.capabilities.verifies:
        try:
            valid = dict(server.all_valid(stored))
        except SyncError as error:
            unchecked = f"cannot be checked: {error}"
    found = {name: secret for name, secret in read.items() if isinstance(secret, Broken)}
    for spec in specs:
        if spec.fqdn in stored and unchecked:
            found[spec.fqdn] = Broken(spec, f"{spec.secret} {unchecked}", is_known=False)
        elif valid.get(spec.fqdn) is False:
            found[spec.fqdn] = Broken(spec, f"{spec.secret} has a secret that is no longer valid")
    return [found[name] for name in sorted(found)]


def _read(spec: HostSpec, vault: Sequence[str]) -> str | Broken:
    assert spec.secret is not None
    try:
        return content(spec.secret, vault) or Broken(spec, f"{spec.secret} is missing or empty")
    except (OSError, SyncError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Broken(spec, f"{spec.secret} cannot be checked: {text}", is_known=False)


def content(secret: SecretSpec, vault: Sequence[str]) -> str | None:
    """The secret; None if the file is missing or empty. Raises OSError, SyncError."""
    path = Path(secret.path)
    if secret.kind == FILE:
        return secret_files.read(path)
    assert secret.kind == VAULT
    if not path.exists():
        return None
    from ddnsctl import inventory

    result = inventory.run(inventory.VAULT_PROGRAM, ["view", *vault, str(path)])
    if result.returncode:
        raise SyncError(f"{inventory.VAULT_PROGRAM}: {inventory.error_text(result)}")
    return result.stdout.decode(errors="replace").strip() or None
