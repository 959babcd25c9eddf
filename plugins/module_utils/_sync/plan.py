# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared × registered → plan.

The table of cases, which is also that of the tests. `own` is registered for the declaration's stack, `foreign` for
another one or for none; a declaration without a stack takes every registered host of the caller for its own, and every
domain. What another user owns, which an administrator's token sees, is never changed, whatever its stack says.
`fixed` is a server that does not change this field in place.

    declared                  registered           server   options   plan
    ------------------------  -------------------  -------  --------  ---------------------
    host                      -                    any      -         create
    host                      own, equal           any      -         -
    host                      own, differs         edits    -         update
    host                      own, differs         fixed    -         replace
    host, address to remove   own, has it          edits    -         update
    host, address to remove   own, has it          fixed    -         replace
    host, address to remove   own, unknown         any      -         -, drift unknown
    host, address             own, unknown         any      -         update, drift unknown
    host, dynamic             -                    any      -         create without address
    host, dynamic             own, has another     any      -         -
    host, dynamic             own, unknown         any      -         -, drift unknown
    host, nothing named       own, has any         any      -         -
    host                      own, DNS behind      edits    -         -, drift dns
    host                      own, DNS refuses     edits    -         -, drift dns
    host, TTL                 any                  fixed    -         NotSupported
    host                      foreign, equal       any      -         Conflicts
    host                      no stack, equal      any      -         Conflicts
    host, adopt               foreign, equal       edits    -         adopt
    host, adopt               no stack, equal      edits    -         adopt
    host, adopt               foreign, differs     edits    -         adopt
    host, adopt               foreign, equal       fixed    -         replace
    host, adopt               own, equal           any      -         -
    host, no stack declared   -                    any      -         create
    host, no stack declared   foreign, equal       any      -         -
    host, no stack declared   foreign, differs     edits    -         update
    host                      another user's       any      -         Conflicts
    host, adopt               another user's       any      -         Conflicts
    host, no stack declared   another user's       any      -         Conflicts
    -                         own                  any      -         -, note
    -                         own                  any      prune     delete
    -                         foreign              any      prune     -
    -                         another user's       any      prune     -, note
    -                         another user's       any      -         -, note
    no stack declared         own                  any      prune     -, note
    host, moved               old own              edits    -         move
    host, moved               old own              fixed    -         move anew
    host, moved               old own, differs     edits    -         move
    host, moved               old gone             any      -         create
    host, moved               new own              any      -         -
    host, moved               both own             any      -         -, note
    host, moved               both own             any      prune     delete old
    host, moved               old foreign          any      -         Conflicts
    host, moved, adopt        old foreign          edits    -         move
    host, moved               old foreign new own  any      -         -
    host, moved               old another user's   any      -         Conflicts
    host, moved, adopt        old another user's   any      -         Conflicts
    host                      own, equal           any      rotate    rotate
    host                      own, differs         edits    rotate    update, rotate
    host                      own, differs         fixed    rotate    replace
    host                      -                    any      rotate    create
    -                         own                  any      rotate    rotate, note
    -                         foreign              any      rotate    Conflicts
    -                         another user's       any      rotate    Conflicts
    -                         -                    any      rotate    DeclarationError
    host                      own, differs         any      destroy   delete
    host                      foreign, equal       any      destroy   -, note
    -                         own                  any      destroy   delete
    no stack declared         foreign              any      destroy   -
    host, no stack declared   foreign, equal       any      destroy   delete
    host                      another user's       any      destroy   -, note
    -                         another user's       any      destroy   -, note
    host, no stack declared   another user's       any      destroy   -, note
    domain                    -                    edits    -         create
    domain                    own, equal           edits    -         -
    domain                    own, differs         edits    -         update
    domain                    any                  fixed    -         NotSupported
    domain                    foreign, equal       edits    -         Conflicts
    domain, adopt             foreign, equal       edits    -         adopt
    domain                    another's domain     edits    -         Conflicts
    domain, adopt             another's domain     edits    -         Conflicts
    domain, no stack declared another's domain     edits    -         update
    -                         own domain           edits    -         -, note
    -                         own domain           edits    prune     delete
    -                         own domain in use    edits    prune     -, note
    -                         foreign domain       edits    prune     -
    -                         another's domain     edits    prune     -, note
    domain                    own, equal           edits    destroy   delete
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import AbstractSet, Any, Iterable, Mapping

from .changes import Action as Action
from .changes import Change as Change
from .changes import Drift as Drift
from .compare import Comparison, listed
from .errors import Conflicts, DeclarationError, NotSupported, Problem
from .model import (
    HOST_FIELDS,
    UNKNOWN,
    Capabilities,
    Declaration,
    Domain,
    DomainSpec,
    Host,
    HostSpec,
    Registered,
    Sentinel,
)
from .policy import Limits


