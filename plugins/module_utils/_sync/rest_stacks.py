# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks of a `ddnsd`: `/api/stacks`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Callable, Mapping
from urllib.parse import quote

from .api import Done, Response, object_in
from .changes import Change
from .errors import Leased, LeaseLost, Refused
from .model import RegisteredStack

Call = Callable[..., Response]
"""Sends a request: method, path, JSON values of the body, headers. Raises ServerError."""


class RestStacks:
    """`api.Stacks` for a `ddnsd`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._stack = ""
        self.lease = ""
        self.all_stored = False

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a call that carries the lease; empty without one."""
        return {"Stack-Lease": self.lease} if self.lease else {}

    def acquire(self, stack: str, note: str, commit: str | None, former: str = "") -> None:
        """Take the lease of the stack, or continue `former`; later changes carry it. Raises Leased."""
        self._stack, self.lease, self.all_stored = stack, former, False
        if former and self._is_renewed():
            return
        self.lease = ""
        try:
            answer = object_in(self._call("POST", f"{_path(stack)}/lease", {"note": note, "commit": commit}))
        except Refused as error:
            if error.kind == "urn:ddns:leased":
                raise Leased(str(error).rstrip(".")) from None
            raise
        self.lease = str(answer.get("id", ""))

    def _is_renewed(self) -> bool:
        try:
            self.renew()
        except LeaseLost:
            return False
        return True

    def renew(self) -> None:
        """Renew the lease for a minute. Raises LeaseLost."""
        self._call("PUT", f"{_path(self._stack)}/lease", headers=self.headers)

    def release(self) -> None:
        """Give the lease back. Raises LeaseLost."""
        headers, self.lease = self.headers, ""
        stored = "?stored=true" if self.all_stored else ""
        self._call("DELETE", f"{_path(self._stack)}/lease{stored}", headers=headers)

    def lost_secrets(self) -> tuple[dict[str, str], int]:
        """New secrets that an earlier run may not have stored, and the number of calls that other tokens made."""
        found: dict[str, str] = {}
        path = f"{_path(self._stack)}/lease/secrets"
        answer = object_in(self._call("POST", path, headers=self.headers))
        found.update(answer.get("secrets") or {})
        while answer.get("next"):
            answer = object_in(self._call("POST", f"{path}?cursor={answer['next']}", headers=self.headers))
            found.update(answer.get("secrets") or {})
        return found, int(answer.get("other_tokens") or 0)

    def unlock(self, stack: str) -> str:
        """Take the lease of the stack from its holder, and return who that was; empty if nobody holds it."""
        lease = self.found(stack).get("lease")
        if not isinstance(lease, dict):
            return ""
        with suppress(LeaseLost):  # it has ended since
            self._call("DELETE", f"{_path(stack)}/lease?force=true")
        return str(lease.get("holder"))

    def rules(self, stack: str) -> RegisteredStack | None:
        """The rules of the stack; None if there is no such stack."""
        found = self.found(stack)
        return RegisteredStack(bool(found.get("protect")), dict(found.get("gives") or {})) if found else None

    def change(self, change: Change) -> Done:
        """Make a change of a stack. A new name that it already has is no error."""
        values = {**change.after, "name": change.name} if change.source else dict(change.after)
        try:
            self._call("PATCH", _path(change.source or change.name), values, headers=self.headers)
        except Refused as error:
            if error.status == 404 and change.source and self.found(change.name):
                return Done("unchanged")
            raise
        return Done("applied")

    def found(self, stack: str) -> Mapping[str, Any]:
        """The stack as the server shows it; empty if there is none."""
        try:
            return object_in(self._call("GET", _path(stack)))
        except Refused as error:
            if error.status == 404:
                return {}
            raise


def _path(stack: str) -> str:
    return f"/api/stacks/{quote(stack)}"
