# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a plan."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, Mapping

from .model import SecretSpec


class Action(str, enum.Enum):
    """What a change does."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    ADOPT = "adopt"
    MOVE = "move"
    ROTATE = "rotate"


@dataclass(frozen=True)
class Change:
    """One change of one host, domain or key, or the order of a certificate.

    `before` has the registered values of the fields that the change depends on, `after` the new values of the fields
    that it changes. Both are JSON values. `before` is also the precondition. A create has an empty `before`, a delete
    an empty `after`. A replacement, and a move with a reason, register the host again: their `after` has all fields.
    """

    action: Action
    kind: str
    """`host`, `domain`, `key`, `stack` or `certificate`"""
    name: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    """The former name of the host or stack, if this is a move."""
    secret: SecretSpec | None = None
    """Where the new secret is written, if the change makes one."""
    reason: str = ""
    """Why the host is registered again, or gets a new secret."""
    key_file: str = ""
    """The file with the TSIG key of a domain, if the change sets it."""
    removes: tuple[str, ...] = ()
    """What else a deletion removes, such as `MX www.example.org`: other records, and related names."""

    @property
    def makes_secret(self) -> bool:
        """Whether the change makes a new secret."""
        if self.kind == "key":
            return self.action in (Action.CREATE, Action.REPLACE)
        return self.kind == "host" and (self.action in (Action.CREATE, Action.ROTATE) or self.again)

    @property
    def again(self) -> bool:
        """Whether it registers a host again."""
        return self.action is Action.REPLACE or (self.action is Action.MOVE and bool(self.reason))


@dataclass(frozen=True)
class Drift:
    """A difference that no change removes: `dns` or `unknown`."""

    kind: str
    name: str
    text: str
