# SPDX-License-Identifier: GPL-3.0-or-later
"""Export all tables as JSON, and import them into an empty database. Neither holds more than some rows in memory.

    {"format": 1, "revision": "0009", "tables": {"users": [{"id": 1, …}, …], …}}

One row per line; tables come after those that they refer to. Binary columns are base64.
"""

import base64
import binascii
import json
from collections.abc import Callable
from typing import IO, Any

from sqlalchemy import Connection, LargeBinary, Table, select, update

from ddnsd.db import copying, history, last_seen, migrate, queries, schema
from ddnsd.db.copying import Side
from ddnsd.operations.json_reader import JsonReader
from ddnsd.operations.store_access import AdminError, check_schema

FORMAT = 1
EVERY = 2**31
AT_ONCE = 500

NO_HOST = -(2**62)
"""An id below those of all hosts, and below the negative ones of `forget_strangers`."""

OF_PROCESSES = (schema.nodes, schema.zone_leases, schema.webhook_sender, schema.accepted_updates)
"""Tables that are in the file without rows: they are of the time and the processes of the export."""


async def write(url: str, file: IO[str], *, tsig_secrets: bool = False, fleet_keys: bool = False) -> None:
    """Write all tables, as they were at one moment; others may change them meanwhile.

    Encrypted TSIG secrets and fleet keys only on demand. Raises StoreDown, AdminError.
    """
    asked = {schema.tsig_secrets: tsig_secrets, schema.fleet_keys: fleet_keys}
    empty = (*OF_PROCESSES, *(table for table, wanted in asked.items() if not wanted))
    await check_schema(url)
    async with copying.opened(url) as side:
        await side.snapshot()
        file.write(f'{{\n "format": {FORMAT},\n "revision": "{migrate.NEWEST}",\n "tables": {{')
        before = ""
        for table in [table for table in schema.metadata.sorted_tables if table is not schema.write_checks]:
            file.write(f'{before}\n  "{table.name}": [')
            if table not in empty:
                await _write_rows(side, table, file)
            file.write("]")
            before = ","
        file.write("\n }\n}\n")


async def _write_rows(side: Side, table: Table, file: IO[str]) -> None:
    names, separator = [column.name for column in table.columns], "\n   "
    async for rows in copying.pages(side, table):
        for row in rows:
            values = [base64.b64encode(value).decode() if isinstance(value, bytes) else value for value in row]
            file.write(separator + json.dumps(dict(zip(names, values, strict=True))))
            separator = ",\n   "


async def read(url: str, file: IO[str]) -> None:
    """Fill an empty database; the service then sends every host to DNS. A failure changes nothing.

    Raises AdminError, StoreDown.
    """
    await check_schema(url)
    async with copying.opened(url) as side:
        try:
            await _read(side, JsonReader(file))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise AdminError(
                f"the file is not an export of ddnsd, or it is damaged: {error!r}. Nothing was changed"
            ) from None
        except copying.Refused as error:
            raise AdminError(f"the export cannot be imported: {error}. Nothing was changed") from None
        await side.run(copying.set_sequences)
        await side.run(forget_strangers)
        await side.run(queries.wish_all_again)
        await side.commit()


async def _read(side: Side, reader: JsonReader) -> None:
    """Insert the rows of a document. Raises AdminError, ValueError, KeyError, TypeError, Refused."""
    head: dict[str, Any] = {}
    for name in reader.members():
        if name != "tables":
            head[name] = reader.value()
            continue
        if (head["format"], head["revision"]) != (FORMAT, migrate.NEWEST):
            raise AdminError("the export is from another version of ddnsd: import it with that version, then upgrade")
        if await side.run(queries.user_count):
            raise AdminError("the database is not empty: import into an empty database. Nothing was changed")
        await side.run(copying.clear_shipped)
        await _read_tables(side, reader)
        head["tables"] = None
    reader.end()
    if "tables" not in head:
        raise KeyError("tables")


async def _read_tables(side: Side, reader: JsonReader) -> None:
    left = {table.name: table for table in schema.metadata.sorted_tables}
    for name in reader.members():
        table = left.pop(name)
        if later := {key.column.table.name for key in table.foreign_keys} & (left.keys() - {name}):
            raise ValueError(f"the table {name} must come after {', '.join(sorted(later))}")
        part: list[list[Any]] = []
        restore = _restore(table)
        for row in reader.elements():
            if table in copying.OF_PROCESSES:
                continue
            part.append(restore(row))
            if len(part) == copying.PAGE:
                await copying.add_rows(side, table, part)
                part = []
        if part:
            await copying.add_rows(side, table, part)
    if missing := sorted(left.keys() - {table.name for table in copying.OF_PROCESSES}):
        raise KeyError(", ".join(missing))


def _restore(table: Table) -> Callable[[dict[str, Any]], list[Any]]:
    """A function that returns the values of a row in the order of the columns."""
    columns = [(column.name, isinstance(column.type, LargeBinary)) for column in table.columns]

    def restore(row: dict[str, Any]) -> list[Any]:
        if row.keys() != {name for name, _ in columns}:
            raise ValueError(f"a row of {table.name} has other columns")
        return [_octets(row[name]) if binary else row[name] for name, binary in columns]

    return restore


def _octets(text: str | None) -> bytes | None:
    try:
        return None if text is None else base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def forget_strangers(connection: Connection) -> None:
    """Delete what is left of deleted hosts and users: new ones may get their ids in the new database.

    Entries that a webhook has not read stay, with a negative id of the host.
    """
    while gone := history.strangers(connection, NO_HOST, AT_ONCE):
        history.forget_hosts(connection, gone, EVERY)
    history.disown_strangers(connection)
    while gone := last_seen.strangers(connection, NO_HOST, AT_ONCE):
        last_seen.forget(connection, gone)
    users = select(schema.users.c.id)
    for table, nobody in ((schema.events, None), (schema.history, 0)):
        connection.execute(update(table).where(table.c.owner_id.not_in(users)).values(owner_id=nobody))
