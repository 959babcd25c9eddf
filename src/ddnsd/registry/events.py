# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log, and statistics for administrators."""

from collections.abc import Mapping

from sqlalchemy import Connection

from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import covers_domain, covers_host, is_limited
from ddnsd.db import admin_stats, bulk_hosts, paging
from ddnsd.db.admin_stats import Account, Counts, Group
from ddnsd.db.base import Store
from ddnsd.db.paging import Happened
from ddnsd.db.rows import endings
from ddnsd.registry.rows import Page, page_of

SECURITY = (
    "session.begin",
    "session.fail",
    "factor.add",
    "factor.rename",
    "factor.delete",
    "factor.codes",
    "factor.use-code",
    "session.end",
    "user.set",
    "identity.add",
    "identity.delete",
    "token.add",
    "token.delete",
    "key.add",
    "key.delete",
    "key.set",
    "dhcp-key.add",
    "dhcp-key.delete",
    "webhook.add",
    "webhook.set",
    "webhook.secret",
    "webhook.delete",
    "webhook.stop",
    "fleet.add",
    "fleet.delete",
    "fleet.rotate",
    "fleet.revoke",
    "fleet.restore",
    "fleet.refuse",
)
"""The actions of a user's security log; docs/data-protection.md names their kinds."""


OF_HOSTS = ("host.", "certificate.")
"""Beginnings of actions whose object is a host."""


class AuditLog:
    """Who changed what, and when. The newest event comes first."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def security(self, caller: Caller, before: int | None, limit: int) -> Page[Happened]:
        """Events with an id below `before` about the caller's own account: sign-ins, and changes of its credentials.

        Nothing for a limited token: its patterns cover no account. Raises StoreDown.
        """
        if is_limited(caller):
            return page_of([], limit)
        found = await self._store.read(
            lambda c: paging.page_of_events(
                c, reader_id=caller.user_id, wanted={}, actions=SECURITY, before=before, limit=limit + 1
            )
        )
        return page_of(found, limit)

    async def page(self, caller: Caller, filters: Mapping[str, str], before: int | None, limit: int) -> Page[Happened]:
        """Events with an id below `before` that the caller may see; `filters` are object, actor and action.

        These are events of the caller's own objects, or all events for an administrator. A limited token sees only
        events of hosts and domains that match its patterns, and none if it is limited to stacks. Raises StoreDown.
        """
        reader_id = None if caller.admin else caller.user_id

        def work(connection: Connection) -> tuple[list[Happened], set[str]]:
            found = paging.page_of_events(
                connection, reader_id=reader_id, wanted=dict(filters), before=before, limit=limit + 1
            )
            return found, _domains_around(connection, found) if is_limited(caller) else set()

        found, domains = await self._store.read(work)
        if not is_limited(caller):
            return page_of(found, limit)
        return page_of(found, limit, lambda event: _covers(caller, event, domains))


def _domains_around(connection: Connection, events: list[Happened]) -> set[str]:
    """The domains of the hosts in the events, also of deleted hosts."""
    hosts = {event.object for event in events if event.action.startswith(OF_HOSTS)}
    names = {ending for fqdn in hosts for ending in endings(fqdn)}
    return {domain.name for domain in bulk_hosts.domains_named(connection, names)}


def _covers(caller: Caller, event: Happened, domains: set[str]) -> bool:
    """Whether the token's patterns cover the host or domain of the event."""
    if event.action.startswith(OF_HOSTS):
        domain = next((ending for ending in endings(event.object) if ending in domains), None)
        return domain is not None and covers_host(caller, event.object, domain, None)
    return event.action.startswith("domain.") and covers_domain(caller, event.object)


class AdminStats:
    """Statistics and lists across all users, for administrators."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def counts(self) -> Counts:
        """The numbers of users, domains, hosts, and hosts with problems. Raises StoreDown."""
        return await self._store.read(admin_stats.counts)

    async def accounts(self, text: str, after: str, limit: int) -> list[Account]:
        """Users with `text` in their name and a name above `after`, by name. Raises StoreDown."""
        return await self._store.read(lambda c: admin_stats.accounts(c, text, after, limit))

    async def groups(self, limit: int) -> list[Group]:
        """Groups by name, with their size and domains. Raises StoreDown."""
        return await self._store.read(lambda c: admin_stats.groups(c, limit))
