# SPDX-License-Identifier: GPL-3.0-or-later
"""Find problems of settings, database, name servers and identity providers."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ddnsd.auth.oidc.provider import Provider
from ddnsd.db import migrate, queries, set_aside, write_checks
from ddnsd.db.base import StoreDown
from ddnsd.db.rows import Domain
from ddnsd.dns import errors, primary_check
from ddnsd.dns import reconcile as zone_reconcile
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.endpoint import Endpoint
from ddnsd.registry import unknown_fronts
from ddnsd.settings import Settings

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore
    from ddnsd.db.sqlite import SqliteStore
from ddnsd.operations.store_access import AdminError, check_schema, opened

LATE_MICROSECONDS = 60 * 1_000_000
"""Changes that have waited longer than this are stuck."""


async def examine(settings: Settings) -> list[tuple[str, str | None]]:
    """(subject, its problem or None) for settings, database, domains, fronts and identity providers."""
    findings: list[tuple[str, str | None]] = [("settings", None)]
    try:
        await check_schema(settings.store_url)
        async with opened(settings.store_url) as store:
            if missing := await store.read(migrate.missing):
                reason = f"{'; '.join(missing)}. Something changed the tables: restore a backup"
                return [*findings, ("database", reason)]
            findings.append(("database", await _examine_store(store)))
            all_domains = await store.read(queries.all_domains)
            findings += [(f"domain {d.name} at {d.primary}", await _examine(store, d)) for d in all_domains]
            refused = await store.read(set_aside.refused)
            seen = await store.read(unknown_fronts.seen)
    except (StoreDown, AdminError) as error:
        return [*findings, ("database", str(error))]
    findings += [(f"front {front.front}", unknown_fronts.advice(front)) for front in seen]
    findings += [(f"records of {one.zone}", _refused(one)) for one in refused]
    findings += [(f"identity provider {p}", await _examine_provider(p)) for p in settings.providers]
    if (bind := settings.bind) is not None:
        findings.append(("rndc", None if bind.is_running() else f"{settings.rndc_key}: no BIND answers with this key"))
    return findings


def _refused(one: set_aside.Refused) -> str:
    since = datetime.fromtimestamp(one.since // 1_000_000, UTC).isoformat()
    names = ", ".join(one.names) + (", …" if one.total > len(one.names) else "")
    return (
        f"{one.total} refused since {since}: {one.reason} ({names}). "
        "Allow them on the name server (update-policy; its log shows the reason). The service retries automatically"
    )


async def _examine_provider(provider: Provider) -> str | None:
    from ddnsd.auth.oidc import ProviderDown  # here: the other commands do not need it
    from ddnsd.auth.oidc.client import Client
    from ddnsd.auth.oidc.http_client import Http

    http = Http()
    client = Client(provider, http)
    try:
        keys = await client.keys(None)
    except ProviderDown as error:
        return str(error)
    finally:
        await http.close()
    return None if keys else "it publishes no key of a supported type"


async def _examine_store(store: "SqliteStore | PostgresStore") -> str | None:
    """Why the database accepts no writes, or None. Only a write shows whether there is disk space."""
    try:
        await store.transact(write_checks.write)
    except StoreDown as error:
        return f"it does not accept writes: {error}"
    return None


async def _examine(store: "SqliteStore | PostgresStore", domain: Domain) -> str | None:
    async def hosts() -> list[tuple[str, str]]:
        return await store.read(lambda c: queries.places(c, domain.id, primary_check.PROBED_HOSTS))

    connection = PrimaryConnection(Endpoint.from_text(domain.primary, 53))
    try:
        await primary_check.probe(domain, hosts, connection, primary_check.SECONDS)
        await asyncio.to_thread(zone_reconcile.transfer, domain)
    except (errors.DnsError, BindError) as error:
        return str(error)
    finally:
        connection.close()
    late = await store.read(lambda c: queries.late_count(c, domain.id, queries.now() - LATE_MICROSECONDS))
    return f"{late} hosts and removals have waited for more than a minute: see the service's log" if late else None
