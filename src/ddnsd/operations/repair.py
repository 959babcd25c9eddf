# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare every zone with the database, and repair differences."""

from typing import TYPE_CHECKING, NamedTuple

from ddnsd.db import queries
from ddnsd.db.rows import Domain
from ddnsd.dns import errors
from ddnsd.dns import reconcile as zone_reconcile
from ddnsd.dns.reconcile import Difference
from ddnsd.settings import Settings

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore
    from ddnsd.db.sqlite import SqliteStore
from ddnsd.operations.store_access import check_schema, new_writer, opened


class Reconciled(NamedTuple):
    """Differences `found` between database and zones, those `left` after the repair, and failures by zone.

    `frozen` has the reasons of domains that were not compared, because they are frozen for maintenance.
    """

    found: list[Difference]
    left: list[Difference]
    failures: dict[str, str]
    frozen: dict[str, str]


async def reconcile(settings: Settings, *, repair: bool) -> Reconciled:
    """Compare database and zones; with `repair` correct DNS and compare again. Raises StoreDown, AdminError."""
    await check_schema(settings.store_url)
    found: dict[Domain, list[Difference]] = {}
    failures: dict[str, str] = {}
    frozen: dict[str, str] = {}
    async with opened(settings.store_url) as store:
        for domain in await store.read(queries.all_domains):
            if domain.frozen:
                frozen[domain.name] = domain.frozen
                continue
            try:
                differences = await zone_reconcile.differences(store, domain)
            except errors.DnsError as error:
                failures[domain.name] = str(error)
                continue
            if differences:
                found[domain] = differences
        every = [difference for differences in found.values() for difference in differences]
        left = await _repair(store, settings, found, failures) if repair and found else every
    return Reconciled(every, left, failures, frozen)


async def _repair(
    store: "SqliteStore | PostgresStore",
    settings: Settings,
    found: dict[Domain, list[Difference]],
    failures: dict[str, str],
) -> list[Difference]:
    """Repair, and return the differences that are left. Zones without an answer are added to `failures`."""
    left: list[Difference] = []
    writer = new_writer(store, settings)
    await writer.start()
    try:
        for domain, differences in found.items():
            try:
                left += await zone_reconcile.restore(store, domain, differences, writer.push_bulk)
            except errors.DnsError as error:
                failures[domain.name] = str(error)
                left += differences
    finally:
        await writer.stop()
    return left
