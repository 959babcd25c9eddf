# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the declaration with what is registered, and makes the plan.

The table lists all cases; the tests use it. `own` is registered for the declaration's stack, `foreign` for another
stack or none. For a declaration without a stack, all registered hosts of the caller and all domains are own. Hosts and
domains of other users, which an administrator's token sees, are not changed, whatever their stack is; only `adopt_from`
(from bob) takes a host of this user over. `fixed` is a server that cannot change the field in place.

    declared                  registered           server   options   plan
    ------------------------  -------------------  -------  --------  ---------------------
    host                      -                    any      -         create
    host                      own, equal           any      -         -
    host                      own, differs         edits    -         update
    host                      own, differs         fixed    -         replace
    host                      own, protected       any      -         -
    host, unprotected         own, protected       edits    -         update
    host, protected           own                  edits    -         update
    host, protected           any                  fixed    -         NotSupported
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
    host, alias               any                  fixed    -         NotSupported
    host, several addresses   any                  fixed    -         NotSupported
    host, alias               own, has it          edits    -         update
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
    host, from bob            another user's       edits    -         adopt, rotate
    host, from bob            another user's       edits    rotate    adopt, rotate
    host, from bob            own, equal           any      -         -
    host, from bob            foreign, equal       any      -         Conflicts
    host, from bob            -                    any      -         create
    host, from bob            another user's       any      destroy   -, note
    host, from bob            another user's       fixed    -         Conflicts
    host, from ann            another user's       any      -         Conflicts
    -                         own                  any      -         -, note
    -                         own                  any      prune     delete
    -                         own, protected       any      prune     Unsafe
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
    host, moved, from bob     old another user's   any      -         Conflicts
    host                      own, equal           any      rotate    rotate
    host                      own, differs         edits    rotate    update, rotate
    host                      own, differs         fixed    rotate    replace
    host                      -                    any      rotate    create
    -                         own                  any      rotate    rotate, note
    -                         foreign              any      rotate    Conflicts
    -                         another user's       any      rotate    Conflicts
    -                         -                    any      rotate    DeclarationError
    host                      own, differs         any      destroy   delete
    host                      own, protected       any      destroy   Unsafe
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
    domain, owner bob         -                    edits    -         create
    domain, owner bob         own, equal           edits    -         update
    domain, owner bob         another's domain     edits    -         update
    domain, owner ann         another's domain     edits    -         Conflicts
    domain, from bob to ann   another's domain     edits    -         adopt
    domain, from bob          another's domain     edits    -         adopt
    -                         own domain           edits    -         -, note
    -                         own domain           edits    prune     delete
    -                         own domain in use    edits    prune     -, note
    -                         foreign domain       edits    prune     -
    -                         another's domain     edits    prune     -, note
    domain                    own, equal           edits    destroy   delete
    key                       -                    edits    -         create
    key                       own key              edits    -         -
    key                       own key, other host  edits    -         update
    key                       foreign key          edits    -         create
    key                       two own keys         edits    -         Conflicts
    key                       any key              fixed    -         NotSupported
    key, no stack declared    foreign key          edits    -         -
    -                         own key              edits    -         -, note
    -                         own key              edits    prune     delete
    -                         foreign key          edits    prune     -
    -                         own key              edits    destroy   delete
    key, no stack declared    foreign key          edits    destroy   delete
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import AbstractSet, Any, Iterable, Mapping

from . import records, selection, stack_changes
from .changes import Action as Action
from .changes import Change as Change
from .changes import Drift as Drift
from .compare import Comparison, listed
from .errors import Conflicts, DeclarationError, NotSupported, Problem, Unsafe
from .model import (
    HOST_FIELDS,
    STACK_FIELDS,
    UNKNOWN,
    Capabilities,
    Declaration,
    Domain,
    DomainSpec,
    Host,
    HostSpec,
    Key,
    Registered,
    Sentinel,
)
from .policy import Limits


@dataclass(frozen=True)
class Plan:
    """Changes in the order in which they are applied, drift, and notes."""

    changes: tuple[Change, ...] = ()
    drift: tuple[Drift, ...] = ()
    notes: tuple[Problem, ...] = ()
    unchanged: int = 0
    """The number of declared hosts and domains that match."""
    server: str = ""
    stack: str | None = None
    refusals: tuple[Problem, ...] = ()
    """Why it cannot be applied."""
    unchanged_domains: int = 0
    """How many of the unchanged are domains."""


