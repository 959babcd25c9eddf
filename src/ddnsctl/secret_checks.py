# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks stored secrets in files of this machine, also those that `ansible-vault` encrypted."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path

from ddnsctl.sync import secret_checks, secret_files
from ddnsctl.sync.api import Server
from ddnsctl.sync.errors import Problem, SyncError
from ddnsctl.sync.model import FILE, VAULT, Declaration, SecretSpec
from ddnsctl.sync.plan import Options

HINT = "`ddnsctl apply --secrets` makes a new one"


def problems(
    declaration: Declaration, registered: Container[str], server: Server, vault: Sequence[str] = ()
) -> list[Problem]:
    """Everything that is wrong with the files of registered hosts that declare one. `vault` is as in `SecretWriter`."""
    found = secret_checks.broken(declaration, registered, server, _reader(vault))
    return [broken.problem(HINT) for broken in found]


def repairing(
    options: Options, declaration: Declaration, registered: Container[str], server: Server, vault: Sequence[str] = ()
) -> tuple[Options, list[Problem]]:
    """As `secret_checks.repairing` of the engine. `vault` is as in `SecretWriter`."""
    return secret_checks.repairing(options, declaration, registered, server, _reader(vault))


def _reader(vault: Sequence[str]) -> secret_checks.Read:
    return lambda secret: content(secret, vault)


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
