# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process sends the changes of which zone.

One process owns a zone at a time. On SQLite each process that wants to send takes the zone's file lock. On PostgreSQL
a node owns a zone by a lease. It renews its leases every second, and stops by its own clock before they expire: so a
node that was stopped or cut off sends nothing after another has taken over. Zones are spread evenly over the nodes.
"""

import os
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from ddnsd.db import leases
from ddnsd.db.base import Store, ZoneLock
from ddnsd.db.leases import FIRST_EPOCH, LEASE_SECONDS, Lease, Owner
from ddnsd.dns.errors import NotOwner

RENEW_SECONDS = 1.0

MARGIN_SECONDS = 0.5
"""A node stops to send this long before its lease expires."""

SILENT_SECONDS = 2.0
"""An owner that has not renewed its lease for so long may have ended."""


class Ownership(Protocol):
    """The zones of this process."""

    def owns(self, domain_id: int, /) -> bool:
        """Whether this process sends the zone's changes."""

    def hold(self, domain_id: int, /) -> AbstractAsyncContextManager[ZoneLock]:
        """Keep the zone for one round. Raises NotOwner, StoreDown."""

    def hold_second(self, domain_id: int, /) -> AbstractAsyncContextManager[ZoneLock]:
        """The same for its second primary, which never delays the first one. Raises NotOwner, StoreDown."""

    def owned_since(self, domain_id: int, /) -> float:
        """When the zone's owner took it, by the monotonic clock; in the future if its owner is silent or it has none.

        0 if that is not known.
        """


class FileLocks:
    """Every process that is asked owns the zone, one after the other (SQLite)."""

    def __init__(self, lock: Callable[[str], AbstractAsyncContextManager[ZoneLock]]) -> None:
        self._lock = lock

    def hold(self, domain_id: int, /) -> AbstractAsyncContextManager[ZoneLock]:
        return self._lock(str(domain_id))

    def hold_second(self, domain_id: int, /) -> AbstractAsyncContextManager[ZoneLock]:
        return self._lock(f"{domain_id}-second")

    def owns(self, _domain_id: int, /) -> bool:
        return True

    def owned_since(self, _domain_id: int, /) -> float:
        return 0.0


class Change(NamedTuple):
    """Zones that this node has got, those of them that no node has ever had, and those that it has lost."""

    gained: frozenset[int]
    first: frozenset[int]
    lost: frozenset[int]


class _Held:
    """A lease with its end by our own monotonic clock. One that is `leaving` is given back when no `rounds` run."""

    def __init__(self, epoch: int, node: str, until: float) -> None:
        self.epoch, self.until = epoch, until
        self.marker = f"{epoch} {node.rpartition(':')[2]}"
        self.leaving = False
        self.rounds = 0

    @property
    def valid(self) -> bool:
        return time.monotonic() < self.until

    @property
    def usable(self) -> bool:
        """Whether a round may begin."""
        return self.valid and not self.leaving

    def check(self) -> None:
        """Check the lease. Raises NotOwner if it has expired."""
        if not self.valid:
            raise NotOwner


