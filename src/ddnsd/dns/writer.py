# SPDX-License-Identifier: GPL-3.0-or-later
"""The write path: group commit into the database, then into DNS.

    update()    a change joins the queue ─► one transaction for all that wait ─► their zones' senders ─► acknowledged
    publish()   the caller has committed rows itself ─► their zone's sender ─► acknowledged

While one batch is with the name server, the next one is committed. Confirmed rows are marked with the next
transaction, which saves one; until then this process remembers them (`confirmed`).
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from dns.message import Message
from prometheus_client import Gauge, Histogram
from sqlalchemy import Connection

from ddnsd.db import history, pointers, queries, resends, set_aside
from ddnsd.db.base import OutcomeUnknown, StoreDown
from ddnsd.db.host_updates import HostUpdate, is_single, write_host_updates
from ddnsd.db.lookups import Lookups
from ddnsd.db.pending import ASKED_FOR, Confirmed, lock, mark_confirmed
from ddnsd.db.rows import Domain, Host
from ddnsd.db.sqlite import SqliteStore
from ddnsd.dns import errors
from ddnsd.dns.conflicts import Obstacle
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.future_group import FutureGroup
from ddnsd.dns.message import Update
from ddnsd.dns.nodes import Nodes
from ddnsd.dns.ownership import FileLocks, Ownership
from ddnsd.dns.primary_check import TriedSet
from ddnsd.dns.rdata import BadValue
from ddnsd.dns.zone_sender import FINE, ZoneSender
from ddnsd.gathering import Gathering
from ddnsd.heartbeat import Heartbeat

BATCH = 512
"""Maximum changes per transaction."""

GATHER_SECONDS = 0.004
"""How long a transaction waits for more changes if it would hold less than `GATHERED` of those under way."""

GATHERED = 0.25

NODES_GATHER_SECONDS = (0.004, 0.015)
"""The same, at least and at most, if other nodes use the database: then the number of statements limits all of them."""

NODES_GATHERED = 0.5

MARK_SECONDS = 0.02
"""Acknowledgements are marked after this time if nothing else is written."""

SWEEP_SECONDS = 1.0
"""How often pending rows are searched; those of other processes only when older than GRACE."""

GRACE_MICROSECONDS = 3_000_000

PATIENCE = 4
"""Maximum number of deadlines that a bulk call waits while the name server acknowledges messages."""

STUCK_SECONDS = 300.0
"""No batch or sweep takes this long, because every wait in it has a limit."""
TRANSACTION_SECONDS = 4.0

SWEPT = 5000
"""Pending rows per read."""

FULL = 512
"""A zone with so many queued hosts is not swept, so that it does not delay others."""

ADVANCES = 20
"""Transactions of one sweep that let reverse names follow their hosts."""

RRSETS = 64
"""RRsets that one sweep retries."""

TOO_LATE = "the name server does not answer in time"
NOT_STORED = "the database does not store the change in time"

LONGEST_SECONDS = 9.0
"""Maximum wait of a caller whose zone gets another owner: the Infrastructure Manager waits for 10."""

LOCKED_SECONDS = 0.05
"""Pause before a host whose row somebody else has locked is tried again."""

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore

log = structlog.get_logger()

COMMIT_SECONDS = Histogram("ddnsd_store_commit_seconds", "Time until a batch of changes was durable", buckets=FINE)

READ_SECONDS = 3.0
"""A read of the hot path, and what is decided by it, take less."""

SET_ASIDE = Gauge("ddnsd_dns_set_aside", "Hosts, RRsets and removals that name servers refuse, in the whole database")

Entry = tuple[int, HostUpdate, asyncio.Future[None]]
Place = tuple[int, str]
"""A domain's id, and the name of a host that is removed from it."""

Outcomes = Mapping[tuple[str, int | Place], BaseException | None]


class Fault(NamedTuple):
    """One more fault of a host, in the column `client_faults` or `server_faults`."""

    host_id: int
    column: str


