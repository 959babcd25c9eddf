# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules for changes of hosts, one or many, checked against rows that were read once.

This module sends no query and no message to a name server. Each change sees the effects of the earlier ones: a name
that one change gives up can be used by the next.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple, Protocol

from ddnsd.auth.permissions import without_notes
from ddnsd.db.bulk_hosts import Event
from ddnsd.db.empty_non_terminals import EmptyNonTerminal
from ddnsd.db.reverse_zones import ReverseZones
from ddnsd.db.rows import Domain, Host, Related, RRset, endings
from ddnsd.dns.conflicts import Obstacle
from ddnsd.dns.records import owned_names
from ddnsd.registry import host_columns, names, record_sets, related_labels, reverse, transfers
from ddnsd.registry.errors import (
    Blocked,
    Code,
    Differs,
    HostProtected,
    Invalid,
    NoDomain,
    NoHost,
    NotGiven,
    NotPublished,
    OtherFailed,
    OverQuota,
    Protected,
    Reason,
    RegistryError,
    Taken,
)
from ddnsd.registry.policy import Policy
from ddnsd.registry.quotas import HostRoom
from ddnsd.registry.record_sets import Content, NewRRset, Place
from ddnsd.registry.related_labels import NewRelated, label_of

NO_DOMAIN = Reason(Code.NAME_IN_NO_DOMAIN)
BELOW = Reason(Code.NAME_BELOW_FOREIGN_HOST)
ABOVE = Reason(Code.NAME_ABOVE_FOREIGN_HOST)
TAKEN = Reason(Code.NAME_TAKEN)
FOR_ADMINISTRATORS = Reason(Code.FIELD_OF_ADMINISTRATORS)
STACK_BEYOND = Reason(Code.BEYOND_STACKS)
SILENT = "the name server does not answer"

MOST_WARNINGS = 10
"""Maximum number of warnings about a host."""


Expect = Callable[[Host], None]
"""Called with a host just before it is changed; may raise."""

Secrets = Callable[[int, str], tuple[str, bytes]]
"""Returns the secret for (index of the change, full name), and its hash to store."""


class Verb(StrEnum):
    """The kind of a change. `BLOCK` sets only `abuse_blocked` and `block_reason`."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    ROTATE = "rotate"
    BLOCK = "block"


class Status(StrEnum):
    """The outcome of a change."""

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
    """One change. Names are folded.

    `values` are those that `host_columns.columns` accepts, `quarantined`, `owner` by name, `records` (see
    `record_sets.parse_all`), `related` (see `related_labels.parse_all`), and `inferred`: the family whose address is
    guessed for a new host. `rename` is a new full name. `expected` holds the values that fields must still have.
    `expect` is called with the host just before the change, and may raise a RegistryError. `problem` is the error if
    the change was already refused. `blocked_too`: also delete a host that is flagged or blocked.
    """

    verb: Verb
    fqdn: str
    values: Mapping[str, Any] = field(default_factory=dict)
    rename: str | None = None
    expected: Mapping[str, Any] = field(default_factory=dict)
    expect: Expect | None = None
    problem: RegistryError | None = None
    blocked_too: bool = False


@dataclass(slots=True)
class HostDiff:
    """A host before and after the call: `before` is None for a new host, and `now` for a deleted one.

    `left` holds the names of the host to remove from zones, by domain id. `rrsets` and `related`, by label, are those
    that change; None: removed.
    """

    before: Host | None
    now: Host | None
    rrsets: dict[Place, NewRRset | None] = field(default_factory=dict)
    related: dict[str, NewRelated | None] = field(default_factory=dict)
    left: dict[int, set[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Result:
    """The outcome of one change; `row` is that of its host.

    `follow`: the caller waits for DNS. `shown`: the change is visible in DNS. Otherwise the caller waits only if an
    earlier version of the row is still being sent. `reason` says why DNS has not acknowledged the change. `warnings`
    concern a new name or wildcard. `removes` are (full name, type) of other records that a deletion removes, in a dry
    run.
    """

    fqdn: str
    status: Status = Status.APPLIED
    secret: str | None = None
    error: Exception | None = None
    row: HostDiff | None = None
    follow: bool = False
    shown: bool = False
    reason: BaseException | None = None
    warnings: list[Reason] = field(default_factory=list)
    removes: list[tuple[str, str]] = field(default_factory=list)


class Trial(NamedTuple):
    """An RRset or alias that the name server is asked about before it is stored; see `TriedSet`."""

    domain_id: int
    fqdn: str
    rtype: str
    data: str
    new: bool
    aliased: bool = False
    own: tuple[str, ...] = ()


class Permissions(Protocol):
    """What the caller may do."""

    user_id: int
    oversight: bool
    """True for administrators, who can also change blocked hosts."""

    def may(self, verb: Verb, host: Host, /) -> bool:
        """Whether the caller may do this to the host."""

    def acts_for_domain(self, host: Host, /) -> bool:
        """Whether the caller may do it only as the owner of the host's domain."""

    def may_use(self, stack: str | None, /) -> bool:
        """Whether the caller may have hosts in the stack; None: in no stack."""

    def may_take(self, host: Host, stack: str, /) -> bool:
        """Whether the caller may take the host into the stack, although it may not change the host otherwise."""

    def may_register(self, domain: Domain, fqdn: str, stack: str | None, /) -> bool:
        """Whether the caller may register a host of that name in the domain, for the stack or for none."""

    def may_change(self, domain: Domain, /) -> bool:
        """Whether the caller may change the domain, and so vouch for addresses in a reverse zone."""


