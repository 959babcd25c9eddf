# SPDX-License-Identifier: GPL-3.0-or-later
"""Find problems of settings, database, name servers and identity providers."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ddnsd.auth.oidc.provider import Provider, of_opaque_tokens
from ddnsd.auth.sealing import BadKeyFile, SealingKeys
from ddnsd.db import migrate, mirrors, postgres_tls, queries, queue, second_factors, set_aside, write_checks
from ddnsd.db.base import StoreDown
from ddnsd.db.rows import Domain
from ddnsd.dns import errors, late_answers, primary_check, zone_transfer
from ddnsd.dns.bind.control import Bind
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.endpoint import Endpoint
from ddnsd.registry import quotas, unknown_fronts
from ddnsd.registry.moves import Move
from ddnsd.registry.second_factors import STORED
from ddnsd.settings import PREFIX, Settings

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
            if note := postgres_tls.warning(settings.store_url):
                findings.append((f"connection to the database: {note}", None))
            all_domains = await store.read(queries.all_domains)
            for domain in all_domains:
                problem = None if domain.frozen else await _examine(store, domain, settings.bind)
                late = "" if problem or domain.frozen else await _late_answers(domain)
                findings.append((f"{_subject(domain)}{late}", problem))
            frozen = {d.name for d in all_domains if d.frozen}
            refused = [one for one in await store.read(set_aside.refused) if one.zone not in frozen]
            numbers = await store.read(queue.counts)
            seen = await store.read(unknown_fronts.seen)
            second = await store.read(mirrors.all_mirrors)
            app = await store.read(second_factors.any_app)
            limits = await store.read(lambda c: quotas.proposal(c, settings.policy().quotas))
    except (StoreDown, AdminError) as error:
        return [*findings, ("database", str(error))]
    findings += [
        (f"second primary {one.primary} of {zone}", None if zone in frozen else Move.of(one, queries.now()).problem)
        for zone, one in second.items()
    ]
    findings += [(f"front {front.front}", unknown_fronts.advice(front)) for front in seen]
    findings += [(f"records of {one.zone}", _refused(one)) for one in refused]
    findings += [
        (f"records of {z}: {n.skipped} skipped (ddnsd queue list)", None) for z, n in numbers.items() if n.skipped
    ]
    findings += [(f"identity provider {p}", await _examine_provider(p)) for p in settings.providers]
    if len([p for p in settings.providers if p.audience]) > 1 and of_opaque_tokens(settings.providers) is None:
        findings.append(("identity providers: opaque access tokens are refused, because none has opaque = true", None))
    if app is not None:
        findings.append(("key of second factors", _examine_factor_key(settings.second_factor_key, *app)))
    if limits:
        values = " ".join(f"{PREFIX}{quota.upper()}={limit}" for quota, limit in limits.items())
        findings.append((f"quotas: none, because this installation is older than quotas. You can set: {values}", None))
    if (bind := settings.bind) is not None:
        findings.append(_examine_bind(bind.is_running(), settings, all_domains))
    return findings


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
    silent = f"no BIND answers with the key {settings.rndc_key}: check that named runs, and its controls statement"
    return "rndc", None if running else silent


def _subject(domain: Domain) -> str:
    subject = f"domain {domain.name} at {domain.primary}"
    return f"{subject}: not checked: {domain.frozen}" if domain.frozen else subject


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
    except StoreDown as error:
        return f"it does not accept writes: {error}"
    return None


async def _examine(store: "SqliteStore | PostgresStore", domain: Domain, bind: Bind | None) -> str | None:
    async def hosts() -> list[tuple[str, str]]:
        return await store.read(lambda c: queries.places(c, domain.id, primary_check.PROBED_HOSTS))

    connection = PrimaryConnection(Endpoint.from_text(domain.primary, 53))
    try:
        await primary_check.probe(domain, hosts, connection, primary_check.SECONDS)
        await zone_transfer.fetch(domain)
    except (errors.DnsError, BindError) as error:
        return await _problem_of_files(domain, bind, loaded=False) or str(error)
    finally:
        connection.close()
    if problem := await _problem_of_files(domain, bind, loaded=True):
        return problem
    late = await store.read(lambda c: queries.late_count(c, domain.id, queries.now() - LATE_MICROSECONDS))
    return f"{late} hosts and removals have waited for more than a minute; see the log of the service" if late else None


async def _late_answers(domain: Domain) -> str:
    """A note if answers of the primary follow its acknowledgements late, else empty."""
    try:
        note = await late_answers.note(domain)
    except errors.DnsError:  # the update may be refused at a name that no host has
        return ""
    return f" (note: {note})" if note else ""


async def _problem_of_files(domain: Domain, bind: Bind | None, *, loaded: bool) -> str | None:
    """The problem of the zone's files on our BIND, or None."""
    if bind is None or not domain.provisioned:
        return None
    try:
        return await asyncio.to_thread(bind.problem, domain.name, loaded=loaded)
    except BindError:
        return None
