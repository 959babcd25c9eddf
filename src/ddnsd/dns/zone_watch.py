# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what others changed at our names in a zone, and repair it.

The zone's serial changes with every change. The differences since the last serial (IXFR) show which names changed.
Their records are compared with the database:

    changed names ─► their rows ─► settled, or pending: look again later, or different ─► second look ─► repair

A difference counts if it outlasts a second look: the row is the same, it was not pending at the first look, and the
zone was read after that. So a change under way does not count as a difference. A repair marks the host as
pending again: its sender publishes it, or holds it if a foreign record has the name.

The whole zone is compared at the start, after a restart of the name server, and if it offers no differences.
"""

import asyncio
import time
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import structlog
from prometheus_client import Counter
from sqlalchemy import Connection

from ddnsd.db import host_edits, watched
from ddnsd.db.base import Store
from ddnsd.db.rows import Removal, RRset, Watched
from ddnsd.db.watched import Repair, Slice, WatchedRows
from ddnsd.db.wildcards import wildcard_name
from ddnsd.dns import errors, late_answers, zone_transfer
from ddnsd.dns.connection import ask
from ddnsd.dns.contents import Contents, contents, is_a_host, is_below
from ddnsd.dns.message import AAAA, CNAME, DNAME, NS, A
from ddnsd.dns.obstacles import BESIDE, OWN, between
from ddnsd.dns.pacing import Budget, Pacer
from ddnsd.dns.places import (
    Kind,
    Places,
    addresses,
    found_at,
    is_as_wanted,
    kinds_of,
    matches,
    obstructing,
    places_of,
    texts,
    types_of,
)
from ddnsd.dns.records import is_hidden, values_removed
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.zone_sender import ZoneSender
from ddnsd.dns.zone_transfer import WHOLE, Record, State, Transfer, log_of, state_of

SHARE = 0.04
"""The part of this process's time that comparisons take; the measurement misses a little, and 5 % is the limit."""

LONGEST_PAUSE = 30.0
"""A foreign change is noticed within this time, also under full load."""

TRANSFERS = 2
"""Whole zones of one primary that are compared at once."""

REFUSED_PAUSE = 60.0
"""The time until a refused transfer is requested again."""

SECOND_LOOK_SECONDS = 0.3

NAMES = 100
"""Names whose rows are read at once."""

BATCH = 20_000
"""Names that are compared before the first of them are repaired, in case a whole zone has gone."""

ROWS = 200
"""Hosts that are read at once while a whole zone is compared."""

WAITING_SECONDS = 5.0
"""Pause between two looks at names of pending hosts while the zone does not change."""

WAITING = 1000
"""Names of pending hosts that one look checks again."""

TOLD_SECONDS = 3600.0
"""The same difference of a host is reported once in this time, because somebody may write it again and again."""

ASK_SECONDS = 2.5

ADDRESSES = A, AAAA
NOTHING: frozenset[Record] = frozenset()
DELEGATING = NS, DNAME
HIDING = CNAME, NS, DNAME

FOREIGN_CHANGES = Counter(
    "ddnsd_foreign_changes_repaired", "Hosts and removed records that others changed in a zone, and that were repaired"
)
COMPARE_SECONDS = Counter("ddnsd_zone_compare_seconds", "Processor time of comparisons of zones with the database")

log = structlog.get_logger()

K = TypeVar("K")
V = TypeVar("V")


class Finding(NamedTuple):
    """A difference: a host, or a removal whose records came back; values by name and type."""

    item: Watched | Removal
    found: Mapping[str, tuple[str, ...]]
    wanted: Mapping[str, tuple[str, ...]]

    @property
    def key(self) -> tuple[str, int]:
        """What it concerns."""
        return "host" if isinstance(self.item, Watched) else "removal", self.item.id


class Budgets:
    """The shares of all zones of this process: of differences, and of whole zones."""

    def __init__(self) -> None:
        self.differences = Budget(SHARE, LONGEST_PAUSE)
        self.whole = Budget(SHARE, None)
        self._transfers: dict[str, asyncio.Semaphore] = {}

    def transfers_from(self, primary: str) -> asyncio.Semaphore:
        """Limits the number of whole zones in memory."""
        return self._transfers.setdefault(primary, asyncio.Semaphore(TRANSFERS))


