# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of hosts, one or thousands: validate together, write in one transaction, then send to DNS.

    read the named rows ─► validate in order ─► write in one transaction ─► send to DNS ─► undo what DNS refuses

A bulk call is validated before its transaction. The transaction reads the rows again, and validates again only if
something has changed since. A single change is validated only in its transaction.

With an Idempotency-Key the answer is stored in the transaction of the changes, and again after DNS has answered.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, can
from ddnsd.db import bulk_hosts, empty_non_terminals, idempotency, queries, records, stacks
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.history import Author
from ddnsd.db.idempotency import Answer
from ddnsd.db.rows import Domain, Host, RRset
from ddnsd.dns.conflicts import Obstacle
from ddnsd.dns.errors import ChangeRefused, DnsError, HostGone, NameConflict, NotAcknowledged
from ddnsd.dns.primary_check import TriedSet
from ddnsd.dns.rdata import BadValue
from ddnsd.dns.records import owned_names, values_of
from ddnsd.dns.writer import TOO_LATE, Outcomes, Place, Writer
from ddnsd.registry.change_store import (
    Written,
    domains_around,
    places,
    read,
    take_back,
    takes_names,
    undo_rename,
    write,
)
from ddnsd.registry.errors import (
    Code,
    Held,
    HostRefused,
    Invalid,
    KeyReused,
    LeaseLost,
    NoHost,
    NotPublished,
    Reason,
    Taken,
    Unconfirmed,
)
from ddnsd.registry.names_around import NamesChanged
from ddnsd.registry.policy import Policy
from ddnsd.registry.quotas import Quota, Quotas
from ddnsd.registry.rates import Rates
from ddnsd.registry.validation import (
    TAKEN,
    Change,
    ChangeValidator,
    HostDiff,
    Permissions,
    Result,
    Secrets,
    Snapshot,
    Status,
    Trial,
    Verb,
    warnings_by_name,
)

TRIES = 4
"""How often a call is tried, if concurrent calls are faster."""

RELATED_TYPE = "AAAA"
"""The type of the record of a related name."""

REPEAT_MICROSECONDS = 15_000_000
"""How long after the start of a call a repeated call waits for its answer."""

log = structlog.get_logger()


class Repeated(Exception):
    """the same call was made before; `text` is its answer"""

    def __init__(self, text: str) -> None:
        self.text = text


@dataclass(frozen=True)
class Kept:
    """An Idempotency-Key: hashes of the caller with the key, and of the body. `render` makes the text to store."""

    key: str
    key_hash: bytes
    body_hash: bytes
    render: Callable[[Sequence[Result]], str]


@dataclass(frozen=True)
class Call:
    """Changes that are carried out together.

    `single`: the call has only one change. It is sent to DNS before those of bulk calls, and its caller waits at most
    one deadline. A new host is deleted again if the name server does not acknowledge it by then.
    """

    changes: Sequence[Change]
    atomic: bool
    rights: Permissions
    actor: str
    client_ip: str | None
    tls: bool
    secret: Secrets
    kept: Kept | None = None
    author: Author | None = None
    single: bool = False
    lease: str | None = None
    """The id of the caller's lease of a stack. The call fails if it has ended."""


@dataclass
class Decided:
    """Permissions of a single change that its caller has already checked; `Change.expect` checks them again.

    `user_id` is the owner of the host. `domain` is the only one in which a new name may be. `for_domain`: the caller
    acts only as the owner of the host's domain. `caller` is asked about reverse zones.
    """

    user_id: int = 0
    oversight: bool = False
    domain: Domain | None = None
    for_domain: bool = False
    caller: Caller | None = None

    def may_change(self, domain: Domain, /) -> bool:
        """Whether the caller may change the domain."""
        return self.caller is not None and can(self.caller, Action.EDIT, domain)

    def may(self, _verb: Verb, _host: Host, /) -> bool:
        """Always True."""
        return True

    def acts_for_domain(self, _host: Host, /) -> bool:
        """As its caller has checked."""
        return self.for_domain

    def may_use(self, _stack: str | None, /) -> bool:
        """Always True."""
        return True

    def may_take(self, _host: Host, _stack: str, /) -> bool:
        """Never: `may` is always True."""
        return False

    def may_register(self, domain: Domain, _fqdn: str, _stack: str | None, /) -> bool:
        """True for the domain that was checked. Raises Invalid for another one."""
        if self.domain is None or self.domain.id != domain.id:
            raise Invalid(name=Reason(Code.NAME_IN_OTHER_DOMAIN, domain=domain.name))
        return True