@dataclass(frozen=True)
class Snapshot:
    """The rows that the changes need: hosts and domains by name, related names and RRsets by host id.

    `above_others` are (name, owner's id) of new names that are above hosts of others, apart from `hosts`. `users` are
    ids by name, `inactive` the ids of inactive ones. `names_in_removal` are still in a zone, but no host has them.
    `rooms` are the hosts that the caller has and may have, by domain id. `exhausted` are the errors for hosts that were
    changed too often, `records_exhausted` of those whose records were. `protected` are (owner's id, name) of protected
    stacks, `gives` has the hosts that such stacks give to others, by full name. `reverse_zones` are read only if hosts
    with `ptr` are named. The rest is from the name servers.
    `servers` holds the targets of NS records by domain id, or the reason why they are not known. `asked` are the names
    whose records were queried, `used` the reasons why some of them cannot be a host's. `tried` are RRsets that were
    tried, each with the reason why it cannot be, if any. `silent` holds the reasons why domains could not be queried,
    by id.
    """

    hosts: Mapping[str, Host] = field(default_factory=dict)
    domains: Mapping[str, Domain] = field(default_factory=dict)
    related: Mapping[int, Sequence[Related]] = field(default_factory=dict)
    rrsets: Mapping[int, Sequence[RRset]] = field(default_factory=dict)
    related_names: Set[str] = frozenset()
    above_others: Set[tuple[str, int]] = frozenset()
    names_in_removal: Set[str] = frozenset()
    users: Mapping[str, int] = field(default_factory=dict)
    inactive: Set[int] = frozenset()
    rooms: Mapping[int, HostRoom] = field(default_factory=dict)
    exhausted: Mapping[str, OverQuota] = field(default_factory=dict)
    records_exhausted: Mapping[str, OverQuota] = field(default_factory=dict)
    protected: Set[tuple[int, str]] = frozenset()
    gives: Mapping[tuple[int, str], Mapping[str, str]] = field(default_factory=dict)
    reverse_zones: Sequence[Domain] = ()
    servers: Mapping[int, Set[str] | str] = field(default_factory=dict)
    asked: Set[str] = frozenset()
    used: Mapping[str, Obstacle] = field(default_factory=dict)
    tried: Mapping[Trial, Reason | None] = field(default_factory=dict)
    silent: Mapping[int, str] = field(default_factory=dict)


