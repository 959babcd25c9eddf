# SPDX-License-Identifier: GPL-3.0-or-later
"""Move a domain to another primary. The service fills it while the old one is in use, and switches when both are equal.

begin ─► new primary is filled ─► equal: switched ─► old primary is kept up to date ─► finish
           cancel ◄─┘                                  └─► back: the same again, to the old one
"""

import asyncio
from collections.abc import Callable

from sqlalchemy import Connection

from ddnsd.db import host_edits, mirrors, queries
from ddnsd.db.mirrors import NEW, OLD
from ddnsd.db.rows import Domain, Mirror
from ddnsd.dns import new_primary
from ddnsd.dns.tsig import TsigKey
from ddnsd.operations.hosts import ACTOR
from ddnsd.operations.store_access import AdminError, check_schema, opened, with_store
from ddnsd.registry.domain_zones import primary_columns, primary_note
from ddnsd.registry.domains import differing
from ddnsd.registry.errors import Code, NoDomain
from ddnsd.registry.moves import Move
from ddnsd.settings import Settings

LOOK_SECONDS = 1.0


async def begin(settings: Settings, name: str, *, primary: str | None, key: TsigKey | None, check_only: bool) -> str:
    """Test the new primary, and let the service fill it. Returns what happens next. With `check_only` only test it.

    Raises NoDomain, Invalid, DnsError, StoreDown, AdminError.
    """
    await check_schema(settings.store_url)
    async with opened(settings.store_url) as store:
        domain = await store.read(lambda c: _domain(c, name))
        columns = differing(domain, primary_columns(domain, primary, key))
        if not columns:
            raise AdminError(f"{name} is already at {domain.primary} with this key")
        await store.read(lambda c: require_none(c, name))
        new = domain._replace(**columns)
        found = await new_primary.look(store, new)

        def keep(connection: Connection) -> None:
            _locked(connection, name)
            require_none(connection, name)
            secret = new.key_name, new.key_algorithm, new.key_secret
            mirrors.begin(connection, domain.id, primary=new.primary, key=secret)
            _tell(connection, domain, f"begun: to {new.primary}")

        if not check_only:
            await store.transact(keep)
        note = primary_note(found)
        return f"{name} moves to {new.primary}: the service fills it, and switches when both are equal{note}"


async def status(settings: Settings, name: str) -> Move:
    """How far the move is. Raises NoDomain, StoreDown, AdminError."""
    return await with_store(settings.store_url, lambda c: _move(c, name))


async def until_switched(settings: Settings, name: str, tell: Callable[[Move], None]) -> Move:
    """Wait until the domain has its new primary; `tell` gets each new state.

    Raises NoDomain, StoreDown, AdminError, also if somebody cancels the move.
    """
    last: Move | None = None
    while True:
        move = await status(settings, name)
        if move.is_switched:
            return move
        if move != last:
            tell(move)
            last = move
        await asyncio.sleep(LOOK_SECONDS)


async def finish(settings: Settings, name: str) -> str:
    """Stop keeping the old primary up to date. Returns what was done. Raises NoDomain, StoreDown, AdminError."""
    return await _end(settings, name, OLD, "finished")


async def cancel(settings: Settings, name: str) -> str:
    """Stop filling the new primary. Returns what was done. Raises NoDomain, StoreDown, AdminError."""
    return await _end(settings, name, NEW, "cancelled")


async def _end(settings: Settings, name: str, role: str, word: str) -> str:
    def end(connection: Connection) -> str:
        domain, mirror = _locked(connection, name), _in_role(connection, name, role)
        mirrors.end(connection, domain.id)
        _tell(connection, domain, f"{word}: {mirror.primary} gets no more changes")
        return f"{word}: {mirror.primary} gets no more changes of {name}"

    return await with_store(settings.store_url, end)


async def back(settings: Settings, name: str) -> str:
    """Move back to the old primary. Returns what happens next. Raises NoDomain, StoreDown, AdminError."""

    def move_back(connection: Connection) -> str:
        domain, mirror = _locked(connection, name), _in_role(connection, name, OLD)
        mirrors.move_back(connection, domain.id)
        _tell(connection, domain, f"begun: back to {mirror.primary}")
        return f"{name} moves back to {mirror.primary}: the service switches when both are equal"

    return await with_store(settings.store_url, move_back)


def require_none(connection: Connection, name: str) -> None:
    """Raise AdminError if the domain has a second primary."""
    domain = queries.domain(connection, name)
    if domain is not None and (mirror := mirrors.of_domain(connection, domain.id)) is not None:
        raise AdminError(f"{name} {Move.of(mirror, queries.now())}. {_how_to_end(name, mirror)} first")


def _how_to_end(name: str, mirror: Mirror) -> str:
    if mirror.role == NEW:
        return f"Wait, or cancel this with `ddnsd domain move {name} --cancel`"
    return f"Finish this with `ddnsd domain move {name} --finish`, or undo it with `--back`"


def _in_role(connection: Connection, name: str, role: str) -> Mirror:
    mirror = _mirror(connection, _domain(connection, name))
    if mirror.role != role:
        raise AdminError(f"{name} {Move.of(mirror, queries.now())}. {_how_to_end(name, mirror)}")
    return mirror


def _move(connection: Connection, name: str) -> Move:
    return Move.of(_mirror(connection, _domain(connection, name)), queries.now())


def _mirror(connection: Connection, domain: Domain) -> Mirror:
    mirror = mirrors.of_domain(connection, domain.id)
    if mirror is None:
        raise AdminError(f"{domain.name} is not being moved: its primary is {domain.primary}")
    return mirror


def _domain(connection: Connection, name: str) -> Domain:
    return _existing(queries.domain(connection, name), name)


def _locked(connection: Connection, name: str) -> Domain:
    return _existing(host_edits.locked_domain(connection, name), name)


def _existing(domain: Domain | None, name: str) -> Domain:
    if domain is None:
        raise NoDomain(Code.DOMAIN_MISSING, domain=name)
    return domain


def _tell(connection: Connection, domain: Domain, detail: str) -> None:
    queries.add_event(connection, ACTOR, "domain.move", domain.name, None, detail, owner_id=domain.owner_id)