@dataclass(frozen=True)
class Options:
    """Options for a plan."""

    prune: bool = False
    """Delete the stack's hosts and domains that are no longer declared."""
    destroy: bool = False
    """Delete everything in the stack, or without a stack all declared hosts and domains. Limits do not apply."""
    rotate: tuple[str, ...] = ()
    """Full names of hosts that get a new secret."""
    limits: Limits = field(default_factory=Limits)
    max_changes: Limits | None = None
    """Instead of the declaration's."""
    only: tuple[str, ...] = ()
    """Patterns of names: all others are neither changed nor deleted. Empty: all names."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why hosts get a new secret, by full name, if there is a reason."""


def make(declaration: Declaration, registered: Registered, capabilities: Capabilities, options: Options) -> Plan:
    """Make the plan. Raises NotSupported, Conflicts, Unsafe, and DeclarationError if a host to rotate is missing."""
    builder = PlanBuilder(declaration, registered, capabilities, options)
    builder.unsupported()
    if options.destroy:
        builder.destroy()
    else:
        builder.domains()
        builder.hosts()
        builder.undeclared()
        builder.rotations()
        builder.keys()
    return builder.plan()


_ADDRESSED = frozenset({"ipv4", "ipv6"})
_DNS = {"pending": "not in DNS yet", "conflict": "refused by the name server"}


