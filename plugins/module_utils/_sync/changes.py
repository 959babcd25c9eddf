# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan consists of."""

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
    """One change of one host or domain.

    `before` has the observed values of the fields that the change rests on, `after` the new ones of those that it
    changes; both are JSON values, and `before` is the precondition under which a saved plan is applied. A create has
    an empty `before`, a delete an empty `after`. A replacement, and a move with a reason, register the host anew:
    their `after` has every field that the host gets.
    """

    action: Action
    kind: str
    """`host` or `domain`"""
    name: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    """The host's former name, of a move."""
    secret: SecretSpec | None = None
    """Where the secret goes that the change makes."""
    reason: str = ""
    """Why the host is registered again."""

    @property
    def makes_secret(self) -> bool:
        """Whether the host has a new secret afterwards."""
        anew = self.action in (Action.CREATE, Action.REPLACE, Action.ROTATE)
        return self.kind == "host" and (anew or (self.action is Action.MOVE and bool(self.reason)))


@dataclass(frozen=True)
class Drift:
    """Something that is not as it should be without a change of ours: `dns` or `unknown`."""

    kind: str
    name: str
    text: str
