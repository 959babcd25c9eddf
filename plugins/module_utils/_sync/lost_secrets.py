# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores new secrets of a run that died before it had stored them, as one in a container of a pipeline does.

The service can derive the secrets of the last day again, for the token that made them. Each one that still works, and
whose host is declared, goes where its declaration says. The caller holds the lease of the stack.
"""

from __future__ import annotations

from typing import Callable, Mapping, NamedTuple, Sequence

from .api import Server, Stacks
from .apply import Sink
from .changes import Action, Change
from .model import NONE, HostSpec, SecretSpec


class Collected(NamedTuple):
    """The hosts whose secrets were stored now, and the number of calls with other tokens."""

    hosts: Sequence[str]
    other_tokens: int = 0

    def texts(self) -> list[str]:
        """Both in words, for the user."""
        found = []
        if self.hosts:
            named = ", ".join(self.hosts[:5]) + (f" and {len(self.hosts) - 5} more" if len(self.hosts) > 5 else "")
            found.append(f"Stored the secrets that an earlier run has made, but not stored: {named}.")
        if self.other_tokens:
            found.append(
                "An earlier run with another token may have made secrets that it did not store. Only that token can "
                "get them again."
            )
        return found


def collect(
    server: Server,
    stacks: Stacks,
    declared: Mapping[str, HostSpec],
    sink_for: Callable[[Sequence[Change]], Sink],
    has: Callable[[SecretSpec, str], bool],
) -> Collected:
    """Store all secrets that may be lost. `sink_for` makes the sink for changes; `has`: it is already stored there.

    Raises ServerError, OSError.
    """
    found, other_tokens = stacks.lost_secrets()
    wanted = {name: secret for name, secret in found.items() if name in declared and declared[name].secret is not None}
    wanted = {name: secret for name, secret in wanted.items() if not _is_stored(declared[name].secret, secret, has)}
    if not wanted:
        return Collected((), other_tokens)
    valid = server.all_valid(wanted)
    changes = [
        Change(Action.ROTATE, "host", name, secret=declared[name].secret) for name in sorted(wanted) if valid.get(name)
    ]
    sink = sink_for(changes)
    for change in changes:
        sink(change, wanted[change.name])
    return Collected([change.name for change in changes], other_tokens)


def _is_stored(spec: SecretSpec | None, secret: str, has: Callable[[SecretSpec, str], bool]) -> bool:
    return spec is not None and (spec.kind == NONE or has(spec, secret))