class _Validated(NamedTuple):
    """A validator, and its results."""

    validator: ChangeValidator
    results: list[Result]


class _AskFirst(Exception):
    """it is not known whether the zone has records at some of the names that hosts would get"""

    def __init__(self, validator: ChangeValidator) -> None:
        self.validator = validator


class _Earlier(Exception):
    """the database has an answer for this Idempotency-Key"""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class Changes:
    """Carries out calls. `call.rights` decides what the caller may do."""

    def __init__(self, store: Store, writer: Writer, policy: Policy, rates: Rates | None = None) -> None:
        self._store, self._writer, self._policy = store, writer, policy
        self._quotas, self._rates = Quotas(policy), rates or Rates(store, policy)

    async def make(
        self,
        change: Change,
        author: Author,
        *,
        rights: Permissions | None = None,
        tls: bool = False,
        secret_hash: bytes = b"",
    ) -> HostDiff:
        """Carry out one change, and return its host. The change is then durable and acknowledged by the name server.

        Raises the validator's errors, NotPublished, StoreDown (nothing is changed), and Unconfirmed (the change is
        kept, and sent to DNS later).
        """
        call = Call(
            [change],
            False,
            rights or Decided(),
            author.actor,
            author.source,
            tls,
            lambda _index, _fqdn: ("", secret_hash),
            author=author,
            single=True,
        )
        (result,) = await self.apply(call)
        if result.error is not None:
            raise result.error
        if result.status is Status.PENDING:
            if isinstance(result.reason, NameConflict):
                raise Held(result.reason.obstacle)
            raise Unconfirmed(str(result.reason))
        assert result.row is not None
        return result.row

    async def apply(self, call: Call) -> list[Result]:
        """Carry out the call, and return the results in order. The changes are then durable.

        Raises StoreDown, Taken, LeaseLost (nothing is kept), KeyReused, and Repeated with the answer of the first call.
        """
        try:
            written = await self._written(call)
        except _Earlier as earlier:
            raise Repeated(await self._final(call, earlier.answer)) from None
        self._count(written.results)
        outcomes = await self._writer.push_bulk(written.follow, written.left, bulk=not call.single)
        refused = _take_outcomes(written.results, outcomes, single=call.single)
        await self._note_rrsets_in_conflict(written.results, single=call.single)
        await self._finish(call, written.results, refused)
        return written.results

    async def _note_rrsets_in_conflict(self, results: Sequence[Result], *, single: bool) -> None:
        """Changes are pending if an RRset is not in DNS, although its host is: the zone has changed since the trial.

        A `single` new host is not: its caller would not get its secret.
        """
        changed = {
            r.row.now.id: r
            for r in results
            if r.row and r.row.now and r.row.rrsets and r.error is None and not (single and r.row.before is None)
        }
        found: list[RRset] = []
        if changed:
            with contextlib.suppress(StoreDown):  # the change is kept
                found = await self._store.read(lambda c: records.below(c, list(changed)))
        for one in found:
            result = changed[one.host_id]
            if one.conflict is not None and result.row and one.place in result.row.rrsets:
                result.status, result.reason = Status.PENDING, NameConflict(Obstacle.from_stored(one.conflict))

    async def dry_run(self, call: Call) -> list[Result]:
        """Validate the call, also against the zones, and return the results. Nothing is changed, and no secret is made.

        The results of deletions have the other records that go with the host. Raises StoreDown.
        """
        call = replace(call, secret=lambda _index, _fqdn: ("", b""))
        outside = await self._name_servers(call, await self._outside(call))
        validator, results = await self._validated(call, outside)
        await self._check_new_names(results, validator.snapshot)
        for result in results:
            result.secret = None
            if result.row is not None and result.row.now is None and result.row.before is not None:
                result.removes = _going_with(result.row.before, validator.snapshot)
        return results

    async def _check_new_names(self, results: Sequence[Result], snapshot: Snapshot) -> None:
        """Fail the results of new hosts whose names have foreign records. A real call finds out with its message."""
        new: dict[int, dict[str, Result]] = {}
        for result in results:
            if result.row is not None and result.row.before is None and (host := result.row.now) is not None:
                released = snapshot.hosts.keys() | snapshot.names_in_removal
                related = {one.fqdn for one in result.row.related.values() if one}
                wanted = (owned_names(host) | related) - released
                new.setdefault(host.domain_id, {}).update(dict.fromkeys(wanted, result))
        for domain_id, names in new.items():
            try:
                used = await self._writer.obstacles(domain_id, sorted(names))
            except (DnsError, HostGone) as error:
                for result in names.values():
                    _fail(result, NotPublished(str(error)))
                continue
            for name in names.keys() & used.keys():
                _fail(names[name], Taken(name=Reason(Code.NAME_UNAVAILABLE, obstacle=used[name])))

    # ---- before DNS

    async def _written(self, call: Call) -> Written:
        outside = await self._outside(call)
        for _ in range(TRIES):
            outside = await self._name_servers(call, outside)
            validated = None
            if not call.single:
                validated = await self._validated(call, outside)
                outside = validated.validator.snapshot
            try:
                return await self._store.transact(lambda c, o=outside, v=validated: self._write(c, call, o, v))  # type: ignore[misc]
            except (IntegrityError, NamesChanged):
                log.info("bulk call validated again", changes=len(call.changes))
            except _AskFirst as ask:
                outside = await self._ask(ask.validator)
        raise Taken(__all__=TAKEN)

    async def _validated(self, call: Call, outside: Snapshot) -> _Validated:
        """Validate without a lock, so that others wait only a short time."""
        snapshot = await self._store.read(lambda c: self._read(c, call, outside))
        validated = await asyncio.to_thread(self._validate, call, snapshot)
        if not validated.validator.unasked:
            return validated
        asked = await self._ask(validated.validator)
        return await asyncio.to_thread(self._validate, call, asked)

    async def _ask(self, validator: ChangeValidator) -> Snapshot:
        """Ask name servers for records at the claimed names. Returns the snapshot, extended by their answers."""
        by_domain: dict[int, list[str]] = {}
        for domain_id, name in sorted(validator.claims):
            by_domain.setdefault(domain_id, []).append(name)
        asked: set[str] = set()
        used: dict[str, Obstacle] = {}
        silent: dict[int, str] = {}
        for domain_id, names in by_domain.items():
            asked.update(names)
            try:
                used |= await self._writer.obstacles(domain_id, names)
            except (DnsError, HostGone) as error:
                log.warning("new names not checked in the zone", domain_id=domain_id, reason=str(error))
                silent[domain_id] = str(error)
        tried = {**validator.snapshot.tried, **await self._try(validator.trials)}
        return replace(validator.snapshot, asked=asked, used=used, tried=tried, silent=silent)

    async def _try(self, trials: Collection[Trial]) -> dict[Trial, Reason | None]:
        """Ask name servers about RRsets. Returns the reasons against them."""
        found: dict[Trial, Reason | None] = {}
        by_domain: dict[int, list[Trial]] = {}
        for trial in sorted(trials):
            by_domain.setdefault(trial.domain_id, []).append(trial)
        for domain_id, same in by_domain.items():
            asked = {TriedSet(t.fqdn, t.rtype, values_of(t.data), *t[4:]): t for t in same}
            try:
                rejected = await self._writer.rejected(domain_id, list(asked))
            except (DnsError, HostGone) as error:
                found |= dict.fromkeys(same, Reason(Code.NOT_PUBLISHED, cause=str(error)))
                continue
            for wanted, trial in asked.items():
                found[trial] = _reason(rejected.get(wanted))
        return found

    async def _name_servers(self, call: Call, outside: Snapshot) -> Snapshot:
        """The snapshot, extended by the name servers of the domains in which the call takes names."""
        domains = await self._store.read(lambda c: domains_around(c, call.changes)) if takes_names(call.changes) else []
        answered = await asyncio.gather(*(self._servers(domain.id) for domain in domains))
        return replace(outside, servers={d.id: found for d, found in zip(domains, answered, strict=True)})

    async def _servers(self, domain_id: int) -> frozenset[str] | str:
        try:
            return await self._writer.name_servers(domain_id)
        except (DnsError, HostGone) as error:
            return str(error)

    def _validate(self, call: Call, snapshot: Snapshot) -> _Validated:
        return _validate(call, snapshot, self._policy)

    def _write(self, connection: Connection, call: Call, outside: Snapshot, validated: _Validated | None) -> Written:
        if call.kept is not None:
            key, user_id = call.kept.key_hash, call.rights.user_id
            earlier = idempotency.reserve(connection, key, call.kept.body_hash, user_id)
            if earlier is not None:
                raise _Earlier(earlier)
        if call.lease is not None:
            stack = stacks.note_apply(connection, call.rights.user_id, call.lease)
            if stack is None:
                raise LeaseLost
            if call.kept is not None:
                idempotency.keep_for_stack(connection, call.kept.key_hash, stack, call.kept.key)
        snapshot = self._read(connection, call, outside, lock=True)
        if validated is None or snapshot != validated.validator.snapshot:  # something has changed since
            validated = bulk_hosts.aside(connection, lambda: self._validate(call, snapshot))
            if validated.validator.unasked:
                raise _AskFirst(validated.validator)
        validator, results = validated
        for result in results:
            if result.follow and not result.shown and result.row and (host := result.row.now):
                result.follow = host.conflict is None and not self._writer.is_published(host)
        written = write(connection, validator, results, call.actor, call.client_ip, _author(call))
        if not call.single:
            _add_warnings(connection, results)
        if call.kept is not None:
            text = bulk_hosts.aside(connection, lambda: _text(call, results))
            self._quotas.check_answers(connection, call.rights.user_id, len(text))
            idempotency.write(connection, call.kept.key_hash, text, final=not any(r.follow for r in results))
        return written

    # ---- quotas

    async def _outside(self, call: Call) -> Snapshot:
        """A snapshot with the errors for hosts that were changed too often. Administrators may change them."""
        if call.rights.oversight:
            return Snapshot()
        fqdns = {name for change in call.changes for name in (change.fqdn, change.rename) if name is not None}
        with_records = {
            change.fqdn for change in call.changes if change.values.get("records") or change.values.get("related")
        }
        return Snapshot(
            exhausted=await self._rates.exhausted(call.rights.user_id, fqdns),
            records_exhausted=await self._rates.exhausted(call.rights.user_id, with_records, Quota.RECORD_CHANGES),
        )

    def _count(self, results: Sequence[Result]) -> None:
        for result in results:
            if result.shown and result.error is None and result.row and (host := result.row.now):
                self._rates.note_change(host.owner_id, host.fqdn)
                if number := len(result.row.rrsets) + len(result.row.related):
                    self._rates.note_record_changes(host.owner_id, host.fqdn, number)

    def _read(self, connection: Connection, call: Call, outside: Snapshot, *, lock: bool = False) -> Snapshot:
        """The snapshot of the call, with the caller's room for new hosts."""
        quota = None
        if takes_names(call.changes) and not call.rights.oversight:
            quota = self._quotas.hosts(connection, call.rights.user_id, lock=lock)
        snapshot = read(connection, call.changes, outside, call.rights.user_id, lock=lock)
        if quota is None:
            return snapshot
        ids = {domain.id for domain in snapshot.domains.values()}
        return replace(snapshot, rooms=quota.rooms(connection, ids, len(call.changes)))

    # ---- a repeated call

    async def _final(self, call: Call, answer: Answer) -> str:
        """The answer of the first call; waits while that call is still running. Raises KeyReused."""
        kept = call.kept
        assert kept is not None
        if answer.body_hash != kept.body_hash:
            raise KeyReused
        found: Answer | None = answer
        while found is not None and not found.final and queries.now() < found.created + REPEAT_MICROSECONDS:
            await asyncio.sleep(0.1)
            found = await self._store.read(lambda c: idempotency.find(c, kept.key_hash))
        return (found or answer).text

    # ---- after DNS

    async def _finish(self, call: Call, results: list[Result], refused: Mapping[int, Result]) -> None:
        created = {i: r for i, r in refused.items() if r.row and r.row.before is None}

        def work(connection: Connection) -> set[int]:
            left = take_back(connection, {host_id: _may_be_sent(result) for host_id, result in created.items()})
            if call.kept is not None:
                text = bulk_hosts.aside(connection, lambda: _text(call, results))
                idempotency.write(connection, call.kept.key_hash, text, final=True)
            return left

        try:
            if created or (call.kept is not None and any(r.follow for r in results)):
                for domain_id in await self._store.transact(work):
                    self._writer.push_removals_later(domain_id)
            for host_id in refused.keys() - created.keys():
                await self._undo_rename(refused[host_id], bulk=not call.single)
        except StoreDown as error:
            if call.single:
                raise
            log.error("hosts with refused names stay registered, in conflict", hosts=len(refused), reason=str(error))

    async def _undo_rename(self, result: Result, *, bulk: bool) -> None:
        row = result.row
        if row and row.before and row.now and row.before.fqdn != row.now.fqdn:
            before, after = row.before, row.now
            if await self._is_undone(before, after):
                await self._writer.push_bulk({before.domain_id: [before.id]}, {}, bulk=bulk)

    async def _is_undone(self, before: Host, after: Host) -> bool:
        for _ in range(TRIES):
            try:
                return await self._store.transact(lambda c: undo_rename(c, before, after))
            except (IntegrityError, NamesChanged):
                log.info("rename undone again", host=before.fqdn)
        return False


