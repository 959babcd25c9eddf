# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep second primaries up to date: the one that a domain moves to, or its former one.

    whole zone ─► compared with the rows ─► send what differs ─► compared again … equal ─► switch (only the new one)
    changes that the zone's sender gets ─► their hosts' current rows are sent

Only the owner of the zone does it. No update waits for a second primary. Which hosts it still lacks is kept in memory,
because a comparison finds them again. Which of its names are ours is in the database.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import structlog
from sqlalchemy import Connection

from ddnsd.db import history, mirrors, watched
from ddnsd.db.base import StoreDown, ZoneLock
from ddnsd.db.mirrors import Place
from ddnsd.db.rows import Mirror, Removal, Watched
from ddnsd.db.watched import Slice
from ddnsd.dns import delegations, ds_records, errors, zone_transfer
from ddnsd.dns.connection import PrimaryConnection, ask
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.fence import Fence
from ddnsd.dns.message import CNAME, Update
from ddnsd.dns.obstacles import OWN
from ddnsd.dns.pacing import Pacer
from ddnsd.dns.packing import first_part, parts
from ddnsd.dns.places import Places, found_at, is_as_wanted, obstructing, places_of, texts
from ddnsd.dns.records import HostRecords
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.update_builder import host_update, probe, removal, signed
from ddnsd.dns.writer import Writer
from ddnsd.dns.zone_sender import MESSAGE_HOSTS, SETTLE_SECONDS, ZoneSender
from ddnsd.dns.zone_transfer import WHOLE, State, state_of
from ddnsd.dns.zone_watch import HIDING, ROWS

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore
    from ddnsd.db.sqlite import SqliteStore

SECONDS = 1.0
"""How often the list of second primaries is read."""

LOOK_SECONDS = 5.0
"""A second primary that gets no changes is asked for its serial so often."""

COMPARE_SECONDS = 3600.0
"""The time until the whole zone is compared again."""

REFUSED_SECONDS = 10.0
"""The same while it refuses something."""

PAUSES = (1.0, 30.0)
"""First and longest pause after a failure; it doubles in between."""

AGAIN_SECONDS = 0.5
"""The pause between two comparisons while hosts differ."""

REPORT_SECONDS = 2.0

RESTS = 20
"""The pause between two reads of the whole zone, or of all its names in the database, as a multiple of their time."""

SHOWN = 5
"""Maximum number of refused names in a problem."""

OTHERS = "other records have its name"

log = structlog.get_logger()

T = TypeVar("T")


class _Doubt(NamedTuple):
    """Values at a place of a host that differ from what it should have."""

    host_id: int
    place: Place
    found: tuple[str, ...]
    wanted: tuple[str, ...]