class _Round:
    """The results of one pass over touched names."""

    def __init__(self) -> None:
        self.findings: dict[tuple[str, int], Finding] = {}
        self.names: dict[tuple[str, int], set[str]] = {}  # of the findings
        self.again: dict[int, Watched] = {}  # hosts to be tried again, without a word
        self.rrsets: set[int] = set()  # RRsets to be tried again
        self.waiting: dict[str, bytes] = {}
        self.above: dict[str, bool] = {}  # names that delegate or redirect those below, or did before

    def add(self, name: str, item: Watched | Removal, place: str, found: Iterable[str], wanted: Iterable[str]) -> None:
        """Add a different place."""
        new = Finding(item, {place: tuple(sorted(found))}, {place: tuple(sorted(wanted))})
        if (known := self.findings.get(new.key)) is not None:
            new = Finding(item, {**known.found, **new.found}, {**known.wanted, **new.wanted})
        self.findings[new.key] = new
        self.names.setdefault(new.key, set()).add(name)


class ZoneWatch:
    """Watches one zone that this process owns. One look runs at a time."""

    def __init__(self, store: Store, rows: WatchedRows, sender: ZoneSender, budgets: Budgets) -> None:
        self._store, self._rows, self.sender, self._budgets = store, rows, sender, budgets
        self._serial: int | None = None
        self._generation = sender.domain.generation
        self._open: dict[str, bytes] = {}  # logs of touched names
        self._waiting: dict[str, bytes] = {}  # the same of pending hosts: their message may not have run yet
        self._findings: dict[tuple[str, int], Finding] = {}  # of the last look
        self._told: dict[int, tuple[float, Mapping[str, Sequence[str]]]] = {}
        self._has_differences = True  # the name server answers a request for differences
        self._answers_whole = False  # with the whole zone
        self._only_whole = False  # it always does
        self._last = self._refused = float("-inf")
        self._repaired = 0
        self.contents: Contents | None = None
        """Whose names the zone had at the last comparison of all of it."""

    def is_due(self, serial: int) -> bool:
        """Whether to look now; `serial` is that of the zone."""
        if self._generation != self.sender.domain.generation or time.monotonic() - self._refused < REFUSED_PAUSE:
            return False
        if serial == self._serial and not self._open:
            return bool(self._waiting) and time.monotonic() - self._last >= WAITING_SECONDS
        if self._serial is None:
            return True  # this process owns the zone since a moment, and knows nothing of it
        if self._reads_whole:
            return self._budgets.whole.allows(self._last)
        return self._budgets.differences.allows(self._last)

    async def look(self, *, whole: bool) -> None:
        """Compare what has changed, or the whole zone. Raises DnsError, StoreDown.

        A comparison of the whole zone that cannot wait costs nothing from the budgets: many new zones at once would
        delay those whose changes are noticed later.
        """
        pacer = Pacer()
        whole = whole or self._serial is None
        try:
            await self._look(pacer, whole=whole)
        except errors.Refusal as error:
            if whole or self._reads_whole:
                self._refused = time.monotonic()
            log.warning("zone not compared", zone=self._zone, reason=str(error))
        finally:
            cost = pacer.spent
            COMPARE_SECONDS.inc(cost)
            self._last = time.monotonic()
            if not whole:
                budget = self._budgets.whole if self._reads_whole else self._budgets.differences
                budget.spend(cost)

    def take_repaired(self) -> int:
        """The number of repaired hosts and removals since the last call."""
        number, self._repaired = self._repaired, 0
        return number

    @property
    def _zone(self) -> str:
        return self.sender.domain.name

    @property
    def _reads_whole(self) -> bool:
        return self._answers_whole or not self._has_differences

    async def _look(self, pacer: Pacer, *, whole: bool) -> None:
        if whole:
            self._generation = self.sender.domain.generation
            self._has_differences, self._answers_whole, self._only_whole = True, False, False
            await self._note_signing(pacer)
        await self._read(pacer, whole=whole)
        await self._check(pacer)
        for _ in range(1 + 2 * (len(self._open) // BATCH)):
            if not self._open or not await self._read_again(pacer):
                return
            await self._check(pacer)

    async def _note_signing(self, pacer: Pacer) -> None:
        """Store whether the name server answers from a signed copy of the zone. A restart may have changed that."""
        domain = self.sender.domain
        pacer.pause()
        try:
            found = await late_answers.signs_a_copy(domain, self.sender.primary)
            if found != bool(domain.inline_signing):
                await self._store.transact(lambda c: host_edits.set_domain(c, domain.id, inline_signing=found))
        except errors.Refusal as error:  # of a question or an empty update: it may accept ours
            log.info("inline signing not determined", zone=self._zone, reason=str(error))
        finally:
            pacer.resume()

    async def _read_again(self, pacer: Pacer) -> bool:
        """Note what has changed since the first look. Returns False if that would be the whole zone again."""
        pacer.pause()
        try:
            await asyncio.sleep(SECOND_LOOK_SECONDS)
            serial = await self.sender.serial()
        finally:
            pacer.resume()
        if serial != self._serial:
            if self._only_whole or not self._has_differences:
                return False
            await self._read(pacer, whole=False)
            # few differences, and yet all of the zone: this name server has no others
            self._only_whole = self._answers_whole
        return True

    # ---- reading the zone

    async def _read(self, pacer: Pacer, *, whole: bool) -> None:
        """Note which names were touched since the last look."""
        if not whole and self._has_differences and self._serial is not None:
            try:
                found = await zone_transfer.fetch(self.sender.domain, self._serial, pacer)
            except errors.Refusal as error:
                if error.rcode == errors.NOT_WRITTEN:  # a fault of the moment, such as too many transfers
                    raise
                log.info("incremental transfer not available, whole zone compared", zone=self._zone, reason=str(error))
                self._has_differences = False
            else:
                went_back = zone_transfer.is_newer(self._serial, found.serial)
                if found.whole or not went_back:
                    self._answers_whole = found.whole
                    await self._note(found, pacer)
                    return
        pacer.pause()
        async with self._budgets.transfers_from(str(self.sender.primary.endpoint)):
            pacer.resume()
            await self._note(await zone_transfer.fetch(self.sender.domain, None, pacer), pacer)

    async def _note(self, found: Transfer, pacer: Pacer) -> None:
        if found.whole:
            await self._compare_whole(found, pacer)
        else:
            for name, changes in found.logs.items():
                self._open[name] = self._log(name) + changes
        self._serial = found.serial

    def _log(self, name: str) -> bytes:
        return self._waiting.pop(name, b"") + self._open.get(name, b"")

    async def _compare_whole(self, found: Transfer, pacer: Pacer) -> None:
        """Open the names that differ from their rows, with all their records."""
        logs, opened, after, known = found.logs, dict[str, bytes](), 0, 0
        delegating = {name for name in found.others if _delegates(name, state_of(logs[name]), self._zone)}
        while part := await self._slice(after, pacer):
            after = part.hosts[-1].id
            for host in part.hosts:
                wanted = places_of(host, part.related.get(host.id, ()), part.rrsets.get(host.id, ()))
                known += host.fqdn in logs
                if host.conflict is not None:
                    mine = {name: WHOLE + logs.pop(name, b"") for name in wanted}
                    free = all(_is_free(state_of(changes), host) for changes in mine.values())
                    if free and not self._is_below(delegating, mine):
                        opened[host.fqdn] = mine[host.fqdn]
                    continue
                for name, places in wanted.items():
                    changes = logs.pop(name, b"")
                    if not matches(changes, places):
                        opened[name] = WHOLE + changes
            await pacer.turn()
        name_servers, unknown = await self.sender.name_servers(), list[str]()
        for number, (name, changes) in enumerate(logs.items()):  # names that no host has
            state = state_of(changes)
            if _may_concern_us(state, name, self._zone):
                opened[name] = WHOLE + changes
            if is_a_host(self._zone, name, state, name_servers) and not is_below(delegating, name, self._zone):
                unknown.append(name)
            if number % ROWS == 0:
                await pacer.turn()
        logs.clear()
        self._open, self._waiting = opened, {}
        self.contents = await contents(self._store, self.sender.domain, known, unknown)

    async def _slice(self, after: int, pacer: Pacer) -> Slice | None:
        """The next hosts of the zone."""
        domain_id = self.sender.domain.id

        def read(connection: Connection) -> tuple[Slice, float]:
            began = time.thread_time()
            part = watched.slice_of_domain(connection, domain_id, after, ROWS)
            return part, time.thread_time() - began

        pacer.pause()
        try:
            part, spent = await self._store.read(read)
        finally:
            pacer.resume()
        pacer.add(spent if self._rows.row_seconds is None else len(part.hosts) * self._rows.row_seconds)
        return part if part.hosts else None

    def _is_below(self, delegating: set[str], names: Iterable[str]) -> bool:
        if not delegating:
            return False
        return any(not delegating.isdisjoint((*between(name, self._zone), self._zone)) for name in names)

    # ---- comparing touched names with their rows

    async def _check(self, pacer: Pacer) -> None:
        """Compare the open names, and some of the waiting ones; repair what the last look found, too."""
        for name in list(self._waiting)[:WAITING]:
            self._open[name] = self._log(name)
        before, self._findings = self._findings, {}
        result = _Round()
        names = [name for name, _ in zip(self._open, range(BATCH), strict=False)]
        for begin in range(0, len(names), NAMES):
            await self._check_names(names[begin : begin + NAMES], result, pacer)
            await pacer.turn()
        await self._look_below(result, pacer)
        for host_id in result.again:
            result.findings.pop(("host", host_id), None)
        confirmed = [finding for key, finding in result.findings.items() if before.get(key) == finding]
        await self._repair(confirmed, result)
        self._findings = {key: finding for key, finding in result.findings.items() if before.get(key) != finding}
        open_names = {name for key in self._findings for name in result.names[key]}
        for name in names:
            if name not in open_names:
                del self._open[name]
        self._waiting.update(result.waiting)

    async def _check_names(self, names: list[str], result: _Round, pacer: Pacer) -> None:
        above = {name: between(name, self._zone) for name in names}
        wanted_rows = {*names, *(parent for some in above.values() for parent in some)}
        rows = await self._looked_up(pacer, self._rows.hosts(wanted_rows))
        names = [name for name in names if not self._is_plain(name, above[name], rows)]
        if not names:
            return
        hosts = {name: _hosts_at(name, above[name], rows) for name in names}
        found = {host.id: host for some in hosts.values() for host in some}
        related = await self._looked_up(pacer, self._rows.related(found.values()))
        rrsets = await self._looked_up(pacer, self._rows.rrsets(found.values()))
        wanted = {i: places_of(host, related.get(i, ()), rrsets.get(i, ())) for i, host in found.items()}
        strange: dict[str, set[Kind]] = {}
        for name in names:
            state = state_of(self._open[name])
            self._note_delegation(name, state, result)
            covered: set[Kind] = set()
            for host in hosts[name]:
                sets = [one for one in rrsets.get(host.id, ()) if one.name(host.fqdn) == name]
                covered |= (wanted[host.id].get(name) or {}).keys() | {one.rtype for one in sets}
                _try_again(state, sets, result)
                if _check_host(name, state, host, wanted[host.id], result):
                    result.waiting[name] = log_of(state)
            if uncovered := kinds_of(state) - covered:
                strange[name] = uncovered
        if strange:
            pacer.pause()
            try:
                await self._look_at_removed(strange, result)
            finally:
                pacer.resume()

    async def _looked_up(self, pacer: Pacer, rows: Awaitable[dict[K, V]]) -> dict[K, V]:
        """The rows, with the time that they took."""
        if self._rows.row_seconds is None:
            return await rows  # at once, in the event loop
        pacer.pause()
        try:
            found = await rows
        finally:
            pacer.resume()
        pacer.add(len(found) * self._rows.row_seconds)
        return found

    def _is_plain(self, name: str, above: Sequence[str], rows: Mapping[str, Watched]) -> bool:
        """Whether a name is as wanted that needs no further look: nearly all are, while a zone is busy."""
        host = rows.get(name)
        if host is None or above or host.conflict is not None or host.has_rrsets or host.aliased or is_hidden(host):
            return False
        state = state_of(self._open[name])
        wanted = addresses(host.ipv4, host.ipv6)
        if state.whole:
            return state.records.keys() == wanted
        for record, there in state.records.items():
            if (record in wanted) != there or record[0] not in ADDRESSES:
                return False
        return True

    def _note_delegation(self, name: str, state: State, result: _Round) -> None:
        types = (DNAME,) if name == self._zone else DELEGATING
        if state.has(*types):
            result.above[name] = True
        elif state.lost(*types):
            result.above[name] = False

    async def _look_below(self, result: _Round, pacer: Pacer) -> None:
        """Try hosts below new delegations again, so that they are held, and those below former ones."""
        domain_id = self.sender.domain.id
        for name, held in ((name, not delegates) for name, delegates in result.above.items()):
            pacer.pause()
            after = 0
            while found := await self._store.read(
                lambda c, name=name, after=after, held=held: watched.below(c, domain_id, name, after, held=held)  # type: ignore[misc]
            ):
                after = found[-1].id
                result.again |= {host.id: host for host in found}
            pacer.resume()

    async def _look_at_removed(self, names: Mapping[str, Collection[Kind]], result: _Round) -> None:
        """Find removed records that came back at names, of kinds that no host has there."""
        domain = self.sender.domain
        for one in await self._store.read(lambda c: watched.removed_at(c, domain.id, list(names))):
            if one.rtype not in names[one.fqdn]:
                continue
            types = (one.rtype,) if one.rtype else ("A", "AAAA", "CNAME")
            answers = [
                await ask(self.sender.primary, TsigKey.of(domain), one.fqdn, rtype, ASK_SECONDS) for rtype in types
            ]
            found = {value for answer in answers for value in answer}
            if found and values_removed(one).issuperset(found):
                result.add(one.fqdn, one, _place(one.fqdn, one.rtype), found, ())

    # ---- repairing

    async def _repair(self, confirmed: list[Finding], result: _Round) -> None:
        """Mark what differs as pending, report it, and wake the sender."""
        domain = self.sender.domain
        repairs = [Repair(host, {}, {}) for host in result.again.values()]
        repairs += (
            self._told_once(Repair(finding.item, finding.found, finding.wanted))
            for finding in confirmed
            if isinstance(finding.item, Watched)
        )
        for begin in range(0, len(repairs), ROWS):
            part = repairs[begin : begin + ROWS]
            marked = await self._store.transact(
                lambda c, part=part: watched.send_again(c, part, domain.name, domain.owner_id)  # type: ignore[misc]
            )
            for repair in marked:
                self.sender.push_host(repair.host.id, bulk=True)
        removed = [finding.item for finding in confirmed if isinstance(finding.item, Removal)]
        if removed:
            await self._store.transact(lambda c: watched.remove_again(c, removed, domain.name, domain.owner_id))
            self.sender.push_removals()
        if result.rrsets:
            await self._store.transact(lambda c: watched.try_rrsets(c, result.rrsets))
        if confirmed:
            self._repaired += len(confirmed)
            FOREIGN_CHANGES.inc(len(confirmed))
            first = next(iter(confirmed[0].found or confirmed[0].wanted))
            log.warning("foreign changes repaired", zone=domain.name, number=len(confirmed), first=first)

    def _told_once(self, repair: Repair) -> Repair:
        """The repair, without a report if the same difference was reported recently."""
        moment = time.monotonic()
        self._told = {i: one for i, one in self._told.items() if moment - one[0] < TOLD_SECONDS}
        if (known := self._told.get(repair.host.id)) and known[1] == repair.found:
            return Repair(repair.host, {}, {})
        self._told[repair.host.id] = moment, repair.found
        return repair


def _hosts_at(name: str, above: Iterable[str], rows: Mapping[str, Watched]) -> list[Watched]:
    """The hosts that may have the name: as their own, a wildcard, a related name, or a name of records."""
    hosts = [rows[name]] if name in rows else []
    for parent in above:
        host = rows.get(parent)
        if host and (host.has_rrsets or host.has_related or name == wildcard_name(parent)):
            hosts.append(host)
    return hosts


def _check_host(name: str, state: State, host: Watched, places: Mapping[str, Places], result: _Round) -> bool:
    """Compare the state of a name with what the host should have there. Returns whether to look again later."""
    mine = places.get(name)
    if host.conflict is not None:
        if _is_free(state, host) and (mine is not None or _is_above(name, places)):
            result.again[host.id] = host
        return False
    if mine is None:
        if state.has(*DELEGATING) and _is_above(name, places):
            result.again[host.id] = host
        return False
    if state.has(*obstructing(OWN if None in mine else HIDING, host, mine)):
        result.again[host.id] = host
        return False
    wait = False
    for kind, wanted in mine.items():
        if is_as_wanted(state, kind, wanted):
            continue
        if host.pending_since is not None:
            wait = not host.is_set_aside  # it will be sent anyway
        else:
            result.add(name, host, _place(name, kind), texts(found_at(state, kind, wanted)), texts(wanted))
    return wait


def _is_free(state: State, host: Watched) -> bool:
    """Whether a held host may take its name now."""
    blocking = (*OWN, *(BESIDE if host.alias is not None else ()))
    present = state.has(*obstructing(blocking, host, {None: NOTHING})) if host.claimed else any(state.records.values())
    return not present and (state.whole or not all(state.records.values()))


def _is_above(name: str, places: Iterable[str]) -> bool:
    return any(place.endswith("." + name) for place in places)


def _try_again(state: State, sets: Iterable[RRset], result: _Round) -> None:
    """Try RRsets again that were set aside, if what was in their way is gone."""
    for one in sets:
        if one.conflict is not None:
            types = (*types_of(one.rtype), *HIDING)
            if state.lost(*types) and not state.has(*types):
                result.rrsets.add(one.id)


def _delegates(name: str, state: State, zone: str) -> bool:
    return state.has(DNAME) if name == zone else state.has(*DELEGATING)


def _may_concern_us(state: State, name: str, zone: str) -> bool:
    return _delegates(name, state, zone) or (name != zone and bool(kinds_of(state)))


def _place(name: str, rtype: Kind) -> str:
    return name if rtype is None else f"{name} {rtype}"