class PlanBuilder:
    """Collects the changes, drift and notes of a plan."""

    def __init__(
        self, declaration: Declaration, registered: Registered, capabilities: Capabilities, options: Options
    ) -> None:
        self.all_declared, self.found = declaration, registered
        """`found` is what is registered before a new name of the stack, `registered` after it."""
        of_stack = stack_changes.StackPlan(None, registered)
        if not (options.destroy or options.only):
            of_stack = stack_changes.plan(declaration, registered)
        self.registered = of_stack.registered
        self.declared = selection.declared(declaration, options.only)
        self.capabilities, self.options = capabilities, options
        self.stack = declaration.stack
        self.compare = Comparison(declaration.stack, capabilities, registered.user)
        self.changes: list[Change] = [of_stack.change] if of_stack.change else []
        self.drift: list[Drift] = []
        self.notes: list[Problem] = list(of_stack.notes)
        self.conflicts: list[Problem] = []
        self.gone: set[str] = set()
        """Names that the plan frees: hosts that are deleted or moved."""

    def unsupported(self) -> None:
        """Raises NotSupported if the server cannot store a declared field."""
        server, missing = self.capabilities.server, [f for f in HOST_FIELDS if f not in self.capabilities.fields]
        problems = []
        if self.stack is not None and "stack" in missing:
            problems.append(Problem(f"{server} cannot store a stack", self.declared.where, "remove `stack`"))
        of_stack = [name for name in ("moved_from", *STACK_FIELDS) if getattr(self.all_declared, name)]
        if of_stack and not self.capabilities.stacks:
            text = f"{server} cannot store {listed(f'`{name}`' for name in of_stack)} of a stack"
            problems.append(Problem(text, self.declared.where, "remove it"))
        for spec in self.declared.hosts.values() if missing else ():
            fields = [f for f in missing if f != "stack" and _is_set(getattr(spec, f))]
            if fields:
                text = f"{spec.fqdn}: {server} cannot store {listed(fields)}"
                problems.append(Problem(text, spec.where, f"remove `{'`, `'.join(fields)}`"))
        for spec in () if self.capabilities.several else self.declared.hosts.values():
            if families := [family for family in sorted(_ADDRESSED) if isinstance(getattr(spec, family), list)]:
                text = f"{spec.fqdn}: {server} cannot store several addresses of a family"
                problems.append(Problem(text, spec.where, f"keep one address of {listed(families)}"))
        for domain in () if self.capabilities.domains else self.declared.domains.values():
            text = f"{domain.name}: {server} cannot create or change domains"
            problems.append(Problem(text, domain.where, "remove it from `domains`"))
        if self.declared.keys and not self.capabilities.keys:
            problems.append(Problem(f"{server} has no keys", self.declared.where, "remove `keys`"))
        if problems:
            raise NotSupported(problems)

    def owns(self, thing: Host | Domain) -> bool:
        """Whether the declaration may change it without adoption, if no owner is declared."""
        if self.stack is None:  # an administrator may change all domains
            return thing.own or isinstance(thing, Domain)
        return thing.own and thing.stack == self.stack

    def may_change(self, spec: HostSpec | DomainSpec, thing: Host | Domain) -> bool:
        """Whether the declaration may change it, if necessary by adoption from another stack."""
        if isinstance(spec, DomainSpec) and not thing.own and thing.owner in (spec.owner, spec.adopt_from):
            return spec.adopt or self.stack in (None, thing.stack) or thing.owner == spec.adopt_from
        return self.owns(thing) or (thing.own and spec.adopt)

    def may_take(self, spec: HostSpec, host: Host) -> bool:
        """Whether the declaration takes the host over from the other user who owns it."""
        return not host.own and host.owner is not None and spec.adopt_from == host.owner

    def in_stack(self, thing: Host | Domain) -> bool:
        """Whether it belongs to the stack and the caller."""
        return thing.own and self.stack is not None and thing.stack == self.stack

    def add(self, change: Change | None) -> None:
        """Add a change, if there is one."""
        if change is not None:
            self.changes.append(change)

    def domains(self) -> None:
        """Plan declared domains."""
        for name, spec in sorted(self.declared.domains.items()):
            domain = self.registered.domains.get(name)
            if domain is None:
                self.add(self.compare.create_domain(spec))
            elif self.may_change(spec, domain):
                self.add(self.compare.change_domain(spec, domain))
            else:
                self.conflict(spec, domain)

    def hosts(self) -> None:
        """Plan declared hosts."""
        for name, spec in sorted(self.declared.hosts.items()):
            host = self.registered.hosts.get(name)
            if host is None:
                self.add(self.new(spec))
            elif self.may_change(spec, host):
                self.note_drift(host)
                self.add(self.compare.change(spec, host))
                self.note_former_name(spec)
            elif self.may_take(spec, host) and "owner" in self.capabilities.edits:
                self.note_drift(host)
                self.add(self.compare.change(spec, host))
                self.add(self.compare.rotate(name, spec))
            else:
                self.conflict(spec, host)

    def conflict(self, spec: HostSpec | DomainSpec, thing: Host | Domain, *, moved: bool = False) -> None:
        """Add a conflict: a declared host or domain belongs to another stack or user."""
        owner = f"belongs to stack {thing.stack}" if thing.stack else "belongs to no stack"
        hint = "adopt it with `adopt: true`"
        if thing.stack and isinstance(thing, Host) and self.capabilities.stacks:
            hint += f", and with `gives` of the stack {thing.stack}"
        if not thing.own:
            owner, hint = f"belongs to the user {thing.owner}", _owner_hint(thing)
            if isinstance(thing, Domain):
                hint += f". `owner: {thing.owner}` leaves it to them, `adopt_from: {thing.owner}` takes it over"
            elif not moved:
                hint += f". `adopt_from: {thing.owner}` takes the host over, and replaces its secret"
        name = thing.fqdn if isinstance(thing, Host) else thing.name
        role = "the former name " if moved else ""
        self.conflicts.append(Problem(f"{role}{name} is already registered and {owner}", spec.where, hint))

    def new(self, spec: HostSpec) -> Change | None:
        """Plan a host that is not registered under its name: a move or a creation."""
        source = self.registered.hosts.get(spec.moved_from) if spec.moved_from else None
        self.locate(spec)
        if source is None or source.fqdn in self.gone or source.fqdn in self.declared.hosts:
            return self.compare.create(spec)
        if not self.may_change(spec, source):
            self.conflict(spec, source, moved=True)
            return None
        self.gone.add(source.fqdn)
        if "fqdn" in self.capabilities.edits:
            self.add(self.compare.after_move(spec, source))
        return self.compare.move(spec, source)

    def locate(self, spec: HostSpec) -> None:
        """Note a new host that is in no domain of the server, if the domains are known."""
        known = {**self.registered.domains, **self.declared.domains}
        if self.registered.domains and _domain_of(spec.fqdn, known) is None:
            hint = f"its domains are {', '.join(sorted(known)[:5])}"
            self.notes.append(Problem(f"{spec.fqdn} is in no domain of the server", spec.where, hint))

    def note_drift(self, host: Host) -> None:
        """Add the drift of a declared host."""
        if host.dns in _DNS:
            self.drift.append(Drift("dns", host.fqdn, host.conflict or _DNS[host.dns]))
        for key, reason in host.facts.get("record_conflicts", {}).items():
            self.drift.append(Drift("dns", host.fqdn, f"{records.place(key)}: {reason}"))
        unknown = [family for family in ("ipv4", "ipv6") if getattr(host, family) is UNKNOWN]
        if unknown:
            self.drift.append(Drift("unknown", host.fqdn, f"the server did not report the {listed(unknown)} address"))

    def note_former_name(self, spec: HostSpec) -> None:
        """Note a former name that is still registered beside the new one."""
        source = self.registered.hosts.get(spec.moved_from) if spec.moved_from else None
        if source is not None and self.owns(source) and not (self.options.prune and self.in_stack(source)):
            text = f"{spec.fqdn} and its former name {source.fqdn} are both registered"
            self.notes.append(Problem(text, spec.where, "nothing is moved; delete the old host if it is unused"))

    def undeclared(self) -> None:
        """Plan hosts and domains of the stack that are no longer declared."""
        left = set(self.all_declared.hosts) | self.gone | set(self.all_declared.gives or ())
        if self.options.only:  # hosts whose moves are not in this plan
            left |= {spec.moved_from for spec in self.all_declared.hosts.values() if spec.moved_from}
        hosts = sorted(n for n, h in self.registered.hosts.items() if self.in_stack(h) and n not in left)
        domains = sorted(n for n, d in self.registered.domains.items() if self.in_stack(d))
        domains = [name for name in domains if name not in self.all_declared.domains]
        hosts, domains = self.selected(hosts, domains)
        self.note_scope(hosts)
        self.note_labelled(left | set(self.all_declared.domains))
        if self.options.prune:
            self.delete(hosts, domains)
            if self.stack is None:
                self.note("nothing is pruned, because the declaration names no stack", "set `stack`")
        elif hosts or domains:
            text = f"{len(hosts) + len(domains)} of stack {self.stack} are registered but not declared: "
            self.note(text + _some([*hosts, *domains]), "delete them with `--prune`")

    def selected(self, hosts: list[str], domains: list[str]) -> tuple[list[str], list[str]]:
        """The undeclared names that `only` matches. Raises DeclarationError if a pattern matches nothing."""
        only = self.options.only
        if not only:
            return hosts, domains
        selection.require_matches(only, [*self.all_declared.hosts, *self.all_declared.domains, *hosts, *domains])
        others = len(self.all_declared.hosts) - len(self.declared.hosts)
        self.note(f"only names that match {listed(only)} are in this plan; {others} other declared hosts are not")
        return [n for n in hosts if selection.matches(n, only)], [n for n in domains if selection.matches(n, only)]

    def note(self, text: str, hint: str = "") -> None:
        """Add a note on the whole declaration."""
        self.notes.append(Problem(text, self.declared.where, hint))

    def note_scope(self, undeclared: Iterable[str]) -> None:
        """Note each domain in which the stack has registered hosts but no declared ones."""
        counts: dict[str, int] = {}
        for name in undeclared:
            domain = self.registered.hosts[name].domain
            counts[domain] = counts.get(domain, 0) + 1
        for domain, count in sorted(counts.items()):
            if not any(name.endswith("." + domain) for name in self.all_declared.hosts):
                text = f"no host in {domain} is declared, but stack {self.stack} has {count} there"
                self.note(text, "is a file or a domain missing from the declaration?")

    def note_labelled(self, judged: AbstractSet[str]) -> None:
        """Note hosts and domains of the stack that other users own, except those that are handled elsewhere."""
        things: dict[str, Host | Domain] = {**self.registered.domains, **self.registered.hosts}
        labelled = [
            f"{name} ({thing.owner})"
            for name, thing in sorted(things.items())
            if self.stack is not None and thing.stack == self.stack and not thing.own and name not in judged
        ]
        if labelled:
            text = f"not changed, because other users own them, although their stack is {self.stack}: "
            self.note(text + _some(labelled))

    def note_own_address(self) -> None:
        """Note new hosts without an address, if the server gives them the address of this machine."""
        without = [
            change.name
            for change in self.changes
            if change.action is Action.CREATE and change.kind == "host" and not (_ADDRESSED & change.after.keys())
        ]
        if self.capabilities.own_address and without:
            text = f"{self.capabilities.server} registers these hosts with the address of this machine"
            hint = "declare an address; an updater replaces it at its first update"
            self.notes.append(Problem(f"{text}, because they have no address: {_some(without)}", None, hint))

    def delete(self, hosts: Iterable[str], domains: Iterable[str]) -> None:
        """Delete hosts, and domains without any other host."""
        for name in hosts:
            self.gone.add(name)
            self.add(self.compare.delete(self.registered.hosts[name]))
        used = self.domains_in_use() if domains else {}
        for name in domains:
            if name in used:
                self.note(f"domain {name} is kept, because it has hosts such as {used[name]}")
            else:
                self.add(self.compare.delete_domain(self.registered.domains[name]))

    def domains_in_use(self) -> dict[str, str]:
        """The domains that have hosts after the plan, each with one of them."""
        known = {**self.registered.domains, **self.declared.domains}
        new = [change.name for change in self.changes if change.kind == "host" and change.name not in self.gone]
        left = {_domain_of(name, known) or "": name for name in new}
        return {**left, **{h.domain: n for n, h in sorted(self.registered.hosts.items()) if n not in self.gone}}

    def rotations(self) -> None:
        """Plan new secrets, for hosts that do not already get one."""
        fresh = {change.name for change in self.changes if change.makes_secret}
        former = {change.name: change.source for change in self.changes if change.source}
        problems = []
        for name in sorted(set(self.options.rotate) - fresh):
            spec = self.declared.hosts.get(name)
            host = self.registered.hosts.get(former.get(name) or name)
            if not selection.matches(name, self.options.only):
                text = f"{name} cannot get a new secret: `only` does not match it"
                problems.append(Problem(text, None, "add the name to `only`"))
            elif host is None or name in self.gone:
                problems.append(
                    Problem(f"{name} cannot get a new secret: it is not registered", None, "check the name")
                )
            elif self.may_change(spec or HostSpec(name), host):
                self.add(self.compare.rotate(name, spec, self.options.reasons.get(name, "")))
            elif spec is None:
                self.conflict(HostSpec(name), host)
        if problems:
            raise DeclarationError(problems)

    def keys(self) -> None:
        """Plan declared keys, after the hosts, and those of the stack that are no longer declared."""
        for name, spec in sorted(self.declared.keys.items()):
            found = [key for key in self.own_keys() if key.name == name]
            if len(found) > 1:
                hint = "delete all but one of them, for example with `ddns_key`"
                self.conflicts.append(Problem(f"{len(found)} keys have the name {name}", spec.where, hint))
            else:
                self.add(self.compare.key(spec, found[0] if found else None, self.changes))
        left = [key for key in self.own_keys() if key.name not in self.all_declared.keys and self.stack is not None]
        left = [key for key in left if selection.matches(key.name, self.options.only)]
        if self.options.prune:
            self.changes += map(self.compare.delete_key, left)
        elif left:
            text = f"{len(left)} keys of stack {self.stack} are registered but not declared: "
            self.note(text + _some(key.name for key in left), "delete them with `--prune`")

    def own_keys(self) -> list[Key]:
        """The keys that the declaration may change: those of its stack, or without a stack all of the caller."""
        return [key for key in self.registered.keys if self.stack is None or key.stack == self.stack]

    def destroy(self) -> None:
        """Delete everything in the stack, or without a stack everything that is declared."""
        self.note_labelled({*self.declared.hosts, *self.declared.domains})
        hosts = self.to_delete(self.registered.hosts, self.declared.hosts)
        domains = self.to_delete(self.registered.domains, self.declared.domains)
        self.delete(hosts, domains)
        keys = [key for key in self.own_keys() if self.stack is not None or key.name in self.declared.keys]
        self.changes += map(self.compare.delete_key, keys)

    def to_delete(self, registered: Mapping[str, Any], declared: Mapping[str, Any]) -> list[str]:
        """Names to delete. Notes declared ones that belong to another stack or user."""
        there = {name: registered[name] for name in declared if name in registered}
        others = {name: thing for name, thing in there.items() if not (thing.own or self.owns(thing))}
        if others:
            named = _some(f"{name} ({thing.owner})" for name, thing in sorted(others.items()))
            self.note(f"not deleted, because other users own them: {named}", _owner_hint(next(iter(others.values()))))
        if self.stack is None:
            return sorted(there.keys() - others.keys())
        foreign = sorted(name for name in there.keys() - others.keys() if not self.in_stack(there[name]))
        if foreign:
            self.note(f"not deleted, because they do not belong to stack {self.stack}: {_some(foreign)}")
        return sorted(name for name, thing in registered.items() if self.in_stack(thing))

    def plan(self) -> Plan:
        """The plan. Raises Conflicts and Unsafe, which have the plan."""
        self.note_own_address()
        plan = self.ordered()
        if self.conflicts:
            raise Conflicts(self.conflicts, replace(plan, refusals=tuple(self.conflicts)))
        try:
            stack_changes.check_protection(plan.changes, self.found, self.stack)
            if not self.options.destroy:
                self.check_limits()
        except Unsafe as error:
            error.plan = replace(plan, refusals=(Problem(str(error), self.declared.where),))
            raise
        return plan

    def ordered(self) -> Plan:
        """The plan in its order, whether or not it is refused."""
        touched = {(change.kind, change.name) for change in self.changes}
        hosts = sum(("host", name) not in touched for name in self.declared.hosts)
        domains = sum(("domain", name) not in touched for name in self.declared.domains)
        unchanged = 0 if self.options.destroy else hosts + domains
        changes = tuple(sorted(self.changes, key=_order))
        return Plan(
            changes,
            tuple(self.drift),
            tuple(self.notes),
            unchanged,
            unchanged_domains=0 if self.options.destroy else domains,
            server=self.capabilities.server,
            stack=self.stack,
        )

    def check_limits(self) -> None:
        """Raises Unsafe if the plan deletes or changes too many hosts."""
        hosts = [change for change in self.changes if change.kind == "host"]
        deleted = [change.name for change in hosts if change.action is Action.DELETE]
        replaced = [change.name for change in hosts if change.again]
        added = sum(change.action in (Action.CREATE, Action.ADOPT) for change in hosts)
        registered = sum(map(self.in_stack, self.registered.hosts.values()))
        if self.stack is None:
            registered = sum(name in self.registered.hosts for name in self.all_declared.hosts)
        self.options.limits.check(deleted, replaced, registered=registered, added=added)
        changed = {change.name for change in hosts if change.action in _CHANGES and not change.again}
        limit = self.options.max_changes or self.declared.max_changes
        if limit is not None:
            limit.check_changes(sorted(changed), registered=registered)


