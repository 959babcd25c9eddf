# SPDX-License-Identifier: GPL-3.0-or-later
"""The TSIG keys, for DNS UPDATE, of hosts and keys whose secrets are in files: they follow from the secrets."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, NamedTuple

from ddnsctl import secret_checks
from ddnsctl.sync.errors import Problem, SyncError
from ddnsctl.sync.model import HostSpec, KeySpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ddnsctl.sync.model import Declaration

ALGORITHM = "hmac-sha256"


class TsigKey(NamedTuple):
    """A TSIG key; `secret` is base64."""

    name: str
    algorithm: str
    secret: str

    @property
    def text(self) -> str:
        """As `nsupdate -y` takes it."""
        return f"{self.algorithm}:{self.name}:{self.secret}"


def of(declaration: Declaration, vault: Sequence[str] = ()) -> tuple[list[TsigKey], list[Problem]]:
    """The keys of hosts by name, then those of keys, and what cannot be read. `vault` is as in `SecretWriter`."""
    found: list[TsigKey] = []
    problems: list[Problem] = []
    specs: list[HostSpec | KeySpec] = [declaration.hosts[name] for name in sorted(declaration.hosts)]
    specs += [declaration.keys[name] for name in sorted(declaration.keys)]
    for spec in specs:
        name = spec.fqdn if isinstance(spec, HostSpec) else spec.name
        if spec.secret is None or not spec.secret.in_file:
            continue
        try:
            content = secret_checks.content(spec.secret, vault)
        except (OSError, SyncError) as error:
            problems.append(Problem(f"{name}: {spec.secret} cannot be read: {error}", spec.where))
            continue
        if not content:
            problems.append(Problem(f"{name}: {spec.secret} is missing or empty", spec.where))
            continue
        login, _, secret = (name, "", content) if isinstance(spec, HostSpec) else content.partition(":")
        found.append(_key(login, secret))
    return found, problems


def _key(name: str, secret: str) -> TsigKey:
    return TsigKey(name, ALGORITHM, base64.b64encode(hashlib.sha256(secret.encode()).digest()).decode())
