# SPDX-License-Identifier: GPL-3.0-or-later
"""Many changes in one call: judged together, written in one transaction, then followed by DNS.

    read what is named ─► judge in order ─► one transaction ─► DNS follows ─► what DNS refuses is taken back

The transaction reads again, and judges again only if something has changed since.

With an Idempotency-Key the answer is kept in the transaction of the changes, and once more when DNS has had its say.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ddnsd.db import bulk_hosts, idempotency, queries
from ddnsd.db.base import Store, StoreDown
from ddnsd.db.history import Author
from ddnsd.db.idempotency import Answer
from ddnsd.dns.errors import DnsError, HostGone, NameConflict, NotAcknowledged
from ddnsd.dns.records import records
from ddnsd.dns.writer import Outcomes, Place, Writer
from ddnsd.registry import host_edits
from ddnsd.registry.change_store import Written, domains_around, places, read, write
from ddnsd.registry.errors import NoHost, RegistryError, Taken
from ddnsd.registry.hosts import TAKEN
from ddnsd.registry.policy import Policy
from ddnsd.registry.validation import Change, ChangeValidator, Permissions, Result, Secrets, Snapshot, Status

TRIES = 4
"""How often a call is judged anew because somebody else was quicker."""

REPEAT_MICROSECONDS = 15_000_000
"""How long after a call's beginning a repeated one waits for its end."""

log = structlog.get_logger()


class KeyReused(RegistryError):
    """this Idempotency-Key was used with another body; take a new one"""


class Repeated(Exception):
    """the call was made before; `text` is what it was answered"""

    def __init__(self, text: str) -> None:
        self.text = text


@dataclass(frozen=True)
class Kept:
    """An Idempotency-Key: hashes of the caller with the key, and of the body; `render` makes the text to be kept."""

    key_hash: bytes
    body_hash: bytes
    render: Callable[[Sequence[Result]], str]


@dataclass(frozen=True)
class Call:
    """A bulk call."""

    changes: Sequence[Change]
    atomic: bool
    rights: Permissions
    actor: str
    client_ip: str | None
    tls: bool
    secret: Secrets
    kept: Kept | None = None
    author: Author | None = None


class _Validated(NamedTuple):
    """What a judge made of a call, and the judge, who knows by what."""

    validator: ChangeValidator
    results: list[Result]


class _AskFirst(Exception):
    """names are to be claimed of which it is not known whether the zone holds them"""


