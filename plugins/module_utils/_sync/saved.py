# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans as JSON values. They contain no secrets."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from .changes import Action, Change, Drift
from .errors import DeclarationError, Location, Problem
from .model import (
    CERTIFICATE_FIELDS,
    DOMAIN_FIELDS,
    EXEC,
    FILE,
    HOST_FIELDS,
    KEY_FIELDS,
    NONE,
    STACK_FIELDS,
    VAULT,
    SecretSpec,
)
from .plan import Plan

FORMAT = 1

_FIELDS = {
    "host": (*HOST_FIELDS, "owner"),
    "domain": DOMAIN_FIELDS,
    "key": ("login", *KEY_FIELDS),
    "stack": (*STACK_FIELDS, "hosts"),
    "certificate": CERTIFICATE_FIELDS,
}


def to_dict(plan: Plan, *, made: str = "") -> dict[str, Any]:
    """The plan as JSON values. `made` is the time at which it was made."""
    return {
        "format": FORMAT,
        "server": plan.server,
        "stack": plan.stack,
        "made": made,
        "changes": [change_dict(change) for change in plan.changes],
        "drift": [drift_dict(drift) for drift in plan.drift],
        "notes": [note_dict(note) for note in plan.notes],
        "unchanged": plan.unchanged,
    }


def change_dict(change: Change) -> dict[str, Any]:
    """A change as JSON values, without empty optional fields."""
    optional = {
        "source": change.source,
        "secret": change.secret.as_data() if change.secret else None,
        "reason": change.reason,
        "key_file": change.key_file,
        "removes": list(change.removes),
    }
    return {
        "action": change.action.value,
        "kind": change.kind,
        "name": change.name,
        "before": dict(change.before),
        "after": dict(change.after),
        **{key: value for key, value in optional.items() if value},
    }


def drift_dict(drift: Drift) -> dict[str, str]:
    """A drift as JSON values."""
    return {"kind": drift.kind, "name": drift.name, "text": drift.text}


def note_dict(note: Problem) -> dict[str, Any]:
    """A note as JSON values; `where` has `file`, `line` and `column`, or is null."""
    return {"text": note.text, "where": note.where._asdict() if note.where else None, "hint": note.hint}


def from_dict(data: Any) -> Plan:
    """The plan in the JSON values of `to_dict`. Raises DeclarationError for any other value."""
    if not isinstance(data, Mapping) or "format" not in data:
        raise _refusal("this is not a saved plan", "`ddnsctl plan -o FILE` makes one")
    if data["format"] != FORMAT:
        text = f"the saved plan has format {data['format']!r}, but this version reads format {FORMAT}"
        raise _refusal(text, "make a new plan")
    try:
        return _plan(data)
    except ValueError as error:
        raise _refusal(f"the saved plan is damaged: {error}", "make a new plan") from None


def _refusal(text: str, hint: str) -> DeclarationError:
    return DeclarationError([Problem(text, None, hint)])


def _plan(data: Mapping[str, Any]) -> Plan:
    return Plan(
        changes=tuple(map(_change, _typed(data, "changes", list))),
        drift=tuple(map(_drift, _typed(data, "drift", list))),
        notes=tuple(map(_note, _typed(data, "notes", list))),
        unchanged=_typed(data, "unchanged", int),
        server=_typed(data, "server", str),
        stack=_typed(data, "stack", (str, type(None))),
    )


def _typed(data: Any, key: str, kinds: Any) -> Any:
    if not isinstance(data, Mapping):
        raise ValueError("it is not an object")
    if key not in data:
        raise ValueError(f"{key} is missing")
    if not isinstance(data[key], kinds):
        raise ValueError(f"{key} has the wrong type")
    return data[key]


def _change(data: Any) -> Change:
    kind = _typed(data, "kind", str)
    if kind not in _FIELDS:
        raise ValueError(f"kind {kind!r} is unknown")
    return Change(
        action=Action(_typed(data, "action", str)),
        kind=kind,
        name=_typed(data, "name", str),
        before=_values(data, "before", _FIELDS[kind]),
        after=_values(data, "after", _FIELDS[kind]),
        source=_typed(data, "source", str) if "source" in data else None,
        secret=_secret(_typed(data, "secret", dict)) if "secret" in data else None,
        reason=_typed(data, "reason", str) if "reason" in data else "",
        key_file=_typed(data, "key_file", str) if "key_file" in data else "",
        removes=tuple(map(str, _typed(data, "removes", list))) if "removes" in data else (),
    )


def _values(data: Any, key: str, fields: Sequence[str]) -> dict[str, Any]:
    values = dict(_typed(data, key, dict))
    for name, value in values.items():
        several = name in ("ipv4", "ipv6") and isinstance(value, list) and value
        if several or (name in ("hosts", "names") and isinstance(value, list)):
            known = all(isinstance(one, str) for one in value)
        else:
            known = isinstance(value, (str, int, dict, type(None)))
        if name not in fields or not known:
            raise ValueError(f"{key} has an unknown or invalid {name!r}")
    return values


def _secret(data: Mapping[str, Any]) -> SecretSpec:
    (kind,) = data
    if kind == EXEC:
        command = tuple(map(str, _typed(data, kind, list)))
        if not command:
            raise ValueError("a command is empty")
        return SecretSpec(kind, command=command)
    if kind not in (FILE, VAULT, NONE):
        raise ValueError(f"secret {kind!r} is unknown")
    return SecretSpec(kind, _typed(data, kind, str))


def _drift(data: Any) -> Drift:
    return Drift(*(_typed(data, key, str) for key in ("kind", "name", "text")))


def _note(data: Any) -> Problem:
    where = _typed(data, "where", (dict, type(None)))
    return Problem(_typed(data, "text", str), None if where is None else _place(where), _typed(data, "hint", str))


def _place(data: Any) -> Location:
    return Location(_typed(data, "file", str), _typed(data, "line", int), _typed(data, "column", int))
