# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain values as YAML that every reader understands alike, YAML 1.1 and 1.2."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PLAIN = re.compile(r"[A-Za-z0-9/](?:[\w./:+ -]*[\w./+-])?", re.ASCII)
_SPECIAL = re.compile(
    r"[-+.]?[0-9][0-9_.,:eExXoObB+-]*|y|n|yes|no|on|off|true|false|null|\.inf|\.nan|0[xob][0-9a-f]+", re.IGNORECASE
)
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-f]+(?:::?[0-9a-f]+)*::[0-9a-f:]*[0-9a-f]", re.ASCII)


def scalar(value: str | float | bool | None) -> str:
    """A value in one line; text is quoted where a reader could take it for something else."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _ADDRESS.fullmatch(value):
        return value
    plain = _PLAIN.fullmatch(value) and not _SPECIAL.fullmatch(value) and ": " not in value and "  " not in value
    return value if plain else f'"{"".join(map(_escaped, value))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08X}"


def flow(values: Mapping[str, Any]) -> str:
    """`{a: 1, b: text}`."""
    members = (f"{scalar(k)}: {flow(v) if isinstance(v, Mapping) else scalar(v)}" for k, v in values.items())
    return "{" + ", ".join(members) + "}"
