# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a user may have: the operator's quotas, and those that are counted exactly, in the database.

The limit of a user for a quota is the first of these that exists:

    the user's own ─► that of the host's domain ─► the largest of the user's groups ─► the setting ─► of everybody

Rates are counted in memory (`registry.rates`). Administrators have no quotas.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from ddnsd.db import queries
from ddnsd.db import quotas as stored
from ddnsd.db.idempotency import KEPT_MICROSECONDS
from ddnsd.db.quotas import Override, Owner
from ddnsd.registry.errors import Code, OverQuota

NO_LIMIT = 0
"""In settings and overrides."""

MEGABYTE = 1024 * 1024

MOST_COUNTED = 100_000
"""Hosts that are counted for display, so that it stays fast."""


@unique
class Quota(StrEnum):
    """The quotas, by the names of their settings."""

    HOSTS = "hosts_per_user"
    TOKENS = "tokens_per_user"
    KEYS = "keys_per_user"
    CHANGES = "changes_per_hour"
    RECORD_CHANGES = "record_changes_per_hour"
    API_WRITES = "api_writes_per_minute"
    ANSWERS = "answers_mb_per_user"


DEFAULTS: Mapping[Quota, int] = {
    Quota.HOSTS: 1000,
    Quota.TOKENS: 100,
    Quota.KEYS: 100,
    Quota.CHANGES: 600,
    Quota.RECORD_CHANGES: 120,
    Quota.API_WRITES: 600,
    Quota.ANSWERS: 64,
}

OF_DOMAINS = frozenset({Quota.HOSTS, Quota.CHANGES, Quota.RECORD_CHANGES})
"""Quotas that a domain can have."""

COUNTED = {Quota.HOSTS: Code.HOSTS_OVER_QUOTA, Quota.TOKENS: Code.TOKENS_OVER_QUOTA, Quota.KEYS: Code.KEYS_OVER_QUOTA}


class Overrides:
    """Quotas that differ from the settings."""

    def __init__(self, rows: Iterable[Override] = ()) -> None:
        self._limits: dict[tuple[str, int | str | None], dict[str, int]] = {}
        for row in rows:
            subjects = {"user": row.user_id, "group": row.group, "domain": row.domain_id}
            subject = next(((kind, key) for kind, key in subjects.items() if key is not None), ("everybody", None))
            self._limits.setdefault(subject, {})[row.name] = row.limit
        self._smallest: dict[str, int] = {}
        for (kind, _), limits in self._limits.items():
            for name, limit in limits.items():
                if kind != "everybody" and limit != NO_LIMIT:
                    self._smallest[name] = min(limit, self._smallest.get(name, limit))

    def of(self, kind: str, key: int | str | None, quota: Quota) -> int | None:
        """The override of a user, group or domain, or of "everybody"; None if there is none."""
        return self._limits.get((kind, key), {}).get(quota)

    def of_groups(self, groups: Iterable[str], quota: Quota) -> int | None:
        """The largest override of the groups; None if there is none."""
        found = [limit for group in groups if (limit := self.of("group", group, quota)) is not None]
        return NO_LIMIT if NO_LIMIT in found else max(found, default=None)

    @property
    def groups(self) -> list[str]:
        """The groups with an override."""
        return [str(key) for kind, key in self._limits if kind == "group"]

    def domains(self, quota: Quota) -> list[int]:
        """The domains with an override of this quota."""
        return [int(key or 0) for (kind, key), limits in self._limits.items() if kind == "domain" and quota in limits]

    def smallest(self, quota: Quota) -> int | None:
        """The smallest limit of a user, a group or a domain; None if there is none."""
        return self._smallest.get(quota)


@dataclass
class QuotaRules:
    """The operator's settings: `given` are those that are set, so that they also apply to an upgraded installation."""

    given: Mapping[Quota, int]
    enabled: bool = True

    def of_service(self, overrides: Overrides, quota: Quota) -> int | None:
        """The limit of users without an override; None: no limit."""
        if not self.enabled:
            return None
        limit = self.given.get(quota)
        if limit is None:
            limit = overrides.of("everybody", None, quota)
        return (DEFAULTS[quota] if limit is None else limit) or None

    def limit(self, overrides: Overrides, owner: Owner, quota: Quota, domain_id: int | None = None) -> int | None:
        """The limit of a user, also for hosts of a domain; None: no limit."""
        if not self.enabled or owner.admin:
            return None
        candidates = (
            overrides.of("user", owner.id, quota),
            overrides.of("domain", domain_id, quota) if domain_id is not None else None,
            overrides.of_groups(owner.groups, quota),
        )
        limit = next((one for one in candidates if one is not None), None)
        return self.of_service(overrides, quota) if limit is None else limit or None


class HasQuotas(Protocol):
    """The policy of the process, whose rules can be replaced."""

    quotas: QuotaRules


class HostRoom(NamedTuple):
    """How many hosts a user may have in a domain, and has; `domain_id` is None if hosts of other domains count, too."""

    domain_id: int | None
    limit: int
    used: int


class Usage(NamedTuple):
    """A limit of a user, and what is used of it; both are None if there is no limit."""

    limit: int | None
    used: int | None


