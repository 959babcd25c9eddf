# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules for changes of hosts, one or many, against rows that were read once.

No query, no message to a name server. Each change sees what the ones before it have done: a name that one gives up the
next may take.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from ddnsd.db.bulk_hosts import Event
from ddnsd.db.rows import Domain, Host, Related, RRset, endings
from ddnsd.dns.records import owned_names
from ddnsd.registry import host_columns, names, transfers
from ddnsd.registry.errors import (
    Blocked,
    Code,
    Differs,
    Invalid,
    NoHost,
    NotPublished,
    OtherFailed,
    Reason,
    RegistryError,
    Taken,
)
from ddnsd.registry.policy import Policy

NO_DOMAIN = Reason(Code.NAME_IN_NO_DOMAIN)
BELOW = Reason(Code.NAME_BELOW_FOREIGN_HOST)
TAKEN = Reason(Code.NAME_TAKEN)
SILENT = "the name server does not answer"


Expect = Callable[[Host], None]
"""Called with a host just before it is changed; may raise."""

Secrets = Callable[[int, str], tuple[str, bytes]]
"""The secret for (index of the change, full name), and what is kept of it."""


class Verb(StrEnum):
    """What a change does."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    ROTATE = "rotate"


class Status(StrEnum):
    """What became of a change."""

    APPLIED = "applied"
    PENDING = "pending"
    UNCHANGED = "unchanged"
    FAILED = "failed"


class NameTaken(Taken):
    """A host or a related name has the name."""

    def __init__(self) -> None:
        super().__init__(name=TAKEN)


@dataclass(frozen=True, slots=True)
class Change:
    """One change; names are folded.

    `values` are those that `host_columns.columns` takes, `owner` by name, and `inferred`: the family of which a new
    host's address is a guess. `rename` is a new full name, `expected` holds fields as they must still be. `expect` is
    called with the host just before the change, and may raise a RegistryError. `problem` says why the change was
    refused before it came here.
    """

    verb: Verb
    fqdn: str
    values: Mapping[str, Any] = field(default_factory=dict)
    rename: str | None = None
    expected: Mapping[str, Any] = field(default_factory=dict)
    expect: Expect | None = None
    problem: RegistryError | None = None


@dataclass(slots=True)
class HostDiff:
    """A host before and after the call; None before it was created, and after it was deleted.

    `left` holds the names of the host that leave zones, by domain id.
    """

    before: Host | None
    now: Host | None
    left: dict[int, set[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Result:
    """What became of one change; `row` is that of its host.

    `follow` says that the caller waits for DNS, `shown` that DNS shows what was changed: without it the caller waits
    only for a row that is still under way. `reason` says why DNS has not acknowledged the change.
    """

    fqdn: str
    status: Status = Status.APPLIED
    secret: str | None = None
    error: Exception | None = None
    row: HostDiff | None = None
    follow: bool = False
    shown: bool = False
    reason: BaseException | None = None


class Permissions(Protocol):
    """What the caller may do."""

    user_id: int
    oversight: bool
    """An administrator, who also changes blocked hosts."""

    def may(self, verb: Verb, host: Host, /) -> bool:
        """Whether the caller may do this to the host."""

    def may_register(self, domain: Domain, fqdn: str, /) -> bool:
        """Whether the caller may have a host of that name in the domain."""


@dataclass(frozen=True)
class Snapshot:
    """What was read: hosts and domains by name, related names and RRsets by host id, ids of users by name,
    and which of these users are switched off.

    `names_in_removal` are still in a zone, and no host has them. From the name servers: `servers` has the names of the
    NS records by domain id, or why they are not known. `used` has the reasons why a name cannot be a host's, for the
    names in `asked`. `silent` says why domains could not be asked, by id.
    """

    hosts: Mapping[str, Host] = field(default_factory=dict)
    domains: Mapping[str, Domain] = field(default_factory=dict)
    related: Mapping[int, Sequence[Related]] = field(default_factory=dict)
    rrsets: Mapping[int, Sequence[RRset]] = field(default_factory=dict)
    related_names: Set[str] = frozenset()
    names_in_removal: Set[str] = frozenset()
    users: Mapping[str, int] = field(default_factory=dict)
    inactive: Set[int] = frozenset()
    servers: Mapping[int, Set[str] | str] = field(default_factory=dict)
    asked: Set[str] = frozenset()
    used: Mapping[str, str] = field(default_factory=dict)
    silent: Mapping[int, str] = field(default_factory=dict)


class ChangeValidator:
    """Judges changes one after the other.

    `rows` are the hosts that were named, with what they are to be. `claims` are the names, by domain id, that hosts
    would take without a message's prerequisite; `unasked` says that the zone was not asked for all of them.
    `owners` are users' names by id, where the changes name some.
    """

    def __init__(self, snapshot: Snapshot, rights: Permissions, policy: Policy, secret: Secrets, *, tls: bool) -> None:
        self.snapshot, self._rights, self._policy, self._secret, self._tls = snapshot, rights, policy, secret, tls
        self._at = {fqdn: HostDiff(host, host) for fqdn, host in snapshot.hosts.items()}
        self._freed = set(snapshot.names_in_removal)
        self.owners = {user_id: name for name, user_id in snapshot.users.items()}
        self.events: list[Event] = []
        self.claims: set[tuple[int, str]] = set()
        self.unasked = False
        self.rows = list(self._at.values())

    def validate(self, changes: Iterable[Change], *, atomic: bool) -> list[Result]:
        """The results in order; those of `atomic` changes all fail when one does."""
        results = [self._one(index, change) for index, change in enumerate(changes)]
        if atomic and any(result.error for result in results):
            for result in results:
                error = result.error or OtherFailed()
                result.status, result.error = Status.FAILED, error
                result.secret, result.row, result.follow = None, None, False
            self.rows, self.events = [], []
        return results

    def _one(self, index: int, change: Change) -> Result:
        result = Result(change.fqdn)
        try:
            if change.problem is not None:
                raise change.problem
            match change.verb:
                case Verb.CREATE:
                    self._create(index, change, result)
                case Verb.UPDATE:
                    self._update(change, result)
                case Verb.DELETE:
                    self._delete(change, result)
                case Verb.ROTATE:
                    self._rotate(index, change, result)
        except RegistryError as error:
            return Result(change.fqdn, Status.FAILED, error=error)
        return result

    # ---- the four verbs

    def _create(self, index: int, change: Change, result: Result) -> None:
        domain = self._find_domain(change.fqdn, self._rights.user_id)
        host_columns.check_values(self._policy, change.values, domain_takes_private=domain.private_addresses)
        secret, hashed = self._secret(index, change.fqdn)
        blank = _in_domain(BLANK, change.fqdn, domain)._replace(owner_id=self._rights.user_id, secret_hash=hashed)
        columns = host_columns.columns(blank, change.values, tls=self._tls)
        host = blank._replace(**columns, inferred=change.values.get("inferred"))
        row = HostDiff(None, host)
        self._check_owned(row, host, "name")
        self.rows.append(row)
        self._at[host.fqdn] = row
        self._event(host, "host.register", host.fqdn)
        result.secret, result.row = secret, row
        result.follow = result.shown = True

    def _update(self, change: Change, result: Result) -> None:
        row, host = self._named(change)
        if (host.abuse or host.abuse_blocked) and not self._rights.oversight:
            raise Blocked
        rename = change.rename if change.rename != host.fqdn else None
        domain = self._find_domain(rename, host.owner_id, host) if rename else None
        private = domain.private_addresses if domain else host.private_addresses
        host_columns.check_values(self._policy, change.values, domain_takes_private=private)
        keep = change.values.get("secrets") == transfers.KEEP
        values = transfers.with_secret(
            host_columns.columns(host, self._with_owner(change.values), tls=self._tls), keep=keep
        )
        after = host._replace(**values)
        if "owner_id" in values:
            after = after._replace(owner_active=True, withdrawn=False)
        if rename and domain:
            after = _in_domain(after, rename, domain)._replace(conflict=None)
            values |= {"fqdn": rename}
        if "fqdn" in values or values.get("wildcard"):
            self._check_owned(row, after, "name" if "fqdn" in values else "wildcard")
        result.row = row
        result.shown = host_columns.is_shown(host, values)
        result.follow = result.shown or bool(host_columns.SHOWN_BY_DNS & change.values.keys())
        if not values:
            result.status = Status.UNCHANGED
            return
        self._claim(row, host, after)
        row.now = after
        self._at[after.fqdn] = self._at.pop(host.fqdn)
        if given := transfers.told(host, values, self.owners):
            self.events.append(Event(given.action, given.subject, given.owner_id, given.detail))
        for action, subject, detail in happened(host, values):
            self._event(host, action, subject, detail)

    def _delete(self, change: Change, result: Result) -> None:
        row, host = self._named(change)
        if host.abuse or host.abuse_blocked:
            raise Blocked
        if host.claimed:
            self._freed |= self._names(row, host)
        row.now = None
        del self._at[host.fqdn]
        self._event(host, "host.unregister", host.fqdn)
        result.row = row
        result.follow = result.shown = row.before is not None

    def _rotate(self, index: int, change: Change, result: Result) -> None:
        row, host = self._named(change)
        result.secret, hashed = self._secret(index, change.fqdn)
        row.now = host._replace(secret_hash=hashed)
        result.row = row
        self._event(host, "host.secret", host.fqdn)

    # ---- what they share

    def _named(self, change: Change) -> tuple[HostDiff, Host]:
        row = self._at.get(change.fqdn)
        if row is None or row.now is None or not self._rights.may(change.verb, row.now):
            raise NoHost
        for name, value in change.expected.items():
            if (current := self._shown(row.now, name)) != value:
                raise Differs(name, current)
        if change.expect is not None:
            change.expect(row.now)
        return row, row.now

    def _shown(self, host: Host, name: str) -> Any:
        """The field of the host as callers see it."""
        if name == "owner":
            return self.owners.get(host.owner_id)
        return json.loads(host.labels) if name == "labels" else getattr(host, name)

    def _with_owner(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        if "owner" not in values:
            return values
        owner = values["owner"]
        if owner not in self.snapshot.users:
            raise Invalid(owner=Reason(Code.USER_MISSING, user=owner))
        if self.snapshot.users[owner] in self.snapshot.inactive:
            raise Invalid(owner=transfers.switched_off(owner))
        return {n: v for n, v in values.items() if n not in ("owner", "secrets")} | {
            "owner_id": self.snapshot.users[owner]
        }

    def _find_domain(self, fqdn: str, owner_id: int, host: Host | None = None) -> Domain:
        """The domain in which the name may stand. Raises Invalid, NoDomain, Taken."""
        if problem := names.problem(fqdn):
            raise Invalid(name=problem)
        above = endings(fqdn)
        domain = next((self.snapshot.domains[e] for e in above if e in self.snapshot.domains), None)
        if domain is None or not domain.available or not self._rights.may_register(domain, fqdn):
            raise Invalid(name=NO_DOMAIN)
        servers = self.snapshot.servers.get(domain.id, SILENT)
        if isinstance(servers, str):
            raise NotPublished(servers)
        check_name(self._policy, domain, fqdn, servers)
        for name in above[1 : above.index(domain.name)]:
            row = self._at.get(name)
            if row is not None and row.now is not None and row.now.owner_id != owner_id:
                raise Invalid(name=BELOW)
        below = [moved(r, host.fqdn, fqdn).fqdn for r in self.snapshot.related.get(host.id, ())] if host else []
        if any(name in self._at or name in self.snapshot.related_names for name in (fqdn, *below)):
            raise NameTaken
        if any(name in self.snapshot.domains for name in below):
            raise NameTaken
        return domain

    def _claim(self, row: HostDiff, host: Host, after: Host) -> None:
        """Names at which an existing host would stand anew must own no record in the zone. Raises Taken."""
        before, now = self._names(row, host), self._names(row, after)
        if row.before is not None:
            wanted = now - before - self._freed
            if used := sorted(wanted & self.snapshot.used.keys()):
                reason = Reason(Code.NAME_UNAVAILABLE, obstacle=self.snapshot.used[used[0]])
                raise Taken(**{"name" if host.fqdn != after.fqdn else "wildcard": reason})
            if wanted and after.domain_id in self.snapshot.silent:
                raise NotPublished(self.snapshot.silent[after.domain_id])
            self.claims |= {(after.domain_id, name) for name in wanted}
            self.unasked = self.unasked or not wanted <= self.snapshot.asked
        if host.claimed:
            self._freed |= before - now
        self._freed -= now

    def _check_owned(self, row: HostDiff, host: Host, field: str) -> None:
        """Whether names can be so long as those of the host. Raises Invalid, naming the field."""
        if problem := names.owned_problem(host.fqdn, self._names(row, host)):
            raise Invalid(**{field: problem})

    def _names(self, row: HostDiff, host: Host) -> set[str]:
        related = self.snapshot.related.get(host.id, ())
        started = row.before.fqdn if row.before else host.fqdn
        return owned_names(host, [moved(r, started, host.fqdn) for r in related], self.snapshot.rrsets.get(host.id, ()))

    def _event(self, host: Host, action: str, subject: str, detail: str | None = None) -> None:
        self.events.append(Event(action, subject, host.owner_id, detail))


def check_name(policy: Policy, domain: Domain, fqdn: str, servers: Set[str]) -> None:
    """Whether a host of the domain may have the name at all; `servers` are of its NS records. Raises Invalid.

    Refused are names that the service or the zone itself needs, and those that are denied.
    """
    if problem := names.problem(fqdn):
        raise Invalid(name=problem)
    if policy.is_reserved(fqdn) or fqdn == domain.name or fqdn in servers:
        raise Invalid(name=Reason(Code.NAME_RESERVED))
    if policy.deny.has_name(fqdn, domain.name):
        raise Invalid(name=Reason(Code.NAME_DENIED))


def happened(host: Host, values: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """(action, object, detail) for the audit trail, of an edit that sets these columns."""
    now = values.get("fqdn", host.fqdn)
    if now != host.fqdn:
        yield "host.rename", host.fqdn, f"to {now}"
        yield "host.rename", now, f"from {host.fqdn}"
    if "abuse_blocked" in values or "abuse" in values:
        yield "host.block" if values.get("abuse_blocked") else "host.unblock", now, None
    if shown := {"labels", *host_columns.FAMILIES, *host_columns.PLAIN} & values.keys():
        yield "host.set", now, ", ".join(sorted({"owner_id": "owner"}.get(name, name) for name in shown))


def moved(name: Related, before: str, after: str) -> Related:
    """A related name once its host is renamed."""
    return name if before == after else name._replace(fqdn=name.fqdn.removesuffix(before) + after)


def _in_domain(host: Host, fqdn: str, domain: Domain) -> Host:
    return host._replace(
        fqdn=fqdn,
        name=fqdn.removesuffix("." + domain.name),
        domain_id=domain.id,
        domain=domain.name,
        domain_available=domain.available,
        domain_ttl=domain.ttl,
        query_credentials=domain.query_credentials,
        private_addresses=domain.private_addresses,
    )


BLANK = Host(
    id=0,
    domain_id=0,
    owner_id=0,
    fqdn="",
    name="",
    secret_hash=b"",
    comment=None,
    wildcard=False,
    ttl=None,
    available=True,
    abuse=False,
    abuse_blocked=False,
    client_faults=0,
    server_faults=0,
    ipv4=None,
    ipv6=None,
    prefix=None,
    interface_id=None,
    inferred=None,
    updated_ipv4=None,
    tls_ipv4=False,
    updated_ipv6=None,
    tls_ipv6=False,
    version=1,
    claimed=False,
    conflict=None,
    has_rrsets=False,
    stack=None,
    labels="{}",
    created=0,
    domain="",
    domain_available=True,
    domain_ttl=None,
    query_credentials=False,
    private_addresses=True,
    owner_active=True,
    withdrawn=False,
    pending_since=None,
)
