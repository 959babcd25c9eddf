# SPDX-License-Identifier: GPL-3.0-or-later
"""Find problems of settings, database, name servers, identity providers, and what surrounds the service."""

import asyncio
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ddnsd.auth.oidc.provider import Provider, of_opaque_tokens
from ddnsd.auth.sealing import BadKeyFile, SealingKeys
from ddnsd.checks import backup, certificate, clock, disk
from ddnsd.checks.findings import Check, Finding
from ddnsd.checks.surroundings import Surroundings, of_strangers
from ddnsd.db import migrate, mirrors, postgres_tls, queries, queue, second_factors, set_aside, write_checks
from ddnsd.db.base import StoreDown
from ddnsd.db.rows import Domain
from ddnsd.operations.domain_check import DomainCheck, Line, lines
from ddnsd.operations.store_access import AdminError, check_schema, opened
from ddnsd.registry import quotas, unknown_fronts
from ddnsd.registry.moves import Move
from ddnsd.registry.second_factors import STORED
from ddnsd.settings import PREFIX, Settings

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore
    from ddnsd.db.sqlite import SqliteStore


async def examine(settings: Settings) -> list[Line]:
    """(subject, its problem or None) for settings, database, domains, and what surrounds the service."""
    around = settings.surroundings
    found: list[Line] = [("settings", None), *await _examine_database(settings, around)]
    found += [(f"identity provider {p}", await _examine_provider(p)) for p in settings.providers]
    if len([p for p in settings.providers if p.audience]) > 1 and of_opaque_tokens(settings.providers) is None:
        found.append(("identity providers: opaque access tokens are refused, because none has opaque = true", None))
    return found + await asyncio.to_thread(_examine_surroundings, settings, around)


async def _examine_database(settings: Settings, around: Surroundings) -> list[Line]:
    """The findings of the database and of everything that it knows of."""
    found: list[Line] = []
    try:
        await check_schema(settings.store_url)
        async with opened(settings.store_url) as store:
            if missing := await store.read(migrate.missing):
                return [("database", f"{'; '.join(missing)}. Something changed the tables: restore a backup")]
            found.append(("database", await _examine_store(store)))
            if note := postgres_tls.warning(settings.store_url):
                found.append((f"connection to the database: {note}", None))
            offset = await store.read(clock.database_offset)
            found += lines([clock.of_database(offset, is_server=not settings.store_url.startswith("sqlite"))])
            all_domains = await store.read(queries.all_domains)
            check = DomainCheck(store, around, settings.followers, all_domains)
            for domain in all_domains:
                found += await check.lines(domain)
            found += await check.followers()
            found += await _examine_rows(store, settings, {d.name for d in all_domains if d.frozen})
    except (StoreDown, AdminError) as error:
        step = f". {_START}" if type(error) is StoreDown else ""
        found.append(("database", f"{error}{step}"))
        if around.bind is not None:
            found.append(_examine_bind(around.bind.is_running(), settings, ()))
        return found
    if (bind := around.bind) is not None:
        if strangers := await around.strangers([domain.name for domain in all_domains]):
            found += lines([of_strangers(strangers)])
        found.append(_examine_bind(bind.is_running(), settings, all_domains))
    return found


_START = (
    "Start it, or check the network, its disk and its permissions. Until then updates get 911; the service then goes "
    "on by itself"
)


async def _examine_rows(
    store: "SqliteStore | PostgresStore", settings: Settings, frozen: Collection[str]
) -> list[Line]:
    """The findings of what the database remembers. Raises StoreDown."""
    refused = [one for one in await store.read(set_aside.refused) if one.zone not in frozen]
    numbers = await store.read(queue.counts)
    seen = await store.read(unknown_fronts.seen)
    second = await store.read(mirrors.all_mirrors)
    app = await store.read(second_factors.any_app)
    limits = await store.read(lambda c: quotas.proposal(c, settings.policy().quotas))
    found: list[Line] = [
        (f"second primary {one.primary} of {zone}", None if zone in frozen else Move.of(one, queries.now()).problem)
        for zone, one in second.items()
    ]
    found += [(f"front {front.front}", unknown_fronts.advice(front)) for front in seen]
    found += [(f"records of {one.zone}", _refused(one)) for one in refused]
    found += [
        (f"records of {z}: {n.skipped} skipped (ddnsd queue list)", None) for z, n in numbers.items() if n.skipped
    ]
    if app is not None:
        found.append(("key of second factors", _examine_factor_key(settings.second_factor_key, *app)))
    if limits:
        values = " ".join(f"{PREFIX}{quota.upper()}={limit}" for quota, limit in limits.items())
        found.append((f"quotas: none, because this installation is older than quotas. You can set: {values}", None))
    return found


def _examine_surroundings(settings: Settings, around: Surroundings) -> list[Line]:
    """The findings of disks, certificate, backups and NTP."""
    findings = [one.finding for one in disk.examine(around.folders).values()]
    if around.front is not None:
        findings += certificate.examine(around.front).findings
    elif settings.base_url.startswith("https:"):
        findings.append(Finding(Check.CERTIFICATE, "certificate", note=f"not checked; set {PREFIX}TLS_FRONT"))
    findings += [backup.examine(job, time.time()).finding for job in around.jobs]
    if not around.jobs:
        findings.append(Finding(Check.BACKUP, "backup", note=f"not checked; set {PREFIX}BACKUP_REPORT"))
    return lines([*findings, clock.synchronized()])


def _examine_factor_key(file: Path | None, user_id: int, sealed: str) -> str | None:
    """Why authenticator apps cannot be used, or None; `sealed` is the seed of some user."""
    then = "until then, users sign in with a recovery code; `ddnsd user second-factor NAME --remove` helps one of them"
    if file is None:
        return f"users have authenticator apps, but {PREFIX}SECOND_FACTOR_KEY is not set. Restore the key; {then}"
    try:
        seed = SealingKeys.from_file(file).unseal(STORED, user_id, sealed)
    except OSError as error:
        return f"{file}: {error.strerror}"
    except BadKeyFile as error:
        return str(error)
    return None if seed is not None else f"{file} has another key than the one in use. Restore that one; {then}"


def _examine_bind(running: bool, settings: Settings, all_domains: Sequence[Domain]) -> tuple[str, str | None]:
    """The state of the BIND that the service controls; if all its zones are frozen, it may be in maintenance itself."""
    zones = [domain for domain in all_domains if domain.provisioned]
    if not running and zones and all(domain.frozen for domain in zones):
        return "rndc: no BIND answers; all its zones are frozen for maintenance", None
    silent = (
        f"no BIND answers with the key {settings.rndc_key}: check that named runs (`systemctl status named`, "
        "`journalctl -u named`), and its controls statement"
    )
    return "rndc", None if running else silent


def _refused(one: set_aside.Refused) -> str:
    since = datetime.fromtimestamp(one.since // 1_000_000, UTC).isoformat()
    names = ", ".join(one.names) + (", …" if one.total > len(one.names) else "")
    return (
        f"{one.total} refused since {since}: {one.reason} ({names}). "
        "Allow them on the name server (update-policy; its log shows the reason). The service tries them again "
        "automatically. `ddnsd queue list` shows all of them"
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
    return None if keys else "it publishes no key with a supported algorithm"


async def _examine_store(store: "SqliteStore | PostgresStore") -> str | None:
    """Why the database accepts no writes, or None. Only a write shows whether there is disk space."""
    try:
        await store.transact(write_checks.write)
        await store.transact(write_checks.remove)
    except StoreDown as error:
        return f"it does not accept writes: {error}. {_START}"
    return None
