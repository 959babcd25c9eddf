# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks: the names of declarations, their protection, and the lease of the one who applies a declaration.

A lease ends after a minute without a renewal. Calls that carry its id fail from then on; other calls need no lease.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import covers_stack, has_whole_stacks, is_limited
from ddnsd.db import idempotency, queries, stacks
from ddnsd.db.base import Store
from ddnsd.db.idempotency import LeasedCall
from ddnsd.db.stacks import Lease, Stack
from ddnsd.registry.errors import Code, Leased, LeaseLost, NoStack, NotPermitted, OverQuota, Reason, Taken

MOST = 1000
"""The most stacks of a user that have a lease or a protection. It keeps a user from filling the table."""

TOLD = 10
"""The most hosts that an event in the audit log names."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class NewLease(NamedTuple):
    """A new lease, and its id, which is shown once."""

    id: str
    lease: Lease


class Stacks:
    """The stacks of users. All methods raise StoreDown."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def all(self, caller: Caller) -> list[Stack]:
        """The caller's stacks by name; for an administrator's unlimited token those of all users, by owner and name."""
        owner_id = None if caller.admin and not is_limited(caller) else caller.user_id
        found = await self._store.read(lambda c: stacks.stacks_of(c, owner_id))
        return [stack for stack in found if covers_stack(caller, stack.name)]

    async def get(self, caller: Caller, name: str) -> Stack:
        """One of the caller's own stacks. Raises NoStack."""
        _check_covered(caller, name)
        return await self._store.read(lambda c: _find(c, caller.user_id, name))

    async def change(
        self,
        caller: Caller,
        name: str,
        *,
        protect: bool | None,
        gives: Mapping[str, str] | None,
        new: str | None,
        lease: str | None,
        client_ip: str | None,
    ) -> Stack:
        """Set the rules of the stack, and rename it to `new`. `gives` is as in `db.stacks.Stack`.

        `lease` is the id of the caller's lease, if they have one.

        Raises NoStack, NotPermitted, Leased, Taken, OverQuota.
        """
        if not has_whole_stacks(caller):
            raise NotPermitted(Code.STACK_IS_WHOLE)
        _check_covered(caller, name, *([new] if new else []))

        def work(connection: Connection) -> Stack:
            _check_name(name)
            own = caller.user_id
            stacks.lock(connection, own, [name, *([new] if new else [])])
            for one in (name, new):
                _check_lease(connection, own, one, lease)
            if new is not None and new != name:
                _find(connection, own, name)
                other = next(iter(stacks.stacks_of(connection, own, new)), None)
                if other is not None and (other.hosts or other.domains or other.protect):
                    raise Taken(name=Reason(Code.STACK_EXISTS, stack=new))
                moved = stacks.rename(connection, own, name, new)
                told = f"from {name}, with {moved} hosts"
                queries.add_event(connection, caller.user, "stack.rename", new, client_ip, told, owner_id=own)
            now = new or name
            if protect is not None or gives is not None:
                _check_room(connection, own)
                stacks.set_rules(connection, own, now, protect, gives)
                for action, detail in _told(protect, gives):
                    queries.add_event(connection, caller.user, action, now, client_ip, detail, owner_id=own)
            return _find(connection, own, now)

        return await self._store.transact(work)

    async def acquire(self, caller: Caller, name: str, note: str | None, commit: str | None) -> NewLease:
        """Take the lease of the stack, which need not exist yet. Raises NoStack, Leased, OverQuota."""
        _check_covered(caller, name)
        given = secrets.token_urlsafe(32)
        who = caller.credential_name or caller.user
        holder = f"{who} ({note})" if note else who

        def work(connection: Connection) -> NewLease:
            _check_name(name)
            _check_room(connection, caller.user_id)
            taken = stacks.acquire(connection, caller.user_id, name, given, holder, commit)
            lease = _find(connection, caller.user_id, name).lease
            assert lease is not None
            if not taken:
                raise Leased(name, lease)
            return NewLease(given, lease)

        return await self._store.transact(work)

    async def renew(self, caller: Caller, name: str, lease: str) -> Lease:
        """Renew the lease. Raises LeaseLost if it has expired, or was taken away."""

        def work(connection: Connection) -> Lease:
            if not stacks.renew(connection, caller.user_id, name, lease):
                raise LeaseLost
            found = _find(connection, caller.user_id, name).lease
            assert found is not None
            return found

        return await self._store.transact(work)

    async def calls(self, caller: Caller, name: str, lease: str) -> list[LeasedCall]:
        """Calls of runs that have not said that they stored all new secrets. Raises LeaseLost, NoStack."""

        def work(connection: Connection) -> list[LeasedCall]:
            if not stacks.renew(connection, caller.user_id, name, lease):
                raise LeaseLost
            return idempotency.of_stack(connection, caller.user_id, name)

        _check_covered(caller, name)
        return await self._store.transact(work)

    async def release(
        self,
        caller: Caller,
        name: str,
        lease: str | None,
        *,
        client_ip: str | None,
        stored: Callable[[LeasedCall], bool] | None = None,
    ) -> None:
        """Give the lease back; without its id, take it away from its holder.

        `stored` tells for which calls all new secrets are stored. Raises LeaseLost if there is no lease, and NoStack.
        """
        _check_covered(caller, name)

        def work(connection: Connection) -> None:
            held = next((s.lease for s in stacks.stacks_of(connection, caller.user_id, name)), None)
            if not stacks.release(connection, caller.user_id, name, lease):
                raise LeaseLost
            if stored is not None:
                own = filter(stored, idempotency.of_stack(connection, caller.user_id, name))
                idempotency.forget_stack(connection, own)
            if lease is None and held is not None:
                told = f"held by {held.holder}"
                queries.add_event(
                    connection, caller.user, "stack.unlock", name, client_ip, told, owner_id=caller.user_id
                )

        await self._store.transact(work)


def _told(protect: bool | None, gives: Mapping[str, str] | None) -> Iterator[tuple[str, str | None]]:
    """Yield (action, detail) of the audit events for these rules."""
    if protect is not None:
        yield "stack.protect" if protect else "stack.unprotect", None
    if gives is not None:
        yield "stack.give", ", ".join(f"{fqdn} to {stack}" for fqdn, stack in sorted(gives.items())[:TOLD]) or "nothing"


def _check_covered(caller: Caller, *names: str) -> None:
    """Check that the caller's token is for these stacks. Raises NoStack."""
    if not all(covers_stack(caller, name) for name in names):
        raise NoStack


def _find(connection: Connection, owner_id: int, name: str) -> Stack:
    found = stacks.stacks_of(connection, owner_id, name)
    if not found:
        raise NoStack
    return found[0]


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise NoStack


def _check_lease(connection: Connection, owner_id: int, name: str | None, lease: str | None) -> None:
    """Check that nobody else applies the stack. Raises Leased."""
    held = next((one.lease for one in stacks.stacks_of(connection, owner_id, name)), None) if name else None
    if held is not None and name and not (lease and stacks.renew(connection, owner_id, name, lease)):
        raise Leased(name, held)


def _check_room(connection: Connection, owner_id: int) -> None:
    """Check that the user may have another row. Raises OverQuota."""
    stacks.forget_empty(connection, owner_id)
    if stacks.count(connection, owner_id) >= MOST:
        raise OverQuota(Code.STACKS_TOO_MANY, limit=MOST)