class Writer:
    """Accepts changes, and returns when they are durable and acknowledged. One per process."""

    def __init__(
        self,
        store: "SqliteStore | PostgresStore",
        lookups: Lookups,
        *,
        deadline: float,
        default_ttl: int,
        guest: bool = False,
    ) -> None:
        """`guest`: a command, which sends only what no service of the same database can send."""
        self._store, self._deadline, self._default_ttl = store, deadline, default_ttl
        self._lookups = lookups
        self.senders: dict[int, ZoneSender] = {}
        self._primaries: dict[str, PrimaryConnection] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._queue: list[Entry] = []
        self._faults: list[Fault] = []
        self._fault_waiters: list[asyncio.Future[None]] = []
        self._confirmed: dict[int, int] = {}
        self._marked: dict[int, tuple[int, int]] = {}  # confirmed versions that the database has marked, and when
        self._wake = asyncio.Event()
        self._commits, self._sweeps, self._renewals = (Heartbeat(STUCK_SECONDS) for _ in range(3))
        self._committing: float | None = None
        self._finished_version: int | None = None  # of a database in which a sweep has found no work
        self._uncommitted: set[asyncio.Future[None]] = set()
        self._gathering = Gathering(*NODES_GATHER_SECONDS)
        self._under_way = 0  # changes whose callers wait
        self._locked: dict[int, float] = {}  # hosts whose rows somebody else has locked, until the next try
        self._ownership: Ownership
        self._nodes: Nodes | None = None
        if isinstance(store, SqliteStore):
            self._ownership = FileLocks(store.zone_lock)
        else:
            self._nodes = Nodes(
                store, self.senders, guest=guest, version_of=self._confirmed_version, confirm=self._note_published
            )
            self._ownership = self._nodes.leases

    async def start(self) -> None:
        """Start the tasks, with pending rows of a former process. Raises StoreDown; then it may be called again."""
        if self._nodes is not None:
            await self._nodes.start()
        await self.refresh()
        await self._sweep(queries.now(), self.senders)
        if self._nodes is not None:
            for what, work in self._nodes.tasks().items():
                self._tasks[what] = asyncio.create_task(work)
            self._tasks["leases"] = asyncio.create_task(self._renew_forever(self._nodes))
        self._tasks["commit"] = asyncio.create_task(self._commit_forever())
        self._tasks["sweep"] = asyncio.create_task(self._sweep_forever())

    async def stop(self) -> None:
        """Stop the tasks; pending rows stay marked in the database."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._confirmed:
            confirmed = [Confirmed(*item) for item in self._confirmed.items()]
            await self._store.transact(lambda c: mark_confirmed(c, confirmed))
        if self._nodes is not None:
            await run_safely(self._nodes.stop, "return of zones")
        for primary in self._primaries.values():
            primary.close()

    @property
    def alive(self) -> bool:
        """Whether all tasks still run and make progress."""
        if any(task.done() for task in self._tasks.values()):
            return False
        beats = self._commits, self._sweeps, self._renewals
        return all(h.alive for h in (*beats, *(s.heartbeat for s in self.senders.values())))

    @property
    def stuck(self) -> bool:
        """Whether a transaction has run for longer than callers wait."""
        began = self._committing
        return began is not None and asyncio.get_running_loop().time() - began > TRANSACTION_SECONDS

    # ---- what callers ask for

    async def update(self, domain_id: int, host_update: HostUpdate) -> None:
        """Store the host update, and publish it.

        Raises StoreDown (nothing is stored), NotAcknowledged (stored, published later), NameConflict, HostGone.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((domain_id, host_update, done))
        self._uncommitted.add(done)
        self._under_way += 1
        self._wake.set()
        # cheaper than asyncio.timeout for each change
        latest = time.monotonic() + LONGEST_SECONDS
        timer = asyncio.get_running_loop().call_later(self._deadline, self._too_late, domain_id, done, latest)
        try:
            await done
        finally:
            timer.cancel()
            self._under_way -= 1
            self._uncommitted.discard(done)

    def _too_late(self, domain_id: int, done: asyncio.Future[None], latest: float) -> None:
        """End a caller, unless another node takes its zone over.

        A change that is not stored yet never will be, so it cannot overwrite a newer one.
        """
        if done.done():
            return
        if done in self._uncommitted:
            done.set_exception(StoreDown(NOT_STORED))
        elif more := self._more_seconds(latest, domain_id):
            asyncio.get_running_loop().call_later(more, self._too_late, domain_id, done, latest)
        else:
            done.set_exception(errors.NotAcknowledged(TOO_LATE))

    def _more_seconds(self, latest: float, *domain_ids: int) -> float:
        """How much longer callers wait: each owner of their zones has the whole deadline, also one that takes over.

        Until `latest` at most, by the monotonic clock.
        """
        since = max(map(self._ownership.owned_since, domain_ids), default=0.0)
        return max(0.0, min(since + self._deadline, latest) - time.monotonic())

    async def push_host(self, domain_id: int, host_ids: Iterable[int]) -> None:
        """Publish rows that the caller has committed. Raises as `update` does, for the first that fails.

        Rows of a moved database are not published: the service at the new one may have newer ones.
        """
        if self._store.moved is not None:
            raise StoreDown(self._store.moved)
        sender = await self._sender(domain_id)
        waiters = [asyncio.get_running_loop().create_future() for _ in host_ids]
        for host_id, done in zip(host_ids, waiters, strict=True):
            sender.push_host(host_id, done)
        await self._acknowledged(domain_id, asyncio.gather(*waiters))

    async def push_removals(self, domain_id: int, names: Collection[str]) -> None:
        """Send the committed removals at these names.

        Raises NotAcknowledged: ChangeRefused if the name server refuses one of them.
        """
        sender = await self._sender(domain_id)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sender.push_removals(done, names)
        await self._acknowledged(domain_id, done)

    async def push_bulk(
        self, hosts: Mapping[int, Iterable[int]], left: Mapping[Place, Collection[str]], *, bulk: bool = True
    ) -> Outcomes:
        """Publish committed changes of a call: hosts' rows, as ids by domain id, and removed names.

        Waits while the name servers acknowledge messages, at most PATIENCE deadlines; one deadline if the call is not
        `bulk`; longer only for zones whose owner is silent. Returns the outcomes by ("host", id) or ("left", place):
        None, NameConflict, HostGone or NotAcknowledged; absent: not in time.
        """
        group: FutureGroup[tuple[str, int | Place]] = FutureGroup()
        senders: list[ZoneSender] = []
        by_domain: dict[int, list[Place]] = {}
        for place in left:
            by_domain.setdefault(place[0], []).append(place)
        for domain_id in {*by_domain, *hosts}:
            if (sender := await self._followed(domain_id)) is None:
                continue
            senders.append(sender)
            for place in by_domain.get(domain_id, ()):
                sender.push_removals(group.future(("left", place)), left[place])
            for n, host_id in enumerate(hosts.get(domain_id, ())):
                sender.push_host(host_id, group.future(("host", host_id)), bulk=bulk)
                if n % 1000 == 999:
                    await asyncio.sleep(0)  # others have their turn
        most = PATIENCE * self._deadline if bulk else self._deadline
        latest = time.monotonic() + most - self._deadline + LONGEST_SECONDS
        await group.wait(
            self._deadline,
            most,
            progress=lambda: sum(s.acknowledged for s in senders),
            more=lambda: self._more_seconds(latest, *by_domain, *hosts),
        )
        return group.outcomes

    async def _followed(self, domain_id: int) -> ZoneSender | None:
        try:
            return await self._sender(domain_id)
        except (errors.HostGone, StoreDown) as error:
            log.warning("zone not updated yet", domain_id=domain_id, reason=str(error))
            return None  # the next sweep finds pending rows

    def push_removals_later(self, domain_id: int) -> None:
        """Send committed removals later, without waiting."""
        if sender := self.senders.get(domain_id):
            sender.push_removals()

    async def name_servers(self, domain_id: int) -> frozenset[str]:
        """The names of the zone's NS records. Raises DnsError, HostGone."""
        return await (await self._sender(domain_id)).name_servers()

    async def ask(self, domain_id: int, name: str, rtype: str) -> Message:
        """The answer of the domain's primary, also if there is no such name. Raises DnsError, HostGone."""
        return await (await self._sender(domain_id)).answer(name, rtype)

    async def serial(self, domain_id: int) -> int:
        """The serial of the domain's zone at its primary. Raises DnsError, HostGone."""
        return await (await self._sender(domain_id)).serial()

    async def pass_on(self, domain_id: int, update: Update) -> None:
        """Send a change of names that are nobody's host. Raises DnsError, HostGone."""
        await (await self._sender(domain_id)).pass_on(update)

    async def obstacles(self, domain_id: int, names: Sequence[str]) -> dict[str, Obstacle]:
        """The obstacles by name, for names that a new host cannot have: a record, or a delegation above.

        Raises DnsError, HostGone.
        """
        return await (await self._sender(domain_id)).obstacles(names)

    async def obstacle_of(
        self, domain_id: int, fqdn: str, rtype: str, values: Sequence[str], *, new: bool
    ) -> Obstacle | None:
        """The obstacle for an RRset at the name, or None. Raises BadValue, DnsError, HostGone."""
        return await (await self._sender(domain_id)).obstacle_of(fqdn, rtype, values, new=new)

    async def rejected(self, domain_id: int, wanted: Sequence[TriedSet]) -> dict[TriedSet, Obstacle | BadValue]:
        """The RRsets that the zone or its name server does not take, with the reasons. Raises DnsError, HostGone."""
        return await (await self._sender(domain_id)).rejected(wanted)

    def count_later(self, fault: Fault) -> None:
        """Count a fault with the next transaction."""
        self._faults.append(fault)
        self._wake.set()

    async def count(self, fault: Fault) -> None:
        """Count a fault; returns when it is written or has failed."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._fault_waiters.append(done)
        self.count_later(fault)
        try:
            async with asyncio.timeout(self._deadline):
                await done
        except (StoreDown, TimeoutError):
            log.warning("client fault not counted", host_id=fault.host_id)

    def is_published(self, host: Host) -> bool:
        """Whether DNS is known to have this version of the row."""
        if host.conflict is not None or not self._store.is_current:
            return False
        if host.pending_since is None or self._confirmed.get(host.id) == host.version:
            return True
        # The row may have been read just before its version was marked.
        version, moment = self._marked.get(host.id, (None, 0))
        return host.version == version and ASKED_FOR < host.pending_since < moment

    def confirmed_versions(self) -> dict[int, int]:
        """Confirmed versions by host id whose rows are still marked as pending.

        Call it before you read rows: versions that are marked in the meantime are dropped here.
        """
        return dict(self._confirmed)

    async def _acknowledged(self, domain_id: int, done: "asyncio.Future[Any]") -> None:
        """Wait for the outcome as long as `update` does. Raises it, or NotAcknowledged."""
        latest, seconds = time.monotonic() + LONGEST_SECONDS, self._deadline
        try:
            while seconds and not done.done():
                await asyncio.wait([done], timeout=seconds)
                seconds = self._more_seconds(latest, domain_id)
            if not done.done():
                raise errors.NotAcknowledged(TOO_LATE)
            done.result()
        finally:
            done.cancel()

    # ---- the database

    async def _commit_forever(self) -> None:
        while True:
            self._commits.rest()
            await self._wake.wait()
            self._wake.clear()
            while self._queue or self._faults or self._confirmed:
                self._commits.step()
                if not (self._queue or self._faults):
                    await self._pause()
                elif self._locked:
                    await self._wait_for_locks()
                else:
                    await self._gather()
                await self._commit()

    async def _gather(self) -> None:
        """Wait for more changes if the transaction would hold few of those under way."""
        if self._nodes is None or not self._nodes.leases.has_others:
            if len(self._queue) < GATHERED * self._under_way:
                await asyncio.sleep(GATHER_SECONDS)
        elif len(self._queue) < NODES_GATHERED * self._under_way:
            await asyncio.sleep(self._gathering.seconds)

    async def _pause(self) -> None:
        """Wait for something to write beside acknowledgements."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MARK_SECONDS):
                while not (self._queue or self._faults):
                    await self._wake.wait()
                    self._wake.clear()

    async def _wait_for_locks(self) -> None:
        """Wait if rows of all queued changes are locked by somebody else."""
        moment = asyncio.get_running_loop().time()
        self._locked = {host_id: until for host_id, until in self._locked.items() if until > moment}
        if not self._faults and all(host_update.host_id in self._locked for _, host_update, _ in self._queue):
            await asyncio.sleep(LOCKED_SECONDS)
            self._locked.clear()

    async def _commit(self) -> None:
        batch, self._queue = _divided(self._queue, self._locked)
        self._uncommitted.difference_update(done for _, _, done in batch)
        faults, self._faults = self._faults, []
        fault_waiters, self._fault_waiters = self._fault_waiters, []
        confirmed = [Confirmed(*item) for item in self._confirmed.items()]
        try:
            with COMMIT_SECONDS.time():
                self._committing = began = asyncio.get_running_loop().time()
                try:
                    skipped = await self._write(batch, confirmed, faults)
                finally:
                    self._committing = None
                    self._gathering.note(asyncio.get_running_loop().time() - began)
        except Exception as error:
            if isinstance(error, StoreDown):
                log.error("database not available", reason=str(error))
            else:
                log.exception("unexpected error", changes=len(batch))  # a bug must not stop the writer for ever
            for done in [*fault_waiters, *(done for _, _, done in batch)]:
                if not done.done():
                    done.set_exception(StoreDown(str(error)))
            if not batch:
                await asyncio.sleep(SWEEP_SECONDS)
            return
        if skipped:
            batch = await self._without_locked(batch, skipped)
            confirmed = [one for one in confirmed if one.host_id not in skipped]
            self._faults += [fault for fault in faults if fault.host_id in self._locked]
        self._note_marked(confirmed)
        for done in fault_waiters:
            if not done.done():
                done.set_result(None)
        for domain_id, host_update, done in batch:
            if domain_id in self.senders:
                self.senders[domain_id].push_host(host_update.host_id, done)
            else:
                await self._adopt(domain_id, host_update, done)

    async def _without_locked(self, batch: list[Entry], skipped: set[int]) -> list[Entry]:
        """Queue changes of locked hosts again, and return the others."""
        try:
            there = set(await self._store.read(lambda c: queries.existing_hosts(c, skipped)))
        except StoreDown:
            there = skipped
        for host_id in skipped - there:
            self._confirmed.pop(host_id, None)
        until = asyncio.get_running_loop().time() + LOCKED_SECONDS
        self._locked.update(dict.fromkeys(there, until))
        again = [entry for entry in batch if entry[1].host_id in there and not entry[2].done()]
        self._uncommitted.update(done for _, _, done in again)
        self._queue[:0] = again
        return [entry for entry in batch if entry[1].host_id not in there]

    async def _write(self, batch: list[Entry], confirmed: list[Confirmed], faults: list[Fault]) -> set[int]:
        """Write the batch; repeat it if the connection was lost and nothing was committed.

        Returns hosts that were locked by somebody else, or are gone. Raises StoreDown.
        """
        single = not faults and is_single([host_update for _, host_update, _ in batch])
        write = self._store.execute if single else self._store.transact
        try:
            return await write(lambda c: _write(c, batch, confirmed, faults))
        except OutcomeUnknown as error:
            entries = [host_update.entry for _, host_update, _ in batch if host_update.entry is not None]
            if not entries:
                raise
            log.warning("batch of unknown outcome checked", changes=len(batch), reason=str(error))
            return await self._store.transact(lambda c: _write_if_absent(c, entries, batch, confirmed, faults))

    async def _adopt(self, domain_id: int, host_update: HostUpdate, done: asyncio.Future[None]) -> None:
        """Load a domain that another process has added, and publish its first change."""
        try:
            (await self._sender(domain_id)).push_host(host_update.host_id, done)
        except (StoreDown, errors.HostGone) as error:
            if not done.done():
                done.set_exception(error)

    def _confirm(self, confirmed: Confirmed) -> None:
        """Note that DNS has this version. The next transaction marks it in the database."""
        self._confirmed[confirmed.host_id] = confirmed.version
        self._wake.set()

    def _note_marked(self, confirmed: Sequence[Confirmed]) -> None:
        """Remember marked versions until every read that began before the mark has ended."""
        moment = queries.now()
        for host_id, version in confirmed:
            if self._confirmed.get(host_id) == version:
                del self._confirmed[host_id]
            self._marked[host_id] = version, moment
        if confirmed:
            asyncio.get_running_loop().call_later(READ_SECONDS, self._forget_marked, confirmed, moment)

    def _confirmed_version(self, host_id: int) -> int | None:
        """The version of the host that DNS was last known to have."""
        return self._confirmed.get(host_id) or self._marked.get(host_id, (None, 0))[0]

    def _note_published(self, host_id: int, version: int) -> None:
        """Note that another node has published this version, and marks it."""
        self._note_marked([Confirmed(host_id, version)])

    def _forget_marked(self, confirmed: Sequence[Confirmed], moment: int) -> None:
        for host_id, version in confirmed:
            if self._marked.get(host_id) == (version, moment):
                del self._marked[host_id]

    # ---- the zones

    async def _sender(self, domain_id: int) -> ZoneSender:
        if domain_id not in self.senders or self._is_reused(domain_id):
            await self.refresh()
        if domain_id not in self.senders:
            raise errors.HostGone
        return self.senders[domain_id]

    def _is_reused(self, domain_id: int) -> bool:
        """Whether the id belongs to another domain now: SQLite gives ids of removed domains to new ones."""
        if not isinstance(self._store, SqliteStore):
            return False
        found = self._store.rows("SELECT name FROM domains WHERE id = ?", (domain_id,))
        return found != [(self.senders[domain_id].domain.name,)]

    async def refresh(self) -> None:
        """Load domains that were added, changed or removed. Raises StoreDown."""
        domains = {domain.id: domain for domain in await self._store.read(queries.all_domains)}
        for domain_id, sender in list(self.senders.items()):
            domain = domains.get(domain_id)
            if domain is None or domain.name != sender.domain.name:  # SQLite reuses the id of a removed domain
                del self.senders[domain_id]
                self._tasks.pop(f"zone {domain_id}").cancel()
            elif sender.domain != domain:
                sender.use(domain, self._primary(domain))
        for domain_id in domains.keys() - self.senders.keys():
            self._add(domains[domain_id])

    def _add(self, domain: Domain) -> None:
        sender = ZoneSender(
            self._store,
            self._lookups,
            domain,
            self._primary(domain),
            self._ownership,
            None if self._nodes is None else self._nodes.relay,
            confirmed=self._confirm,
            refresh=self.refresh,
            deadline=self._deadline,
            default_ttl=self._default_ttl,
        )
        self.senders[domain.id] = sender
        self._tasks[f"zone {domain.id}"] = asyncio.create_task(sender.run())
        if self._nodes is not None and not sender.owned:
            self._nodes.hurry()

    def _primary(self, domain: Domain) -> PrimaryConnection:
        if domain.primary not in self._primaries:
            self._primaries[domain.primary] = PrimaryConnection(Endpoint.from_text(domain.primary, 53))
        return self._primaries[domain.primary]

    async def _sweep_forever(self) -> None:
        while True:
            self._sweeps.step()
            await asyncio.sleep(SWEEP_SECONDS)
            await run_safely(self._sweep_once, "sweep")

    async def _sweep_once(self) -> None:
        """Load domains and find pending rows, unless there was no work and nobody has written since."""
        version = self._store.version if isinstance(self._store, SqliteStore) else None
        if version is not None and version == self._finished_version:
            return
        await self.refresh()
        await self._mark_resends()
        await run_safely(self._advance_pointers, "reverse names")
        await self._sweep(queries.now() - GRACE_MICROSECONDS, self.senders)
        await self._look_at_set_aside()
        if version is not None:
            self._finished_version = None if await self._store.read(queries.has_unfinished_work) else version

    async def _mark_resends(self) -> None:
        """Mark the next hosts of domains whose hosts are all sent again."""
        for domain_id in await self._store.read(resends.domain_ids):
            sender = self.senders.get(domain_id)
            if sender is not None and sender.owned and sender.pending < FULL:
                await self._store.transact(partial(resends.advance, domain_id=domain_id, limit=SWEPT))

    async def _advance_pointers(self) -> None:
        """Let the reverse names of changed hosts follow, and send them. Nobody waits for that."""
        for _ in range(ADVANCES):
            if not await self._store.read(pointers.is_due):
                return
            advanced = await self._store.transact(pointers.advance)
            for domain_id, host_ids in advanced.changed.items():
                if sender := self.senders.get(domain_id):
                    for host_id in host_ids:
                        sender.push_host(host_id, bulk=True)
            for domain_id in advanced.left:
                self.push_removals_later(domain_id)
            if not advanced.more:
                return

    async def _sweep(self, before: int, domain_ids: Iterable[int]) -> None:
        """Send pending rows of these zones, as far as this process owns them."""
        owned = {domain_id: self.senders[domain_id] for domain_id in domain_ids if self.senders[domain_id].owned}
        leaving = await self._store.read(lambda c: queries.dirty_removal_domains(c, before))
        for domain_id in owned.keys() & leaving:
            owned[domain_id].push_removals()
        while ids := [domain_id for domain_id, sender in owned.items() if sender.pending < FULL]:
            found = await self._store.read(partial(queries.pending_hosts, domain_ids=ids, before=before, limit=SWEPT))
            by_zone: dict[int, dict[int, bool]] = {}
            for domain_id, host_id, since in found:
                if host_id not in self._confirmed:
                    by_zone.setdefault(domain_id, {})[host_id] = since != ASKED_FOR
            for domain_id, hosts in by_zone.items():
                owned[domain_id].sweep(hosts)
            if len(found) < SWEPT or all(owned[domain_id].pending < FULL for domain_id in ids):
                break  # else again, without zones that have enough to do

    async def _renew_forever(self, nodes: Nodes) -> None:
        while True:
            self._renewals.step()
            await nodes.wait()
            await run_safely(lambda: self._renew(nodes), "renewal of leases")

    async def _renew(self, nodes: Nodes) -> None:
        change = await nodes.renew()
        for domain_id in change.lost & self.senders.keys():
            self.senders[domain_id].look()
        if change.gained:
            log.info("zones taken over", zones=len(change.gained))
            await self.refresh()
            gained = change.gained & self.senders.keys()
            for domain_id in gained:
                nodes.relay.take_back(domain_id)
            # nobody else can have a message of a new zone under way: its rows are ours, and are being sent
            await self._sweep(queries.now(), gained - change.first)

    async def _look_at_set_aside(self) -> None:
        due, counts, confirmed = await self._store.read(_set_aside)
        for domain_id, one in self.senders.items():
            one.refused = counts.get(domain_id, 0)
        SET_ASIDE.set(sum(counts.values()))
        for domain_id, host_id, rrset_id in due:
            if sender := self.senders.get(domain_id):
                sender.try_again(host_id, rrset_id)
        if confirmed:
            await self._store.transact(lambda c: set_aside.forget(c, confirmed))


