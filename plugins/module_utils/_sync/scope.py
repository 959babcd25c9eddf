# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a plan needs to know: the declared names and the stack, not everything that is registered."""

from __future__ import annotations

from dataclasses import replace

from .api import Server, Stacks
from .model import Declaration, Registered
from .plan import Options


def read(server: Server, declaration: Declaration, options: Options) -> Registered:
    """The hosts that a plan of this declaration is about, and all domains. Raises ServerError.

    These are the declared ones with their former names, those of the stack, and those in domains that may be deleted.
    The caller's keys are read if keys are declared, or may be deleted.
    """
    found = server.registered(_names(declaration, options), declaration.stack)
    if server.stacks is not None and declaration.stack is not None:
        found = _with_stacks(server, server.stacks, declaration, options, found)
    if unused := _to_delete(declaration, options, found):
        found = replace(found, hosts={**server.registered((), domains=unused).hosts, **found.hosts})
    deletes = (options.prune or options.destroy) and declaration.stack is not None
    if server.capabilities.keys and (declaration.keys or deletes):
        found = replace(found, keys=server.registered_keys())
    return found


def _with_stacks(
    server: Server, stacks: Stacks, declaration: Declaration, options: Options, found: Registered
) -> Registered:
    """What is registered, with the hosts of the stack's former name, and with its rules if they matter."""
    names = [name for name in (declaration.stack, declaration.moved_from) if name is not None]
    hosts = found.hosts
    if declaration.moved_from is not None:
        hosts = {**server.registered((), declaration.moved_from).hosts, **hosts}
    matter = options.prune or options.destroy or declaration.protect is not None or declaration.gives is not None
    rules = {name: rule for name in names if (rule := stacks.rules(name)) is not None} if matter else {}
    return replace(found, hosts=hosts, stacks=rules)


def _names(declaration: Declaration, options: Options) -> set[str]:
    specs = declaration.hosts.values()
    return {*declaration.hosts, *options.rotate, *(spec.moved_from for spec in specs if spec.moved_from)}


def _to_delete(declaration: Declaration, options: Options, registered: Registered) -> list[str]:
    """The domains that the plan may delete, if no host is in them."""
    if options.destroy and declaration.stack is None:
        return sorted(declaration.domains.keys() & registered.domains.keys())
    if not (options.destroy or options.prune) or declaration.stack is None:
        return []
    return sorted(
        name
        for name, domain in registered.domains.items()
        if domain.own and domain.stack == declaration.stack and (options.destroy or name not in declaration.domains)
    )
