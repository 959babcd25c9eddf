# SPDX-License-Identifier: GPL-3.0-or-later
"""Adding and removing domains together with their zones."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection

from ddnsd.registry import accounts, domains
from ddnsd.registry.errors import Invalid, NoBind, NoDomain, NotEmpty
from ddnsd.store import edits
from ddnsd.store.database import Store
from ddnsd.store.rows import Domain
from ddnsd.zones import check
from ddnsd.zones.bind import Bind
from ddnsd.zones.endpoint import Endpoint
from ddnsd.zones.tsig import TsigKey

Expect = Callable[[Domain], None]


class Zones:
    """`bind` is the BIND that the service controls, None where it controls none; `primary` is where that answers.

    `changed` is called once a domain has come or gone.
    """

    def __init__(
        self, store: Store, bind: Bind | None, primary: str, changed: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._store, self._bind, self._primary, self._changed = store, bind, primary, changed

    async def add(
        self, name: str, owner: str, *, primary: str | None = None, key: TsigKey | None = None,
        algorithm: str = "hmac-sha256", columns: dict[str, Any], actor: str, source: str | None = None,
    ) -> Domain:  # fmt: skip
        """Keep a domain once its zone takes our updates; without a key the zone is made on our own BIND.

        `name` is folded. Raises Invalid, Taken, NoBind, BindError, DnsError, StoreDown.
        """
        where = endpoint(primary or self._primary)

        def ruled(connection: Connection) -> None:
            accounts.user_named(connection, owner)
            domains.check_new(connection, name)

        await self._store.read(ruled)
        provisioned = key is None
        used = key or await self._provision(name, algorithm)
        await check.accepts_updates(name, where, used)

        def keep(connection: Connection) -> Domain:
            user = accounts.user_named(connection, owner)
            return domains.add_domain(
                connection, name, user, used, where, actor=actor, source=source, provisioned=provisioned, **columns
            )

        added = await self._store.transact(keep)
        await self._tell()
        return added

    async def _tell(self) -> None:
        if self._changed is not None:
            await self._changed()

    async def _provision(self, name: str, algorithm: str) -> TsigKey:
        if self._bind is None:
            raise NoBind
        return await asyncio.to_thread(self._bind.provision, name, algorithm)

    async def remove(self, name: str, *, actor: str, source: str | None, expect: Expect) -> None:
        """Remove a domain without hosts; a zone that was made for it leaves BIND.

        `expect` may raise. Raises NoDomain, NotEmpty, NoBind and BindError (nothing is changed), StoreDown.
        """
        found = await self._store.transact(lambda c: _close(c, name, expect))
        if found.provisioned:
            try:
                await self._withdraw(name)
            except BaseException:
                await self._store.transact(lambda c: edits.set_domain(c, found.id, available=found.available))
                raise
        await self._store.transact(lambda c: domains.delete_domain(c, found, actor, source))
        await self._tell()

    async def _withdraw(self, name: str) -> None:
        if self._bind is None:
            raise NoBind
        await asyncio.to_thread(self._bind.withdraw, name)


def _close(connection: Connection, name: str, expect: Expect) -> Domain:
    """Nobody registers in the domain from here on."""
    domain = edits.locked_domain(connection, name)
    if domain is None:
        raise NoDomain
    expect(domain)
    if edits.has_hosts(connection, domain.id):
        raise NotEmpty(f"{name} has hosts: delete them first")
    if not domain.provisioned and edits.is_being_left(connection, domain.id):
        raise NotEmpty(f"records of deleted hosts are still to leave {name}: try again once its name server answers")
    edits.set_domain(connection, domain.id, available=False)
    return domain


def endpoint(text: str) -> str:
    """ADDRESS:PORT of a primary, with port 53 where none is given. Raises Invalid."""
    try:
        return str(Endpoint.from_text(text, 53))
    except ValueError as error:
        raise Invalid(primary=str(error)) from None
