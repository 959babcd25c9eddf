# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the body of a bulk call: what is no call is refused as a whole, a bad value with its item."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ddnsd.faces.rest.change_models import MOST, Expected
from ddnsd.faces.rest.host_models import HostCreate, HostPatch
from ddnsd.faces.rest.hosts import ADMIN_FIELDS
from ddnsd.faces.rest.problems import Problem
from ddnsd.registry import fields, names, transfers
from ddnsd.registry.errors import Invalid
from ddnsd.registry.judging import Change, Verb

LONGEST = 254
"""Characters of a full name."""

REPORTED = 50
"""Items of which a refusal of the whole call speaks at most."""

_VERBS = {verb.value: verb for verb in Verb}
_MEMBERS = frozenset({"action", "fqdn", "set", "if"})


def read(body: bytes, *, admin: bool) -> tuple[list[Change], bool]:
    """The changes, and whether they are atomic. Raises Problem with status 400, 413 or 422."""
    try:
        # a function for each object gives other threads their turn, which json.loads alone does not
        content = json.loads(body.decode(), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        detail = str(error) if isinstance(error, _Twice) else "The body is not JSON."
        raise Problem(400, detail) from None
    if errors := _errors_of_call(content):
        raise _problem(errors)
    items = content["changes"]
    if len(items) > MOST:
        raise Problem(413, f"A call has at most {MOST} changes: divide it.")
    if errors := [error for n, item in enumerate(items) for error in _errors_of_item(n, item)]:
        raise _problem(errors)
    return [_change(item, admin) for item in items], content.get("atomic", False)


class _Twice(ValueError):
    """a member stands twice in an object"""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice("A member stands twice in an object.")
    return found


# ---- the shape of a call


def _errors_of_call(content: Any) -> list[tuple[str, str]]:
    if not isinstance(content, dict):
        return [("body", "Send an object with `changes`.")]
    errors = [(name, "There is no such field.") for name in content.keys() - {"atomic", "changes"}]
    if not isinstance(content.get("changes"), list):
        errors.append(("changes", "Send a list."))
    if not isinstance(content.get("atomic", False), bool):
        errors.append(("atomic", "Send true or false."))
    return errors


def _errors_of_item(n: int, item: Any) -> Iterable[tuple[str, str]]:
    where = f"changes.{n}"
    if not isinstance(item, dict):
        yield where, "Send an object."
        return
    for name in item.keys() - _MEMBERS:
        yield f"{where}.{name}", "There is no such field."
    action, fqdn = item.get("action"), item.get("fqdn")
    if not isinstance(action, str) or action not in _VERBS:
        yield f"{where}.action", f"Send one of {', '.join(_VERBS)}."
    if not isinstance(fqdn, str) or not 0 < len(fqdn) <= LONGEST:
        yield f"{where}.fqdn", f"Send a full name of 1 to {LONGEST} characters."
    for name in ("set", "if"):
        if not isinstance(item.get(name, {}), dict):
            yield f"{where}.{name}", "Send an object."


def _problem(errors: list[tuple[str, str]]) -> Problem:
    shown = {_printable(name): [text] for name, text in errors[:REPORTED]}
    more = f", and {len(errors) - REPORTED} more" if len(errors) > REPORTED else ""
    return Problem(422, f"Nothing was changed: {', '.join(shown)}{more} cannot be read.", errors=shown)


# ---- the values of an item


def _change(item: Mapping[str, Any], admin: bool) -> Change:
    verb, fqdn = _VERBS[item["action"]], names.fold(item["fqdn"])
    try:
        values = _values(verb, fqdn, item.get("set", {}), admin)
        expected = _expected(verb, item.get("if", {}))
    except ValidationError as error:
        return Change(verb, fqdn, problem=_invalid(error))
    except Invalid as error:
        return Change(verb, fqdn, problem=error)
    rename = values.pop("fqdn", None)
    return Change(verb, fqdn, values, names.fold(rename) if rename is not None else None, expected)


def _values(verb: Verb, fqdn: str, given: Mapping[str, Any], admin: bool) -> dict[str, Any]:
    """Raises Invalid, ValidationError."""
    if verb is Verb.CREATE:
        if "fqdn" in given:
            raise Invalid(fqdn="Send the name of a new host beside `set`, not in it.")
        values = _given(HostCreate, {"fqdn": fqdn, **given})
        del values["fqdn"]
    elif verb is Verb.UPDATE:
        values = _given(HostPatch, given)
        if not admin and (refused := ADMIN_FIELDS & values.keys()):
            raise Invalid(**dict.fromkeys(sorted(refused), "Only an administrator changes this."))
        if "secrets" in values and "owner" not in values:
            raise Invalid(secrets=transfers.NO_OWNER)
    elif given:
        raise Invalid(set=f"There is nothing to set for {verb.value}.")
    else:
        return {}
    return _canonical(values)


def _expected(verb: Verb, given: Mapping[str, Any]) -> dict[str, Any]:
    """Raises Invalid, ValidationError."""
    if given and verb is Verb.CREATE:
        raise Invalid(**{"if": "A host that is to be created has no values yet."})
    return _canonical(_given(Expected, given)) if given else {}


def _given(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    read = model.model_validate(given)
    return {name: getattr(read, name) for name in read.model_fields_set}


def _canonical(values: dict[str, Any]) -> dict[str, Any]:
    for family in fields.FAMILIES:
        if values.get(family) is not None:
            values[family] = fields.address(family, values[family])
    if "labels" in values:
        values["labels"] = values["labels"] or {}
    return values


def _invalid(error: ValidationError) -> Invalid:
    found: dict[str, str] = {}
    for part in error.errors(include_url=False, include_input=False, include_context=False):
        found.setdefault(_printable(".".join(map(str, part["loc"]))), _printable(part["msg"]))
    return Invalid(**found)


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:200]