class ZoneMirror:
    """Keeps one second primary up to date, as long as its task runs."""

    def __init__(
        self,
        store: "SqliteStore | PostgresStore",
        sender: ZoneSender,
        mirror: Mirror,
        *,
        refresh: Callable[[], Awaitable[None]],
        children: Callable[[], Iterable[ZoneSender]],
        deadline: float,
        default_ttl: int,
    ) -> None:
        """`refresh` is called after the domain has moved. `children` returns the zones that it may delegate."""
        self._store, self.sender, self.mirror, self._refresh = store, sender, mirror, refresh
        self._children = children
        self._deadline, self._default_ttl = deadline, default_ttl
        names = ("primary", "key_name", "key_algorithm", "key_secret")
        self._domain = sender.domain._replace(**{name: getattr(mirror, name) for name in names})
        self._key = TsigKey.of(self._domain)
        self._connection = PrimaryConnection(Endpoint.from_text(mirror.primary, 53))
        self._fence = Fence(self._domain.name, lambda update: self._exchange(lambda: update), self._ask)
        self._lock: ZoneLock | None = None
        self._connections = 0  # as of the last comparison
        self._took = 0.0  # seconds, the last comparison
        self._dirty: set[int] = set()  # hosts to send
        self._has_left = True  # names of ours may have lost their hosts
        self._next_search = 0.0
        self._compared = False
        self._lost = True  # a message without an answer, also of a former process, may still run
        self._refused: dict[str, str] = {}  # reasons by name
        self._told: tuple[float, str | None] = float("-inf"), None
        self._wake = asyncio.Event()

    def note(self, host_id: int | None) -> None:
        """Note a host that has changed, or None for removed names."""
        if host_id is None:
            self._has_left = True
        else:
            self._dirty.add(host_id)
        self._wake.set()

    async def run(self) -> None:
        """Keep it up to date until cancelled, or until the domain has moved to it."""
        pause = PAUSES[0]
        self.sender.noted = self.note
        try:
            while True:
                try:
                    await self._fill()
                    await self._delegate()
                    if self.mirror.role == mirrors.NEW and not self._refused and await self._switch():
                        return
                    pause = PAUSES[0]
                    await self._keep_in_step()
                except (errors.DomainChanged, errors.NotOwner):
                    await asyncio.sleep(PAUSES[0])
                except Exception as error:
                    if not isinstance(error, (errors.DnsError, StoreDown)):
                        log.exception("unexpected error", zone=self._domain.name)  # a bug must not end it for ever
                    with contextlib.suppress(StoreDown):
                        await self._report(str(error))
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, PAUSES[1])
        finally:
            self.sender.noted = None
            self._connection.close()

    async def _fill(self) -> None:
        """Compare and send until both are equal, except for what it refuses."""
        while True:
            self._has_left, self._next_search = True, 0.0
            await self._send_all()
            self._refused.clear()
            differing = await self._compare() - self._dirty  # without those that have changed since it began
            self._dirty |= differing
            self._compared = True
            await self._report()
            if not differing:
                return
            await self._send_all()
            if self._refused:
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _delegate(self) -> None:
        """Write the delegations of our domains below, as the primary in use has them."""
        ask_here = ds_records.asks(self._domain, self._connection)
        for child in self._children():
            if child.domain.frozen:
                continue
            try:
                async with self._round():
                    found = await delegations.plan(child.domain, self._domain, child.answer, ask_here, self._is_met)
                    if found.update is not None:
                        update = found.update
                        await self._exchange(lambda update=update: self._fence.require(update))  # type: ignore[misc]
            except errors.DnsError as error:  # often of the child, which must not hold up its parent
                log.warning(
                    "delegation not written", zone=child.domain.name, primary=self.mirror.primary, reason=str(error)
                )

    async def _is_met(self, prerequisites: Update) -> bool:
        try:
            await self._exchange(lambda: prerequisites)
        except errors.PrerequisiteFailed:
            return False
        return True

    async def _keep_in_step(self) -> None:
        """Send changes until the next comparison of the whole zone is due."""
        began = time.monotonic()
        while self._connection.connections == self._connections:
            again = max(REFUSED_SECONDS, RESTS * self._took) if self._refused else COMPARE_SECONDS
            if time.monotonic() - began > again:
                return
            await self._report()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            if not await self._send_all():
                await self._ask_serial()

    async def _switch(self) -> bool:
        """Make it the primary. Returns False if the move has ended or the domain is frozen."""
        if not await self._store.transact(lambda c: mirrors.switch(c, self.mirror)):
            return False
        before = self.sender.domain.primary
        log.info("domain moved", zone=self._domain.name, primary=self.mirror.primary, before=before)
        await self._refresh()
        return True

    async def _report(self, problem: str | None = None) -> None:
        """Store how far it is, at most every few seconds unless the problem is new."""
        if problem is None and self._refused:
            names = [f"{name}: {reason}" for name, reason in islice(self._refused.items(), SHOWN)]
            problem = f"{len(self._refused)} refused: {'; '.join(names)}"
        moment, (told, before) = time.monotonic(), self._told
        if problem == before and moment - told < REPORT_SECONDS:
            return
        if problem is not None and problem != before:
            log.warning("second primary behind", zone=self._domain.name, primary=self.mirror.primary, reason=problem)
        waiting = len(self._dirty) if self._compared else None
        await self._store.transact(lambda c: mirrors.report(c, self.mirror, waiting, problem))
        self._told = moment, problem

    async def _transact(self, work: Callable[[Connection], None]) -> None:
        """Store what is ours there. Raises DomainChanged if the move has ended."""

        def keep(connection: Connection) -> None:
            if not mirrors.is_current(connection, self.mirror, keep=True):
                raise errors.DomainChanged
            work(connection)

        await self._store.transact(keep)

    # ---- comparing

    async def _compare(self) -> set[int]:
        """The hosts whose records differ."""
        await self._ask_serial()
        if self._lost:
            await asyncio.sleep(SETTLE_SECONDS)
            self._lost = False
        self._connections = self._connection.connections
        began, pacer = time.monotonic(), Pacer()
        logs = (await zone_transfer.fetch(self._domain, None, pacer)).logs
        differing, after = set[int](), 0
        while part := await self._slice(after):
            after = part.hosts[-1].id
            there: list[Place] = []
            doubts: list[_Doubt] = []
            for host in part.hosts:
                wanted = places_of(host, part.related.get(host.id, ()), part.rrsets.get(host.id, ()))
                mine = {name: logs.pop(name, b"") for name in wanted}
                if host.conflict is not None or host.is_set_aside:
                    continue  # the primary in use does not have it either
                for name, places in wanted.items():
                    state = state_of(WHOLE + mine[name])
                    if not _is_equal(state, host, places):
                        differing.add(host.id)
                        doubts += _doubts(host, name, state, places)
                    elif any(places.values()):
                        there += [(name, kind or "") for kind in places]
                        there += [(name, mirrors.CNAME)] if state.has(CNAME) else []
            await self._adopt(there, doubts)
            await pacer.turn()
        self._took = time.monotonic() - began
        return differing

    async def _slice(self, after: int) -> Slice | None:
        part = await self._store.read(lambda c: watched.slice_of_domain(c, self._domain.id, after, ROWS))
        return part if part.hosts else None

    async def _adopt(self, there: Sequence[Place], doubts: Sequence[_Doubt]) -> None:
        """Note places as ours that have the wanted records, or values that the host has or had.

        These are of a copy of the zone, or of our own messages without an answer.
        """
        names = {name for name, _ in (*there, *(doubt.place for doubt in doubts))}
        if not names:
            return

        def find(connection: Connection) -> list[Place]:
            known = self._known(connection, names)
            unknown = [doubt for doubt in doubts if doubt.place not in known]
            had = history.former_values(connection, [doubt.host_id for doubt in unknown])
            found = [place for place in there if place not in known]
            return found + [
                one.place for one in unknown if had.get(one.host_id, set()).union(one.wanted).issuperset(one.found)
            ]

        if ours := await self._store.read(find):
            await self._transact(lambda c: mirrors.add_places(c, self._domain.id, ours))

    def _known(self, connection: Connection, names: Collection[str]) -> set[Place]:
        """The places at these names that are ours. Raises DomainChanged if the move has ended."""
        if not mirrors.is_current(connection, self.mirror):
            raise errors.DomainChanged
        return mirrors.places_at(connection, self._domain.id, names)

    async def _ask_serial(self) -> None:
        self._check()
        await self._ask(self._domain.name, "SOA")

    async def _ask(self, name: str, rtype: str) -> list[str]:
        return await ask(self._connection, self._key, name, rtype, self._deadline)

    # ---- sending

    async def _send_all(self) -> bool:
        """Send dirty hosts and removed names. Returns whether there were any."""
        sent = False
        while self._dirty:
            sent, batch = True, set(islice(self._dirty, MESSAGE_HOSTS))
            self._dirty -= batch
            try:
                async with self._round():
                    await self._send_hosts(sorted(batch))
            except BaseException:
                self._dirty |= batch
                raise
            await self._report()
        if self._has_left and time.monotonic() >= self._next_search:
            async with self._round():
                sent = await self._send_removals() or sent
        return sent

    @contextlib.asynccontextmanager
    async def _round(self) -> AsyncIterator[None]:
        """Rows that are read in a round reach the name server before another process sends newer ones."""
        async with self.sender.ownership.hold_second(self._domain.id) as self._lock:
            await self._fence.place(self._lock.marker)
            yield

    async def _send_hosts(self, ids: list[int]) -> None:
        hosts = await self.sender.current(ids)
        hosts = [item for item in hosts if item.host.conflict is None and not item.is_set_aside]
        names = {place[0] for item in hosts for place in _places_of(item)}
        known = await self._store.read(lambda c: self._known(c, names))
        divided = [part for item in hosts for part in _divided(item, known)]
        for part in parts(divided, self._domain.name):
            accepted, refused = await self._send(
                part, lambda some: host_update(self._domain.name, some, self._default_ttl)
            )
            self._refused |= {item.names[0].fqdn: _reason(error) for item, error in refused}
            if ours := {place for item in accepted for place in _places_of(item)} - known:
                await self._transact(lambda c, ours=ours: mirrors.add_places(c, self._domain.id, ours))  # type: ignore[misc]

    async def _send_removals(self) -> bool:
        """Remove names of ours that no host has any more. Returns whether there were any."""
        self._has_left, began = False, time.monotonic()
        left = await self._store.read(lambda c: mirrors.left_places(c, self._domain.id))
        self._next_search = time.monotonic() + RESTS * (time.monotonic() - began)
        names: Sequence[Removal] = [_removal(self._domain.id, place) for place in left]
        while names:
            part = first_part(names, self._domain.name)[:MESSAGE_HOSTS]
            names = names[len(part) :]
            accepted, refused = await self._send(part, lambda some: removal(self._domain.name, some))
            gone = [*accepted, *(one for one, error in refused if isinstance(error, errors.PrerequisiteFailed))]
            done = [(one.fqdn, one.rtype or "") for one in gone]
            await self._transact(lambda c, done=done: mirrors.forget_places(c, self._domain.id, done))  # type: ignore[misc]
        return bool(left)

    async def _send(
        self, items: Sequence[T], compose: Callable[[Sequence[T]], Update]
    ) -> tuple[list[T], list[tuple[T, errors.Refusal]]]:
        """Send them in one message; bisect a refused one. Returns the accepted and the refused items."""
        try:
            await self._exchange(lambda: self._fence.require(compose(items)))
        except errors.Refusal as error:
            if isinstance(error, errors.PrerequisiteFailed):
                await self._fence.check()
            if not errors.may_be_about_items(error):
                raise
            if not isinstance(error, (errors.PrerequisiteFailed, errors.Unsendable)):
                await self._exchange(lambda: probe(self._domain.name))  # else the whole zone is refused
            if len(items) == 1:
                return [], [(items[0], error)]
            middle = len(items) // 2
            first, second = [await self._send(half, compose) for half in (items[:middle], items[middle:])]
            return first[0] + second[0], first[1] + second[1]
        return list(items), []

    async def _exchange(self, compose: Callable[[], Update]) -> None:
        self._check()
        assert self._lock is not None
        message = signed(compose, self._key)
        self._lock.check()
        try:
            message.verify(await self._connection.exchange(message.wire, self._deadline))
        except errors.NoAnswer:
            self._lost = True
            raise
        self._lock.check()

    def _check(self) -> None:
        """Raise NotOwner or DomainFrozen if nothing may be sent."""
        if not self.sender.owned:
            raise errors.NotOwner
        if frozen := self.sender.domain.frozen:
            raise errors.DomainFrozen(frozen)