class ZoneLeases:
    """The leases of this node. A `guest` is a command: it takes zones only while no service runs."""

    def __init__(self, store: Store, *, guest: bool = False) -> None:
        self._store, self._guest = store, guest
        self.node = node_name()
        self._held: dict[int, _Held] = {}
        self._renewed = self._asked = 0.0  # when the owners were known, and when the read began
        self._owners: dict[int, Owner] = {}
        self._since: dict[int, float] = {}
        self.has_others = False
        """Whether another node owned zones at the last renewal."""

    def owns(self, domain_id: int) -> bool:
        held = self._held.get(domain_id)
        return held is not None and held.usable

    def owner(self, domain_id: int) -> str | None:
        """The node that owned the zone at the last renewal."""
        owner = self._owners.get(domain_id)
        return None if owner is None else owner.node

    def owned_since(self, domain_id: int) -> float:
        now = time.monotonic()
        if now - self._renewed > SILENT_SECONDS:
            return 0.0
        owner = self._owners.get(domain_id)
        if owner is None:
            return now + RENEW_SECONDS
        end = self._asked + owner.seconds
        if owner.node != self.node and end - now < LEASE_SECONDS - SILENT_SECONDS:
            return max(end, now) + RENEW_SECONDS
        return self._since[domain_id]

    @asynccontextmanager
    async def hold(self, domain_id: int) -> AsyncIterator[ZoneLock]:
        held = self._held.get(domain_id)
        if held is None or not held.usable:
            raise NotOwner
        held.rounds += 1
        try:
            yield held
        finally:
            held.rounds -= 1

    hold_second = hold  # a lease covers both

    async def renew(self) -> Change:
        """Renew the leases, take free zones up to a fair share, and give back what exceeds it. Raises StoreDown."""
        before = self._usable()
        began = time.monotonic()
        mine, share, owners = await self._store.transact(self._renew)
        self._note(owners, began)
        until = began + LEASE_SECONDS - MARGIN_SECONDS
        held, self._held = self._held, {}
        for domain_id, epoch in mine:
            same = held.get(domain_id)
            if same is None or same.epoch != epoch:
                same = _Held(epoch, self.node, until)
            same.until = until
            self._held[domain_id] = same
        for number, domain_id in enumerate(sorted(self._held)):
            self._held[domain_id].leaving = number >= share
        await self._give_back()
        after = self._usable()
        gained = after - before
        never_held = {lease.domain_id for lease in mine if lease.epoch == FIRST_EPOCH}.difference(held)
        return Change(gained, gained & never_held, before - after)

    def _usable(self) -> frozenset[int]:
        return frozenset(domain_id for domain_id, held in self._held.items() if held.usable)

    def _note(self, owners: dict[int, Owner], began: float) -> None:
        before, self._owners, self._asked, self._renewed = self._owners, owners, began, time.monotonic()
        same = {i for i, owner in owners.items() if i in before and before[i].node == owner.node}
        self._since = {i: self._since[i] if i in same else self._renewed for i in owners}
        self.has_others = any(owner.node != self.node for owner in owners.values())

    def _renew(self, connection: Connection) -> tuple[list[Lease], int, dict[int, Owner]]:
        """The leases, the number of zones that this node should have at most, and the owners of all zones."""
        others = leases.other_nodes(connection, self.node)
        if gone := [node for node in others if has_ended(node)]:
            leases.forget_nodes(connection, gone)
        mine = leases.renew(connection, self.node, register=not self._guest)
        owners = leases.owners(connection)
        numbers = Counter(owner.node for owner in owners.values())
        # who has most keeps what cannot be divided, so that a new node moves no zone without need
        live = sorted({*others, self.node}.difference(gone), key=lambda node: (-numbers[node], node))
        share, rest = divmod(leases.zone_count(connection), len(live))
        if live.index(self.node) < rest:
            share += 1
        if self._guest and len(live) > 1:
            share = 0
        if share > len(mine):
            mine += leases.take(connection, self.node, share - len(mine))
        return mine, share, owners | {lease.domain_id: Owner(self.node, LEASE_SECONDS) for lease in mine}

    async def _give_back(self) -> None:
        """Free the zones that are leaving; those whose round still runs are freed later. Raises StoreDown."""
        domain_ids = [domain_id for domain_id, held in self._held.items() if held.leaving and not held.rounds]
        if domain_ids:
            for domain_id in domain_ids:
                del self._held[domain_id]
            await self._store.transact(lambda c: leases.give_back(c, self.node, domain_ids))

    async def stop(self) -> None:
        """Give everything back. Raises StoreDown."""
        self._held.clear()
        await self._store.transact(lambda c: leases.give_back(c, self.node))


# ---- names of nodes


def node_name() -> str:
    """A new name for this process, which says on which machine it runs."""
    return ":".join((*_place(), str(os.getpid()), _start_of(os.getpid()) or "", secrets.token_hex(4)))


@cache
def _place() -> tuple[str, str]:
    """The running kernel and the namespace of process ids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return boot, str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return secrets.token_hex(16), ""


def _start_of(process: int) -> str | None:
    """The time when a process of this machine started, in clock ticks; None if it does not run."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def has_ended(node: str) -> bool:
    """Whether the node was a process of this machine that no longer runs, so its leases need not expire."""
    *place, process, start, _ = node.split(":")
    return tuple(place) == _place() and _start_of(int(process)) != start
