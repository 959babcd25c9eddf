# SPDX-License-Identifier: GPL-3.0-or-later
"""The DNS half of the write path: one zone's hosts as UPDATE messages, one message under way at a time.

The sender never remembers what to send. Under the zone's lock it reads the *current* rows of the hosts that wait and
makes DNS hold those, so that the last change that the store accepted wins whatever happened in between.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy import Connection

from ddnsd.heartbeat import Heartbeat
from ddnsd.store import departures, primaries, queries, rrsets
from ddnsd.store.database import Store, StoreDown, ZoneLock
from ddnsd.store.lookup import Lookups
from ddnsd.store.rows import Domain, Host, Removal
from ddnsd.store.waiting import Settled
from ddnsd.zones import check, errors
from ddnsd.zones.compose import departure, publication, require_room
from ddnsd.zones.fit import first_part, parts
from ddnsd.zones.leaving import Leaving
from ddnsd.zones.message import Update
from ddnsd.zones.primary import Primary
from ddnsd.zones.questions import ask
from ddnsd.zones.queue import Queue, Waiters, end
from ddnsd.zones.records import HostRecords, RecordSet, record_sets, records
from ddnsd.zones.tsig import TsigKey

MESSAGE_HOSTS = 256
"""Hosts in one round at most."""

SETTLE_SECONDS = 1.0
"""After an outage a message that was given up may still run; what was sent since is sent once more after this."""

RETRY_SECONDS = (0.1, 5.0)
"""First and last pause after a failure; it doubles in between."""

REFUSED_SECONDS = 30.0
"""How long a host that the name server refuses, and it alone, is left alone."""

STUCK_SECONDS = 300.0
"""A round, or the message of one, has ended long before: every wait in it has an end."""

NS_SECONDS = 60.0

UNMANAGED = "the name stands in the zone unmanaged"

KEY_REFUSED = (errors.BadKey, errors.BadSignature)

T = TypeVar("T")

log = structlog.get_logger()

Conflict = tuple[Host, str]

MESSAGES = Counter("ddnsd_dns_updates_total", "UPDATE messages by outcome", ["outcome"])
BATCH = Histogram("ddnsd_dns_update_hosts", "Hosts in an UPDATE message", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256))
FINE = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.5)
SECONDS = Histogram("ddnsd_dns_update_seconds", "Time until the name server acknowledged an UPDATE", buckets=FINE)


class ZoneSender:
    """Sends one zone's hosts; `publish` and `withdraw` may be called from the event loop at any time."""

    def __init__(
        self, store: Store, lookups: Lookups, domain: Domain, primary: Primary, *,
        settled: Callable[[Settled], None], refresh: Callable[[], Awaitable[None]], deadline: float, default_ttl: int,
    ) -> None:  # fmt: skip
        self._store, self._lookups, self._settled, self._refresh = store, lookups, settled, refresh
        self._deadline, self._default_ttl = deadline, default_ttl
        self._queue = Queue()
        self._leaving = Leaving(store, domain.id)
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._lost: set[int] = set()  # hosts of messages without an answer, which may still run
        self._lost_removals = False
        self._send_again: set[int] = set()
        self._remove_again = False
        self._name_servers: tuple[float, frozenset[str]] | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._unknown_claims: set[int] = set()
        self._refused: dict[int, float] = {}
        self._lock: ZoneLock | None = None
        self.heartbeat = Heartbeat(STUCK_SECONDS)
        self.acknowledged = 0
        """How many messages were acknowledged."""
        self.problem: str | None = None
        """Why the last message failed; None when it succeeded."""
        self.domain, self.primary = self._latest = domain, primary
        self._key = TsigKey.of(domain)
        self._sending = False

    def use(self, domain: Domain, primary: Primary) -> None:
        """Take a changed domain: its primary, its key, its TTL.

        A round ends with those that it began with: rows that it has read say nothing about another primary.
        """
        self._latest = domain, primary
        if not self._sending:
            self._take_latest()

    def _take_latest(self) -> None:
        before = self.domain.generation
        self.domain, self.primary = self._latest
        self._key = TsigKey.of(self.domain)
        if before != self.domain.generation:  # what the former primary said
            self._name_servers = None
            self._refused = {}

    def publish(self, host_id: int, done: asyncio.Future[None] | None = None, *, bulk: bool = False) -> None:
        """Have DNS follow the host's current row; `done` ends with the acknowledgement or an error of ours.

        A host of a `bulk` call gives way to others.
        """
        self._queue.add(host_id, done, bulk=bulk)
        if done is not None:
            self._urgent.set()
        self._wake.set()

    @property
    def waiting(self) -> int:
        """How many hosts are to be sent."""
        return len(self._queue.ids())

    def withdraw(self, done: asyncio.Future[None] | None = None) -> None:
        """Have the names that are to leave this zone leave it."""
        self._leaving.add(done)
        if done is not None:
            self._urgent.set()
        self._wake.set()

    def sweep(self, hosts: Mapping[int, bool]) -> None:
        """Publish hosts that nobody waits for; True where another process may have left a message under way."""
        moment = asyncio.get_running_loop().time()
        self._refused = {h: t for h, t in self._refused.items() if t > moment}
        known = self._refused.keys() | self._send_again | self._queue.ids()
        for host_id in hosts.keys() - known:
            if hosts[host_id]:
                self._lost.add(host_id)
                self._unknown_claims.add(host_id)
            self.publish(host_id, bulk=True)

    async def serial(self) -> int:
        """Ask the primary for the zone's SOA record; answers its serial. Raises DnsError."""
        if soa := await self._ask(self.domain.name, "SOA"):
            return int(soa[0].split()[2])
        raise errors.Refusal("NOTAUTH", f"the name server holds no zone {self.domain.name}")

    async def probe(self, hosts: check.Places) -> None:
        """Have the primary judge an update that changes nothing. Raises DnsError as `check.probe` does."""
        await self._by_current_key(lambda: check.probe(self.domain, hosts, self.primary, self._deadline))

    @property
    def refused(self) -> int:
        """How many hosts the name server refuses, each of them alone."""
        return len(self._refused)

    async def name_servers(self) -> frozenset[str]:
        """The names of the zone's NS records, asked for once a minute; those of last time while it is silent.

        Raises DnsError.
        """
        moment = asyncio.get_running_loop().time()
        if self._name_servers is None or moment - self._name_servers[0] > NS_SECONDS:
            try:
                found = await self._ask(self.domain.name, "NS")
            except errors.Unreachable:
                if self._name_servers is None:
                    raise
                return self._name_servers[1]
            self._name_servers = moment, frozenset(name.lower().rstrip(".") for name in found)
        return self._name_servers[1]

    async def learn(self) -> None:
        """Ask for the names of the NS records if none are known, for the time when nobody answers. Raises DnsError."""
        if self._name_servers is None:
            self._name_servers = float("-inf"), await self.name_servers()

    async def in_use(self, names: Iterable[str]) -> bool:
        """Whether one of the names owns a record. Raises DnsError."""
        return await self._by_current_key(lambda: check.in_use(self.domain, names, self.primary, self._deadline))

    async def takes(self, fqdn: str, rtype: str, values: Sequence[str], *, new: bool) -> bool:
        """Whether the name has room for an RRset. Raises BadValue, DnsError."""
        return await self._by_current_key(
            lambda: check.takes(self.domain, fqdn, rtype, values, self.primary, self._deadline, new=new)
        )

    async def _ask(self, name: str, rtype: str) -> list[str]:
        return await self._by_current_key(lambda: ask(self.primary, self._key, name, rtype, self._deadline))

    async def _by_current_key(self, call: Callable[[], Awaitable[T]]) -> T:
        """What is answered, asked once more where the key that was refused is not the domain's any more."""
        try:
            return await call()
        except KEY_REFUSED:
            if not await self._changed():
                raise
            return await call()

    async def _changed(self) -> bool:
        """Whether somebody has changed the domain since it was last read."""
        before = self.domain
        with contextlib.suppress(StoreDown):
            await self._refresh()
        return self.domain != before

    async def run(self) -> None:
        """Send until cancelled."""
        pause = RETRY_SECONDS[0]
        while True:
            self.heartbeat.rest()
            await self._wake.wait()
            self._wake.clear()
            self._urgent.clear()
            try:
                while self._queue or self._leaving:
                    await self._round()
                    pause = RETRY_SECONDS[0]
            except Exception as error:
                if isinstance(error, (*KEY_REFUSED, errors.DomainChanged)) and await self._changed():
                    self._wake.set()
                    continue
                if not isinstance(error, (errors.DnsError, errors.DomainChanged, StoreDown)):
                    log.exception("unexpected error", zone=self.domain.name)  # no bug may stop a zone for good
                self._fail(error)
                await self._rest(pause)
                pause = min(2 * pause, RETRY_SECONDS[1])

    async def _rest(self, seconds: float) -> None:
        """Wait before the next try; somebody who waits for an answer shortens it to the first pause."""
        self._wake.set()
        await asyncio.sleep(RETRY_SECONDS[0])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._urgent.wait()

    def _fail(self, error: Exception) -> None:
        """Refuse everyone who waits. While name server or database are away they wait until their own deadline."""
        if self.problem != str(error):
            log.warning("zone behind", zone=self.domain.name, primary=str(self.primary.endpoint), reason=str(error))
        self.problem = str(error)
        if isinstance(error, errors.NoAnswer) and self._settling is not None:
            self._settling.cancel()
            self._settling = None
        MESSAGES.labels(type(error).__name__).inc()
        if not isinstance(error, errors.Unreachable | StoreDown):
            end([*self._queue.give_up(), *self._leaving.give_up()], errors.NotAcknowledged(str(error)))

    async def _round(self) -> None:
        batch = self._queue.take(MESSAGE_HOSTS)
        self.heartbeat.step()
        self._take_latest()
        self._sending = True
        try:
            async with self._store.zone_lock(self.domain.id) as self._lock:
                if self._leaving:
                    await self._leaving.remove(self._remove_names)
                if batch:
                    await self._publish(batch)
        except BaseException:
            self._queue.put_back(batch)
            raise
        finally:
            self._sending = False
        if self.problem is not None:
            log.info("zone follows again", zone=self.domain.name)
        self.problem = None

    # ---- hosts

    async def _publish(self, batch: Waiters) -> None:
        hosts = await self._current(list(batch))
        for gone in batch.keys() - {item.host.id for item in hosts}:
            end(batch[gone], errors.HostGone())
        conflicts: list[Conflict] = []
        for part in parts(hosts):
            await self._send_part(part, batch, conflicts)
        if conflicts:
            await self._mark(conflicts, batch)

    async def _send_part(self, part: Sequence[HostRecords], batch: Waiters, conflicts: list[Conflict]) -> None:
        """Where a host is not acceptable, it alone is to suffer: halves are sent until it stands alone."""
        try:
            await self._send(part)
        except errors.PrerequisiteFailed as error:
            if len(part) == 1:
                await self._conflict(part[0], error, batch, conflicts)
                return
            middle = len(part) // 2
            for half in (part[:middle], part[middle:]):
                await self._send_part(half, batch, conflicts)
        except errors.Refusal as error:
            if len(part) == 1 or error.rcode not in ("REFUSED", "NOTZONE", "FORMERR"):
                raise
            await self._one_by_one(part, batch, conflicts)
        else:
            await self._acknowledge(part, batch)

    async def _current(self, ids: list[int]) -> list[HostRecords]:
        rows = await self._lookups.host_to_send.many(ids)
        # not renamed into another zone
        ours = [row for i in ids if i in rows for row in rows[i] if row[0].domain_id == self.domain.id]
        if any(generation != self.domain.generation for _, _, generation in ours):
            raise errors.DomainChanged
        found = [host for host, _, _ in ours]
        with_related = [host.id for host, has_related, _ in ours if has_related]
        related = await self._lookups.related.many(with_related) if with_related else {}
        with_sets = [host.id for host in found if host.has_rrsets]
        sets = await self._lookups.rrsets.many(with_sets) if with_sets else {}
        return [
            HostRecords(host, records(host, related.get(host.id, ())), record_sets(host, sets.get(host.id, ())))
            for host in found
        ]

    async def _one_by_one(self, hosts: Sequence[HostRecords], batch: Waiters, conflicts: list[Conflict]) -> None:
        """The name server refuses the message because of a host. Raises the error if it seems to be all of them."""
        refused = 0
        for item in hosts:
            try:
                await self._send_part([item], batch, conflicts)
            except errors.Refusal as error:
                refused += 1
                if refused == min(3, len(hosts)):
                    raise
                self._refused[item.host.id] = asyncio.get_running_loop().time() + REFUSED_SECONDS
                end(batch[item.host.id], errors.NotAcknowledged(str(error)))
            else:
                refused = 0

    async def _send(self, hosts: Sequence[HostRecords]) -> None:
        try:
            await self._exchange(publication(self.domain.name, hosts, self._default_ttl))
        except errors.NoAnswer:
            self._lost.update(item.host.id for item in hosts)
            self._unknown_claims.update(item.host.id for item in hosts if not item.host.claimed)
            self._remove_again = True  # a name that this message claims may be given up meanwhile
            raise
        BATCH.observe(len(hosts))

    async def _exchange(self, update: Update) -> None:
        signed = update.to_wire(self._key)
        assert self._lock is not None
        self._lock.check()
        self.heartbeat.step()
        with SECONDS.time():
            signed.read(await self.primary.exchange(signed.wire, self._deadline))
        self._lock.check()  # what was sent without it is sent again: another process may have sent a newer row
        self.acknowledged += 1
        MESSAGES.labels("acknowledged").inc()

    async def _acknowledge(self, hosts: Sequence[HostRecords], batch: Waiters) -> None:
        if claims := [item for item in hosts if not item.claimed or item.host.conflict is not None]:
            # at once: whoever sends the host next must know that the name is ours
            self._unknown_claims.update(item.host.id for item in claims)
            await self._transact(lambda c: _mark_claimed(c, claims))
        for host in (item.host for item in hosts):
            if self._lost_removals or host.id in self._lost:
                # an older message may still run: this one counts once it was sent again
                self._send_again.add(host.id)
                self._settle_later()
            else:
                self._settled(Settled(host.id, host.version))
            self._unknown_claims.discard(host.id)
            end(batch[host.id])

    async def _conflict(
        self, item: HostRecords, error: errors.PrerequisiteFailed, batch: Waiters, conflicts: list[Conflict]
    ) -> None:  # fmt: skip
        """A name is used by somebody else, unless it was our own message, given up, that took it.

        Where an RRset alone is, the host is sent without it.
        """
        host = item.host
        doubtful = not host.claimed and host.id in self._unknown_claims
        if (doubtful and await self._holds(item)) or await self._claimed_anew(item, doubtful=doubtful):
            await self._acknowledge([item], batch)
            return
        if foreign := [one for one in item.sets if await self._is_foreign(one)]:
            log.warning("records in conflict", host=host.fqdn, names=[f"{one.fqdn} {one.rtype}" for one in foreign])
            await self._transact(lambda c: rrsets.mark_conflict(c, _standing(c, foreign, {host.id}), UNMANAGED))
            rest = item._replace(sets=[one for one in item.sets if one not in foreign])
            await self._send_part([rest], batch, conflicts)
            return
        reason = "the name belongs to DHCP (DHCID)" if host.claimed else UNMANAGED
        log.warning("name conflict", host=host.fqdn, reason=reason, rcode=error.rcode)
        conflicts.append((host, reason))

    async def _mark(self, conflicts: list[Conflict], batch: Waiters) -> None:
        def work(connection: Connection) -> None:
            for host, reason in conflicts:
                queries.mark_conflict(connection, host.id, host.version, reason)

        await self._transact(work)
        for host, reason in conflicts:
            end(batch[host.id], errors.NameConflict(reason))

    async def _is_foreign(self, one: RecordSet) -> bool:
        try:
            await self._exchange(require_room(Update(self.domain.name), one))
        except errors.PrerequisiteFailed:
            return True
        return False

    async def _claimed_anew(self, item: HostRecords, *, doubtful: bool) -> bool:
        """Whether the name was free for us once what our own messages may have left there was removed."""
        places: set[tuple[str, str | None]] = {(one.fqdn, one.rtype) for one in item.sets if not one.claimed}
        if doubtful:
            places |= {(name.fqdn, None) for name in item.names}
        if not places:
            return False
        fqdns = [fqdn for fqdn, _ in places]
        found = await self._store.read(lambda c: departures.former_values(c, self.domain.id, fqdns))
        wanted = (removal for removal in found if (removal.fqdn, removal.rtype) in places)
        former = list({removal[2:7]: removal for removal in wanted}.values())  # each once
        if not former:
            return False
        try:
            while former:  # years of trying may be more than one message holds
                part = first_part(former)
                await self._send_removals(part)
                former = former[len(part) :]
            await self._send([item])
        except errors.PrerequisiteFailed:
            return False
        return True

    async def _holds(self, item: HostRecords) -> bool:
        """Whether DNS holds exactly these addresses and values at every one of the names."""
        for fqdn, ipv4, ipv6 in item.names:
            for rtype, address in (("A", ipv4), ("AAAA", ipv6)):
                if await self._ask(fqdn, rtype) != ([address] if address else []):
                    return False
        for one in item.sets:
            if sorted(await self._ask(one.fqdn, one.rtype)) != sorted(one.values):
                return False
        return True

    async def _transact(self, work: Callable[[Connection], None]) -> None:
        """Keep what an answer of the primary says, unless the domain has another one meanwhile.

        Raises DomainChanged, StoreDown.
        """
        domain_id, generation = self.domain.id, self.domain.generation

        def keep(connection: Connection) -> None:
            if primaries.locked_generation(connection, domain_id) != generation:
                raise errors.DomainChanged
            work(connection)

        await self._store.transact(keep)

    # ---- names that leave

    async def _remove_names(self, names: Sequence[Removal]) -> None:
        try:
            await self._send_removals(names)
        except errors.PrerequisiteFailed:
            for removal in names:
                await self._remove_one(removal)
        if self._remove_again:
            self._settle_later()
        else:
            await self._transact(lambda c: queries.settle_removals(c, [r.id for r in names]))

    async def _remove_one(self, removal: Removal) -> None:
        try:
            await self._send_removals([removal])
        except errors.PrerequisiteFailed:
            log.warning("name left alone", name=removal.fqdn, reason="it belongs to DHCP (DHCID)")

    async def _send_removals(self, leaving: Iterable[Removal]) -> None:
        try:
            await self._exchange(departure(self.domain.name, leaving))
        except errors.NoAnswer:
            self._lost_removals = self._remove_again = True
            raise

    # ---- after an outage

    def _settle_later(self) -> None:
        """The name server answers again; what was lost has run when the timer ends."""
        if self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._resend)

    def _resend(self) -> None:
        self._settling, self._lost_removals = None, False
        again, self._send_again = self._send_again, set()
        self._lost -= again
        for host_id in again:
            self.publish(host_id, bulk=True)
        if self._remove_again:
            self._remove_again = False
            self.withdraw()


def _mark_claimed(connection: Connection, hosts: Sequence[HostRecords]) -> None:
    if sets := [one for item in hosts for one in item.sets if not one.claimed]:
        rrsets.mark_claimed(connection, _standing(connection, sets, {item.host.id for item in hosts}))
    queries.mark_claimed(connection, [i.host for i in hosts if not i.host.claimed or i.host.conflict is not None])


def _standing(connection: Connection, sets: Iterable[RecordSet], host_ids: set[int]) -> list[int]:
    """The ids of those that are still wanted where they were sent to: a host may be renamed, and an id given anew."""
    names = queries.names_locked(connection, host_ids)
    places = {one.id: (one.name(names[one.host_id]), one.rtype) for one in rrsets.below(connection, names)}
    return [one.id for one in sets if places.get(one.id) == (one.fqdn, one.rtype)]
