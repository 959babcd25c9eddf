# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks stored secrets: are the files there, and does the server still accept what is in them?"""

from __future__ import annotations

from collections.abc import Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ddnsctl.sync import secret_files
from ddnsctl.sync.api import Server
from ddnsctl.sync.errors import Problem, SyncError
from ddnsctl.sync.model import FILE, VAULT, Declaration, HostSpec, SecretSpec

WORKERS = 8
HINT = "`ddnsctl rotate` makes a new one"


def problems(
    declaration: Declaration, registered: Container[str], server: Server, vault: Sequence[str] = ()
) -> list[Problem]:
    """Everything that is wrong with the files of registered hosts that declare one. `vault` is as in `SecretWriter`."""
    specs = [
        spec
        for name, spec in sorted(declaration.hosts.items())
        if name in registered and spec.secret is not None and spec.secret.in_file
    ]
    with ThreadPoolExecutor(WORKERS) as pool:
        found = pool.map(lambda spec: _problem(spec, server, vault), specs)
        return [problem for problem in found if problem is not None]


def _problem(spec: HostSpec, server: Server, vault: Sequence[str]) -> Problem | None:
    assert spec.secret is not None
    where = f"{spec.fqdn}: {spec.secret.kind} {spec.secret.path}"
    try:
        secret = _read(spec.secret, vault)
        if secret is None:
            return Problem(f"{where} is missing or empty", spec.where, HINT)
        if server.capabilities.verifies and not server.valid(spec.fqdn, secret):
            return Problem(f"{where} has a secret that is no longer valid", spec.where, HINT)
    except (OSError, SyncError) as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Problem(f"{where} cannot be checked: {text}", spec.where)
    return None


def _read(secret: SecretSpec, vault: Sequence[str]) -> str | None:
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
