# SPDX-License-Identifier: GPL-3.0-or-later
"""What the administration commands do beside the running service.

They change the store; the service notices rows that DNS does not hold yet within about a second.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import Connection, LargeBinary, insert, select, update

from ddnsd.auth.oidc.provider import Provider
from ddnsd.db import history, last_seen, migrate, queries, schema, set_aside, write_checks
from ddnsd.db.base import StoreDown, open_store
from ddnsd.db.history import SERVICE
from ddnsd.db.lookups import Lookups
from ddnsd.db.rows import Domain, Host
from ddnsd.dns import errors, primary_check
from ddnsd.dns import reconcile as zone_reconcile
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.connection import Primary
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.reconcile import Difference
from ddnsd.dns.writer import Writer
from ddnsd.registry import history as record
from ddnsd.registry import related, transfers, unknown_fronts, updates
from ddnsd.registry.errors import NoHost
from ddnsd.registry.host_edits import Edit, write
from ddnsd.registry.hosts import Hosts
from ddnsd.registry.related import RelatedNames
from ddnsd.registry.stored_denylist import Denials
from ddnsd.settings import Settings

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore
    from ddnsd.db.sqlite import SqliteStore

T = TypeVar("T")

ACTOR = "ddnsd"

LATE_MICROSECONDS = 60 * 1_000_000
"""What has waited for so long is not on its way any more."""


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
    """Raises AdminError unless the database has the newest schema, and StoreDown."""
    try:
        await migrate.verify(url)
    except (migrate.OldSchema, migrate.ForeignSchema) as error:
        raise AdminError(str(error)) from None


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


def machines(connection: Connection, fqdns: Sequence[str], owner: str) -> int:
    """How many of the hosts machines keep up to date. Raises NoHost, Invalid where there is no such host or user."""
    transfers.check_owner(queries.user(connection, owner), owner)
    return transfers.machines(connection, [_host(connection, fqdn) for fqdn in fqdns])


def what_stops(count: int, fqdns: Sequence[str], owner: str, *, keep: bool) -> str:
    """The question before hosts are given away."""
    given = fqdns[0] if len(fqdns) == 1 else f"{len(fqdns)} hosts"
    if keep:
        what = "Secrets and keys of the former owner go on to work, and the former owner may know them."
    elif count == 0:
        what = "No machine has kept them up to date so far, so none stops."
    else:
        stop = "1 machine stops" if count == 1 else f"{count} machines stop"
        what = f"{stop} updating, until {owner} makes a new secret and puts it on each."
    return f"Give {given} to {owner}? {what}"


def give_hosts(connection: Connection, fqdns: Sequence[str], owner: str, *, keep: bool) -> None:
    """Give hosts to another user, all or none. Raises NoHost, Invalid."""
    user = transfers.check_owner(queries.user(connection, owner), owner)
    for fqdn in fqdns:
        edit = Edit(
            {"owner_id": user.id}, ACTOR, None, lambda _: None, oversight=True, author=SERVICE, keep_secrets=keep
        )
        write(connection, _host(connection, fqdn), edit)


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


class Reconciled(NamedTuple):
    """Every difference between store and zones, those that are `left` after the repair, and why zones failed."""

    found: list[Difference]
    left: list[Difference]
    failures: dict[str, str]


async def reconcile(settings: Settings, *, repair: bool) -> Reconciled:
    """Compare store and zones; with `repair` have DNS follow, and compare again. Raises StoreDown, AdminError."""
    await check_schema(settings.store_url)
    found: dict[Domain, list[Difference]] = {}
    failures: dict[str, str] = {}
    async with opened(settings.store_url) as store:
        for domain in await store.read(queries.all_domains):
            try:
                differences = await zone_reconcile.differences(store, domain)
            except errors.DnsError as error:
                failures[domain.name] = str(error)
                continue
            if differences:
                found[domain] = differences
        every = [difference for differences in found.values() for difference in differences]
        left = await _repair(store, settings, found, failures) if repair and found else every
    return Reconciled(every, left, failures)


async def _repair(
    store: "SqliteStore | PostgresStore",
    settings: Settings,
    found: dict[Domain, list[Difference]],
    failures: dict[str, str],
) -> list[Difference]:
    """What is left; `failures` gets the zones whose name server does not answer."""
    left: list[Difference] = []
    writer = _writer(store, settings)
    await writer.start()
    try:
        for domain, differences in found.items():
            try:
                left += await zone_reconcile.restore(store, domain, differences, writer.follow)
            except errors.DnsError as error:
                failures[domain.name] = str(error)
                left += differences
    finally:
        await writer.stop()
    return left


def _writer(store: "SqliteStore | PostgresStore", settings: Settings) -> Writer:
    return Writer(store, Lookups(store), deadline=30.0, default_ttl=settings.ttl)


async def examine(settings: Settings) -> list[tuple[str, str | None]]:
    """(subject, what is wrong with it or None) for the database and every domain."""
    findings: list[tuple[str, str | None]] = [("settings", None)]
    try:
        await check_schema(settings.store_url)
        async with opened(settings.store_url) as store:
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
        findings.append(("rndc", None if bind.is_running() else f"{settings.rndc_key}: no BIND answers to it"))
    return findings


def _refused(one: set_aside.Refused) -> str:
    since = datetime.fromtimestamp(one.since // 1_000_000, UTC).isoformat()
    names = ", ".join(one.names) + (", …" if one.total > len(one.names) else "")
    return (
        f"{one.total} refused since {since}: {one.reason} ({names}). "
        "Let the name server take them (update-policy, its log says why); we try again by ourselves"
    )


async def _examine_provider(provider: Provider) -> str | None:
    from ddnsd.auth.oidc import ProviderDown  # here: the other commands ask no provider
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
    return None if keys else "it publishes no key that we understand"


async def _examine_store(store: "SqliteStore | PostgresStore") -> str | None:
    """Why the database takes no writes: whether there is room is only known once something is written."""
    try:
        await store.transact(write_checks.write)
    except StoreDown as error:
        return f"it takes no write: {error}"
    return None


async def _examine(store: "SqliteStore | PostgresStore", domain: Domain) -> str | None:
    async def hosts() -> list[tuple[str, str]]:
        return await store.read(lambda c: queries.places(c, domain.id, primary_check.PROBED_HOSTS))

    connection = Primary(Endpoint.from_text(domain.primary, 53))
    try:
        await primary_check.probe(domain, hosts, connection, primary_check.SECONDS)
        await asyncio.to_thread(zone_reconcile.transfer, domain)
    except (errors.DnsError, BindError) as error:
        return str(error)
    finally:
        connection.close()
    late = await store.read(lambda c: queries.late_count(c, domain.id, queries.now() - LATE_MICROSECONDS))
    return (
        f"{late} hosts and removals have waited for it for more than a minute: see the service's log" if late else None
    )


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
        for table in _ordered()
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
    """The tables with something to keep, each after those that it refers to."""
    return [table for table in schema.metadata.sorted_tables if table is not schema.write_checks]


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
    for host_id in last_seen.strangers(connection):
        last_seen.forget(connection, [host_id])
    users = select(schema.users.c.id)
    for table, nobody in ((schema.events, None), (schema.history, 0)):
        connection.execute(update(table).where(table.c.owner_id.not_in(users)).values(owner_id=nobody))
    queries.wish_again(connection, [row["id"] for row in rows["hosts"]])