def _is_equal(state: State, host: Watched, places: Places) -> bool:
    """Whether the name has what it should have, and nothing that hides it."""
    hidden = state.has(*obstructing(OWN if None in places else HIDING, host, places))
    return not hidden and all(is_as_wanted(state, kind, wanted) for kind, wanted in places.items())


def _doubts(host: Watched, name: str, state: State, places: Places) -> Iterator[_Doubt]:
    for kind, wanted in places.items():
        if found := texts(found_at(state, kind, frozenset())):
            yield _Doubt(host.id, (name, kind or ""), found, texts(wanted))


def _places_of(item: HostRecords) -> set[Place]:
    aliases = {(one.fqdn, mirrors.CNAME) for one in item.names if one.alias is not None}
    return {(one.fqdn, "") for one in item.names} | {(one.fqdn, one.rtype) for one in item.sets} | aliases


def _divided(item: HostRecords, known: set[Place]) -> Iterable[HostRecords]:
    """The host's names that are ours there, also by an RRset, and the others: these must have no record."""
    sets = [one._replace(claimed=(one.fqdn, one.rtype) in known) for one in item.sets if not one.again]
    at = {fqdn for fqdn, _ in known}
    ours, others = ([one for one in item.names if (one.fqdn in at) is claimed] for claimed in (True, False))
    for names, claimed in ((ours, True), (others, False)):
        if names:
            aliased = item.host.alias is not None or (item.host.fqdn, mirrors.CNAME) in known
            # a record of a reverse name there may have an older value: it is ours as those of hosts are
            host = item.host._replace(claimed=claimed, aliased=aliased, reverse_of=None)
            left = (rtype for fqdn, rtype in known if fqdn == host.fqdn and rtype not in ("", mirrors.CNAME))
            yield HostRecords(host, names, sets, leaving=tuple(left) if host.alias is not None else ())
            sets = []


