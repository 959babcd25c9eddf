# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands about domains. The running service notices their changes within about a second."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ddnsd.db import paging, queries
from ddnsd.db.base import Store
from ddnsd.db.rows import Domain
from ddnsd.dns import errors, late_answers
from ddnsd.dns.ds_records import Comparison
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.zone_members import Member
from ddnsd.operations import moves
from ddnsd.operations.hosts import ACTOR
from ddnsd.operations.store_access import check_schema, opened
from ddnsd.registry.domain_zones import Provisioned, Zones
from ddnsd.registry.errors import Code, Invalid, NoDomain, Reason
from ddnsd.registry.names import is_reverse
from ddnsd.registry.reverse import shown_network
from ddnsd.settings import Settings


@asynccontextmanager
async def _zones(settings: Settings) -> AsyncIterator[tuple[Store, Zones]]:
    await check_schema(settings.store_url)
    async with opened(settings.store_url) as store:
        yield store, Zones(store, settings.bind, settings.primary, settings.surroundings.resolver)


def new_columns(name: str) -> dict[str, Any]:
    """Columns of a new domain that differ from the API's defaults. Reverse zones are private."""
    return {"public": not is_reverse(name)}


async def add(
    settings: Settings,
    name: str,
    owner: str,
    *,
    primary: str | None,
    key: TsigKey | None,
    algorithm: str,
    columns: dict[str, Any],
    exist_ok: bool,
    check_only: bool,
) -> str | None:
    """Add a domain, or with `exist_ok` set the given columns of an existing one. Returns what was done, or None.

    With `check_only` nothing is changed. Raises Invalid, Taken, NoBind, BindError, DnsError, StoreDown, AdminError.
    """
    async with _zones(settings) as (store, zones):
        found = await store.read(lambda c: queries.domain(c, name)) if exist_ok else None
        if found is not None:
            if found.owner != owner:
                raise Invalid(owner=Reason(Code.DOMAIN_OF_OTHER_OWNER, domain=name, owner=found.owner, user=owner))
            await _require_no_move(store, name, primary, key)
            changed = await zones.set(
                name, primary=primary, key=key, columns=columns, actor=ACTOR, check_only=check_only
            )
            return f"changed {name}: {changed}{await _late(store, name, primary, key)}" if changed else None
        if check_only:
            await zones.check_new(name, owner, primary=primary, key=key, columns=columns)
        else:
            await zones.add(
                name,
                owner,
                primary=primary,
                key=key,
                algorithm=algorithm,
                columns=new_columns(name) | columns,
                actor=ACTOR,
            )
        return f"added {name}{await _late(store, name, primary, key)}"


async def change(
    settings: Settings,
    name: str,
    *,
    primary: str | None,
    key: TsigKey | None,
    columns: dict[str, Any],
    check_only: bool,
) -> str:
    """Change a domain with `Zones.set`. Returns what changed. Raises as `add`, and NoDomain."""
    async with _zones(settings) as (store, zones):
        await _require_no_move(store, name, primary, key)
        changed = await zones.set(name, primary=primary, key=key, columns=columns, actor=ACTOR, check_only=check_only)
        return f"{changed}{await _late(store, name, primary, key)}" if changed and not check_only else changed


async def _require_no_move(store: Store, name: str, primary: str | None, key: TsigKey | None) -> None:
    if primary is not None or key is not None:
        await store.read(lambda c: moves.require_none(c, name))


async def _late(store: Store, name: str, primary: str | None, key: TsigKey | None) -> str:
    """A note if the answers of a new primary follow its acknowledgements late, else empty."""
    domain = await store.read(lambda c: queries.domain(c, name))
    if domain is None or (primary is None and key is None):
        return ""
    try:
        note = await late_answers.note(domain)
    except errors.DnsError:  # the update may be refused at a name that no host has
        return ""
    return f"; note: {note}" if note else ""


async def remove(settings: Settings, name: str, *, exist_ok: bool) -> bool:
    """Remove a domain, and its zone if the service created it. Returns whether the domain existed.

    Raises NoDomain unless `exist_ok`, NotEmpty, NoBind, BindError, StoreDown, AdminError.
    """
    async with _zones(settings) as (_, zones):
        try:
            await zones.remove(name, actor=ACTOR, client_ip=None, expect=lambda _: None)
        except NoDomain:
            if not exist_ok:
                raise
            return False
        return True


async def provision(settings: Settings, names: Sequence[str], *, check_only: bool) -> AsyncIterator[Provisioned]:
    """Run `Zones.provision`."""
    async with _zones(settings) as (_, zones):
        async for provisioned in zones.provision(names, actor=ACTOR, check_only=check_only):
            yield provisioned


async def listed(settings: Settings) -> list[dict[str, Any]]:
    """All domains by name, with their settings and number of hosts. Raises StoreDown, AdminError."""
    async with _zones(settings) as (store, _):
        found = await store.read(queries.all_domains)
        counts = await store.read(paging.host_counts)
    return [
        {
            "name": domain.name,
            "owner": domain.owner,
            "public": bool(domain.public),
            "primary": domain.primary,
            "ttl": domain.ttl,
            "comment": domain.comment,
            "available": bool(domain.available),
            "dns_updates": bool(domain.dns_updates),
            "provisioned": bool(domain.provisioned),
            "dnssec_policy": domain.dnssec_policy,
            "gss_realm": domain.gss_realm,
            "gss_hosts": bool(domain.gss_hosts),
            "network": shown_network(domain),
            "reverse": domain.reverse,
            "inline_signing": bool(domain.inline_signing),
            "frozen": domain.frozen is not None,
            "frozen_reason": domain.frozen_reason,
            "hosts": counts.get(domain.id, 0),
        }
        for domain in found
    ]


async def ds(settings: Settings, name: str) -> Comparison:
    """The DS records of a domain and of its parent. Raises NoDomain, DnsError, StoreDown, AdminError."""
    async with _zones(settings) as (store, zones):
        return await zones.ds(await _named(store, name))


async def members(settings: Settings, name: str) -> list[Member]:
    """The names that members of the domain's Kerberos realm have registered.

    Raises NoDomain, DnsError, StoreDown, AdminError.
    """
    async with _zones(settings) as (store, zones):
        return await zones.members(await _named(store, name))


async def _named(store: Store, name: str) -> Domain:
    domain = await store.read(lambda c: queries.domain(c, name))
    if domain is None:
        raise NoDomain(Code.DOMAIN_MISSING, domain=name)
    return domain
