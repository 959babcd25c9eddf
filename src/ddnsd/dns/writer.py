# SPDX-License-Identifier: GPL-3.0-or-later
"""The write path: group commit into the database, then into DNS.

    update()    a change joins the queue ─► one transaction for all that wait ─► their zones' senders ─► acknowledged
    publish()   the caller has committed rows itself ─► their zone's sender ─► acknowledged

While one batch is with the name server, the next one is committed. Confirmed rows are marked with the next
transaction, which saves one; until then this process remembers them (`confirmed`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog
from prometheus_client import Gauge, Histogram
from sqlalchemy import Connection

from ddnsd.db import history, queries, set_aside
from ddnsd.db.base import OutcomeUnknown, Store, StoreDown
from ddnsd.db.host_updates import HostUpdate, is_single, write_host_updates
from ddnsd.db.lookups import Lookups
from ddnsd.db.pending import ASKED_FOR, Confirmed, lock, mark_confirmed
from ddnsd.db.rows import Domain, Host
from ddnsd.dns import errors
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.future_group import FutureGroup
from ddnsd.dns.zone_sender import FINE, ZoneSender
from ddnsd.heartbeat import Heartbeat

BATCH = 512
"""Maximum changes per transaction."""

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

RRSETS = 64
"""RRsets that one sweep retries."""

TOO_LATE = "the name server does not answer in time"

log = structlog.get_logger()

COMMIT_SECONDS = Histogram("ddnsd_store_commit_seconds", "Time until a batch of changes was durable", buckets=FINE)

READ_SECONDS = 3.0
"""A read of the hot path, and what is decided by it, take less."""

SET_ASIDE = Gauge("ddnsd_dns_set_aside", "Hosts, RRsets and removals that name servers refuse, in the whole store")

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

    def __init__(self, store: Store, lookups: Lookups, *, deadline: float, default_ttl: int) -> None:
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
        self._commits, self._sweeps = Heartbeat(STUCK_SECONDS), Heartbeat(STUCK_SECONDS)
        self._committing: float | None = None

    async def start(self) -> None:
        """Start the tasks, with pending rows of a former process. Raises StoreDown; then it may be called again."""
        await self.refresh()
        await self._sweep(queries.now())
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
        for primary in self._primaries.values():
            primary.close()

    @property
    def alive(self) -> bool:
        """Whether all tasks still run and make progress."""
        if any(task.done() for task in self._tasks.values()):
            return False
        return all(h.alive for h in (self._commits, self._sweeps, *(s.heartbeat for s in self.senders.values())))

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
        self._wake.set()
        # cheaper than asyncio.timeout for each change
        timer = asyncio.get_running_loop().call_later(self._deadline, _too_late, done)
        try:
            await done
        finally:
            timer.cancel()

    async def push_host(self, domain_id: int, host_ids: Iterable[int]) -> None:
        """Publish rows that the caller has committed. Raises as `update` does, for the first that fails."""
        sender = await self._sender(domain_id)
        waiters = [asyncio.get_running_loop().create_future() for _ in host_ids]
        for host_id, done in zip(host_ids, waiters, strict=True):
            sender.push_host(host_id, done)
        await self._within_deadline(asyncio.gather(*waiters))

    async def push_removals(self, domain_id: int, names: Collection[str]) -> None:
        """Send the committed removals at these names.

        Raises NotAcknowledged: ChangeRefused if the name server refuses one of them.
        """
        sender = await self._sender(domain_id)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sender.push_removals(done, names)
        await self._within_deadline(done)

    async def push_bulk(
        self, hosts: Mapping[int, Iterable[int]], left: Mapping[Place, Collection[str]], *, bulk: bool = True
    ) -> Outcomes:
        """Publish committed changes of a call: hosts' rows, as ids by domain id, and removed names.

        Waits while the name servers acknowledge messages, at most PATIENCE deadlines; one deadline if the call is not
        `bulk`. Returns the outcomes by ("host", id) or ("left", place): None, NameConflict, HostGone or
        NotAcknowledged; absent: not in time.
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
        await group.wait(self._deadline, most, progress=lambda: sum(s.acknowledged for s in senders))
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

    async def obstacles(self, domain_id: int, names: Sequence[str]) -> dict[str, str]:
        """The obstacles by name, for names that a new host cannot have: a record, or a delegation above.

        Raises DnsError, HostGone.
        """
        return await (await self._sender(domain_id)).obstacles(names)

    async def obstacle_of(
        self, domain_id: int, fqdn: str, rtype: str, values: Sequence[str], *, new: bool
    ) -> str | None:
        """The obstacle for an RRset at the name, or None. Raises BadValue, DnsError, HostGone."""
        return await (await self._sender(domain_id)).obstacle_of(fqdn, rtype, values, new=new)

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
            await self._within_deadline(done)
        except (StoreDown, errors.NotAcknowledged):
            log.warning("fault not counted", host_id=fault.host_id)

    def is_published(self, host: Host) -> bool:
        """Whether DNS is known to have this version of the row."""
        if host.conflict is not None:
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

    async def _within_deadline(self, done: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(self._deadline):
                await done
        except TimeoutError:
            raise errors.NotAcknowledged(TOO_LATE) from None

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
                await self._commit()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MARK_SECONDS):
                await self._wake.wait()

    async def _commit(self) -> None:
        batch, self._queue = _divided(self._queue)
        faults, self._faults = self._faults, []
        fault_waiters, self._fault_waiters = self._fault_waiters, []
        confirmed = [Confirmed(*item) for item in self._confirmed.items()]
        try:
            with COMMIT_SECONDS.time():
                self._committing = asyncio.get_running_loop().time()
                try:
                    await self._write(batch, confirmed, faults)
                finally:
                    self._committing = None
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
        self._note_marked(confirmed)
        for done in fault_waiters:
            if not done.done():
                done.set_result(None)
        for domain_id, host_update, done in batch:
            if domain_id in self.senders:
                self.senders[domain_id].push_host(host_update.host_id, done)
            else:
                await self._adopt(domain_id, host_update, done)

    async def _write(self, batch: list[Entry], confirmed: list[Confirmed], faults: list[Fault]) -> None:
        """Write the batch; repeat it if the connection was lost and nothing was committed. Raises StoreDown."""
        single = not faults and is_single([host_update for _, host_update, _ in batch])
        write = self._store.execute if single else self._store.transact
        try:
            await write(lambda c: _write(c, batch, confirmed, faults))
        except OutcomeUnknown as error:
            entries = [host_update.entry for _, host_update, _ in batch if host_update.entry is not None]
            if not entries:
                raise
            log.warning("batch of unknown outcome checked", changes=len(batch), reason=str(error))
            await self._store.transact(lambda c: _write_if_absent(c, entries, batch, confirmed, faults))

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

    def _forget_marked(self, confirmed: Sequence[Confirmed], moment: int) -> None:
        for host_id, version in confirmed:
            if self._marked.get(host_id) == (version, moment):
                del self._marked[host_id]

    # ---- the zones

    async def _sender(self, domain_id: int) -> ZoneSender:
        if domain_id not in self.senders:
            await self.refresh()
        if domain_id not in self.senders:
            raise errors.HostGone
        return self.senders[domain_id]

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
            confirmed=self._confirm,
            refresh=self.refresh,
            deadline=self._deadline,
            default_ttl=self._default_ttl,
        )
        self.senders[domain.id] = sender
        self._tasks[f"zone {domain.id}"] = asyncio.create_task(sender.run())

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
        await self.refresh()
        await self._sweep(queries.now() - GRACE_MICROSECONDS)
        await self._look_at_set_aside()

    async def _sweep(self, before: int) -> None:
        by_zone: dict[int, dict[int, bool]] = {}
        for domain_id, host_id, since in await self._store.read(lambda c: queries.pending_hosts(c, before)):
            if host_id not in self._confirmed:
                by_zone.setdefault(domain_id, {})[host_id] = since != ASKED_FOR
        leaving = await self._store.read(lambda c: queries.dirty_removal_domains(c, before))
        for (
            domain_id,
            sender,
        ) in self.senders.items():  # the next round includes domains that were added in the meantime
            if domain_id in by_zone:
                sender.sweep(by_zone[domain_id])
            if domain_id in leaving:
                sender.push_removals()

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


