# SPDX-License-Identifier: GPL-3.0-or-later
"""Bulk calls as they are sent and shown.

What is sent is described here and read by `change_parser`: ten thousand items are read in a thread of their own.
"""

from typing import Any, Literal

from pydantic import Field

from ddnsd.registry.inputs import Comment, Ipv4, Ipv6, Labels, Stack, Ttl, UserName
from ddnsd.web.api.schemas import Body, Secret, Shown, unset

MOST = 10_000
"""Changes of one call."""


class Expected(Body):
    """Values that must still be the current ones."""

    ipv4: Ipv4 | None = None
    ipv6: Ipv6 | None = None
    wildcard: bool = unset()
    comment: Comment | None = None
    ttl: Ttl | None = None
    stack: Stack | None = None
    labels: Labels | None = None
    available: bool = unset()
    owner: UserName = unset()


class ChangeError(Shown):
    """Why a change failed."""

    title: str
    status: int = Field(description="As the single call would have been answered; 424: another change of it failed.")
    detail: str
    errors: dict[str, list[str]] | None = None


class ChangeResult(Shown):
    """What became of a change."""

    fqdn: str
    status: Literal["applied", "pending", "unchanged", "failed"]
    secret: Secret | None = None
    error: ChangeError | None = None


class Results(Shown):
    """What became of each change, in order."""

    results: list[ChangeResult]


_OBJECT = {"type": "object", "additionalProperties": True}
_ITEM: dict[str, Any] = {
    "type": "object",
    "required": ["action", "fqdn"],
    "additionalProperties": False,
    "properties": {
        "action": {"type": "string", "enum": ["create", "update", "delete", "rotate"]},
        "fqdn": {"type": "string", "minLength": 1, "maxLength": 254},
        "set": _OBJECT | {"description": "create: the fields of POST /api/hosts; update: those of PATCH."},
        "if": _OBJECT | {"description": "Values that must still be the current ones; not for create."},
    },
}
REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["changes"],
    "additionalProperties": False,
    "properties": {
        "atomic": {"type": "boolean", "default": False, "description": "All, or nothing when one of them fails."},
        "changes": {"type": "array", "maxItems": MOST, "items": _ITEM},
    },
}
"""The schema of the body."""
