# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives new secrets to commands, such as those of a secret manager. `ddnsctl` and the Ansible modules run them alike.

A command gets the secret on standard input, without a line break, and never as an argument. No shell reads it. What it
prints is not shown, because it may contain the secret.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Iterable, Sequence

from .changes import Change
from .errors import Problem

SECONDS = 60.0
"""How long a command may run."""
_OURS = ("DDNS_TOKEN", "DDNS_TOKEN_FILE", "DDNS_TOKEN_COMMAND")
"""Variables that a command does not get: the author of a declaration need not have the token."""


def problems(changes: Iterable[Change]) -> list[Problem]:
    """Each program for secrets of these changes that is not there."""
    programs: dict[str, str] = {}
    for change in changes:
        if change.secret is not None and change.secret.command:
            programs.setdefault(change.secret.command[0], change.name)
    return [
        Problem(f"{name}: there is no program {program} for its secret", hint="install it, or correct its name")
        for program, name in programs.items()
        if shutil.which(program) is None
    ]


def give(command: Sequence[str], secret: str) -> None:
    """Run the command with the secret. Raises OSError if it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    try:
        ended = subprocess.run(  # noqa: S603
            list(command), input=secret.encode(), capture_output=True, timeout=SECONDS, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"{command[0]} has not ended after {SECONDS:.0f} seconds") from None
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").replace(secret, "…").strip().splitlines()
        raise OSError(f"{command[0]} failed with exit code {ended.returncode}{': ' + said[-1] if said else ''}")
