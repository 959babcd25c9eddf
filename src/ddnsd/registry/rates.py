# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotas of rates: changes of a host, and writes of a user, within an hour or a minute.

They are counted in the memory of each process, so that a change costs no query. Only a user at the smallest limit of
anybody is looked up.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection

from ddnsd.db import bulk_hosts
from ddnsd.db import quotas as stored
from ddnsd.db.base import Store
from ddnsd.db.quotas import Owner
from ddnsd.db.rows import Host, endings
from ddnsd.registry.errors import Code, OverQuota
from ddnsd.registry.quotas import HasQuotas, Overrides, Quota, Quotas, Usage
from ddnsd.registry.window_counter import WindowCounter

SECONDS = 2.0
"""How often a process reads the overrides."""

HOUR_SECONDS, MINUTE_SECONDS = 3600.0, 60.0

OWNER_SECONDS = 10.0
"""How long it is remembered whether a user is an administrator, and in which groups."""

REMEMBERED = 10_000

BULK = 1000
"""Changes of a bulk call that count as one write."""

ALL = ""
"""The key of a counter that has one number for a user."""

CODES = {
    Quota.CHANGES: Code.CHANGES_OVER_QUOTA,
    Quota.RECORD_CHANGES: Code.RECORD_CHANGES_OVER_QUOTA,
    Quota.API_WRITES: Code.API_WRITES_OVER_QUOTA,
}


class Rates:
    """Counts changes and writes, and refuses those above a limit until the window has passed."""

    def __init__(self, store: Store, policy: HasQuotas, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._policy, self._clock = store, policy, clock
        self._quotas = Quotas(policy)
        self._overrides = Overrides()
        self._owners: OrderedDict[int, tuple[float, Owner]] = OrderedDict()
        self._counters: dict[Quota, WindowCounter[str]] = {
            Quota.CHANGES: WindowCounter(HOUR_SECONDS, clock),
            Quota.RECORD_CHANGES: WindowCounter(HOUR_SECONDS, clock),
            Quota.API_WRITES: WindowCounter(MINUTE_SECONDS, clock),
        }
        self._told: WindowCounter[str] = WindowCounter(HOUR_SECONDS, clock)

    async def refresh(self) -> None:
        """Load the overrides. Raises StoreDown."""
        self._overrides = Overrides(await self._store.read(stored.everything))

    async def take_change(self, host: Host, *, removes: bool) -> None:
        """Count a change of the host's addresses. Raises OverQuota, unless it `removes` them."""
        await self._take(Quota.CHANGES, host.owner_id, host.fqdn, host.domain_id, refuse=not removes)

    def note_change(self, owner_id: int, fqdn: str) -> None:
        """Count a change of a host that `exhausted` has allowed."""
        if self._smallest(Quota.CHANGES) is not None:
            self._counters[Quota.CHANGES].add(owner_id, fqdn)

    def note_record_changes(self, owner_id: int, fqdn: str, number: int) -> None:
        """Count changes of a host's RRsets that `exhausted` has allowed."""
        if self._smallest(Quota.RECORD_CHANGES) is not None:
            self._counters[Quota.RECORD_CHANGES].add(owner_id, fqdn, number)

    async def exhausted(
        self, user_id: int, fqdns: Collection[str], quota: Quota = Quota.CHANGES
    ) -> dict[str, OverQuota]:
        """The errors for those hosts of the user, existing or new, that may not be changed now. Raises StoreDown."""
        counter, smallest = self._counters[quota], self._smallest(quota)
        if smallest is None:
            return {}
        busy = [fqdn for fqdn in fqdns if counter.number(user_id, fqdn) >= smallest]
        if not busy:
            return {}
        around = {ending for fqdn in busy for ending in endings(fqdn)}
        domain_ids = {d.name: d.id for d in await self._store.read(lambda c: bulk_hosts.domains_named(c, around))}
        found = {}
        for fqdn in busy:
            domain_id = next((domain_ids[e] for e in endings(fqdn) if e in domain_ids), None)
            if error := await self._problem(quota, user_id, fqdn, domain_id):
                found[fqdn] = error
        return found

    def is_news(self, host: Host) -> bool:
        """Whether the owner was not told within an hour that changes of the host are refused. They are told now."""
        return self._told.add(host.owner_id, host.fqdn) == 1

    async def take_record_change(self, host: Host, *, refuse: bool) -> None:
        """Count a change of a record or related name of the host. Raises OverQuota if it may be refused."""
        await self._take(Quota.RECORD_CHANGES, host.owner_id, host.fqdn, host.domain_id, refuse=refuse)

    def give_back(self, host: Host, *, changes: int, record_changes: int) -> None:
        """Count fewer changes of the host: they were counted, and then not made."""
        for quota, number in ((Quota.CHANGES, changes), (Quota.RECORD_CHANGES, record_changes)):
            counter = self._counters[quota]
            if number := min(number, counter.number(host.owner_id, host.fqdn)):
                counter.add(host.owner_id, host.fqdn, -number)

    async def take_write(self, user_id: int, changes: int = 1, *, refuse: bool) -> None:
        """Count a write of the user with that many changes. Raises OverQuota if it may be refused."""
        await self._take(Quota.API_WRITES, user_id, ALL, None, refuse=refuse, number=max(1, -(-changes // BULK)))

    async def usage(self, user_id: int) -> dict[Quota, Usage]:
        """The user's limits, and what is used: of rates, by the busiest host in this process. Raises StoreDown."""
        found = await self._store.read(lambda c: self._quotas.usage(c, user_id))
        for quota, counter in self._counters.items():
            if found[quota].limit is not None:
                found[quota] = found[quota]._replace(used=counter.highest(user_id))
        return found

    async def _take(
        self, quota: Quota, owner_id: int, key: str, domain_id: int | None, *, refuse: bool, number: int = 1
    ) -> None:
        if (smallest := self._smallest(quota)) is None:
            return
        counter = self._counters[quota]
        at_limit = refuse and counter.number(owner_id, key) >= smallest
        if at_limit and (error := await self._problem(quota, owner_id, key, domain_id)):
            raise error
        counter.add(owner_id, key, number)

    def _smallest(self, quota: Quota) -> int | None:
        """The smallest limit of anybody; None if there is no limit."""
        if not self._policy.quotas.enabled:
            return None
        found = self._policy.quotas.of_service(self._overrides, quota), self._overrides.smallest(quota)
        return min((limit for limit in found if limit is not None), default=None)

    async def _problem(self, quota: Quota, owner_id: int, key: str, domain_id: int | None) -> OverQuota | None:
        limit = self._policy.quotas.limit(self._overrides, await self._owner(owner_id), quota, domain_id)
        counter = self._counters[quota]
        if limit is None or counter.number(owner_id, key) < limit:
            return None
        wait = counter.seconds_left(owner_id, key)
        return OverQuota(CODES[quota], wait, limit=limit, seconds=wait)

    async def _owner(self, user_id: int) -> Owner:
        until, owner = self._owners.get(user_id, (float("-inf"), None))
        if owner is None or self._clock() >= until:
            owner = await self._store.read(lambda c: stored.owner(c, user_id))
            self._owners[user_id] = self._clock() + OWNER_SECONDS, owner
            self._owners.move_to_end(user_id)
            if len(self._owners) > REMEMBERED:
                self._owners.popitem(last=False)
        return owner
