# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests for domains that are decided twice while the zone is being made."""

from typing import Any

import pytest

from ddnsd.db import domain_requests, queries, schema
from ddnsd.db.rows import Domain
from ddnsd.dns.tsig import TsigKey
from ddnsd.registry import accounts, domains
from ddnsd.registry.domain_requests import Requests
from ddnsd.registry.errors import Stale

BY: dict[str, Any] = {"actor": "admin", "client_ip": None}
NAME = "lab.example.org"


class SlowZones:
    """Makes domains without a name server; `meanwhile` happens while BIND would make the zone, or just after."""

    def __init__(self, store: Any) -> None:
        self.store, self.meanwhile, self.after = store, _nothing, _nothing

    async def add(self, name: str, owner: str, **_: Any) -> Domain:
        await self.meanwhile()

        def keep(connection: Any) -> Domain:
            user = accounts.user_named(connection, owner)
            key = TsigKey.generate(name)
            return domains.add_domain(connection, name, user, key, "127.0.0.1:53", actor="admin")

        made: Domain = await self.store.transact(keep)
        await self.after()
        return made


async def _nothing() -> None:
    pass


async def asked(store: Any) -> int:
    """A user's open request."""
    user = await store.transact(lambda c: accounts.add_user(c, "ann"))
    made = await store.transact(
        lambda c: domain_requests.add(
            c, user_id=user.id, name=NAME, public=False, reason="For us.", created=queries.now()
        )
    )
    return int(made.id)


async def test_too_late_to_decline_or_withdraw(store: Any) -> None:
    request_id = await asked(store)
    zones = SlowZones(store)
    kept = Requests(store, zones)  # type: ignore[arg-type]

    async def withdraw() -> None:
        await kept.withdraw(request_id, actor="ann", client_ip=None, expect=lambda _: None)

    zones.meanwhile = withdraw
    made = await kept.approve(request_id, answer="Welcome.", **BY)
    assert await store.read(lambda c: queries.domain(c, NAME)) == made
    found = await store.read(lambda c: domain_requests.find(c, request_id))
    assert (found.state, found.answer, found.decided_by) == ("approved", "Welcome.", "admin")
    with pytest.raises(Stale):
        await kept.approve(request_id, **BY)


async def test_two_who_approve(store: Any) -> None:
    request_id = await asked(store)
    zones = SlowZones(store)
    kept = Requests(store, zones)  # type: ignore[arg-type]

    async def approve_too() -> None:
        await kept.approve(request_id, answer="Mine.", **BY)

    zones.after = approve_too
    made = await kept.approve(request_id, answer="Welcome.", **BY)
    assert made.name == NAME
    found = await store.read(lambda c: domain_requests.find(c, request_id))
    assert (found.state, found.answer) == ("approved", "Mine.")
    said = schema.events.select().where(schema.events.c.action == "domain.approve")
    assert len(await store.read(lambda c: c.execute(said).all())) == 1
