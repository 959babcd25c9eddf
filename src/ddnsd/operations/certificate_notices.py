# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices about certificates of hosts that end soon, because nobody has renewed them."""

from datetime import UTC, datetime

from sqlalchemy import Connection

from ddnsd.db import certificates, history, queries
from ddnsd.db.certificates import EXPIRING, Ending
from ddnsd.operations import store_access
from ddnsd.settings import Settings

DAYS = 14
"""How many days before the end. Programs renew earlier: 30 days before it, as a rule."""

PART = 100
"""Certificates in a transaction; the service's own transactions wait for it."""


async def run(settings: Settings) -> list[Ending]:
    """Write an event and an entry of the host's history for each such certificate, once. Returns the new ones.

    Raises StoreDown, AdminError.
    """
    await store_access.check_schema(settings.store_url)
    noticed: list[Ending] = []
    moment, after = queries.now(), 0
    async with store_access.opened(settings.store_url) as store:
        while found := await store.read(lambda c, a=after: certificates.unnoticed(c, moment, DAYS, a, PART)):  # type: ignore[misc]
            await store.transact(lambda c, part=found: _tell(c, part))  # type: ignore[misc]
            noticed += found
            after = found[-1].id
    return noticed


def _tell(connection: Connection, found: list[Ending]) -> None:
    author = history.SERVICE
    entries = []
    for one in found:
        end = datetime.fromtimestamp(one.not_after / 1e6, UTC)
        text = f"{one.names.replace(' ', ', ')}: ends on {end:%Y-%m-%d}, and has not been renewed"
        entries.append(history.entry(one.host_id, one.owner_id, EXPIRING, author, note=text))
        queries.add_event(connection, author.actor, "certificate.expiring", one.fqdn, None, text, owner_id=one.owner_id)
    history.add(connection, entries)
