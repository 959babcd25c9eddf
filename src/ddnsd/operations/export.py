# SPDX-License-Identifier: GPL-3.0-or-later
"""Export all tables as JSON, and import them into an empty database."""

import base64
import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, LargeBinary, insert, select, update

from ddnsd.db import history, last_seen, migrate, queries, schema

if TYPE_CHECKING:
    pass
from ddnsd.operations.store_access import AdminError, check_schema, opened, with_store

FORMAT = 1
EVERY = 2**31


async def to_json(url: str) -> str:
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


async def from_json(url: str, exported: str) -> None:
    """Fill an empty database; the service then sends every host to DNS. Raises AdminError, StoreDown."""
    try:
        content = json.loads(exported)
        if content["format"] != FORMAT or content["revision"] != migrate.NEWEST:
            raise AdminError("the export is from another version of ddnsd")
        rows = {table.name: [_restored(table, row) for row in content["tables"][table.name]] for table in _ordered()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdminError(f"this is not an export: {error!r}") from None
    await with_store(url, lambda c: _load(c, rows))


def _ordered() -> list[Any]:
    """The tables to export, each after those that it refers to."""
    return [table for table in schema.metadata.sorted_tables if table is not schema.write_checks]


def _restored(table: Any, row: dict[str, Any]) -> dict[str, Any]:
    binary = {column.name for column in table.columns if isinstance(column.type, LargeBinary)}
    return {key: base64.b64decode(value) if key in binary else value for key, value in row.items()}


def _load(connection: Connection, rows: dict[str, list[dict[str, Any]]]) -> None:
    if queries.user_count(connection):
        raise AdminError("the database is not empty")
    for table in _ordered():
        if rows[table.name]:
            connection.execute(insert(table), rows[table.name])
        if connection.dialect.name == "postgresql" and "id" in table.c:
            sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
            connection.exec_driver_sql(
                f"SELECT setval({sequence}, (SELECT coalesce(max(id), 0) + 1 FROM {table.name}))"  # noqa: S608
            )
    # new hosts and users may get the ids of those deleted before the export
    for host_id in history.strangers(connection):
        history.trim(connection, host_id, EVERY, kept=0)
    for host_id in last_seen.strangers(connection):
        last_seen.forget(connection, [host_id])
    users = select(schema.users.c.id)
    for table, nobody in ((schema.events, None), (schema.history, 0)):
        connection.execute(update(table).where(table.c.owner_id.not_in(users)).values(owner_id=nobody))
    queries.wish_again(connection, [row["id"] for row in rows["hosts"]])