class _Earlier(Exception):
    """the store has an answer under this key"""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class Changes:
    """Carries out bulk calls; what the caller may do is asked of `call.rights`."""

    def __init__(self, store: Store, writer: Writer, policy: Policy) -> None:
        self._store, self._writer, self._policy = store, writer, policy

    async def apply(self, call: Call) -> list[Result]:
        """Carry out the call; durable when this returns the results in order.

        Raises StoreDown and Taken (nothing is kept), KeyReused, and Repeated with the answer of the first call.
        """
        try:
            written = await self._written(call)
        except _Earlier as earlier:
            raise Repeated(await self._final(call, earlier.answer)) from None
        outcomes = await self._writer.push_bulk(written.follow, written.left)
        refused = _take_outcomes(written.results, outcomes)
        await self._finish(call, written.results, refused)
        return written.results

    # ---- before DNS

    async def _written(self, call: Call) -> Written:
        for _ in range(TRIES):
            validated = await self._judged(call)
            try:
                return await self._store.transact(lambda c, j=validated: self._write(c, call, j))  # type: ignore[misc]
            except (IntegrityError, _AskFirst):
                log.info("bulk call judged anew", changes=len(call.changes))
        raise Taken(__all__=TAKEN)

    async def _judged(self, call: Call) -> _Validated:
        """Judge without a lock, which keeps the time short for which others wait."""
        domains = await self._store.read(lambda c: domains_around(c, call.changes))
        answered = await asyncio.gather(*(self._servers(domain.id) for domain in domains))
        outside = Snapshot(servers={d.id: names for d, names in zip(domains, answered, strict=True)})
        snapshot = await self._store.read(lambda c: read(c, call.changes, outside))
        validated = await asyncio.to_thread(self._validate, call, snapshot)
        if not validated.validator.unasked:
            return validated
        asked = await self._ask(snapshot, validated.validator.claims)
        return await asyncio.to_thread(self._validate, call, asked)

    async def _ask(self, snapshot: Snapshot, claims: Iterable[tuple[int, str]]) -> Snapshot:
        """Which of the names (domain id, name) cannot be a host's, and why."""
        by_domain: dict[int, list[str]] = {}
        for domain_id, name in sorted(claims):
            by_domain.setdefault(domain_id, []).append(name)
        asked: set[str] = set()
        used: dict[str, str] = {}
        silent: set[int] = set()
        for domain_id, names in by_domain.items():
            asked.update(names)
            try:
                used |= await self._writer.obstacles(domain_id, names)
            except (DnsError, HostGone) as error:
                log.warning("names not asked for", domain_id=domain_id, reason=str(error))
                silent.add(domain_id)
        return replace(snapshot, asked=asked, used=used, silent=silent)

    async def _servers(self, domain_id: int) -> frozenset[str] | None:
        try:
            return await self._writer.name_servers(domain_id)
        except (DnsError, HostGone):
            return None

    def _validate(self, call: Call, snapshot: Snapshot) -> _Validated:
        validator = ChangeValidator(snapshot, call.rights, self._policy, call.secret, tls=call.tls)
        return _Validated(validator, validator.validate(call.changes, atomic=call.atomic))

    def _write(self, connection: Connection, call: Call, validated: _Validated) -> Written:
        if call.kept is not None:
            earlier = idempotency.reserve(connection, call.kept.key_hash, call.kept.body_hash)
            if earlier is not None:
                raise _Earlier(earlier)
        snapshot = read(connection, call.changes, validated.validator.snapshot, lock=True)
        if snapshot != validated.validator.snapshot:  # something has changed since
            validated = bulk_hosts.aside(connection, lambda: self._validate(call, snapshot))
            if validated.validator.unasked:
                raise _AskFirst
        validator, results = validated
        for result in results:
            if result.status is Status.UNCHANGED and result.row and (host := result.row.now):
                result.follow = result.follow and host.conflict is None and not self._writer.is_published(host)
        author = call.author or Author(call.actor, call.client_ip)
        written = write(connection, validator, results, call.actor, call.client_ip, author)
        if call.kept is not None:
            text = bulk_hosts.aside(connection, lambda: _text(call, results))
            idempotency.write(connection, call.kept.key_hash, text, final=not any(r.follow for r in results))
        return written

    # ---- a repeated call

    async def _final(self, call: Call, answer: Answer) -> str:
        """What the first call is answered, which may still be under way. Raises KeyReused."""
        kept = call.kept
        assert kept is not None
        if answer.body_hash != kept.body_hash:
            raise KeyReused(KeyReused.__doc__)
        found: Answer | None = answer
        while found is not None and not found.final and queries.now() < found.created + REPEAT_MICROSECONDS:
            await asyncio.sleep(0.1)
            found = await self._store.read(lambda c: idempotency.find(c, kept.key_hash))
        return (found or answer).text

    # ---- after DNS

    async def _finish(self, call: Call, results: list[Result], refused: Mapping[int, Result]) -> None:
        created = {i: r for i, r in refused.items() if r.row and r.row.before is None}

        def work(connection: Connection) -> None:
            # names that were about to leave when these hosts took them leave now
            for host in queries.hosts_by_id(connection, created):
                if host.claimed:
                    queries.add_removals(connection, records(host), domain_id=host.domain_id)
            bulk_hosts.delete_hosts(connection, created)
            if call.kept is not None:
                text = bulk_hosts.aside(connection, lambda: _text(call, results))
                idempotency.write(connection, call.kept.key_hash, text, final=True)

        try:
            if created or (call.kept is not None and any(r.follow for r in results)):
                await self._store.transact(work)
            for host_id in refused.keys() - created.keys():
                await self._undo_rename(refused[host_id])
        except StoreDown as error:
            log.error("names that DNS refuses stay registered, in conflict", hosts=len(refused), reason=str(error))

    async def _undo_rename(self, result: Result) -> None:
        row = result.row
        if row and row.before and row.now and row.before.fqdn != row.now.fqdn:
            before, after = row.before, row.now
            if await self._store.transact(lambda c: host_edits.undo_rename(c, before, after)):
                await self._writer.push_bulk({before.domain_id: [before.id]}, {})


def _text(call: Call, results: Sequence[Result]) -> str:
    assert call.kept is not None
    return call.kept.render(results)


def _take_outcomes(results: Sequence[Result], outcomes: Outcomes) -> dict[int, Result]:
    """Say of each result what became of it in DNS; answers those that DNS refuses, by host id."""
    late = NotAcknowledged()
    refused: dict[int, Result] = {}
    for result in results:
        row = result.row
        if not result.follow or row is None:
            continue
        host_id = row.now.id if row.now else 0
        keys: list[tuple[str, int | Place]] = [("host", host_id)] if row.now else []
        keys += [("left", place) for place in places(row)]
        ends = [outcomes.get(key, late) for key in keys]
        conflict = next((e for e in ends if isinstance(e, NameConflict)), None)
        if conflict and (row.before is None or row.now is None or row.before.fqdn != row.now.fqdn):
            _fail(result, Taken(name=f"Not available: {conflict}."))
            refused[host_id] = result
        elif any(isinstance(e, HostGone) for e in ends):
            _fail(result, NoHost())
        elif any(ends):
            result.status = Status.PENDING
        elif result.status is Status.PENDING:
            result.status = Status.APPLIED
    return refused


def _fail(result: Result, error: Exception) -> None:
    result.status, result.error, result.secret = Status.FAILED, error, None