class ChangeValidator:
    """Validates changes in order.

    `rows` are the named hosts before and after the changes. `trials` are RRsets that no name server has judged yet.
    `claims` are (domain id, name) of the names that existing hosts would get; messages have no prerequisite for these.
    `unasked` is True if the zone was not queried for all of them, or for all RRsets. `owners` are names of users by id,
    if the changes name users.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        rights: Permissions,
        policy: Policy,
        secret: Secrets,
        *,
        tls: bool,
        client_ip: str | None = None,
    ) -> None:
        self._origin = reverse.Origin(client_ip, ReverseZones(snapshot.reverse_zones), rights.may_change)
        self.snapshot, self._rights, self._policy, self._secret, self._tls = snapshot, rights, policy, secret, tls
        self._at = {fqdn: HostDiff(host, host) for fqdn, host in snapshot.hosts.items()}
        self._freed = set(snapshot.names_in_removal)
        self._related_names = set(snapshot.related_names)
        self._below: dict[str, set[str]] = {}
        for host in snapshot.hosts.values():
            self._note_below(host)
        self.owners = {user_id: name for name, user_id in snapshot.users.items()}
        self.events: list[Event] = []
        self.claims: set[tuple[int, str]] = set()
        self.trials: set[Trial] = set()
        self.unasked = False
        self._added: Counter[int | None] = Counter()  # hosts of the caller, by the domain of their room
        self.rows = list(self._at.values())

    def validate(self, changes: Iterable[Change], *, atomic: bool) -> list[Result]:
        """The results in order. With `atomic`, all changes fail if one does."""
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
                case Verb.UPDATE | Verb.BLOCK:
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
        stack = change.values.get("stack")
        if not self._rights.may_use(stack):
            raise Invalid(stack=STACK_BEYOND)
        domain = self._find_domain(change.fqdn, self._rights.user_id, stack=stack)
        host_columns.check_values(self._policy, change.values, domain_takes_private=domain.private_addresses)
        secret, hashed = self._secret(index, change.fqdn)
        blank = _in_domain(BLANK, change.fqdn, domain, owner_id=self._rights.user_id, secret_hash=hashed)
        columns = host_columns.columns(blank, change.values, tls=self._tls)
        host = blank._replace(**columns, inferred=change.values.get("inferred"))
        if proofs := self._proofs(blank, host, reverse.FAMILIES):
            host = host._replace(**proofs)
        row = HostDiff(None, host)
        self._check_owned(row, host, "name")
        self._check_rate(change)
        self._check_room(domain)
        rrsets = self._changed_rrsets(row, host, change)
        related = self._changed_related(row, host, change)
        self._check_alias(row, host, rrsets, related)
        self._take_room(domain)
        self.rows.append(row)
        self._at[host.fqdn] = row
        self._note_below(host)
        self._event(host, "host.register", host.fqdn)
        self._keep_rrsets(row, rrsets)
        self._keep_related(row, related)
        result.secret, result.row = secret, row
        result.follow = result.shown = True

    def _update(self, change: Change, result: Result) -> None:
        row, host = self._named(change)
        if not self._rights.oversight:
            self._check_block(change, host)
        stack = change.values.get("stack", host.stack)
        if stack != host.stack:
            self._check_leaves_stack(row, host, stack)
        wanted = host_columns.with_quarantine(self._policy, change.values)
        if wanted.get("abuse_blocked"):
            wanted = {**wanted, "blocked_by_domain": not self._rights.oversight}
        rename = change.rename if change.rename != host.fqdn else None
        domain = self._find_domain(rename, host.owner_id, host, stack=stack) if rename else None
        private = domain.private_addresses if domain else host.private_addresses
        host_columns.check_values(self._policy, wanted, domain_takes_private=private)
        host_columns.check_block_reason(host, wanted)
        keep = wanted.get("secrets") == transfers.KEEP
        values = transfers.with_secret(host_columns.columns(host, self._with_owner(wanted), tls=self._tls), keep=keep)
        after = host._replace(**values)
        families = [name for name in reverse.FAMILIES if name in wanted or "ptr" in values]
        if proofs := self._proofs(host, after, families):
            values |= proofs
            after = after._replace(**proofs)
        if "ipv6" in values:
            self._check_related(row, after)
        if "owner_id" in values:
            after = after._replace(owner_active=True, withdrawn=False)
        if rename and domain:
            after = _in_domain(after, rename, domain)._replace(conflict=None)
            values |= {"fqdn": rename}
        for name, code in (("records", Code.RECORDS_WITH_RENAME), ("related", Code.RELATED_WITH_RENAME)):
            if change.values.get(name) and rename:
                raise Invalid(**{name: Reason(code)})
        if "fqdn" in values or values.get("wildcard"):
            self._check_owned(row, after, "name" if "fqdn" in values else "wildcard")
            if self._is_above_others(after.fqdn, host.owner_id):
                raise Invalid(wildcard=ABOVE)
        result.row = row
        result.shown = host_columns.is_shown(host, values)
        asks = {"records", "related"} & wanted.keys()
        result.follow = result.shown or bool(asks) or bool(host_columns.SHOWN_BY_DNS & wanted.keys())
        adds = rename or any(wanted.get(name) for name in host_columns.SHOWN_BY_DNS)
        if change.verb is Verb.UPDATE and result.shown and adds:
            self._check_rate(change)
        rrsets = self._changed_rrsets(row, after, change)
        related = self._changed_related(row, after, change)
        if not values and not rrsets and not related:
            result.status = Status.UNCHANGED
            return
        if domain:
            self._check_room(domain, host.domain_id)
        self._check_alias(row, after, rrsets, related)
        self._claim(row, host, after, related)
        if rrsets or related:
            result.shown = True
        if domain:
            self._take_room(domain, host.domain_id)
        row.now = after
        self._keep_rrsets(row, rrsets)
        self._keep_related(row, related)
        self._at[after.fqdn] = self._at.pop(host.fqdn)
        if rename:
            self._note_below(after)
        for given in transfers.told(host, values, self.owners):
            self.events.append(Event(given.action, given.subject, given.owner_id, given.detail))
        for action, subject, detail in happened(host, values):
            self._event(host, action, subject, detail)

    def _delete(self, change: Change, result: Result) -> None:
        row, host = self._named(change)
        if not change.blocked_too:
            self._check_block(change, host)
        self._check_protection(row, host)
        if (row.before or host).protect and not self._acts_for_others(host):
            raise HostProtected(host.fqdn)
        if host.claimed:
            self._freed |= self._names(row, host)
        row.now = None
        del self._at[host.fqdn]
        if host.owner_id == self._rights.user_id:
            self._leave_room(host.domain_id)
        self._event(host, "host.unregister", host.fqdn)
        result.row = row
        result.follow = result.shown = row.before is not None

    def _rotate(self, index: int, change: Change, result: Result) -> None:
        row, host = self._named(change)
        result.secret, hashed = self._secret(index, change.fqdn)
        row.now = host._replace(secret_hash=hashed)
        result.row = row
        self._event(host, "host.secret", host.fqdn)

    # ---- shared by the verbs

    def _proofs(self, host: Host, after: Host, families: Iterable[str]) -> dict[str, Any]:
        """The changed columns with proofs that addresses of the changed host are its own, see `reverse`."""
        found: dict[str, Any] = {}
        if not after.ptr:
            return found
        for family in families:
            text = getattr(after, family)
            proved = self._origin.proves(text)
            kept = host.ptr and text == getattr(host, family) == getattr(host, f"proved_{family}")
            if getattr(host, f"proved_{family}") != (new := text if proved or kept else None):
                found[f"proved_{family}"] = new
        return found

    def _named(self, change: Change) -> tuple[HostDiff, Host]:
        row = self._at.get(change.fqdn)
        if row is None or row.now is None or not self._may(change, row.now):
            if change.verb is Verb.BLOCK and row and row.now and self._rights.may(Verb.UPDATE, row.now):
                raise Invalid(**dict.fromkeys(change.values, FOR_ADMINISTRATORS))
            raise NoHost
        for name, value in change.expected.items():
            if name == "records":
                self._check_expected_records(row, row.now, value)
            elif name == "related":
                self._check_expected_related(row, row.now, value)
            elif (current := self._shown(row.now, name)) != value:
                raise Differs(name, current)
        if change.expect is not None:
            change.expect(row.now)
        return row, row.now

    def _may(self, change: Change, host: Host) -> bool:
        """Whether the caller may make the change, if necessary because it takes a host that is given to its stack."""
        if self._rights.may(change.verb, host):
            return True
        stack = change.values.get("stack")
        return change.verb is Verb.UPDATE and bool(stack) and self._rights.may_take(host, str(stack))

    # ---- RRsets

    def _rrsets(self, row: HostDiff) -> dict[Place, RRset | NewRRset]:
        """The RRsets of the host after the changes so far."""
        present = self.snapshot.rrsets.get(row.before.id, ()) if row.before else ()
        found: dict[Place, RRset | NewRRset | None] = {one.place: one for one in present}
        found |= row.rrsets
        return {place: one for place, one in found.items() if one is not None}

    def _check_expected_records(self, row: HostDiff, host: Host, expected: Mapping[str, Content | None]) -> None:
        """Check that these RRsets are as expected. Raises Invalid, Differs."""
        present = self._rrsets(row)
        for place, wanted in record_sets.parse_all(host.fqdn, expected).items():
            one = present.get(place)
            if (wanted and (wanted.ttl, wanted.data)) != (one and (one.ttl, one.data)):
                raise Differs(f"records.{record_sets.key_of(place)}", one and record_sets.shown(one.ttl, one.data))

    def _changed_rrsets(self, row: HostDiff, after: Host, change: Change) -> dict[Place, NewRRset | None]:
        """The RRsets that the change sets, as far as they differ; None: removed.

        Raises Invalid, Taken, NoDomain, NotPublished, OverQuota.
        """
        given = change.values.get("records")
        if not given:
            return {}
        present = self._rrsets(row)
        wanted = record_sets.parse_all(after.fqdn, given)
        changed = {
            place: new
            for place, new in wanted.items()
            if (new is None and place in present) or (new and not (place in present and new.equals(present[place])))
        }
        if added := [new for new in changed.values() if new is not None]:
            if after.conflict is not None:
                raise Taken(records=Reason(Code.NAME_UNAVAILABLE, obstacle=Obstacle.from_stored(after.conflict)))
            if not after.domain_available:
                raise NoDomain
            record_sets.check_room(added, [one for place, one in present.items() if place not in changed])
            if not self._rights.oversight and (error := self.snapshot.records_exhausted.get(change.fqdn)):
                raise error
            self._check_tried(after, added, present)
        return changed

    def _check_tried(self, host: Host, added: Sequence[NewRRset], present: Mapping[Place, RRset | NewRRset]) -> None:
        """Check what the name server says about RRsets, each one alone. Raises Invalid, Taken, NotPublished."""
        wrong: dict[str, Reason] = {}
        for new in added:
            one, fqdn = present.get(new.place), new.name(host.fqdn)
            ours = one is not None and (isinstance(one, NewRRset) or one.conflict is None or one.claimed)
            ours = ours or fqdn in self._freed or fqdn in self.snapshot.names_in_removal
            aliased = bool(host.aliased) and host.alias is None and fqdn == host.fqdn
            reason = self._tried(Trial(host.domain_id, fqdn, new.rtype, new.data, not ours, aliased))
            if reason is not None:
                if reason.code is Code.NOT_PUBLISHED:
                    raise NotPublished(str(reason.parameters["cause"]))
                wrong[f"records.{record_sets.key_of(new.place)}"] = reason
        if wrong:
            refused = any(reason.code is Code.VALUES_REFUSED for reason in wrong.values())
            raise (Invalid if refused else Taken)(**wrong)

    def _tried(self, trial: Trial) -> Reason | None:
        """What is against the trial, as far as a name server has judged it."""
        if trial in self.snapshot.tried:
            return self.snapshot.tried[trial]
        self.trials.add(trial)
        self.unasked = True
        return None

    def _keep_rrsets(self, row: HostDiff, changed: Mapping[Place, NewRRset | None]) -> None:
        """Note changed RRsets of the host `row.now`."""
        if not changed or row.now is None:
            return
        row.rrsets |= changed
        row.now = row.now._replace(has_rrsets=bool(self._rrsets(row)))
        for place, new in changed.items():
            values = ", ".join(new.values) if new else "removed"
            self._event(row.now, "host.records", row.now.fqdn, f"{record_sets.key_of(place)}: {values}")

    # ---- related names and aliases

    def _interface_ids(self, row: HostDiff) -> dict[str, str]:
        """The interface ids of the host's related names by label, after the changes so far."""
        before = row.before
        present = self.snapshot.related.get(before.id, ()) if before else ()
        found = {label_of(one.fqdn, before.fqdn): one.interface_id for one in present} if before else {}
        found |= {label: new.interface_id for label, new in row.related.items() if new}
        return {label: one for label, one in found.items() if row.related.get(label, one) is not None}

    def _check_expected_related(self, row: HostDiff, host: Host, expected: Mapping[str, str | None]) -> None:
        """Check that these related names are as expected. Raises Invalid, Differs."""
        present = self._interface_ids(row)
        for label, wanted in related_labels.parse_all(host.fqdn, expected).items():
            if (wanted and wanted.interface_id) != present.get(label):
                raise Differs(f"related.{label}", present.get(label))

    def _changed_related(self, row: HostDiff, after: Host, change: Change) -> dict[str, NewRelated | None]:
        """The related names that the change sets, by label, as far as they differ; None: removed.

        Raises Invalid, Taken, NoDomain, NotPublished, OverQuota.
        """
        given = change.values.get("related")
        if not given:
            return {}
        present = self._interface_ids(row)
        wanted = related_labels.parse_all(after.fqdn, given)
        changed = {label: new for label, new in wanted.items() if (new and new.interface_id) != present.get(label)}
        set_now = [new for new in changed.values() if new is not None]
        if set_now:
            if after.conflict is not None:
                raise Taken(related=Reason(Code.NAME_UNAVAILABLE, obstacle=Obstacle.from_stored(after.conflict)))
            if not after.domain_available:
                raise NoDomain
            if not self._rights.oversight and (error := self.snapshot.records_exhausted.get(change.fqdn)):
                raise error
        for new in set_now:
            if address := self._policy.denied_in(after.prefix, [new.interface_id]):
                raise Invalid(**{f"related.{new.label}": Reason(Code.ADDRESS_NOT_ACCEPTED, address=address)})
            if new.label not in present:
                self._check_new_related(after, new)
        number = len(present) + sum(
            1 if new else -1 for label, new in changed.items() if not (new and label in present)
        )
        if number > related_labels.MOST:
            raise Invalid(related=Reason(Code.RELATED_TOO_MANY, limit=related_labels.MOST))
        return changed

    def _check_new_related(self, host: Host, new: NewRelated) -> None:
        """Check that the host may get the name. Raises Invalid, Taken, NotPublished."""
        field = f"related.{new.label}"
        domain = next((self.snapshot.domains[e] for e in endings(new.fqdn) if e in self.snapshot.domains), None)
        if new.fqdn in self._at or new.fqdn in self._related_names or domain is None or domain.id != host.domain_id:
            raise Taken(**{field: Reason(Code.RELATED_TAKEN, name=new.fqdn)})
        servers = self.snapshot.servers.get(domain.id, SILENT)
        if domain.frozen or isinstance(servers, str):
            raise NotPublished(domain.frozen or str(servers))
        try:
            check_name(self._policy, domain, new.fqdn, servers)
        except Invalid as error:
            raise Invalid(**{field: next(iter(error.fields.values()))}) from None
        if self._is_above_others(new.fqdn, host.owner_id):
            raise Invalid(**{field: ABOVE})

    def _check_alias(
        self, row: HostDiff, host: Host, rrsets: Mapping[Place, object], related: Mapping[str, object]
    ) -> None:
        """Check that an alias has nothing else, after these changes of RRsets and related names.

        Raises Invalid, Taken.
        """
        if host.alias is None:
            return
        if host.alias == f"{host.fqdn}.":
            raise Invalid(alias=Reason(Code.ALIAS_ITSELF))
        others = {**self._rrsets(row), **rrsets}.values(), {**self._interface_ids(row), **related}.values()
        if host.ipv4 or host.ipv6 or host.wildcard or any(one is not None for found in others for one in found):
            raise Invalid(alias=Reason(Code.ALIAS_ALONE))
        before = row.before
        if before is None or (before.alias, before.fqdn) != (host.alias, host.fqdn):
            self._try_alias(before, host)

    def _try_alias(self, before: Host | None, host: Host) -> None:
        """Check what the name server says about a new alias; if it is silent, the change waits. Raises Invalid, Taken.

        Other checks ask for records at a new name of a host.
        """
        assert host.alias is not None
        own: tuple[str, ...] = ()
        has_name = before is not None and before.fqdn == host.fqdn and before.conflict is None
        if before is not None and has_name:
            own = tuple(sorted(one.rtype for one in self.snapshot.rrsets.get(before.id, ()) if not one.prefix))
        stays = has_name and host.fqdn not in self._freed
        aliased = before is not None and bool(before.aliased)
        reason = self._tried(Trial(host.domain_id, host.fqdn, "CNAME", host.alias, stays, aliased, own))
        if reason is not None and reason.code is not Code.NOT_PUBLISHED:
            raise (Invalid if reason.code is Code.VALUES_REFUSED else Taken)(alias=reason)

    def _keep_related(self, row: HostDiff, changed: Mapping[str, NewRelated | None]) -> None:
        """Note changed related names of the host `row.now`."""
        if not changed or row.now is None:
            return
        for label, new in changed.items():
            fqdn = f"{label}.{row.now.fqdn}"
            (self._related_names.discard if new is None else self._related_names.add)(fqdn)
            self._event(row.now, "host.related", row.now.fqdn, f"{label}: {new.interface_id if new else 'removed'}")
        row.related |= changed

    def acts_for_domain(self, host: Host) -> bool:
        """Whether the caller changes the host only as the owner of its domain."""
        return self._rights.acts_for_domain(host)

    def _check_block(self, change: Change, host: Host) -> None:
        """Check that neither a block nor a flag prevents the change. Raises Blocked.

        The owner of the domain may change only the blocks that owners of the domain have made.
        """
        if change.verb is Verb.BLOCK or (change.verb is Verb.DELETE and self.acts_for_domain(host)):
            prevented = host.abuse_blocked and not host.blocked_by_domain
        else:
            prevented = host.abuse or host.abuse_blocked
        if prevented:
            raise Blocked

    def _check_protection(self, row: HostDiff, host: Host) -> None:
        """Check that the host may leave its stack, or be deleted. Raises Protected.

        A protection counts until the end of the call that takes it away. Administrators and owners of domains may also
        delete hosts of others.
        """
        before = row.before or host
        if self._acts_for_others(host):
            return
        if before.stack is not None and (before.owner_id, before.stack) in self.snapshot.protected:
            raise Protected(before.stack)

    def _check_leaves_stack(self, row: HostDiff, host: Host, stack: str | None) -> None:
        """Check that the host may get another stack, or none. Raises Protected, NotGiven, Invalid."""
        self._check_protection(row, host)
        if not self._rights.may_use(stack):
            raise Invalid(stack=STACK_BEYOND)
        before = row.before or host
        if before.stack is None or stack is None or self._acts_for_others(host):
            return
        if self.snapshot.gives.get((before.owner_id, before.stack), {}).get(before.fqdn) != stack:
            raise NotGiven(before.fqdn, before.stack, stack)

    def _acts_for_others(self, host: Host) -> bool:
        """Whether the caller acts as an administrator on a host of another user, or as the owner of its domain."""
        return (self._rights.oversight and host.owner_id != self._rights.user_id) or self.acts_for_domain(host)

    def _shown(self, host: Host, name: str) -> Any:
        """The value of the field as callers see it."""
        if name == "owner":
            return self.owners.get(host.owner_id)
        if self.acts_for_domain(host):
            host = without_notes(host)
        return json.loads(host.labels) if name == "labels" else getattr(host, name)

    def _check_rate(self, change: Change) -> None:
        """Check that the host was not changed too often. Raises OverQuota."""
        for name in (change.fqdn, change.rename):
            if error := self.snapshot.exhausted.get(name or ""):
                raise error

    def _check_room(self, domain: Domain, before: int | None = None) -> None:
        """Check that a host may get a name in the domain, and leave the domain `before`. Raises OverQuota."""
        room = self.snapshot.rooms.get(domain.id)
        left = self.snapshot.rooms.get(before) if before is not None else None
        if room is None or (left is not None and left.domain_id == room.domain_id):  # it is already counted
            return
        if room.used + self._added[room.domain_id] >= room.limit:
            code = Code.HOSTS_OVER_QUOTA if room.domain_id is None else Code.HOSTS_IN_DOMAIN_OVER_QUOTA
            raise OverQuota(code, limit=room.limit, domain=domain.name)

    def _take_room(self, domain: Domain, before: int | None = None) -> None:
        """Count a host that gets a name in the domain, and leaves the domain `before`."""
        if (room := self.snapshot.rooms.get(domain.id)) is not None:
            self._added[room.domain_id] += 1
        if before is not None:
            self._leave_room(before)

    def _leave_room(self, domain_id: int) -> None:
        if (room := self.snapshot.rooms.get(domain_id)) is not None:
            self._added[room.domain_id] -= 1

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

    def _find_domain(self, fqdn: str, owner_id: int, host: Host | None = None, *, stack: str | None) -> Domain:
        """The domain for a new name of a host. Raises Invalid, Taken, NotPublished."""
        if problem := names.problem(fqdn):
            raise Invalid(name=problem)
        above = endings(fqdn)
        domain = next((self.snapshot.domains[e] for e in above if e in self.snapshot.domains), None)
        if domain is None or not domain.available or not self._rights.may_register(domain, fqdn, stack):
            raise Invalid(name=NO_DOMAIN)
        if domain.frozen:  # the name server cannot be asked whether the name is free
            raise NotPublished(domain.frozen)
        servers = self.snapshot.servers.get(domain.id, SILENT)
        if isinstance(servers, str):
            raise NotPublished(servers)
        check_name(self._policy, domain, fqdn, servers)
        for name in above[1 : above.index(domain.name)]:
            row = self._at.get(name)
            if row is not None and row.now is not None and row.now.owner_id != owner_id:
                raise Invalid(name=BELOW)
        below = [moved(r, host.fqdn, fqdn).fqdn for r in self.snapshot.related.get(host.id, ())] if host else []
        if any(name in self._at or name in self._related_names for name in (fqdn, *below)):
            raise NameTaken
        if any(name in self.snapshot.domains for name in below):
            raise NameTaken
        if self._is_above_others(fqdn, owner_id):
            raise Invalid(name=ABOVE)
        for name in below:
            if names.problem(name) is None:  # _check_owned refuses one that is too long
                check_name(self._policy, domain, name, servers)
        return domain

    def _note_below(self, host: Host) -> None:
        """Remember that the host is below the names between its own and its domain."""
        if "." in host.name:
            for name in endings(host.fqdn)[1 : host.name.count(".") + 1]:
                self._below.setdefault(name, set()).add(host.fqdn)

    def _is_above_others(self, fqdn: str, owner_id: int) -> bool:
        """Whether hosts below the name belong to others than this owner."""
        if (fqdn, owner_id) in self.snapshot.above_others:
            return True
        rows = (self._at.get(name) for name in self._below.get(fqdn, ()))
        return any(row is not None and row.now is not None and row.now.owner_id != owner_id for row in rows)

    def _check_related(self, row: HostDiff, after: Host) -> None:
        """Check the addresses of related names in the host's new prefix. Raises Invalid."""
        interface_ids = self._interface_ids(row).values()
        if address := self._policy.denied_in(after.prefix, interface_ids):
            raise Invalid(ipv6=Reason(Code.ADDRESS_NOT_ACCEPTED, address=address))

    def _claim(self, row: HostDiff, host: Host, after: Host, related: Mapping[str, NewRelated | None]) -> None:
        """Check that new names of an existing host have no records in the zone. Raises Taken, NotPublished."""
        before, now = self._names(row, host), self._names(row, after)
        for label, new in related.items():
            (now.discard if new is None else now.add)(f"{label}.{after.fqdn}")
        if row.before is not None:
            wanted = now - before - self._freed
            if used := sorted(wanted & self.snapshot.used.keys()):
                reason = Reason(Code.NAME_UNAVAILABLE, obstacle=self.snapshot.used[used[0]])
                fields = {f"{label}.{after.fqdn}": f"related.{label}" for label in related}
                field = "name" if host.fqdn != after.fqdn else fields.get(used[0], "wildcard")
                raise Taken(**{field: reason})
            if wanted and after.domain_id in self.snapshot.silent:
                raise NotPublished(self.snapshot.silent[after.domain_id])
            self.claims |= {(after.domain_id, name) for name in wanted}
            self.unasked = self.unasked or not wanted <= self.snapshot.asked
        if host.claimed:
            self._freed |= before - now
        self._freed -= now

    def _check_owned(self, row: HostDiff, host: Host, field: str) -> None:
        """Check that no name of the host is too long. Raises Invalid for the field."""
        if problem := names.owned_problem(host.fqdn, self._names(row, host)):
            raise Invalid(**{field: problem})

    def _names(self, row: HostDiff, host: Host) -> set[str]:
        related = [Related(0, host.id, f"{label}.{host.fqdn}", one) for label, one in self._interface_ids(row).items()]
        return owned_names(host, related, self.snapshot.rrsets.get(host.id, ()))

    def _event(self, host: Host, action: str, subject: str, detail: str | None = None) -> None:
        if not self.acts_for_domain(host):
            self.events.append(Event(action, subject, host.owner_id, detail))
            return
        told = f"by the owner of {host.domain}" + (f": {detail}" if detail else "")
        self.events.append(Event(action, subject, host.owner_id, told, hides_source=True))
        self.events.append(Event(action, subject, host.domain_owner_id, told))


