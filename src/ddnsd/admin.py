# SPDX-License-Identifier: GPL-3.0-or-later
"""What the administration commands do beside the running service.

They change the store; the service notices rows that DNS does not hold yet within about a second.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, LargeBinary, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from ddnsd.identity.oidc.provider import Provider
from ddnsd.registry import fronts, record, related, updates
from ddnsd.registry.denials import Denials
from ddnsd.registry.errors import NoHost
from ddnsd.registry.hosts import Hosts
from ddnsd.registry.related import RelatedNames
from ddnsd.settings import Settings
from ddnsd.store import contacts, history, migrate, queries, tables
from ddnsd.store.database import StoreDown, open_store
from ddnsd.store.history import SERVICE
from ddnsd.store.lookup import Lookups
from ddnsd.store.rows import Domain, Host
from ddnsd.zones import check, errors
from ddnsd.zones import reconcile as zone_reconcile
from ddnsd.zones.reconcile import Difference
from ddnsd.zones.rndc import BindError
from ddnsd.zones.tsig import TsigKey
from ddnsd.zones.writer import Writer

if TYPE_CHECKING:
    from ddnsd.store.postgres import PostgresStore
    from ddnsd.store.sqlite import SqliteStore

T = TypeVar("T")

ACTOR = "ddnsd"


class AdminError(Exception):
    """a command cannot do what it is asked"""


@asynccontextmanager
async def opened(url: str) -> "AsyncIterator[SqliteStore | PostgresStore]":
    """The store, closed at the end."""
    store = open_store(url)
    try:
        yield store
    finally:
        await store.close()


async def with_store(url: str, work: Callable[[Connection], T]) -> T:
    """Run one transaction. Raises StoreDown, AdminError where there is no schema."""
    await check_schema(url)
    async with opened(url) as store:
        return await store.transact(work)


async def check_schema(url: str) -> None:
    """Raises AdminError unless the database has the newest schema."""
    async with opened(url) as store:
        try:
            found = await store.read(migrate.revision)
        except DBAPIError as error:
            raise StoreDown(str(error.orig)) from None
    if found != migrate.NEWEST:
        raise AdminError("the database does not have this version's schema: run `ddnsd db upgrade`")


# ---- hosts


def _host(connection: Connection, fqdn: str) -> Host:
    host = queries.host(connection, fqdn)
    if host is None:
        raise NoHost(f"there is no host {fqdn}")
    return host


def block(connection: Connection, fqdn: str) -> None:
    """Block a host. Raises NoHost."""
    host = _host(connection, fqdn)
    updates.block(connection, host, ACTOR, None)
    queries.wish_again(connection, [host.id])


def unblock(connection: Connection, fqdn: str) -> None:
    """Lift a block or a flag. Raises NoHost."""
    host = _host(connection, fqdn)
    updates.unblock(connection, host, ACTOR)
    queries.wish_again(connection, [host.id])


def set_host(connection: Connection, fqdn: str, columns: dict[str, Any]) -> None:
    """Change columns of a host. Raises NoHost."""
    host = _host(connection, fqdn)
    queries.set_host(connection, host.id, **columns)
    record.edited(connection, host, columns, SERVICE)
    queries.add_event(connection, ACTOR, "host.set", fqdn, None, ", ".join(sorted(columns)), owner_id=host.owner_id)
    queries.wish_again(connection, [host.id])


async def add_related(settings: Settings, fqdn: str, label: str, interface_id: str) -> None:
    """Add a related name, or change its interface id.

    Raises NoHost, NoDomain, Invalid, Taken, Blocked, NotPublished (the name server cannot be asked), StoreDown.
    """
    async with opened(settings.store_url) as store:
        host = await store.read(lambda c: _host(c, fqdn))
        new = related.parse(host, label, interface_id)
        policy, writer = settings.policy(), _writer(store, settings)
        await Denials(store, policy.deny).refresh()
        try:
            await RelatedNames(store, writer, Hosts(store, writer, policy)).check(host, new)
        finally:
            await writer.stop()
        await store.transact(lambda c: related.keep(c, host, new, SERVICE, lambda _: None))


def remove_related(connection: Connection, fqdn: str, label: str) -> None:
    """Remove a related name. Raises NoHost, Blocked."""
    related.remove(connection, _host(connection, fqdn), label, SERVICE, lambda _: None)


# ---- reconcile, doctor


async def reconcile(settings: Settings, *, repair: bool) -> tuple[list[Difference], dict[str, str]]:
    """Every difference between store and zones, and why a zone could not be compared, by its name.

    With `repair` DNS follows when this returns. Raises DnsError, StoreDown, AdminError.
    """
    await check_schema(settings.store_url)
    found: dict[int, list[Difference]] = {}
    failures: dict[str, str] = {}
    async with opened(settings.store_url) as store:
        for domain in await store.read(queries.all_domains):
            try:
                differences = await zone_reconcile.differences(store, domain)
            except errors.DnsError as error:
                failures[domain.name] = str(error)
                continue
            if differences:
                found[domain.id] = differences
        if repair and found:
            await _repair(store, settings, found)
    return [difference for differences in found.values() for difference in differences], failures


async def _repair(
    store: "SqliteStore | PostgresStore", settings: Settings, found: dict[int, list[Difference]]
) -> None:  # fmt: skip
    writer = _writer(store, settings)
    for differences in found.values():
        await zone_reconcile.repair(store, differences)
    await writer.start()
    try:
        for domain_id, differences in found.items():
            await writer.publish(domain_id, {d.host_id for d in differences if d.host_id is not None})
            await writer.withdraw(domain_id)
    except errors.NotAcknowledged as error:
        raise errors.Unreachable(str(error)) from None
    finally:
        await writer.stop()


def _writer(store: "SqliteStore | PostgresStore", settings: Settings) -> Writer:
    return Writer(store, Lookups(store), deadline=30.0, default_ttl=settings.ttl)


async def examine(settings: Settings) -> list[tuple[str, str | None]]:
    """(subject, what is wrong with it or None) for the database and every domain."""
    findings: list[tuple[str, str | None]] = [("settings", None)]
    try:
        await check_schema(settings.store_url)
        async with opened(settings.store_url) as store:
            await store.transact(lambda c: c.execute(text("SELECT 1")))
            all_domains = await store.read(queries.all_domains)
            seen = await store.read(fronts.seen)
    except (StoreDown, AdminError) as error:
        return [*findings, ("database", str(error))]
    findings.append(("database", None))
    findings += [(f"front {front.front}", fronts.advice(front)) for front in seen]
    findings += [(f"domain {d.name} at {d.primary}", await _examine(d)) for d in all_domains]
    for provider in settings.providers:
        findings.append((f"identity provider {provider}", await _examine_provider(provider)))
    if (bind := settings.bind) is not None:
        findings.append(("rndc", None if bind.is_running() else f"{settings.rndc_key}: no BIND answers to it"))
    return findings


async def _examine_provider(provider: Provider) -> str | None:
    from ddnsd.identity.oidc import ProviderDown  # here: the other commands ask no provider
    from ddnsd.identity.oidc.client import Client
    from ddnsd.identity.oidc.http import Http

    http = Http()
    client = Client(provider, http)
    try:
        keys = await client.keys(None)
    except ProviderDown as error:
        return str(error)
    finally:
        await http.close()
    return None if keys else "it publishes no key that we understand"


async def _examine(domain: Domain) -> str | None:
    key = TsigKey.of(domain)
    try:
        await check.accepts_updates(domain.name, domain.primary, key)
        await asyncio.to_thread(zone_reconcile.transfer, domain)
    except (errors.DnsError, BindError) as error:
        return str(error)
    return None


# ---- export, import

FORMAT = 1

EVERY = 2**31


async def export(url: str) -> str:
    """All tables as JSON; binary columns are base64. Raises StoreDown, AdminError."""
    await check_schema(url)
    async with opened(url) as store:
        content = await store.read(_dump)
    return json.dumps({"format": FORMAT, "revision": migrate.NEWEST, "tables": content}, indent=1) + "\n"


def _dump(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    return {
        table.name: [
            {key: base64.b64encode(value).decode() if isinstance(value, bytes) else value for key, value in row.items()}
            for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()
        ]
        for table in tables.metadata.sorted_tables
    }


async def import_(url: str, exported: str) -> None:
    """Fill an empty store; every host is then sent to DNS. Raises AdminError, StoreDown."""
    try:
        content = json.loads(exported)
        if content["format"] != FORMAT or content["revision"] != migrate.NEWEST:
            raise AdminError("the export is of another version")
        rows = {table.name: [_restored(table, row) for row in content["tables"][table.name]] for table in _ordered()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdminError(f"this is not an export: {error!r}") from None
    await with_store(url, lambda c: _load(c, rows))


def _ordered() -> list[Any]:
    return tables.metadata.sorted_tables


def _restored(table: Any, row: dict[str, Any]) -> dict[str, Any]:
    binary = {column.name for column in table.columns if isinstance(column.type, LargeBinary)}
    return {key: base64.b64decode(value) if key in binary else value for key, value in row.items()}


def _load(connection: Connection, rows: dict[str, list[dict[str, Any]]]) -> None:
    if queries.user_count(connection):
        raise AdminError("the store is not empty")
    for table in _ordered():
        if rows[table.name]:
            connection.execute(insert(table), rows[table.name])
        if connection.dialect.name == "postgresql" and "id" in table.c:
            sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
            connection.exec_driver_sql(
                f"SELECT setval({sequence}, (SELECT coalesce(max(id), 0) + 1 FROM {table.name}))"  # noqa: S608
            )
    # ids of hosts and users that were gone before the export may be given to new ones
    for host_id in history.strangers(connection):
        history.trim(connection, host_id, EVERY, kept=0)
    for host_id in contacts.strangers(connection):
        contacts.forget(connection, [host_id])
    users = select(tables.users.c.id)
    for table, nobody in ((tables.events, None), (tables.history, 0)):
        connection.execute(update(table).where(table.c.owner_id.not_in(users)).values(owner_id=nobody))
    queries.wish_again(connection, [row["id"] for row in rows["hosts"]])
