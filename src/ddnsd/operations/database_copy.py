# SPDX-License-Identifier: GPL-3.0-or-later
"""Move a running service to another database, without losing a change that was acknowledged.

    mark the target `copying` ─► lock the source (updates get 911) ─► copy, compare, mark the target `copied`
        ─► mark the source `moved` and refuse its writes ─► wait for what its services still send
        ─► remove the mark of the target: services may use it

Until the source is marked, a failure or a kill leaves it as it was: its lock ends with the connection. After that, the
same command again finishes what is left.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from ddnsd.db import copying, migrate, moved, queries
from ddnsd.db.base import NOTICE_SECONDS, StoreDown
from ddnsd.db.copying import Checksum, Side
from ddnsd.db.moved import Move, State
from ddnsd.operations.export import forget_strangers
from ddnsd.operations.store_access import AdminError, check_schema, opened

PROGRESS_SECONDS = 2.0

Say = Callable[[str], None]


class Copied(NamedTuple):
    """What was moved: the number of rows, 0 if only the end of an earlier copy was left to do."""

    source: str
    target: str
    rows: int


async def copy(source_url: str, target_url: str, say: Say = lambda _: None, *, replace_moved: bool = False) -> Copied:
    """Move everything to an empty database; `say` gets the progress. Raises AdminError, StoreDown.

    `replace_moved` also takes a target that an earlier copy moved away: its rows are older than those of the copy.
    """
    _check_files(source_url, target_url)
    if (unfinished := await _unfinished(source_url, target_url)) is None:
        await check_schema(source_url)
    async with copying.opened(source_url) as source:
        await source.reserve()
        rows = 0
        if unfinished is None:
            async with copying.opened(target_url) as target:
                await target.reserve()
                await _prepare(source, target, target_url, replace_moved=replace_moved)
                rows = await _copy(source, target, say)
        say("waiting until no service uses the old database")
        await asyncio.sleep(NOTICE_SECONDS)
        await source.settle()
        source_label = source.label
    async with copying.opened(target_url) as target:
        await target.run(moved.unmark)
        await target.commit()
        return Copied(source_label, target.label, rows)


async def unfreeze(url: str) -> str | None:
    """Let services use a moved database again; they send all hosts to DNS.

    Returns the other database of the copy, or None if the database has no mark. Raises AdminError, StoreDown.
    """
    _check_file(url)
    async with opened(url) as store:
        return await store.transact(_unfreeze)


def _unfreeze(connection: Connection) -> str | None:
    found = moved.find(connection)
    if found is None:
        return None
    if found.state is State.COPYING:
        raise AdminError(found.reason)
    moved.unfreeze(connection)
    queries.wish_all_again(connection)  # the other database may have been in use
    return found.peer


# ---- checks


def _check_files(source: str, target: str) -> None:
    """Raises AdminError."""
    _check_file(source)
    if all(url.startswith("sqlite") for url in (source, target)):
        one, other = (Path(make_url(url).database or "") for url in (source, target))
        if other.exists() and one.samefile(other):
            raise AdminError("both URLs name the same database")


def _check_file(url: str) -> None:
    """Check that an SQLite file exists: opening it would create it. Raises AdminError."""
    if url.startswith("sqlite") and not Path(make_url(url).database or "").is_file():
        raise AdminError(f"there is no database {copying.label(url)}")


async def _unfinished(source_url: str, target_url: str) -> Move | None:
    """The mark of the source, if only the end of this copy is left to do. Raises AdminError, StoreDown."""
    one = await _mark(source_url)
    if one is None:
        return None
    other = await _mark(target_url) if one.state is State.MOVED and _exists(target_url) else None
    if other is None and await _is_finished(one, target_url):
        return one
    if other is None or other.copy_id != one.copy_id:
        raise AdminError(one.reason)
    return one


async def _is_finished(mark: Move, target_url: str) -> bool:
    """Whether nothing is left to do: the source was moved to this target, which services use."""
    if mark.state is not State.MOVED or mark.peer != copying.label(target_url) or not _exists(target_url):
        return False
    async with opened(target_url) as store:
        return await store.read(copying.first_with_rows) is not None


async def _mark(url: str) -> Move | None:
    async with opened(url) as store:
        return await store.read(moved.find)


def _exists(url: str) -> bool:
    return not url.startswith("sqlite") or Path(make_url(url).database or "").is_file()


async def _prepare(source: Side, target: Side, target_url: str, *, replace_moved: bool) -> None:
    """Check that the target is empty, give it the schema, and mark it. Raises AdminError, StoreDown."""
    found = await target.run(moved.find)
    if found is not None and found.state is State.MOVED and replace_moved:
        await target.run(moved.unfreeze)
        found = found._replace(state=State.COPYING)  # rows to clear, as those of a copy that has failed
    if found is not None and found.state is not State.COPYING and found != (State.COPIED, source.label, found.copy_id):
        raise AdminError(f"{target.label} cannot be used: {found.reason}")
    if found is not None:  # an earlier copy has failed
        await target.run(copying.clear)
        await target.run(moved.unmark)
    elif (table := await target.run(copying.first_with_rows)) is not None:
        raise AdminError(f"{target.label} is not empty: there are {table}. Nothing was changed. Use an empty database")
    await target.commit()
    try:
        await migrate.upgrade(target_url)
    except (migrate.ForeignSchema, migrate.Unverified) as error:
        raise AdminError(f"{target.label}: {error}") from None
    if await target.run(copying.live_nodes):
        raise AdminError(f"a service uses {target.label}: stop it. Nothing was changed")
    await target.run(lambda c: moved.mark(c, Move(State.COPYING, source.label, secrets.token_hex(16))))
    await target.commit()


# ---- the copy


async def _copy(source: Side, target: Side, say: Say) -> int:
    """Copy all rows and freeze the source. Returns their number. On a failure nothing is left in the target."""
    move = await target.run(moved.find)
    assert move is not None
    await target.commit()
    frozen = False
    try:
        say("updates get 911 from now on")
        await source.lock()
        await target.run(copying.clear_shipped)
        sums = await _copy_tables(source, target, say)
        await _verify(target, sums, say)
        await target.run(copying.set_sequences)
        await target.run(forget_strangers)
        await target.run(lambda c: moved.mark(c, move._replace(state=State.COPIED)))
        await target.commit()
        await source.run(lambda c: moved.freeze(c, Move(State.MOVED, target.label, move.copy_id)))
        frozen = True
        await source.commit()
    except BaseException:
        if not frozen:
            await _undo(source, target)
        raise
    return sum(one.count for one in sums.values())


async def _undo(source: Side, target: Side) -> None:
    """Release the source and empty the target. If this fails too, the next copy empties it."""
    with suppress(StoreDown):
        await source.rollback()
    with suppress(StoreDown):
        await target.rollback()
        await target.run(copying.clear)
        await target.run(moved.unmark)
        await target.commit()


async def _copy_tables(source: Side, target: Side, say: Say) -> dict[str, Checksum]:
    sums: dict[str, Checksum] = {}
    progress = _Progress(say)
    for table in copying.TABLES:
        sums[table.name] = Checksum()
        async for rows in copying.pages(source, table):
            try:
                await copying.add_rows(target, table, rows)
            except copying.Refused as error:
                raise AdminError(f"{target.label} does not accept the rows of {error}") from None
            sums[table.name].add(rows)
            progress.tell("copied", table.name, sums[table.name].count)
    return sums


async def _verify(target: Side, sums: dict[str, Checksum], say: Say) -> None:
    """Compare what the target has with what was read. Raises AdminError."""
    progress = _Progress(say)
    for table in copying.TABLES:
        found = Checksum()
        async for rows in copying.pages(target, table):
            found.add(rows)
            progress.tell("compared", table.name, found.count)
        if found != sums[table.name]:
            raise AdminError(
                f"table {table.name} differs after the copy: {sums[table.name].count} rows were read, {found.count} "
                "were written, or values have changed. The old database is as before"
            )


class _Progress:
    """Tells the number of rows every two seconds."""

    def __init__(self, say: Say) -> None:
        self._say, self._told = say, time.monotonic()

    def tell(self, what: str, table: str, count: int) -> None:
        """Tell it if it is time."""
        if time.monotonic() - self._told >= PROGRESS_SECONDS:
            self._told = time.monotonic()
            self._say(f"{what} {count} rows of {table}")