@dataclass(frozen=True)
class Plan:
    """Changes in the order in which they are applied, and what else there is to say."""

    changes: tuple[Change, ...] = ()
    drift: tuple[Drift, ...] = ()
    notes: tuple[Problem, ...] = ()
    unchanged: int = 0
    server: str = ""
    stack: str | None = None


@dataclass(frozen=True)
class Options:
    """How a plan is made."""

    prune: bool = False
    """Delete the stack's hosts and domains that are no longer declared."""
    destroy: bool = False
    """Delete everything of the stack; without a stack, the declared hosts and domains. No limit applies."""
    rotate: tuple[str, ...] = ()
    """Hosts that get a new secret, by full name."""
    limits: Limits = field(default_factory=Limits)


def make(declaration: Declaration, registered: Registered, capabilities: Capabilities, options: Options) -> Plan:
    """The plan that makes what is registered equal to what is declared.

    Raises NotSupported, Conflicts, Unsafe, and DeclarationError for a host to rotate that is not there.
    """
    making = PlanBuilder(declaration, registered, capabilities, options)
    making.unsupported()
    if options.destroy:
        making.destroy()
    else:
        making.domains()
        making.hosts()
        making.undeclared()
        making.rotations()
    return making.plan()


_DNS = {"pending": "DNS does not answer with it yet", "conflict": "DNS refuses it"}