def write_now(
    connection: Connection, changes: Sequence[Change], author: Author, policy: Policy | None = None
) -> list[Host]:
    """Make changes as an administrator within the caller's transaction. Returns the hosts.

    Only for changes that give no host a new name, because no name server is asked. The service sends them to DNS later.
    Raises the error of the first change that fails. Without `policy`, the operator has no rules.
    """
    rights = Decided(oversight=True)
    call = Call(changes, False, rights, author.actor, author.source, False, lambda *_: ("", b""), author=author)
    validator, results = _validate(
        call, read(connection, changes, Snapshot(), rights.user_id, lock=True), policy or Policy()
    )
    for result in results:
        if result.error is not None:
            raise result.error
    write(connection, validator, results, call.actor, call.client_ip, author)
    return [result.row.now for result in results if result.row and result.row.now]


def _validate(call: Call, snapshot: Snapshot, policy: Policy) -> _Validated:
    validator = ChangeValidator(snapshot, call.rights, policy, call.secret, tls=call.tls, client_ip=call.client_ip)
    return _Validated(validator, validator.validate(call.changes, atomic=call.atomic))


def _add_warnings(connection: Connection, results: Sequence[Result]) -> None:
    """Add warnings to the results of hosts with a new name or wildcard."""
    new = {}
    for result in results:
        if (row := result.row) is None or (now := row.now) is None or result.error is not None:
            continue
        if row.before is None or row.before.fqdn != now.fqdn or (now.wildcard and not row.before.wildcard):
            new[now.fqdn] = result, now
    if new:
        found = empty_non_terminals.of_hosts(connection, [host for _, host in new.values()])
        for fqdn, warnings in warnings_by_name(found).items():
            new[fqdn][0].warnings = warnings