def check_name(policy: Policy, domain: Domain, fqdn: str, servers: Set[str]) -> None:
    """Check that a host of the domain may have the name; `servers` are the targets of its NS records. Raises Invalid.

    Names that the service or the zone needs are refused, denied names, names in reverse zones, and names in domains
    that are left to members of a Kerberos realm.
    """
    if problem := names.problem(fqdn):
        raise Invalid(name=problem)
    if names.is_reverse(fqdn):
        raise Invalid(name=Reason(Code.NAME_IS_REVERSE, domain=domain.name))
    if domain.members_only:
        raise Invalid(name=Reason(Code.NAME_OF_MEMBERS, domain=domain.name, realm=domain.gss_realm or ""))
    if policy.is_reserved(fqdn) or fqdn == domain.name or fqdn in servers:
        raise Invalid(name=Reason(Code.NAME_RESERVED))
    if policy.deny.has_name(fqdn, domain.name):
        raise Invalid(name=Reason(Code.NAME_DENIED))


def happened(host: Host, values: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Yield (action, object, detail) of the audit events for an edit that sets these columns."""
    now = values.get("fqdn", host.fqdn)
    if now != host.fqdn:
        yield "host.rename", host.fqdn, f"to {now}"
        yield "host.rename", now, f"from {host.fqdn}"
    quarantine = not values.keys().isdisjoint(host_columns.QUARANTINE)
    if quarantine and any(values.get(name) for name in host_columns.QUARANTINE):
        yield "host.quarantine", now, values.get("block_reason", host.block_reason)
    elif "abuse_blocked" in values or "abuse" in values:
        blocked = bool(values.get("abuse_blocked"))
        yield ("host.block", now, values.get("block_reason")) if blocked else ("host.unblock", now, None)
    elif quarantine or not values.keys().isdisjoint({"block_reason", "blocked_by_domain"}):
        yield "host.block", now, values.get("block_reason", host.block_reason)
    if shown := {"labels", "alias", *host_columns.FAMILIES, *host_columns.PLAIN} & values.keys() - {"owner_id"}:
        yield "host.set", now, ", ".join(sorted(shown))


def warnings_by_name(found: Mapping[str, Iterable[EmptyNonTerminal]]) -> dict[str, list[Reason]]:
    """At most `MOST_WARNINGS` warnings by the full name of the host."""
    return {
        fqdn: [
            Reason(Code.NAME_UNANSWERED, name=name, host=host, below=below)
            for name, host, below in islice(empties, MOST_WARNINGS)
        ]
        for fqdn, empties in found.items()
    }


def moved(name: Related, before: str, after: str) -> Related:
    """The related name after its host is renamed."""
    return name if before == after else name._replace(fqdn=name.fqdn.removesuffix(before) + after)


def _in_domain(host: Host, fqdn: str, domain: Domain, **columns: Any) -> Host:
    return host._replace(
        fqdn=fqdn,
        name=fqdn.removesuffix("." + domain.name),
        domain_id=domain.id,
        domain=domain.name,
        domain_owner_id=domain.owner_id,
        domain_available=domain.available,
        domain_ttl=domain.ttl,
        query_credentials=domain.query_credentials,
        private_addresses=domain.private_addresses,
        dns_updates=domain.dns_updates,
        **columns,
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
    block_reason=None,
    blocked_by_domain=False,
    quarantine_ipv4=None,
    quarantine_ipv6=None,
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
    alias=None,
    aliased=False,
    stack=None,
    protect=False,
    labels="{}",
    ptr=False,
    proved_ipv4=None,
    proved_ipv6=None,
    reverse_of=None,
    created=0,
    domain="",
    domain_owner_id=0,
    domain_available=True,
    domain_ttl=None,
    query_credentials=False,
    private_addresses=True,
    dns_updates=True,
    owner_active=True,
    withdrawn=False,
    pending_since=None,
)