class Quotas:
    """Quotas that are counted in the caller's transaction, under a lock of the user: two calls never exceed one."""

    def __init__(self, policy: HasQuotas) -> None:
        self._policy = policy

    @property
    def _rules(self) -> QuotaRules:
        return self._policy.quotas

    def hosts(self, connection: Connection, user_id: int, *, lock: bool = False) -> "HostQuota | None":
        """The user's quota of hosts; None if there is no limit. `lock` it before the transaction locks anything."""
        found = self._owner(connection, user_id)
        if found is None:
            return None
        quota = HostQuota(self._rules, *found)
        if not quota.is_limited:
            return None
        if lock:
            stored.lock(connection, user_id)
        return quota

    def check_tokens(self, connection: Connection, user_id: int) -> None:
        """Check that the user may have one more token. Raises OverQuota."""
        if (limit := self._locked(connection, user_id, Quota.TOKENS)) is not None:
            _check(Quota.TOKENS, stored.tokens_of(connection, user_id), limit)

    def check_keys(self, connection: Connection, user_id: int) -> None:
        """Check that the user may have one more key. Raises OverQuota."""
        if (limit := self._locked(connection, user_id, Quota.KEYS)) is not None:
            _check(Quota.KEYS, stored.keys_of(connection, user_id), limit)

    def check_answers(self, connection: Connection, user_id: int, size: int) -> None:
        """Check that an answer of this size may be stored. Calls at the same time may exceed it. Raises OverQuota."""
        if (limit := self._limit(connection, user_id, Quota.ANSWERS)) is None:
            return
        found = stored.answers_of(connection, user_id)
        if found.size + size > limit * MEGABYTE:
            oldest = queries.now() if found.oldest is None else found.oldest
            wait = (oldest + KEPT_MICROSECONDS - queries.now()) // 1_000_000 + 1
            raise OverQuota(Code.ANSWERS_OVER_QUOTA, wait, limit=limit)

    def usage(self, connection: Connection, user_id: int) -> dict[Quota, Usage]:
        """The user's limits, with what is used of those that are counted in the database."""
        owner, overrides = stored.owner(connection, user_id), Overrides(stored.of_user(connection, user_id))
        counts: Mapping[Quota, Callable[[], int]] = {
            Quota.HOSTS: lambda: HostQuota(self._rules, owner, overrides).used_together(connection),
            Quota.TOKENS: lambda: stored.tokens_of(connection, user_id),
            Quota.KEYS: lambda: stored.keys_of(connection, user_id),
            Quota.ANSWERS: lambda: -(-stored.answers_of(connection, user_id).size // MEGABYTE),
        }
        found = {}
        for quota in Quota:
            limit, count = self._rules.limit(overrides, owner, quota), counts.get(quota)
            found[quota] = Usage(limit, count() if count is not None and limit is not None else None)
        return found

    def _owner(self, connection: Connection, user_id: int) -> tuple[Owner, Overrides] | None:
        """The user with all overrides that can apply; None for administrators."""
        if not self._rules.enabled or stored.is_admin(connection, user_id):
            return None
        overrides = Overrides(stored.of_user(connection, user_id))
        return Owner(user_id, False, frozenset(overrides.groups)), overrides

    def _limit(self, connection: Connection, user_id: int, quota: Quota) -> int | None:
        found = self._owner(connection, user_id)
        return None if found is None else self._rules.limit(found[1], found[0], quota)

    def _locked(self, connection: Connection, user_id: int, quota: Quota) -> int | None:
        limit = self._limit(connection, user_id, quota)
        if limit is not None:
            stored.lock(connection, user_id)
        return limit


def proposal(connection: Connection, rules: QuotaRules) -> dict[Quota, int]:
    """Values for the settings that an upgraded installation has not set: the defaults, or twice what a user has."""
    overrides = Overrides(stored.everything(connection))
    without = [q for q in Quota if q not in rules.given and overrides.of("everybody", None, q) == NO_LIMIT]
    largest = stored.largest(connection) if without and rules.enabled else {}
    return {quota: max(DEFAULTS[quota], 2 * largest.get(quota, 0)) for quota in without} if largest else {}


def _check(quota: Quota, used: int, limit: int) -> None:
    if used >= limit:
        raise OverQuota(COUNTED[quota], limit=limit)


class HostQuota:
    """A user's quota of hosts.

    Hosts of a domain with an override are counted by themselves, and all others together. If the user has an override,
    all hosts are counted together.
    """

    def __init__(self, rules: QuotaRules, owner: Owner, overrides: Overrides) -> None:
        self._rules, self._owner, self._overrides = rules, owner, overrides
        has_own = overrides.of("user", owner.id, Quota.HOSTS) is not None
        self._apart = set() if has_own else set(overrides.domains(Quota.HOSTS))

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return any(self._limit(domain_id) is not None for domain_id in (None, *self._apart))

    def rooms(self, connection: Connection, domain_ids: Iterable[int], changes: int) -> dict[int, HostRoom]:
        """What the user has and may have in each of these domains; absent: the call cannot exceed a limit.

        `changes` is the number of changes of the call: it can add so many hosts, or delete so many above the limit.
        """
        counted: dict[int | None, int] = {}
        found = {}
        for domain_id in domain_ids:
            apart = domain_id if domain_id in self._apart else None
            limit = self._limit(apart)
            if limit is None:
                continue
            if apart not in counted:
                counted[apart] = self._used(connection, apart, limit + changes)
            if counted[apart] + changes > limit:
                found[domain_id] = HostRoom(apart, limit, counted[apart])
        return found

    def used_together(self, connection: Connection) -> int:
        """The number of hosts that are counted together."""
        return self._used(connection, None, MOST_COUNTED)

    def _limit(self, domain_id: int | None) -> int | None:
        return self._rules.limit(self._overrides, self._owner, Quota.HOSTS, domain_id)

    def _used(self, connection: Connection, domain_id: int | None, most: int) -> int:
        where = stored.not_in(self._apart) if domain_id is None else stored.in_domain(domain_id)
        return stored.hosts_of(connection, self._owner.id, where, most=most)