def _going_with(host: Host, snapshot: Snapshot) -> list[tuple[str, str]]:
    """(full name, type) of the host's RRsets and related names."""
    sets = [(one.name(host.fqdn), one.rtype) for one in snapshot.rrsets.get(host.id, ())]
    return sorted([*sets, *((name.fqdn, RELATED_TYPE) for name in snapshot.related.get(host.id, ()))])


def _reason(found: Obstacle | BadValue | None) -> Reason | None:
    if isinstance(found, Obstacle):
        return Reason(Code.NAME_UNAVAILABLE, obstacle=found)
    return None if found is None else Reason(Code.VALUES_REFUSED, rcode=str(found))


def _author(call: Call) -> Author:
    return call.author or Author(call.actor, call.client_ip)


def _text(call: Call, results: Sequence[Result]) -> str:
    assert call.kept is not None
    return call.kept.render(results)


def _take_outcomes(results: Sequence[Result], outcomes: Outcomes, *, single: bool) -> dict[int, Result]:
    """Update each result with its outcome in DNS. Returns the results to undo, by host id."""
    late = NotAcknowledged(TOO_LATE)
    refused: dict[int, Result] = {}
    for result in results:
        row = result.row
        if not result.follow or row is None:
            continue
        host_id = row.now.id if row.now else 0
        keys: list[tuple[str, int | Place]] = [("host", host_id)] if row.now else []
        keys += [("left", place) for place in places(row)]
        errors = [error for key in keys if (error := outcomes.get(key, late)) is not None]
        conflict = next((e for e in errors if isinstance(e, NameConflict)), None)
        result.reason = conflict or next(iter(errors), None)
        if conflict and (row.before is None or row.now is None or row.before.fqdn != row.now.fqdn):
            _fail(result, Taken(name=Reason(Code.NAME_UNAVAILABLE, obstacle=conflict.obstacle)))
            refused[host_id] = result
        elif any(isinstance(e, HostGone) for e in errors):
            _fail(result, NoHost())
        elif errors and single and row.before is None:
            _fail(result, _not_published(errors[0]))
            refused[host_id] = result
        elif errors:
            result.status = Status.PENDING
        elif result.status is Status.PENDING:
            result.status = Status.APPLIED
    return refused


def _not_published(error: BaseException) -> NotPublished:
    kind = HostRefused if isinstance(error, ChangeRefused) else NotPublished
    return kind(str(error))


def _may_be_sent(result: Result) -> bool:
    """Whether an abandoned message may still add the new host to the zone."""
    return not isinstance(result.reason, (NameConflict, ChangeRefused))


def _fail(result: Result, error: Exception) -> None:
    result.status, result.error, result.secret = Status.FAILED, error, None
