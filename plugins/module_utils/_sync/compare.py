# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares one declared host or domain with the registered one. The caller has already checked who owns it."""

from __future__ import annotations

from typing import Any, Callable, Iterable, Mapping, Sequence

from . import records
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
    Key,
    KeySpec,
    Sentinel,
)

_FAMILIES = ("ipv4", "ipv6")
_PARTIAL: dict[str, Callable[[HostSpec, Host], dict[str, Any]]] = {
    "records": records.differing,
    "related": records.related_differing,
}
"""Fields of which a change has only a part."""


class Comparison:
    """Comparisons for one stack, one server and one user."""

    def __init__(self, stack: str | None, capabilities: Capabilities, user: str) -> None:
        self.stack, self.user = stack, user
        self.capabilities = capabilities
        self.kept = tuple(name for name in HOST_FIELDS if name in capabilities.fields)
        self.declared = tuple(name for name in self.kept if name != "stack")

    def create(self, spec: HostSpec) -> Change:
        """Register a host. Fields that are kept, dynamic or empty are left out."""
        return Change(Action.CREATE, "host", spec.fqdn, after=self._initial(spec, self.declared), secret=spec.secret)

    def create_domain(self, spec: DomainSpec) -> Change:
        """Create a domain."""
        after = self._initial(spec, DOMAIN_FIELDS[:-1])
        after.update({name: False for name in ("available", "dns_updates") if getattr(spec, name) is False})
        return Change(Action.CREATE, "domain", spec.name, after=after, key_file=_key_file(spec, after))

    def _initial(self, spec: HostSpec | DomainSpec, fields: Iterable[str]) -> dict[str, Any]:
        values = {name: getattr(spec, name) for name in fields}
        if isinstance(spec, HostSpec):
            values["records"] = records.initial(spec) if "records" in values else {}
            named = {} if isinstance(spec.related, Sentinel) or "related" not in values else spec.related
            values["related"] = {label: one for label, one in named.items() if one is not None}
        values["stack"] = self.stack
        return {name: _plain(value) for name, value in values.items() if value and not isinstance(value, Sentinel)}

    def change(self, spec: HostSpec, host: Host) -> Change | None:
        """The change that makes the host equal to its declaration, or None."""
        after = self.differences(spec, host)
        if not after:
            return None
        reason = self.reason_to_replace(after)
        if reason:
            return self._register_again(Action.REPLACE, spec, host, after, reason)
        action = Action.ADOPT if {"stack", "owner"} & after.keys() else Action.UPDATE
        return Change(action, "host", spec.fqdn, self._preconditions(host, after), after)

    def after_move(self, spec: HostSpec, host: Host) -> Change | None:
        """What is changed after a rename: RRsets, related names, and an alias in place of these. None: nothing."""
        after = {name: value for name, value in self.differences(spec, host).items() if name in _later(spec, host)}
        if not after:
            return None
        return Change(Action.UPDATE, "host", spec.fqdn, self._preconditions(host, after), after)

    def differences(self, spec: HostSpec, host: Host) -> dict[str, Any]:
        """The declared values that the host does not have."""
        after: dict[str, Any] = {}
        for name in self.declared:
            if name in _PARTIAL:
                after.update({name: changed} if (changed := _PARTIAL[name](spec, host)) else {})
                continue
            value = getattr(spec, name)
            observed = getattr(host, name)
            if value == observed or value is KEEP or value is DYNAMIC:
                continue
            # whether there is an address to remove is unknown
            if not (value is None and observed is UNKNOWN):
                after[name] = _plain(value)
        if self.stack is not None and host.stack != self.stack:
            after["stack"] = self.stack
        if not host.own:
            after["owner"] = self.user
        return after

    def reason_to_replace(self, after: dict[str, Any]) -> str:
        """Why the server cannot make the change in place; empty if it can."""
        server, edits = self.capabilities.server, self.capabilities.edits
        fixed = [name for name in after if name not in edits]
        if fixed:
            return f"{server} cannot change {listed(fixed)} of a registered host"
        cleared = [name for name in _FAMILIES if name in after and after[name] is None]
        if cleared and not self.capabilities.clears:
            return f"{server} cannot remove {listed(cleared)} of a registered host"
        return ""

    def move(self, spec: HostSpec, source: Host) -> Change:
        """Rename a registered host, with its other changes."""
        later = _later(spec, source)
        after = {name: value for name, value in self.differences(spec, source).items() if name not in later}
        reason = self.reason_to_replace(after)
        if "fqdn" not in self.capabilities.edits:
            reason = f"{self.capabilities.server} cannot rename a registered host"
        if reason:
            return self._register_again(Action.MOVE, spec, source, after, reason)
        return Change(Action.MOVE, "host", spec.fqdn, self._preconditions(source, after), after, source.fqdn)

    def _register_again(self, action: Action, spec: HostSpec, host: Host, after: dict[str, Any], reason: str) -> Change:
        before = self.observed(host)
        source = host.fqdn if action is Action.MOVE else None
        return Change(action, "host", spec.fqdn, before, {**before, **after}, source, spec.secret, reason)

    def rotate(self, name: str, spec: HostSpec | None, reason: str = "") -> Change:
        """Make a new secret for a host, under its name after the plan."""
        secret = spec.secret if spec else None
        before = {} if self.stack is None else {"stack": self.stack}
        return Change(Action.ROTATE, "host", name, before, secret=secret, reason=reason)

    def delete(self, host: Host) -> Change:
        """Delete a host."""
        return Change(Action.DELETE, "host", host.fqdn, self.observed(host))

    def observed(self, host: Host) -> dict[str, Any]:
        """All fields that the server stores and can tell, except RRsets and related names.

        `removes` of a deletion has these.
        """
        values = {name: getattr(host, name) for name in self.kept if name not in _PARTIAL}
        return {name: _plain(value) for name, value in values.items() if value is not UNKNOWN}

    def _preconditions(self, host: Host | Domain, after: Mapping[str, Any]) -> dict[str, Any]:
        # with the stack: another stack may adopt it before the change is made
        names = after if self.stack is None else dict.fromkeys((*after, "stack"))
        values = {name: getattr(host, name) for name in names}
        for name in _PARTIAL.keys() & after.keys():
            values[name] = records.chosen(values[name], after[name])
        return {name: _plain(value) for name, value in values.items() if value is not UNKNOWN}

    def change_domain(self, spec: DomainSpec, domain: Domain) -> Change | None:
        """The change that makes the domain equal to its declaration, or None."""
        values = {name: getattr(spec, name) for name in DOMAIN_FIELDS[:-1]}
        after = {name: v for name, v in values.items() if v is not KEEP and v != getattr(domain, name)}
        if self.stack is not None and domain.stack != self.stack:
            after["stack"] = self.stack
        if spec.owner is KEEP and not domain.own and spec.adopt_from == domain.owner:
            after["owner"] = self.user
        if not after:
            return None
        taken = "owner" in after and not domain.own
        action = Action.ADOPT if taken or "stack" in after else Action.UPDATE
        before = self._preconditions(domain, after)
        return Change(action, "domain", spec.name, before, after, key_file=_key_file(spec, after))

    def key(self, spec: KeySpec, key: Key | None, changes: Sequence[Change]) -> Change | None:
        """The change that makes the key as declared, after the other changes; None if it is."""
        if key is None:
            after = {"hosts": list(spec.hosts), **({} if self.stack is None else {"stack": self.stack})}
            return Change(Action.CREATE, "key", spec.name, after=after, secret=spec.secret)
        hosts = _hosts_then(key, changes)
        if hosts == list(spec.hosts):
            return None
        before = {"login": key.login, "hosts": hosts}
        return Change(Action.UPDATE, "key", spec.name, before, {"hosts": list(spec.hosts)})

    def delete_key(self, key: Key) -> Change:
        """Delete a key."""
        return Change(Action.DELETE, "key", key.name, {"login": key.login})

    def delete_domain(self, domain: Domain) -> Change:
        """Delete a domain."""
        values = {name: getattr(domain, name) for name in DOMAIN_FIELDS}
        return Change(Action.DELETE, "domain", domain.name, values)


def _hosts_then(key: Key, changes: Iterable[Change]) -> list[str]:
    """The hosts of a key once these changes are made: renamed hosts stay in it, and deleted ones do not."""
    renamed = {change.source: change.name for change in changes if change.source and not change.reason}
    gone = {change.source or change.name for change in changes if change.action is Action.DELETE or change.reason}
    return sorted({renamed.get(host, host) for host in key.hosts if host not in gone})


def _key_file(spec: DomainSpec, after: Mapping[str, Any]) -> str:
    return spec.key_file or "" if "key" in after else ""


def _plain(value: Any) -> Any:
    """The value as JSON."""
    return value if value is None or isinstance(value, (str, int, list)) else dict(value)


def _later(spec: HostSpec, host: Host) -> frozenset[str]:
    """The fields that cannot be changed in the call that renames the host."""
    if isinstance(spec.alias, str) and any(differing(spec, host) for differing in _PARTIAL.values()):
        return frozenset((*_PARTIAL, *_FAMILIES, "alias", "wildcard"))
    return frozenset(_PARTIAL)


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last