def _divided(queue: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The next batch, and the rest. A host is in a batch once, so that many updates delay only that host."""
    batch: list[Entry] = []
    rest: list[Entry] = []
    hosts: set[int] = set()
    for n, entry in enumerate(queue):
        if len(batch) == BATCH:
            return batch, rest + queue[n:]
        host_id = entry[1].host_id
        (rest if host_id in hosts else batch).append(entry)
        hosts.add(host_id)
    return batch, rest


def _too_late(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_exception(errors.NotAcknowledged(TOO_LATE))


def _write(connection: Connection, batch: list[Entry], confirmed: list[Confirmed], faults: list[Fault]) -> None:
    write_host_updates(connection, (host_update for _, host_update, _ in batch), confirmed)
    queries.count_faults(connection, faults)


def _write_if_absent(
    connection: Connection,
    entries: list[history.Entry],
    batch: list[Entry],
    confirmed: list[Confirmed],
    faults: list[Fault],
) -> None:
    """Write a batch unless one of its entries exists; waits for the end of a lost statement that still runs."""
    lock(connection, {host_update.host_id for _, host_update, _ in batch})
    if not history.has_any(connection, entries):
        _write(connection, batch, confirmed, faults)


async def run_safely(work: Callable[[], Awaitable[None]], what: str) -> None:
    """Run a periodic task once; log errors, so that none ends it for ever."""
    try:
        await work()
    except (StoreDown, errors.DnsError) as error:
        log.warning(f"{what} postponed", reason=str(error))
    except Exception:
        log.exception(f"{what} failed")
