# SPDX-License-Identifier: GPL-3.0-or-later
"""The DNS half of the write path: send one zone's hosts as UPDATE messages, one message at a time.

The sender never remembers what to send. While it owns the zone it reads the *current* rows of the pending hosts and
publishes these, so the last change that the database accepted always wins.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TypeVar

import structlog
from dns.message import Message
from prometheus_client import Counter, Histogram
from sqlalchemy import Connection

from ddnsd.db import pointers, primaries, queries, removals, set_aside
from ddnsd.db.base import Store, StoreDown, ZoneLock
from ddnsd.db.lookups import Lookups
from ddnsd.db.pending import Confirmed
from ddnsd.db.rows import Domain, Host, Removal, addresses_of
from ddnsd.dns import errors, primary_check
from ddnsd.dns.conflicts import UNMANAGED, Kind, Obstacle
from ddnsd.dns.connection import PrimaryConnection, ask, ask_all, ask_serial
from ddnsd.dns.fence import Fence
from ddnsd.dns.message import Update
from ddnsd.dns.obstacles import beside, obstacle
from ddnsd.dns.ownership import Ownership
from ddnsd.dns.packing import first_part, parts
from ddnsd.dns.primary_check import TriedSet
from ddnsd.dns.queue import SLOW, Queue, Waiters, end
from ddnsd.dns.rdata import BadValue
from ddnsd.dns.records import HostRecords, RecordSet, record_sets, records
from ddnsd.dns.relay import Relay
from ddnsd.dns.removals import RemovalWaiter, ZoneRemovals
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.update_builder import host_update, probe, removal, require_room_below, signed
from ddnsd.dns.verdicts import Verdicts, mark_claimed, settle_removals, tell, write_removals, write_sets
from ddnsd.heartbeat import Heartbeat

MESSAGE_HOSTS = 256
"""Maximum hosts per round. It halves when the name server does not answer in time, and doubles when it is quick."""

QUICK = 0.25
"""A message is quick if its answer takes less than this part of the deadline."""

SETTLE_SECONDS = 1.0
"""After an outage an abandoned message may still run; later messages are sent again after this time."""

RETRY_SECONDS = (0.1, 5.0)
"""First and longest pause after a failure; it doubles in between."""

WITNESSES = 4
"""Number of published hosts that are sent to test whether the name server accepts updates of the zone at all."""

STUCK_SECONDS = 300.0
"""No round or message takes this long, because every wait in it has a limit."""

NS_SECONDS = 60.0

NOT_OURS = "it is delegated (NS), redirected (DNAME) or belongs to DHCP (DHCID)"
"""The reason why a removal does not change the records at a name."""

KEY_REFUSED = (errors.BadKey, errors.BadSignature)

T = TypeVar("T")

log = structlog.get_logger()

MESSAGES = Counter("ddnsd_dns_updates_total", "UPDATE messages by outcome", ["outcome"])
BATCH = Histogram("ddnsd_dns_update_hosts", "Hosts in an UPDATE message", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256))
FINE = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.5)
SECONDS = Histogram("ddnsd_dns_update_seconds", "Time until the name server acknowledged an UPDATE", buckets=FINE)


class ZoneSender:
    """Sends one zone's hosts; `push_host` and `push_removals` may be called from the event loop at any time."""

    def __init__(
        self,
        store: Store,
        lookups: Lookups,
        domain: Domain,
        primary: PrimaryConnection,
        ownership: Ownership,
        relay: Relay | None = None,
        *,
        confirmed: Callable[[Confirmed], None],
        refresh: Callable[[], Awaitable[None]],
        deadline: float,
        default_ttl: int,
    ) -> None:
        self._store, self._lookups, self._confirmed, self._refresh = store, lookups, confirmed, refresh
        self.ownership, self._relay = ownership, relay
        self._deadline, self._default_ttl = deadline, default_ttl
        self._queue = Queue()
        self._removals = ZoneRemovals(store, domain)
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._lost: set[int] = set()  # hosts of messages without an answer, which may still run
        self._lost_removals = False
        self._send_again: set[int] = set()
        self._remove_again = False
        self._name_servers: tuple[float, frozenset[str]] | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._unknown_claims: set[int] = set()
        self._lock: ZoneLock | None = None
        self._most_hosts = MESSAGE_HOSTS
        self.heartbeat = Heartbeat(STUCK_SECONDS)
        self._again: set[int] = set()  # RRsets set aside that are due
        self._accepted: int | None = None  # the host that was acknowledged last
        self._batch: set[int] = set()  # the hosts of the last round
        self._unwritten: int | None = None  # the zone's serial when the name server first failed to change it
        self.refused = 0
        """How many hosts, RRsets and removals of the zone are set aside because the name server refuses them."""
        self.acknowledged = 0
        """How many messages were acknowledged."""
        self.problem: str | None = None
        """The error of the last message, or None."""
        self.noted: Callable[[int | None], None] | None = None
        """Called with the id of each host that has changes, and with None for removals; a second primary needs both."""
        self.domain, self.primary = self._latest = domain, primary
        self._key = TsigKey.of(domain)
        self._fence = Fence(domain.name, lambda update: self._exchange(lambda: update), self._ask)
        self._sending = False

    def use(self, domain: Domain, primary: PrimaryConnection) -> None:
        """Use a changed domain: its primary, its key, its TTL.

        A running round keeps the old ones: its rows belong to the old primary.
        """
        self._latest = domain, primary
        self._wake.set()  # after a thaw
        if not self._sending:
            self._take_latest()

    def _take_latest(self) -> None:
        before = self.domain.generation
        self.domain, self.primary = self._latest
        self._key = TsigKey.of(self.domain)
        if before != self.domain.generation:  # the problem of the former primary
            self._name_servers = None
            self._fence.forget()
            self._again.clear()
            self._accepted = self._unwritten = None

    def push_host(self, host_id: int, done: asyncio.Future[None] | None = None, *, bulk: bool = False) -> None:
        """Publish the host's current row; `done` gets the acknowledgement or an error.

        Hosts of a `bulk` call take turns with others. If another node owns the zone, it is asked to do it.
        """
        if self._relay is not None and not self.owned:
            self._relay.push_host(self.domain.id, host_id, done, bulk=bulk)
            return
        if self.noted is not None:
            self.noted(host_id)
        self._queue.add(host_id, done, bulk=bulk)
        if done is not None:
            self._urgent.set()
        self._wake.set()

    @property
    def owned(self) -> bool:
        """Whether this process sends the changes of the zone."""
        return self.ownership.owns(self.domain.id)

    def look(self) -> None:
        """Look again at what there is to do: the zone has another owner."""
        self._wake.set()

    def _step_down(self) -> None:
        """Pass everything that waits to the zone's new owner. Pending rows of the database say what is left to do."""
        assert self._relay is not None
        for host_id, waiters in self._queue.take_all().items():
            for done in waiters:
                if not done.done():
                    self._relay.push_host(self.domain.id, host_id, done, bulk=True)
        for waiter, names in self._removals.take_all().items():
            self._relay.push_removals(self.domain.id, waiter, names)
        if self._settling is not None:
            self._settling.cancel()
        self._settling = None
        for known in (self._lost, self._send_again, self._unknown_claims, self._again):
            known.clear()
        self._lost_removals = self._remove_again = False
        self._accepted = self._unwritten = self.problem = None

    @property
    def pending(self) -> int:
        """Number of pending hosts."""
        return len(self._queue.ids())

    def push_removals(self, done: asyncio.Future[None] | None = None, names: Collection[str] = ()) -> None:
        """Send pending removals; `done` ends when the zone has nothing of ours at these `names`, or with an error.

        Removals that a caller waits for go first. If another node owns the zone, it is asked to do it.
        """
        if self._relay is not None and not self.owned:
            self._relay.push_removals(self.domain.id, RemovalWaiter(done, names) if done else None, names)
            return
        if self.noted is not None:
            self.noted(None)
        self._removals.add(done, names)
        if done is not None:
            self._urgent.set()
        self._wake.set()

    def sweep(self, hosts: Mapping[int, bool]) -> None:
        """Publish hosts without a waiting caller; the value is True if another process may have a message under way.

        Only for the owner of the zone.
        """
        if not self.owned:
            return
        known = self._send_again | self._queue.ids()
        for host_id in hosts.keys() - known:
            if hosts[host_id]:
                self._lost.add(host_id)
                self._unknown_claims.add(host_id)
            self.push_host(host_id, bulk=True)

    def try_again(self, host_id: int, rrset_id: int) -> None:
        """Send the host once more with an RRset that was set aside. Only for the owner of the zone."""
        if not self.owned:
            return
        self._again.add(rrset_id)
        self.push_host(host_id, bulk=True)

    async def serial(self) -> int:
        """The serial of the zone at its primary. Raises DnsError."""
        serial = await self._by_current_key(
            lambda: ask_serial(self.primary, self._key, self.domain.name, self._deadline)
        )
        if serial is not None:
            return serial
        raise errors.Refusal("NOTAUTH", f"the name server does not have the zone {self.domain.name}")

    async def probe(self, hosts: primary_check.Places) -> None:
        """Send the primary an update that changes nothing. Raises DnsError as `primary_check.probe` does."""
        await self._by_current_key(lambda: primary_check.probe(self.domain, hosts, self.primary, self._deadline))

    async def name_servers(self) -> frozenset[str]:
        """The names of the zone's NS records, cached for a minute, and for longer while the server is unreachable.

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
        """Load the names of the NS records into the cache. Raises DnsError."""
        if self._name_servers is None:
            self._name_servers = float("-inf"), await self.name_servers()

    async def obstacles(self, names: Sequence[str]) -> dict[str, Obstacle]:
        """The obstacles by name, for names that a new host cannot have. Raises DnsError."""
        return await self._by_current_key(
            lambda: primary_check.obstacles(self.domain, names, self.primary, self._deadline)
        )

    async def obstacle_of(self, fqdn: str, rtype: str, values: Sequence[str], *, new: bool) -> Obstacle | None:
        """The obstacle for an RRset at the name, or None. Raises BadValue, DnsError."""
        wanted = TriedSet(fqdn, rtype, tuple(values), new)
        return await self._by_current_key(
            lambda: primary_check.obstacle_of(self.domain, wanted, self.primary, self._deadline)
        )

    async def rejected(self, wanted: Sequence[TriedSet]) -> dict[TriedSet, Obstacle | BadValue]:
        """The RRsets that the zone or its name server does not take, with the reasons. Raises DnsError."""
        return await self._by_current_key(
            lambda: primary_check.rejected(self.domain, wanted, self.primary, self._deadline)
        )

    async def _ask(self, name: str, rtype: str) -> list[str]:
        return await self._by_current_key(lambda: ask(self.primary, self._key, name, rtype, self._deadline))

    async def answer(self, name: str, rtype: str) -> Message:
        """The primary's whole answer, also if the name does not exist. Raises DnsError."""
        return await self._by_current_key(lambda: ask_all(self.primary, self._key, name, rtype, self._deadline))

    async def pass_on(self, update: Update) -> None:
        """Send a change of names that are not ours. Any node may do that. Raises DnsError."""

        async def send() -> None:
            message = signed(lambda: update, self._key)
            message.verify(await self.primary.exchange(message.wire, self._deadline))

        await self._by_current_key(send)

    async def _by_current_key(self, call: Callable[[], Awaitable[T]]) -> T:
        """The answer; asks again if the refused key is no longer the domain's key. Raises DomainFrozen."""
        if frozen := self._latest[0].frozen:
            raise errors.DomainFrozen(frozen)
        try:
            return await call()
        except KEY_REFUSED:
            if not await self._changed():
                raise
            return await call()

    async def _changed(self) -> bool:
        """Reload the domain. Returns whether it has changed."""
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
            if not self.owned:
                self._step_down()
                continue
            if self._is_frozen():
                continue
            try:
                while self._queue or self._removals:
                    if not self.owned:
                        raise errors.NotOwner
                    await self._round()
                    pause = RETRY_SECONDS[0]
                self._unwritten = None
            except errors.NotOwner:
                self._step_down()
            except Exception as error:
                if isinstance(error, (*KEY_REFUSED, errors.DomainChanged)) and await self._changed():
                    self._wake.set()
                    continue
                if not isinstance(error, (errors.DnsError, errors.DomainChanged, StoreDown)):
                    log.exception("unexpected error", zone=self.domain.name)  # a bug must not stop a zone for ever
                self._fail(error)
                await self._rest(pause)
                pause = min(2 * pause, RETRY_SECONDS[1])

    def _is_frozen(self) -> bool:
        """Whether the domain is frozen. Then its changes wait for the thaw, and waiting callers get an error."""
        if frozen := self._latest[0].frozen:
            end([*self._queue.give_up(), *self._removals.give_up()], errors.NotAcknowledged(frozen))
        return frozen is not None

    async def _rest(self, seconds: float) -> None:
        """Wait before the next try; a waiting caller shortens it to the first pause."""
        self._wake.set()
        await asyncio.sleep(RETRY_SECONDS[0])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._urgent.wait()

    def _fail(self, error: Exception) -> None:
        """End waiting callers with the error. During an outage they wait until their own deadline."""
        if self.problem != str(error):
            log.warning("zone behind", zone=self.domain.name, primary=str(self.primary.endpoint), reason=str(error))
        self.problem = str(error)
        if isinstance(error, errors.NoAnswer) and self._settling is not None:
            self._settling.cancel()
            self._settling = None
        MESSAGES.labels(type(error).__name__).inc()
        if isinstance(error, errors.Unreachable | errors.FenceLost | StoreDown):
            return
        # one host may be the reason why the name server could not write: hosts of other batches come first
        alone = isinstance(error, errors.Refusal) and error.rcode == errors.NOT_WRITTEN
        waiters = self._queue.give_up(self._batch if alone else None)
        end([*waiters, *self._removals.give_up()], errors.NotAcknowledged(str(error)))

    async def _round(self) -> None:
        """Send one batch of hosts, then removals, so that neither blocks the other, even if one is refused."""
        batch = self._queue.take(self._most_hosts)
        self._batch = set(batch)
        self.heartbeat.step()
        self._take_latest()
        self._sending = True
        try:
            async with self.ownership.hold(self.domain.id) as self._lock:
                await self._fence.place(self._lock.marker)
                refused = await self._refusal_of(batch) if batch else None
                if refused is None:
                    batch = {}
                if self._removals:
                    await self._removals.remove(self)
            if refused is not None:
                raise refused
        except BaseException:
            self._queue.put_back(batch)
            raise
        finally:
            self._sending = False
        if self.problem is not None:
            log.info("zone caught up", zone=self.domain.name)
        self.problem = None

    async def _refusal_of(self, batch: Waiters) -> errors.Refusal | None:
        """Send the hosts. Returns the error if all are refused; removals may still succeed."""
        try:
            await self._send_hosts(batch)
        except KEY_REFUSED:
            raise
        except errors.Refusal as error:
            return error
        return None

    # ---- hosts

    async def _send_hosts(self, batch: Waiters) -> None:
        hosts = await self.current(list(batch))
        for gone in batch.keys() - {item.host.id for item in hosts}:
            end(batch[gone], errors.HostGone())
        hosts, slow = self._sorted_out(hosts, batch)
        await self._make_room(hosts)
        verdicts = Verdicts()
        for part in [[item] for item in hosts] if slow else parts(hosts, self.domain.name):
            await self._send_part(part, batch, verdicts)
        self._again -= {one.id for item in hosts for one in item.sets}
        if verdicts.number:
            await self._write(verdicts, batch)

    def _sorted_out(self, hosts: list[HostRecords], batch: Waiters) -> tuple[list[HostRecords], bool]:
        """Move hosts that were refused the last time to the slow lane, if there are others.

        Returns the hosts of this round, and whether they are slow: then each has its own message.
        """
        slow = [item for item in hosts if _is_slow(item)]
        if not slow:
            return hosts, False
        only_slow = len(slow) == len(hosts)
        later = slow[SLOW:] if only_slow else slow
        self._queue.slow_down({item.host.id: batch.pop(item.host.id) for item in later})
        if only_slow:
            return slow[:SLOW], True
        return [item for item in hosts if not _is_slow(item)], False

    async def current(self, ids: list[int]) -> list[HostRecords]:
        """The current rows of those hosts that the zone has. Raises DomainChanged, StoreDown."""
        rows = await self._lookups.host_to_send.many(ids)
        # not renamed into another zone
        found = [row for i in ids if i in rows for row in rows[i] if row[0].domain_id == self.domain.id]
        if any(generation != self.domain.generation for *_, generation in found):
            raise errors.DomainChanged
        with_related = [host.id for host, has_related, *_ in found if has_related]
        related = await self._lookups.related.many(with_related) if with_related else {}
        with_sets = [host.id for host, *_ in found if host.has_rrsets]
        sets = await self._lookups.rrsets.many(with_sets) if with_sets else {}
        again = self._again.intersection(one.id for some in sets.values() for one in some)
        if again:
            again = await self._store.read(lambda c: set_aside.still_due(c, again))
        leaving = await self._leaving([host for host, *_ in found if host.alias is not None and host.claimed])
        return [
            HostRecords(
                host,
                records(host, related.get(host.id, ())),
                record_sets(host, sets.get(host.id, ()), again),
                is_set_aside,
                leaving.get(host.fqdn, ()),
            )
            for host, _, is_set_aside, _ in found
        ]

    async def _leaving(self, aliases: Sequence[Host]) -> dict[str, tuple[str, ...]]:
        """The types of RRsets of ours that are being removed from the names of these hosts."""
        if not aliases:
            return {}
        names = [host.fqdn for host in aliases]
        found = await self._store.read(lambda c: removals.dirty_at(c, self.domain.id, names))
        ours = [one for one in found if not one.exact]
        return {name: tuple(one.rtype for one in ours if one.fqdn == name and one.rtype) for name in names}

    async def _make_room(self, hosts: Sequence[HostRecords]) -> None:
        """Remove values that lost messages may have left at names of new hosts."""
        new = [item for item in hosts if not item.claimed]
        names = {one.fqdn for item in new for one in item.names} | {one.fqdn for item in new for one in item.sets}
        if not names:
            return
        found = await self._store.read(lambda c: removals.dirty_at(c, self.domain.id, sorted(names), exact=True))
        while found:
            part = first_part(found, self.domain.name)
            found = found[len(part) :]
            if await self.send(part) is not None:
                answers = [(removal, await self.send([removal])) for removal in part]
                await self.set_aside([(removal, error) for removal, error in answers if error is not None])

    async def _send_part(self, part: Sequence[HostRecords], batch: Waiters, verdicts: Verdicts) -> None:
        """Send the hosts; bisect a refused message to isolate the failing host.

        If a round finds many failing hosts, the others move to the slow lane.
        """
        if verdicts.number >= SLOW:
            self._queue.slow_down({item.host.id: batch.pop(item.host.id) for item in part})
            return
        try:
            await self._send(part)
        except errors.Refusal as error:
            if not errors.may_be_about_items(error):
                raise
            if not verdicts.zone_is_open and not isinstance(error, errors.PrerequisiteFailed):
                part = await self._without_witness(part, error, batch)
                verdicts.zone_is_open = True
            if len(part) > 1:
                middle = len(part) // 2
                for half in (part[:middle], part[middle:]):
                    await self._send_part(half, batch, verdicts)
            elif isinstance(error, errors.PrerequisiteFailed):
                await self._conflict(part[0], batch, verdicts)
            else:
                await self._refuse(part[0], error, batch, verdicts)
        else:
            await self._acknowledge(part, batch)

    async def _send(self, hosts: Sequence[HostRecords]) -> None:
        began = time.monotonic()
        try:
            await self._send_fenced(lambda: host_update(self.domain.name, hosts, self._default_ttl))
        except errors.NoAnswer:
            self._lost.update(item.host.id for item in hosts)
            self._unknown_claims.update(item.host.id for item in hosts if not item.host.claimed)
            self._remove_again = True  # a name in this message may be released in the meantime
            self._most_hosts = max(1, len(hosts) // 2)
            raise
        if time.monotonic() - began < QUICK * self._deadline:
            self._most_hosts = min(MESSAGE_HOSTS, 2 * self._most_hosts)
        BATCH.observe(len(hosts))

    async def _send_fenced(self, compose: Callable[[], Update]) -> None:
        """Send a message that changes the zone, which requires that no other process has taken over."""
        try:
            await self._exchange(lambda: self._fence.require(compose()))
        except errors.PrerequisiteFailed:
            await self._fence.check()
            raise

    async def _exchange(self, compose: Callable[[], Update]) -> None:
        message = signed(compose, self._key)
        assert self._lock is not None
        self._lock.check()
        self.heartbeat.step()
        with SECONDS.time():
            message.verify(await self.primary.exchange(message.wire, self._deadline))
        self._lock.check()  # if it is lost, another process may have sent a newer row
        self.acknowledged += 1
        MESSAGES.labels("acknowledged").inc()

    async def _is_met(self, prerequisites: Update) -> bool:
        try:
            await self._exchange(lambda: prerequisites)
        except errors.PrerequisiteFailed:
            return False
        return True

    async def _acknowledge(self, hosts: Sequence[HostRecords], batch: Waiters) -> None:
        if news := [item for item in hosts if item.to_mark]:
            # at once: the next sender must see that the name is ours
            self._unknown_claims.update(item.host.id for item in news if not item.host.claimed)
            # an older message may still publish an alias
            sure = set() if self._lost_removals else {item.host.id for item in news} - self._lost
            await self._transact(lambda c: mark_claimed(c, news, sure))
        for host in (item.host for item in hosts):
            if self._lost_removals or host.id in self._lost:
                # an older message may still run: this one counts after it is sent again
                self._send_again.add(host.id)
                self._settle_later()
            else:
                self._confirmed(Confirmed(host.id, host.version))
            self._unknown_claims.discard(host.id)
            end(batch[host.id])
            self._accepted = host.id

    # ---- refused hosts

    async def _check_zone(self, error: errors.Refusal) -> None:
        """Raise ZoneRefused if the name server accepts no update of the zone at all.

        It may accept updates of certain names only, so some published hosts are sent as well.
        """
        if isinstance(error, errors.Unsendable):
            return
        if error.rcode == errors.NOT_WRITTEN:
            if await self._is_written():
                return
            raise errors.ZoneRefused(error.rcode, str(error))
        if await self._takes_updates():
            return
        found = await self._store.read(lambda c: queries.some_published(c, self.domain.id, WITNESSES))
        if self._accepted is not None:
            found = [self._accepted, *found]
        for item in await self.current(found):
            if item.claimed and not _is_slow(item) and await self._is_sent(item):
                return
        raise errors.ZoneRefused(error.rcode, f"the name server answers {error.rcode} to every update of the zone")

    async def _is_written(self) -> bool:
        """Whether the zone has changed since the name server first failed to change it.

        With a full disk it still accepts updates that change nothing.
        """
        serial = await self.serial()
        if self._unwritten is None:
            self._unwritten = serial
        return serial != self._unwritten

    async def _without_witness(
        self, part: Sequence[HostRecords], error: errors.Refusal, batch: Waiters
    ) -> Sequence[HostRecords]:
        """The hosts that remain to be sent, after some were refused.

        If no other host can show that the zone accepts updates, one of them may. Raises ZoneRefused.
        """
        try:
            await self._check_zone(error)
        except errors.ZoneRefused:
            if len(part) == 1:
                raise
            for item in random.sample(part, min(len(part), WITNESSES)):
                if await self._is_sent(item):
                    await self._acknowledge([item], batch)
                    part = [one for one in part if one is not item]
                    if error.rcode != errors.NOT_WRITTEN or await self._is_written():
                        return part
            raise
        return part

    async def _takes_updates(self) -> bool:
        try:
            await self._exchange(lambda: probe(self.domain.name))
        except errors.Refusal as error:
            if not errors.may_be_about_items(error):
                raise
            return False
        return True

    async def _refuse(self, item: HostRecords, error: errors.Refusal, batch: Waiters, verdicts: Verdicts) -> None:
        """Handle a refused host; if it has RRsets, the reason may be one of these."""
        bare = item._replace(sets=[])
        if not item.sets or not await self._is_sent(bare):
            verdicts.refused.append((item.host, error))
            return
        if bare.to_mark:
            await self._transact(lambda c: mark_claimed(c, [bare], {bare.host.id} - self._lost))
        host = item.host._replace(claimed=True, conflict=None, aliased=item.host.alias is not None)
        taken = [one for one in item.sets if await self._is_sent(HostRecords(host, item.names, [one]))]
        refused = [(one, Obstacle(Kind.TEXT, str(error))) for one in item.sets if one not in taken]
        await self._check_zone(error)
        news = await self._transact(lambda c: write_sets(c, host, refused, held=False))
        tell(self.domain.name, news)
        await self._acknowledge([HostRecords(host, item.names, taken)], batch)

    async def _is_sent(self, item: HostRecords) -> bool:
        try:
            await self._send([item])
        except errors.Refusal as error:
            if not errors.may_be_about_items(error):
                raise
            return False
        return True

    async def _write(self, verdicts: Verdicts, batch: Waiters) -> None:
        for error in {error.rcode: error for _, error in verdicts.refused}.values():
            await self._check_zone(error)
        tell(self.domain.name, await self._transact(verdicts.write))
        for host, error in verdicts.refused:
            # a lost message may have added it nevertheless
            kind = errors.NotAcknowledged if host.id in self._lost else errors.ChangeRefused
            end(batch[host.id], kind(str(error)))
        for host, found, _ in verdicts.held:
            end(batch[host.id], errors.NameConflict(found))

    async def _conflict(self, item: HostRecords, batch: Waiters, verdicts: Verdicts) -> None:
        """Handle a name in use, by somebody else or by an abandoned message of ours.

        If only an RRset is in use, the host is sent without it.
        """
        host = item.host
        if host.reverse_of is not None and (ours := [one for one in item.sets if one.claimed]):
            # somebody has changed the record: it is ours again only if the name is free
            records_of = [(one.id, one.fqdn, one.values) for one in ours]
            await self._transact(lambda c: pointers.give_up(c, self.domain.id, records_of))
            rest = item._replace(sets=[one._replace(claimed=False) for one in item.sets])
            await self._send_part([rest], batch, verdicts)
            return
        doubtful = not host.claimed and host.id in self._unknown_claims
        if (doubtful and await self._is_confirmed_held(item)) or await self._claimed_anew(item, doubtful=doubtful):
            await self._acknowledge([item], batch)
            return
        found = await self._obstacle(item)
        foreign = [] if found else [(one, await self._obstacle_of(host, one)) for one in item.sets]
        if held := [(one, why) for one, why in foreign if why is not None]:
            tell(self.domain.name, await self._transact(lambda c: write_sets(c, host, held, held=True)))
            rest = item._replace(sets=[one for one, why in foreign if why is None])
            await self._send_part([rest], batch, verdicts)
            return
        waited_for = any(not done.done() for done in batch[host.id])
        verdicts.held.append((host, found or UNMANAGED, bool(host.claimed) or not waited_for))

    async def _obstacle(self, item: HostRecords) -> Obstacle | None:
        """The foreign record at one of the host's names, or None."""
        for name in item.names:
            ours = bool(item.host.claimed)
            others = beside(item.leaving) if name.alias is not None else ()
            aliased = bool(item.host.aliased)
            met = self._is_met
            if found := await obstacle(self.domain.name, name.fqdn, met, ours=ours, aliased=aliased, others=others):
                return found
        return None

    async def _obstacle_of(self, host: Host, one: RecordSet) -> Obstacle | None:
        """The foreign record at the name of an RRset, or None."""
        if await self._is_met(require_room_below(self.domain.name, host, one)):
            return None
        aliased = one.fqdn == host.fqdn and bool(host.aliased)
        return await obstacle(self.domain.name, one.fqdn, self._is_met, ours=True, aliased=aliased) or UNMANAGED

    async def _claimed_anew(self, item: HostRecords, *, doubtful: bool) -> bool:
        """Remove values that our own messages may have left. Returns whether the name is then free."""
        places: set[tuple[str, str | None]] = {(one.fqdn, one.rtype) for one in item.sets if not one.claimed}
        if doubtful:
            places |= {(name.fqdn, None) for name in item.names}
        if not places:
            return False
        fqdns = [fqdn for fqdn, _ in places]
        found = await self._store.read(lambda c: removals.former_values(c, self.domain.id, fqdns))
        wanted = (removal for removal in found if (removal.fqdn, removal.rtype) in places)
        former = list({removal[2:8]: removal for removal in wanted}.values())  # each once
        if not former:
            return False
        try:
            while former:  # may be too much for one message after many tries
                part = first_part(former, self.domain.name)
                await self._send_removals(part)
                former = former[len(part) :]
            await self._send([item])
        except errors.Refusal as error:
            if error.rcode == errors.NOT_WRITTEN or not errors.may_be_about_items(error):
                raise
            return False
        return True

    async def _is_confirmed_held(self, item: HostRecords) -> bool:
        """Whether DNS has exactly these addresses and values at each of the names."""
        with contextlib.suppress(errors.Refusal):
            return await self._is_held(item)
        return False

    async def _is_held(self, item: HostRecords) -> bool:
        for fqdn, ipv4, ipv6, alias in item.names:
            if alias is not None:
                if await self._ask(fqdn, "CNAME") != [alias]:
                    return False
                continue
            for rtype, text in (("A", ipv4), ("AAAA", ipv6)):
                if sorted(await self._ask(fqdn, rtype)) != sorted(addresses_of(text)):
                    return False
        for one in item.sets:
            if sorted(await self._ask(one.fqdn, one.rtype)) != sorted(one.values):
                return False
        return True

    async def _transact(self, work: Callable[[Connection], T]) -> T:
        """Store the outcome of an answer, unless the primary has changed in the meantime.

        Raises DomainChanged, StoreDown.
        """
        domain_id, generation = self.domain.id, self.domain.generation

        def keep(connection: Connection) -> T:
            if primaries.locked_generation(connection, domain_id) != generation:
                raise errors.DomainChanged
            return work(connection)

        return await self._store.transact(keep)

    # ---- removals

    async def send(self, names: Sequence[Removal]) -> errors.Refusal | None:
        """Remove the names. Returns the refusal or None. Raises errors that do not concern the names."""
        try:
            await self._send_removals(names)
        except errors.PrerequisiteFailed as error:
            if len(names) > 1:
                return error
            log.warning("name not removed", name=names[0].fqdn, reason=NOT_OURS)
        except errors.Refusal as error:
            if not errors.may_be_about_items(error):
                raise
            return error
        if self._remove_again:
            self._settle_later()
        else:
            await self._transact(lambda c: settle_removals(c, names))
        return None

    async def set_aside(self, refused: Sequence[tuple[Removal, errors.Refusal]]) -> None:
        """Set aside removals that were refused alone. Raises ZoneRefused if the whole zone is refused."""
        if refused:
            await self._check_zone(refused[0][1])
            tell(self.domain.name, await self._transact(lambda c: write_removals(c, refused)))

    async def _send_removals(self, leaving: Sequence[Removal]) -> None:
        try:
            await self._send_fenced(lambda: removal(self.domain.name, leaving))
        except errors.NoAnswer:
            self._lost_removals = self._remove_again = True
            raise

    # ---- after an outage

    def _settle_later(self) -> None:
        """Start the timer after an outage; lost messages have run when it ends."""
        if self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._resend)

    def _resend(self) -> None:
        self._settling, self._lost_removals = None, False
        again, self._send_again = self._send_again, set()
        self._lost -= again
        for host_id in again:
            self.push_host(host_id, bulk=True)
        if self._remove_again:
            self._remove_again = False
            self.push_removals()


def _is_slow(item: HostRecords) -> bool:
    """Whether the name server refused the host, or one of its RRsets, the last time."""
    return item.is_set_aside or (bool(item.sets) and any(one.again for one in item.sets))
