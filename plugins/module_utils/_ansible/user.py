# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_user`: one user. Only the given options are declared."""

from __future__ import annotations

from typing import Any, Mapping
from urllib.parse import quote

from .._sync.api import Response, object_in
from .._sync.errors import Refused
from .._sync.rest import RestServer
from .resource import difference, rest_server
from .spec import CONNECTION, Spec, state
from .task import Failed, Task

SPEC = (
    CONNECTION
    + state("present", "absent")
    + Spec(
        {
            "name": {"type": "str", "required": True},
            "admin": {"type": "bool"},
            "active": {"type": "bool"},
            "records": {"type": "str", "choices": ["keep", "remove"]},
            "reason": {"type": "str"},
            "remove_hosts": {"type": "bool", "default": False},
        }
    )
)
NEW = {"admin": False, "active": True, "records": "keep", "reason": None}
"""The fields that can be set, as a new user has them."""
SHOWN = ("name", *NEW, "created")


def run(task: Task) -> dict[str, Any]:
    """Result keys: changed, diff, warnings, user (if present)."""
    server, name = rest_server(task, "users"), task.params["name"]
    found = _find(server, name)
    if task.params["state"] == "absent":
        return _remove(task, server, name, found)
    present = None if found is None else object_in(found)
    wanted = {field: task.params[field] for field in NEW if task.params[field] is not None}
    if wanted.get("reason") == "":
        wanted["reason"] = None
    before = NEW if present is None else {field: present[field] for field in NEW}
    changes = {field: value for field, value in wanted.items() if value != before[field]}
    changed = present is None or bool(changes)
    shown = difference(f"user {name}", None if present is None else before, {**before, **wanted})
    if changed and not task.check:
        present = _write(server, name, found, changes)
    user = {**(present or {"name": name, **NEW}), **wanted}
    return {"changed": changed, "diff": shown, "user": {field: user[field] for field in SHOWN if field in user}}


def _write(server: RestServer, name: str, found: Response | None, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Create the user if there is none, and change the fields. Returns the user."""
    made = found
    if made is None:
        made = server.call("POST", "/api/users", {"name": name, "admin": changes.get("admin", False)})
        changes = {field: value for field, value in changes.items() if field != "admin"}
    if not changes:
        return object_in(made)
    try:
        return object_in(server.call("PATCH", _path(name), changes, _unchanged(made)))
    except Refused as error:
        if found is None:
            raise Failed(f"the user was created, but not changed: {error}", {"changed": True}) from error
        raise


def _remove(task: Task, server: RestServer, name: str, found: Response | None) -> dict[str, Any]:
    present = None if found is None else {field: object_in(found)[field] for field in NEW}
    if found is not None and not task.check:
        hosts = "remove" if task.params["remove_hosts"] else "keep"
        server.call("DELETE", f"{_path(name)}?hosts={hosts}", headers=_unchanged(found))
    return {"changed": found is not None, "diff": difference(f"user {name}", present, None)}


def _find(server: RestServer, name: str) -> Response | None:
    try:
        return server.call("GET", _path(name))
    except Refused as error:
        if error.status == 404:
            return None
        raise


def _unchanged(answer: Response) -> dict[str, str]:
    """The condition that the user is still as in the answer."""
    return {"If-Match": answer.headers["etag"]} if "etag" in answer.headers else {}


def _path(name: str) -> str:
    return f"/api/users/{quote(name, safe='')}"
