# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotas of a user, a group or a domain that differ from the settings. Administrators and commands set them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ddnsd.db import queries, quotas
from ddnsd.db.base import Store
from ddnsd.db.quotas import Named
from ddnsd.registry import accounts
from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.inputs import GROUP_LENGTH
from ddnsd.registry.quotas import OF_DOMAINS, Quota
from ddnsd.registry.rates import Rates
from ddnsd.registry.rows import Page, page_of

MOST = 2**31 - 1


class Subject(NamedTuple):
    """A user, a group or a domain, by name; the other two are None."""

    user: str | None = None
    group: str | None = None
    domain: str | None = None

    def __str__(self) -> str:
        return self.user or self.group or self.domain or ""


class QuotaOverrides:
    """Reads and changes overrides. The caller checks that an administrator asks."""

    def __init__(self, store: Store, rates: Rates) -> None:
        self._store, self._rates = store, rates

    async def page(self, after: int, limit: int) -> Page[Named]:
        """Overrides with an id above `after`. Raises StoreDown."""
        return page_of(await self._store.read(lambda c: quotas.named(c, after, limit + 1)), limit)

    async def put(
        self, subject: Subject, limits: Mapping[Quota, int | None], *, actor: str, client_ip: str | None
    ) -> None:
        """Set the limits as `put` does, at once in this process. Raises Invalid, StoreDown."""
        await self._store.transact(lambda c: put(c, subject, limits, actor=actor, client_ip=client_ip))
        await self._rates.refresh()


def put(
    connection: Connection,
    subject: Subject,
    limits: Mapping[Quota, int | None],
    *,
    actor: str = accounts.ACTOR,
    client_ip: str | None = None,
) -> str:
    """Set limits of a user, group or domain; 0 is no limit, None removes the override.

    Returns the changes in words, "" if there are none. Raises Invalid.
    """
    column = _column(connection, subject)
    for quota, limit in limits.items():
        if "domain_id" in column and quota not in OF_DOMAINS:
            raise Invalid(quota=Reason(Code.QUOTA_OF_USERS, name=quota.value))
        if limit is not None and not 0 <= limit <= MOST:
            raise Invalid(limit=Reason(Code.QUOTA_OUT_OF_RANGE, limit=MOST))
    changed = [
        f"{quota} {_in_words(limit)}" for quota, limit in limits.items() if quotas.put(connection, column, quota, limit)
    ]
    done = ", ".join(changed)
    if done:
        queries.add_event(connection, actor, "quota.set", str(subject), client_ip, done)
    return done


def _column(connection: Connection, subject: Subject) -> dict[str, Any]:
    """The column of the subject, and its value. Raises Invalid."""
    if sum(name is not None for name in subject) != 1:
        raise Invalid(__all__=Reason(Code.QUOTA_SUBJECT))
    if subject.user is not None:
        return {"user_id": accounts.user_named(connection, subject.user).id}
    if subject.group is not None:
        if not 0 < len(subject.group) <= GROUP_LENGTH or not subject.group.isprintable():
            raise Invalid(group=Reason(Code.GROUP_INVALID, limit=GROUP_LENGTH))
        return {"group": subject.group}
    domain = queries.domain(connection, subject.domain or "")
    if domain is None:
        raise Invalid(domain=Reason(Code.DOMAIN_MISSING, domain=subject.domain or ""))
    return {"domain_id": domain.id}


def _in_words(limit: int | None) -> str:
    return "default" if limit is None else str(limit) if limit else "no limit"
