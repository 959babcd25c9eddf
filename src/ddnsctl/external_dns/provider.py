# SPDX-License-Identifier: GPL-3.0-or-later
"""What external-dns asks of its provider, by the engine of `ddnsctl`. Only hosts of one stack are shown and changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

from ddnsctl.external_dns.endpoints import Endpoint, adjusted, edit, shown
from ddnsctl.rrsets import Edit, edited, owner_of
from ddnsctl.sync.api import Server
from ddnsctl.sync.apply import apply_plan
from ddnsctl.sync.model import Registered


class Applied(NamedTuple):
    """The number of changed hosts, and what is wrong with others, in lines."""

    changed: int
    wrong: list[str]


class Provider:
    """One request is handled at a time. `connect` returns a connected server; so a new token is read each time."""

    def __init__(self, connect: Callable[[], Server], stack: str, log: Callable[[str], None]) -> None:
        self._connect, self._stack, self._log = connect, stack, log
        self._lock = Lock()
        self._noted: set[str] = set()

    def domains(self) -> list[str]:
        """The names of the domains that the token may use. Raises SyncError, OSError."""
        return sorted(self._connect().registered(()).domains)

    def records(self) -> list[Endpoint]:
        """The endpoints of the stack's hosts. Raises SyncError, OSError."""
        found = self._connect().registered((), self._stack)
        return shown(host for host in found.hosts.values() if owner_of(host, self._stack) is None)

    def adjusted(self, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
        """The wanted endpoints as the service can store them. Each note is logged once. Raises SyncError, OSError."""
        found = adjusted(endpoints, self.domains())
        for note in found.notes:
            if note not in self._noted:
                self._log(note)
        self._noted = set(found.notes)
        return found.endpoints

    def apply(self, changes: Mapping[str, Sequence[Endpoint]]) -> Applied:
        """Make the changes: `create`, `updateNew` and `delete`. A host that cannot be changed delays no other.

        Raises SyncError, OSError.
        """
        with self._lock:
            server = self._connect()
            registered = server.registered((), self._stack)
            edits, wrong = self._edits(changes, registered.domains)
            registered = server.registered({one.owner.host for one in edits}, self._stack)
            edits = self._own(edits, registered, wrong)
            found = edited(edits, registered.hosts)
            wrong += [f"{host}: {reason}" for host, reason in found.wrong.items()]
            outcome = apply_plan(found.plan(self._stack, registered, server), server, _drop)
            wrong += [f"{result.change.name}: {result.error}" for result in outcome.failed]
            return Applied(len(outcome.results) - len(outcome.failed), wrong)

    def _edits(self, changes: Mapping[str, Sequence[Endpoint]], domains: Iterable[str]) -> tuple[list[Edit], list[str]]:
        found: list[Edit] = []
        wrong: list[str] = []
        for part in ("delete", "create", "updateNew"):  # a name that is deleted and created again is kept
            for endpoint in changes.get(part, ()):
                try:
                    found.append(edit(endpoint, domains, remove=part == "delete"))
                except ValueError as error:
                    wrong.append(f"{endpoint.get('recordType')} {endpoint.get('dnsName')}: {error}")
        return found, wrong

    def _own(self, edits: Iterable[Edit], registered: Registered, wrong: list[str]) -> list[Edit]:
        """The edits of hosts that are the stack's, or nobody's. The others are added to `wrong`."""
        owners = {name: owner_of(host, self._stack) for name, host in registered.hosts.items()}
        own = []
        for one in edits:
            if owner := owners.get(one.owner.host):
                wrong.append(f"{one.owner.host} belongs to {owner}")
            else:
                own.append(one)
        return own


def _drop(_change: Any, _secret: str) -> None:
    """The secrets of new hosts are not stored: external-dns sets their addresses."""