def _removal(domain_id: int, place: Place) -> Removal:
    """The removal of all records of the place."""
    fqdn, rtype = place
    return Removal(0, domain_id, fqdn, None, None, None, rtype or None, None, exact=False, dirty_since=None, created=0)


def _reason(error: errors.Refusal) -> str:
    return OTHERS if isinstance(error, errors.PrerequisiteFailed) else str(error)


class Mirrors:
    """Runs a `ZoneMirror` for each second primary of a zone that this process owns."""

    def __init__(
        self, store: "SqliteStore | PostgresStore", writer: Writer, *, deadline: float, default_ttl: int
    ) -> None:
        self._store, self._writer, self._deadline, self._default_ttl = store, writer, deadline, default_ttl
        self._running: dict[int, tuple[ZoneMirror, asyncio.Task[None]]] = {}

    async def look(self) -> None:
        """Start and stop as the database and the ownership of zones say. Raises StoreDown."""
        found = {one.domain_id: one for one in (await self._store.read(mirrors.all_mirrors)).values()}
        for domain_id, (one, task) in list(self._running.items()):
            if task.done() or not self._is_due(one.sender, found.get(domain_id), one.mirror):
                del self._running[domain_id]
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                log.info("second primary no longer updated", zone=one.sender.domain.name, primary=one.mirror.primary)
        for domain_id, mirror in found.items():
            sender = self._writer.senders.get(domain_id)
            if sender is not None and sender.owned and domain_id not in self._running:
                self._start(sender, mirror)

    def _is_due(self, sender: ZoneSender, stored: Mirror | None, mirror: Mirror) -> bool:
        same = stored is not None and stored.since == mirror.since
        return same and sender.owned and self._writer.senders.get(mirror.domain_id) is sender

    def _start(self, sender: ZoneSender, mirror: Mirror) -> None:
        one = ZoneMirror(
            self._store,
            sender,
            mirror,
            refresh=self._writer.refresh,
            children=partial(self._children, sender),
            deadline=self._deadline,
            default_ttl=self._default_ttl,
        )
        self._running[mirror.domain_id] = one, asyncio.create_task(one.run())

    def _children(self, parent: ZoneSender) -> list[ZoneSender]:
        """The zones whose closest zone around them is this one."""
        senders = {sender.domain.name: sender for sender in self._writer.senders.values()}
        return [one for name, one in senders.items() if ds_records.closest(name, senders) == parent.domain.name]

    async def stop(self) -> None:
        """Stop all tasks."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
