# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server has after a plan, by the meaning of each change alone."""

from dataclasses import replace
from typing import Any

from ddnsctl.sync.model import Domain, Host, Key, Registered
from ddnsctl.sync.plan import Action, Change, Plan


def applied(registered: Registered, plan: Plan) -> Registered:
    """Carries out the changes in order; a change that cannot be carried out is an error."""
    hosts, domains, keys = dict(registered.hosts), dict(registered.domains), list(registered.keys)
    for change in plan.changes:
        if change.kind == "host":
            _apply_to_host(hosts, change)
        elif change.kind == "key":
            _apply_to_key(keys, change)
        else:
            _apply_to_domain(domains, change, hosts, registered.user)
    return Registered(hosts, domains, registered.user, tuple(keys))


def _apply_to_key(keys: list[Key], change: Change) -> None:
    if change.action is Action.CREATE:
        keys.append(Key(change.name, f"k-new-{len(keys)}", tuple(change.after["hosts"]), change.after.get("stack")))
        return
    (old,) = (key for key in keys if key.login == change.before["login"])
    keys.remove(old)
    if change.action is not Action.DELETE:
        keys.append(replace(old, hosts=tuple(change.after["hosts"])))


def _check(change: Change, found: Host | Domain) -> None:
    observed = {name: getattr(found, name) for name in change.before}
    assert observed == dict(change.before), "a precondition does not hold"


def _apply_to_host(hosts: dict[str, Host], change: Change) -> None:
    after: dict[str, Any] = dict(change.after)
    if change.action is Action.CREATE:
        assert change.name not in hosts
        hosts[change.name] = Host(change.name, change.name.partition(".")[2], dns="current", **after)
        return
    old = hosts.pop(change.source or change.name)
    _check(change, old)
    if change.action is Action.DELETE:
        return
    assert change.name not in hosts
    if change.action is Action.REPLACE or (change.action is Action.MOVE and change.reason):
        hosts[change.name] = Host(change.name, old.domain, dns="current", **after)
    else:
        hosts[change.name] = replace(old, fqdn=change.name, own=old.own or "owner" in after, **after)


def _apply_to_domain(domains: dict[str, Domain], change: Change, hosts: dict[str, Host], user: str) -> None:
    own = {"own": change.after["owner"] == user} if "owner" in change.after else {}
    if change.action is Action.CREATE:
        assert change.name not in domains
        domains[change.name] = Domain(change.name, **change.after, **own)
        return
    _check(change, domains[change.name])
    if change.action is Action.DELETE:
        assert not any(host.domain == change.name for host in hosts.values())
        del domains[change.name]
    else:
        domains[change.name] = replace(domains[change.name], **change.after, **own)