_CHANGES = (Action.UPDATE, Action.MOVE, Action.ROTATE)
"""Actions on hosts of the stack that `max_changes` limits."""

_RANKS = {
    ("host", Action.DELETE): 1,
    ("host", Action.MOVE): 2,
    ("host", Action.REPLACE): 3,
    ("host", Action.CREATE): 4,
    ("domain", Action.DELETE): 7,
}
_KEY_RANK = 6


def _order(change: Change) -> tuple[int, str, bool]:
    otherwise = {"stack": -1, "domain": 0, "key": _KEY_RANK}.get(change.kind, 5)
    rank = _RANKS.get((change.kind, change.action), otherwise)
    return rank, change.name, change.action is Action.ROTATE


def _owner_hint(thing: Host | Domain) -> str:
    """A hint for a host or domain that another user owns."""
    return f"use a token of {thing.owner}, or ask an administrator to change the owner"


def _is_set(value: Any) -> bool:
    return bool(value) and not isinstance(value, Sentinel)


def _domain_of(fqdn: str, domains: Iterable[str]) -> str | None:
    """The nearest domain above a name."""
    above = fqdn
    while above:
        above = above.partition(".")[2]
        if above in domains:
            return above
    return None


def _some(names: Iterable[str]) -> str:
    first = list(names)
    return ", ".join(first[:5]) + (f" and {len(first) - 5} more" if len(first) > 5 else "")
