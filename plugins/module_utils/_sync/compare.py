# SPDX-License-Identifier: GPL-3.0-or-later
"""One declared thing × one registered thing → the change between them. Who owns it has been judged before."""

from __future__ import annotations

from typing import Any, Iterable

from .changes import Action, Change
from .model import (
    DOMAIN_FIELDS,
    DYNAMIC,
    HOST_FIELDS,
    KEEP,
    UNKNOWN,
    Capabilities,
    Domain,
    DomainSpec,
    Host,
    HostSpec,
    Sentinel,
)

_FAMILIES = ("ipv4", "ipv6")


class Comparison:
    """Compares for one stack and one server."""

    def __init__(self, stack: str | None, capabilities: Capabilities) -> None:
        self.stack = stack
        self.capabilities = capabilities
        self.kept = tuple(name for name in HOST_FIELDS if name in capabilities.fields)
        self.declared = tuple(name for name in self.kept if name != "stack")

    def create(self, spec: HostSpec) -> Change:
        """Register a host; what is left alone, dynamic or nothing is not named."""
        return Change(Action.CREATE, "host", spec.fqdn, after=self._initial(spec, self.declared), secret=spec.secret)

    def create_domain(self, spec: DomainSpec) -> Change:
        """Create a domain."""
        after = self._initial(spec, DOMAIN_FIELDS[:-1])
        if spec.available is False:
            after["available"] = False
        return Change(Action.CREATE, "domain", spec.name, after=after)

    def _initial(self, spec: HostSpec | DomainSpec, fields: Iterable[str]) -> dict[str, Any]:
        values = {name: getattr(spec, name) for name in fields}
        values["stack"] = self.stack
        return {name: _plain(value) for name, value in values.items() if value and not isinstance(value, Sentinel)}

    def change(self, spec: HostSpec, host: Host) -> Change | None:
        """What makes the host as it is declared, or None."""
        after = self.differences(spec, host)
        if not after:
            return None
        reason = self.obstacle(after)
        if reason:
            return self._anew(Action.REPLACE, spec, host, after, reason)
        action = Action.ADOPT if "stack" in after else Action.UPDATE
        return Change(action, "host", spec.fqdn, self._rests_on(host, after), after)

    def differences(self, spec: HostSpec, host: Host) -> dict[str, Any]:
        """The declared values that the host does not have."""
        after: dict[str, Any] = {}
        for name in self.declared:
            value = getattr(spec, name)
            observed = getattr(host, name)
            if value == observed or value is KEEP or value is DYNAMIC:
                continue
            # nobody knows whether there is a record to remove
            if not (value is None and observed is UNKNOWN):
                after[name] = _plain(value)
        if self.stack is not None and host.stack != self.stack:
            after["stack"] = self.stack
        return after

    def obstacle(self, after: dict[str, Any]) -> str:
        """Why the server cannot make the change in place, or nothing."""
        server, edits = self.capabilities.server, self.capabilities.edits
        fixed = [name for name in after if name not in edits]
        if fixed:
            return f"{server} cannot change {listed(fixed)} of a registered host"
        cleared = [name for name in _FAMILIES if name in after and after[name] is None]
        if cleared and not self.capabilities.clears:
            return f"{server} cannot remove {listed(cleared)} of a registered host"
        return ""

    def move(self, spec: HostSpec, source: Host) -> Change:
        """Give a registered host its new name, and what else is declared."""
        after = self.differences(spec, source)
        reason = self.obstacle(after)
        if "fqdn" not in self.capabilities.edits:
            reason = f"{self.capabilities.server} cannot rename a registered host"
        if reason:
            return self._anew(Action.MOVE, spec, source, after, reason)
        return Change(Action.MOVE, "host", spec.fqdn, self._rests_on(source, after), after, source.fqdn)

    def _anew(self, action: Action, spec: HostSpec, host: Host, after: dict[str, Any], reason: str) -> Change:
        before = self.observed(host)
        source = host.fqdn if action is Action.MOVE else None
        return Change(action, "host", spec.fqdn, before, {**before, **after}, source, spec.secret, reason)

    def rotate(self, name: str, spec: HostSpec | None) -> Change:
        """Make a new secret for a host, under the name and in the stack that it has by then."""
        secret = spec.secret if spec else None
        before = {} if self.stack is None else {"stack": self.stack}
        return Change(Action.ROTATE, "host", name, before, secret=secret)

    def delete(self, host: Host) -> Change:
        """Remove a host."""
        return Change(Action.DELETE, "host", host.fqdn, self.observed(host))

    def observed(self, host: Host) -> dict[str, Any]:
        """Every value that the server keeps and knows."""
        values = {name: getattr(host, name) for name in self.kept}
        return {name: _plain(value) for name, value in values.items() if value is not UNKNOWN}

    def _rests_on(self, host: Host | Domain, after: Iterable[str]) -> dict[str, Any]:
        # a thing that another stack has taken over is no longer ours to change
        names = after if self.stack is None else dict.fromkeys((*after, "stack"))
        values = {name: getattr(host, name) for name in names}
        return {name: _plain(value) for name, value in values.items() if value is not UNKNOWN}

    def change_domain(self, spec: DomainSpec, domain: Domain) -> Change | None:
        """What makes the domain as it is declared, or None."""
        values = {name: getattr(spec, name) for name in DOMAIN_FIELDS[:-1]}
        after = {name: v for name, v in values.items() if v is not KEEP and v != getattr(domain, name)}
        if self.stack is not None and domain.stack != self.stack:
            after["stack"] = self.stack
        if not after:
            return None
        action = Action.ADOPT if "stack" in after else Action.UPDATE
        return Change(action, "domain", spec.name, self._rests_on(domain, after), after)

    def delete_domain(self, domain: Domain) -> Change:
        """Remove a domain."""
        values = {name: getattr(domain, name) for name in DOMAIN_FIELDS}
        return Change(Action.DELETE, "domain", domain.name, values)


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    return value if value is None or isinstance(value, (str, int)) else dict(value)


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last
