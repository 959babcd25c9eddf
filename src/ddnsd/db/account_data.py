# SPDX-License-Identifier: GPL-3.0-or-later
"""What is stored about a user, for an export: rows as mappings, never with secrets or hashes of secrets."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Column, Connection, Select, Table, func, select

from ddnsd.db.schema import (
    certificates,
    contacts,
    domain_requests,
    domains,
    enrolments,
    events,
    fleet_devices,
    fleets,
    history,
    hosts,
    identities,
    key_hosts,
    keys,
    memberships,
    passkeys,
    passwords,
    quotas,
    recovery_codes,
    related,
    rrsets,
    sessions,
    stacks,
    tokens,
    totp,
    users,
    webhooks,
)

Row = dict[str, Any]

SECRET = frozenset({"hash", "secret_hash", "token_hash", "sealed", "key_secret", "replaces", "last_step", "lease"}) | {
    "former_sealed"
}
"""Columns that nobody can read."""

INTERNAL = frozenset(
    {"id", "user_id", "owner_id", "domain_id", "host_id", "key_id", "fleet_id", "identity_id", "parent_id"}
) | {
    "admin_by",
    "aliased",
    "claimed",
    "credential_id",
    "csr_hash",
    "generation",
    "has_rrsets",
    "public_key",
    "reverse_of",
    "reversed_name",
    "sign_count",
    "version",
    "xid",
}
"""Columns that say nothing about the user."""

OF_OPERATORS = frozenset({"primary", "key_name", "key_algorithm", "provisioned"})
"""Columns of a domain that are the operator's."""


def columns(table: Table) -> list[Column[Any]]:
    """The columns of a table that an export has."""
    hidden = SECRET | INTERNAL | (OF_OPERATORS if table is domains else frozenset())
    return [column for column in table.columns if column.name not in hidden]


def user(connection: Connection, user_id: int) -> Row:
    """The row of the user, with their groups."""
    (found,) = _rows(connection, select(*columns(users)).where(users.c.id == user_id))
    groups = select(memberships.c.group).where(memberships.c.user_id == user_id).distinct()
    return found | {"groups": list(connection.scalars(groups.order_by(memberships.c.group)))}


def of_user(connection: Connection, user_id: int) -> dict[str, list[Row]]:
    """The rows of the tables that belong to the user, by table, without hosts and events."""
    owned = {identities: "user_id", sessions: "user_id", tokens: "user_id", domains: "owner_id"}
    owned |= {
        stacks: "owner_id",
        domain_requests: "user_id",
        quotas: "user_id",
        passwords: "user_id",
        totp: "user_id",
        passkeys: "user_id",
        webhooks: "user_id",
    }
    found = {
        table.name: _rows(connection, select(*columns(table)).where(table.c[owner] == user_id))
        for table, owner in owned.items()
    }
    codes = select(func.count()).select_from(recovery_codes).where(recovery_codes.c.user_id == user_id)
    made = select(hosts.c.fqdn, *columns(enrolments)).join_from(enrolments, hosts)
    return found | {
        "recovery_codes": [{"number": connection.scalar(codes)}],
        "enrolments": _rows(connection, made.where(enrolments.c.user_id == user_id)),
        "keys": _keys(connection, user_id),
        "fleets": _fleets(connection, user_id),
    }


def _fleets(connection: Connection, user_id: int) -> list[Row]:
    query = select(fleets.c.id, domains.c.name.label("domain"), *columns(fleets)).join(domains)
    found = _rows(connection, query.where(fleets.c.owner_id == user_id))
    listed = select(hosts.c.fqdn.label("host"), *columns(fleet_devices)).join_from(fleet_devices, hosts, isouter=True)
    for fleet in found:
        fleet["devices"] = _rows(connection, listed.where(fleet_devices.c.fleet_id == fleet.pop("id")))
    return found


def _keys(connection: Connection, user_id: int) -> list[Row]:
    found = _rows(connection, select(keys.c.id, *columns(keys)).where(keys.c.owner_id == user_id))
    named = select(hosts.c.fqdn).join_from(key_hosts, hosts).order_by(hosts.c.fqdn)
    for key in found:
        key["hosts"] = list(connection.scalars(named.where(key_hosts.c.key_id == key.pop("id"))))
    return found


def host_slice(connection: Connection, user_id: int, after: int, limit: int) -> tuple[list[Row], int | None]:
    """At most `limit` hosts of the user with an id above `after`, and the id of the last one; None at the end.

    Each has its related names, records, certificates and last request, and under `id` its id.
    """
    query = select(hosts.c.id, *columns(hosts)).where(hosts.c.owner_id == user_id, hosts.c.id > after)
    query = query.where(hosts.c.reverse_of.is_(None))  # these are of the service
    found = _rows(connection, query.order_by(hosts.c.id).limit(limit))
    ids = [row["id"] for row in found]
    below = _by_host(connection, related, ids)
    records = _by_host(connection, rrsets, ids)
    ordered = _by_host(connection, certificates, ids)
    last = _by_host(connection, contacts, ids)
    for row in found:
        host_id = row["id"]
        row |= {"related": below.get(host_id, []), "records": records.get(host_id, [])}
        row["certificates"] = ordered.get(host_id, [])
        row["last_request"] = next(iter(last.get(host_id, [])), None)
    return found, ids[-1] if len(ids) == limit else None


def history_slice(connection: Connection, host_id: int, user_id: int, after: int, limit: int) -> tuple[list[Row], int]:
    """At most `limit` entries of a host's history with an id above `after` that the user may read, and the last id."""
    mine = history.c.host_id == host_id, history.c.owner_id == user_id
    return _slice(connection, history, mine, after, limit)


def event_slice(connection: Connection, user_id: int, after: int, limit: int) -> tuple[list[Row], int]:
    """Likewise, of the events in the audit trail that the user may read."""
    return _slice(connection, events, (events.c.owner_id == user_id,), after, limit)


def _slice(
    connection: Connection, table: Table, wanted: Iterable[Any], after: int, limit: int
) -> tuple[list[Row], int]:
    query = select(table.c.id, *columns(table)).where(*wanted, table.c.id > after)
    found = _rows(connection, query.order_by(table.c.id).limit(limit))
    last = found[-1]["id"] if found else after
    return [{name: value for name, value in row.items() if name != "id"} for row in found], last


def _by_host(connection: Connection, table: Table, host_ids: Collection[int]) -> dict[int, list[Row]]:
    query = select(table.c.host_id, *columns(table)).where(table.c.host_id.in_(host_ids))
    grouped: dict[int, list[Row]] = {}
    for row in _rows(connection, query):
        grouped.setdefault(row.pop("host_id"), []).append(row)
    return grouped


def _rows(connection: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]