class PlanBuilder:
    """A plan in the making."""

    def __init__(
        self, declaration: Declaration, registered: Registered, capabilities: Capabilities, options: Options
    ) -> None:
        self.declared, self.registered = declaration, registered
        self.capabilities, self.options = capabilities, options
        self.stack = declaration.stack
        self.compare = Comparison(declaration.stack, capabilities)
        self.changes: list[Change] = []
        self.drift: list[Drift] = []
        self.notes: list[Problem] = []
        self.conflicts: list[Problem] = []
        self.gone: set[str] = set()
        """Names of hosts that the plan takes away: deleted, or moved elsewhere."""

    def unsupported(self) -> None:
        """Raises NotSupported for what the server cannot keep."""
        server, missing = self.capabilities.server, [f for f in HOST_FIELDS if f not in self.capabilities.fields]
        problems = []
        if self.stack is not None and "stack" in missing:
            problems.append(Problem(f"{server} keeps no stack", self.declared.where, "remove `stack`"))
        for spec in self.declared.hosts.values() if missing else ():
            fields = [f for f in missing if f != "stack" and _says_something(getattr(spec, f))]
            if fields:
                text = f"{spec.fqdn}: {server} keeps no {listed(fields)}"
                problems.append(Problem(text, spec.where, f"remove `{'`, `'.join(fields)}`"))
        for domain in () if self.capabilities.domains else self.declared.domains.values():
            text = f"{domain.name}: {server} cannot create or change domains"
            problems.append(Problem(text, domain.where, "remove it from `domains`"))
        if problems:
            raise NotSupported(problems)

    def owns(self, thing: Host | Domain) -> bool:
        """Whether the declaration may change it without adopting it."""
        if self.stack is None:  # what an administrator names is theirs to change where it is a domain
            return thing.own or isinstance(thing, Domain)
        return thing.own and thing.stack == self.stack

    def may_change(self, spec: HostSpec | DomainSpec, thing: Host | Domain) -> bool:
        """Whether the declaration may change it, by adopting it if need be: never what another user owns."""
        return self.owns(thing) or (thing.own and spec.adopt)

    def in_stack(self, thing: Host | Domain) -> bool:
        """Whether the stack made it or took it over."""
        return thing.own and self.stack is not None and thing.stack == self.stack

    def add(self, change: Change | None) -> None:
        """Keep a change, if there is one."""
        if change is not None:
            self.changes.append(change)

    def domains(self) -> None:
        """Declared domains."""
        for name, spec in sorted(self.declared.domains.items()):
            domain = self.registered.domains.get(name)
            if domain is None:
                self.add(self.compare.create_domain(spec))
            elif self.may_change(spec, domain):
                self.add(self.compare.change_domain(spec, domain))
            else:
                self.conflict(spec, domain)

    def hosts(self) -> None:
        """Declared hosts."""
        for name, spec in sorted(self.declared.hosts.items()):
            host = self.registered.hosts.get(name)
            if host is None:
                self.add(self.new(spec))
            elif self.may_change(spec, host):
                self.note_drift(host)
                self.add(self.compare.change(spec, host))
                self.remains(spec)
            else:
                self.conflict(spec, host)

    def conflict(self, spec: HostSpec | DomainSpec, thing: Host | Domain, *, moved: bool = False) -> None:
        """Keep that a declared thing is somebody else's."""
        owner = f"belongs to stack {thing.stack}" if thing.stack else "belongs to no stack"
        hint = "`adopt: true` takes it over"
        if not thing.own:
            owner, hint = f"belongs to the user {thing.owner}", _way_to(thing)
        name = thing.fqdn if isinstance(thing, Host) else thing.name
        role = "the former name " if moved else ""
        self.conflicts.append(Problem(f"{role}{name} is registered already and {owner}", spec.where, hint))

    def new(self, spec: HostSpec) -> Change | None:
        """A host that is not registered under its name: moved, or created."""
        source = self.registered.hosts.get(spec.moved_from) if spec.moved_from else None
        self.locate(spec)
        if source is None or source.fqdn in self.gone or source.fqdn in self.declared.hosts:
            return self.compare.create(spec)
        if not self.may_change(spec, source):
            self.conflict(spec, source, moved=True)
            return None
        self.gone.add(source.fqdn)
        return self.compare.move(spec, source)

    def locate(self, spec: HostSpec) -> None:
        """Note a new host that lies in no domain of the server, where the domains are known."""
        known = {**self.registered.domains, **self.declared.domains}
        if self.registered.domains and _domain_of(spec.fqdn, known) is None:
            hint = f"it offers {', '.join(sorted(known)[:5])}"
            self.notes.append(Problem(f"{spec.fqdn} lies in no domain that the server offers", spec.where, hint))

    def note_drift(self, host: Host) -> None:
        """Keep what is not as it should be with a declared host."""
        if host.dns in _DNS:
            self.drift.append(Drift("dns", host.fqdn, host.conflict or _DNS[host.dns]))
        unknown = [family for family in ("ipv4", "ipv6") if getattr(host, family) is UNKNOWN]
        if unknown:
            self.drift.append(Drift("unknown", host.fqdn, f"the server could not say the {listed(unknown)} address"))

    def remains(self, spec: HostSpec) -> None:
        """Note a former name that is still registered beside the new one."""
        source = self.registered.hosts.get(spec.moved_from) if spec.moved_from else None
        if source is not None and self.owns(source) and not (self.options.prune and self.in_stack(source)):
            text = f"{spec.fqdn} and its former name {source.fqdn} are both registered"
            self.notes.append(Problem(text, spec.where, "nothing is moved; delete the old one if it is not in use"))

    def undeclared(self) -> None:
        """What is the stack's and no longer declared."""
        left = set(self.declared.hosts) | self.gone
        hosts = sorted(n for n, h in self.registered.hosts.items() if self.in_stack(h) and n not in left)
        domains = sorted(n for n, d in self.registered.domains.items() if self.in_stack(d))
        domains = [name for name in domains if name not in self.declared.domains]
        self.note_scope(hosts)
        self.note_labelled(left | set(self.declared.domains))
        if self.options.prune:
            self.delete(hosts, domains)
            if self.stack is None:
                self.note("nothing is pruned: the declaration names no stack", "set `stack`")
        elif hosts or domains:
            text = f"{len(hosts) + len(domains)} of stack {self.stack} are registered and not declared: "
            self.note(text + _some([*hosts, *domains]), "`--prune` would remove them")

    def note(self, text: str, hint: str = "") -> None:
        """Keep something to be said of the whole."""
        self.notes.append(Problem(text, self.declared.where, hint))

    def note_scope(self, undeclared: Iterable[str]) -> None:
        """Note each domain in which the stack has hosts and declares none any more."""
        counts: dict[str, int] = {}
        for name in undeclared:
            domain = self.registered.hosts[name].domain
            counts[domain] = counts.get(domain, 0) + 1
        for domain, count in sorted(counts.items()):
            if not any(name.endswith("." + domain) for name in self.declared.hosts):
                text = f"no host in {domain} is declared any more; stack {self.stack} has {count} there"
                self.note(text, "is a file or a domain missing from the declaration?")

    def note_labelled(self, judged: AbstractSet[str]) -> None:
        """Note what carries the stack's label and belongs to other users, but for names that are judged elsewhere."""
        things: dict[str, Host | Domain] = {**self.registered.domains, **self.registered.hosts}
        labelled = [
            f"{name} ({thing.owner})"
            for name, thing in sorted(things.items())
            if self.stack is not None and thing.stack == self.stack and not thing.own and name not in judged
        ]
        if labelled:
            text = f"left alone, since other users own it although it is labelled with stack {self.stack}: "
            self.note(text + _some(labelled))

    def delete(self, hosts: Iterable[str], domains: Iterable[str]) -> None:
        """Delete hosts, and those domains in which no host is left."""
        for name in hosts:
            self.gone.add(name)
            self.add(self.compare.delete(self.registered.hosts[name]))
        used = self.domains_in_use() if domains else {}
        for name in domains:
            if name in used:
                self.note(f"domain {name} is kept: it has hosts, such as {used[name]}")
            else:
                self.add(self.compare.delete_domain(self.registered.domains[name]))

    def domains_in_use(self) -> dict[str, str]:
        """Domain → a host that is in it after the plan."""
        known = {**self.registered.domains, **self.declared.domains}
        new = [change.name for change in self.changes if change.kind == "host" and change.name not in self.gone]
        left = {_domain_of(name, known) or "": name for name in new}
        return {**left, **{h.domain: n for n, h in sorted(self.registered.hosts.items()) if n not in self.gone}}

    def rotations(self) -> None:
        """New secrets for hosts that get none anyway."""
        fresh = {change.name for change in self.changes if change.makes_secret}
        former = {change.name: change.source for change in self.changes if change.source}
        problems = []
        for name in sorted(set(self.options.rotate) - fresh):
            spec = self.declared.hosts.get(name)
            host = self.registered.hosts.get(former.get(name) or name)
            if host is None or name in self.gone:
                problems.append(
                    Problem(f"{name} cannot get a new secret: it is not registered", None, "check the name")
                )
            elif self.may_change(spec or HostSpec(name), host):
                self.add(self.compare.rotate(name, spec))
            elif spec is None:
                self.conflict(HostSpec(name), host)
        if problems:
            raise DeclarationError(problems)

    def destroy(self) -> None:
        """Everything of the stack; without a stack, everything declared."""
        self.note_labelled({*self.declared.hosts, *self.declared.domains})
        hosts = self.doomed(self.registered.hosts, self.declared.hosts)
        domains = self.doomed(self.registered.domains, self.declared.domains)
        self.delete(hosts, domains)

    def doomed(self, registered: Mapping[str, Any], declared: Mapping[str, Any]) -> list[str]:
        """Names to delete; says which of the declared ones are somebody else's."""
        there = {name: registered[name] for name in declared if name in registered}
        others = {name: thing for name, thing in there.items() if not (thing.own or self.owns(thing))}
        if others:
            named = _some(f"{name} ({thing.owner})" for name, thing in sorted(others.items()))
            self.note(f"not deleted, as other users own them: {named}", _way_to(next(iter(others.values()))))
        if self.stack is None:
            return sorted(there.keys() - others.keys())
        foreign = sorted(name for name in there.keys() - others.keys() if not self.in_stack(there[name]))
        if foreign:
            self.note(f"not deleted, as they are not of stack {self.stack}: {_some(foreign)}")
        return sorted(name for name, thing in registered.items() if self.in_stack(thing))

    def plan(self) -> Plan:
        """The plan in its order. Raises Conflicts, Unsafe."""
        if self.conflicts:
            raise Conflicts(self.conflicts)
        if not self.options.destroy:
            self.check_limits()
        touched = {(change.kind, change.name) for change in self.changes}
        hosts = sum(("host", name) not in touched for name in self.declared.hosts)
        domains = sum(("domain", name) not in touched for name in self.declared.domains)
        unchanged = 0 if self.options.destroy else hosts + domains
        changes = tuple(sorted(self.changes, key=_order))
        notes, server = tuple(self.notes), self.capabilities.server
        return Plan(changes, tuple(self.drift), notes, unchanged, server, self.stack)

    def check_limits(self) -> None:
        """Raises Unsafe."""
        hosts = [change for change in self.changes if change.kind == "host"]
        deleted = [change.name for change in hosts if change.action is Action.DELETE]
        anew = [change.name for change in hosts if change.reason]
        added = sum(change.action in (Action.CREATE, Action.ADOPT) for change in hosts)
        registered = sum(map(self.in_stack, self.registered.hosts.values()))
        if self.stack is None:
            registered = sum(name in self.registered.hosts for name in self.declared.hosts)
        self.options.limits.check(deleted, anew, registered=registered, added=added)


_RANKS = {
    ("host", Action.DELETE): 1,
    ("host", Action.MOVE): 2,
    ("host", Action.REPLACE): 3,
    ("host", Action.CREATE): 4,
    ("domain", Action.DELETE): 6,
}


def _order(change: Change) -> tuple[int, str, bool]:
    rank = _RANKS.get((change.kind, change.action), 0 if change.kind == "domain" else 5)
    return rank, change.name, change.action is Action.ROTATE


def _way_to(thing: Host | Domain) -> str:
    """What to do about a thing that another user owns."""
    return f"use a token of {thing.owner}, or have an administrator change the owner first"


def _says_something(value: Any) -> bool:
    return bool(value) and not isinstance(value, Sentinel)


def _domain_of(fqdn: str, domains: Iterable[str]) -> str | None:
    """The nearest of the domains above a name."""
    above = fqdn
    while above:
        above = above.partition(".")[2]
        if above in domains:
            return above
    return None


def _some(names: Iterable[str]) -> str:
    first = list(names)
    return ", ".join(first[:5]) + (f" and {len(first) - 5} more" if len(first) > 5 else "")
