# SPDX-License-Identifier: GPL-3.0-or-later
"""The parser for the body of a bulk call. A malformed call is refused as a whole; a bad value fails only its item."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError

from ddnsd.registry import names, transfers
from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.validation import Change, Verb
from ddnsd.web.api.errors import Problem, repeated_member
from ddnsd.web.api.hosts import ADMIN_FIELDS, BLOCK_FIELDS
from ddnsd.web.api.json_slices import NotJson, Reader, Repeated, TooLong
from ddnsd.web.api.schemas import MOST, Expected, HostCreate, HostPatch

LONGEST = 254
"""Maximum number of characters in a full name."""

REPORTED = 50
"""Maximum number of errors in a refusal of the whole call."""

MEMBERS = 64
"""Maximum number of members in `set`, in `if` and in their values. A model creates an error per unknown member."""

FIELDS = 10
"""Maximum number of fields in the error of one item."""

TOO_MANY = Reason(Code.SCHEMA, text=f"Send at most {MEMBERS} members.")

_VERBS = {verb.value: verb for verb in Verb if verb is not Verb.BLOCK}
_MEMBERS = frozenset({"action", "fqdn", "set", "if"})


def read(body: Iterable[bytes], *, admin: bool) -> tuple[list[Change], bool]:
    """Parse a body, which comes in parts. Returns the changes, and whether they are atomic.

    Raises Problem with status 400, 413 or 422.

    The items are read one by one, so a body with too many items costs no more than its first items.
    """
    call = _Call(admin)
    try:
        call.read(Reader(body))
    except Repeated:
        raise repeated_member() from None
    except NotJson:
        raise Problem(400, "The body is not JSON.") from None
    except TooLong:
        raise Problem(413, "A value of this call is too long. Nothing was changed.") from None
    if call.errors:
        raise _problem(call.errors, call.more)
    return call.changes, call.atomic


class _Call:
    """The part of a call that was read: its changes, or its first errors and the number of further errors."""

    def __init__(self, admin: bool) -> None:
        self._admin = admin
        self.changes: list[Change] = []
        self.atomic = False
        self.errors: list[tuple[str, str]] = []
        self.more = 0

    def read(self, reader: Reader) -> None:
        """Read the whole call. Raises NotJson, TooLong, Problem."""
        if not reader.begins("{"):
            reader.value()
            self._fail("body", "Send an object with `changes`.")
        else:
            self._members(reader)
        reader.end()

    def _members(self, reader: Reader) -> None:
        seen: set[str] = set()
        for name in reader.names():
            if name in seen:
                raise Repeated
            if len(seen) > REPORTED:
                raise _problem(self.errors, self.more)
            seen.add(name)
            if name == "changes" and reader.begins("["):
                self._items(reader)
            else:
                self._member(name, reader.value())
        if "changes" not in seen:
            self._fail("changes", "Send a list.")

    def _member(self, name: str, value: Any) -> None:
        if name == "changes":
            self._fail(name, "Send a list.")
        elif name != "atomic":
            self._fail(name, "There is no such field.")
        elif isinstance(value, bool):
            self.atomic = value
        else:
            self._fail(name, "Send true or false.")

    def _items(self, reader: Reader) -> None:
        for n, item in enumerate(reader.items()):
            if n >= MOST:
                raise Problem(413, f"A call has at most {MOST} changes. Send the others in another call.")
            for name, text in islice(_errors_of_item(n, item), REPORTED):
                self._fail(name, text)
            if not self.errors:
                self.changes.append(_change(item, self._admin))

    def _fail(self, name: str, text: str) -> None:
        if len(self.errors) < REPORTED:
            self.errors.append((name, text))
        else:
            self.more += 1


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


def _problem(errors: list[tuple[str, str]], number: int) -> Problem:
    shown = {_printable(name): [text] for name, text in errors}
    more = f", and {number} more" if number else ""
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
        return Change(verb, fqdn, problem=error.with_traceback(None))  # it would keep the whole body
    blocks = not admin and bool(values) and values.keys() <= BLOCK_FIELDS
    rename = values.pop("fqdn", None)
    return Change(
        Verb.BLOCK if blocks else verb, fqdn, values, names.fold(rename) if rename is not None else None, expected
    )


def _values(verb: Verb, fqdn: str, given: Mapping[str, Any], admin: bool) -> dict[str, Any]:
    """The validated values of `set`. Raises Invalid, ValidationError."""
    if verb is Verb.CREATE:
        if "fqdn" in given:
            raise _unreadable(fqdn="Send the name of a new host in `fqdn` of the change, not in `set`.")
        values = _validated(HostCreate, {"fqdn": fqdn, **given})
        del values["fqdn"]
    elif verb is Verb.UPDATE:
        values = _validated(HostPatch, given)
        if not admin and not values.keys() <= BLOCK_FIELDS and (refused := ADMIN_FIELDS & values.keys()):
            raise _unreadable(**dict.fromkeys(sorted(refused), "Only an administrator can change this."))
        if "secrets" in values and "owner" not in values:
            raise Invalid(secrets=transfers.NO_OWNER)
    elif given:
        raise _unreadable(set=f"Do not send `set` with {verb.value}.")
    else:
        return {}
    return _canonical(values)


def _expected(verb: Verb, given: Mapping[str, Any]) -> dict[str, Any]:
    """The validated values of `if`. Raises Invalid, ValidationError."""
    if given and verb is Verb.CREATE:
        raise _unreadable(**{"if": "A new host has no current values. Do not send `if`."})
    return _canonical(_validated(Expected, given)) if given else {}


def _validated(model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields, validated by the model. Raises Invalid, ValidationError."""
    if len(given) > MEMBERS:
        raise Invalid(set=TOO_MANY)
    if crowded := [name for name, value in given.items() if isinstance(value, dict | list) and len(value) > MEMBERS]:
        raise Invalid(**{_printable(crowded[0]): TOO_MANY})
    read = model.model_validate(given)
    return {name: getattr(read, name) for name in read.model_fields_set}


def _canonical(values: dict[str, Any]) -> dict[str, Any]:
    if "labels" in values:
        values["labels"] = values["labels"] or {}
    return values


def _invalid(error: ValidationError) -> Invalid:
    found: dict[str, str] = {}
    for part in error.errors(include_url=False, include_input=False, include_context=False)[:FIELDS]:
        found.setdefault(_printable(".".join(map(str, part["loc"]))), _printable(part["msg"]))
    return _unreadable(**found)


def _unreadable(**texts: str) -> Invalid:
    return Invalid(**{name: Reason(Code.SCHEMA, text=text) for name, text in texts.items()})


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:200]