def _set_aside(connection: Connection) -> tuple[list[set_aside.Due], dict[int, int], list[int]]:
    due = set_aside.due_rrsets(connection, RRSETS)
    return due, set_aside.counts(connection), set_aside.resolved(connection)


def _divided(queue: list[Entry], locked: Collection[int]) -> tuple[list[Entry], list[Entry]]:
    """The next batch, and the rest. A host is in a batch once, so that many updates delay only that host.

    Without changes whose callers no longer wait; changes of `locked` hosts are in the rest.
    """
    batch: list[Entry] = []
    rest: list[Entry] = []
    hosts: set[int] = set(locked)
    for n, entry in enumerate(queue):
        if len(batch) == BATCH:
            return batch, rest + queue[n:]
        if entry[2].done():
            continue
        host_id = entry[1].host_id
        (rest if host_id in hosts else batch).append(entry)
        hosts.add(host_id)
    return batch, rest


def _write(connection: Connection, batch: list[Entry], confirmed: list[Confirmed], faults: list[Fault]) -> set[int]:
    return write_host_updates(connection, (host_update for _, host_update, _ in batch), confirmed, faults)


def _write_if_absent(
    connection: Connection,
    entries: list[history.Entry],
    batch: list[Entry],
    confirmed: list[Confirmed],
    faults: list[Fault],
) -> set[int]:
    """Write a batch unless one of its entries exists; waits for the end of a lost statement that still runs."""
    lock(connection, {host_update.host_id for _, host_update, _ in batch})
    if history.has_any(connection, entries):
        return set()
    return _write(connection, batch, confirmed, faults)


async def run_safely(work: Callable[[], Awaitable[None]], what: str) -> None:
    """Run a periodic task once; log errors, so that none ends it for ever."""
    try:
        await work()
    except (StoreDown, errors.DnsError) as error:
        log.warning(f"{what} postponed", reason=str(error))
    except Exception:
        log.exception(f"{what} failed")
