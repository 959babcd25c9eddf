# SPDX-License-Identifier: GPL-3.0-or-later
"""The writer's tasks end when they are told to, and each domain has a sender of its own."""

import asyncio
from typing import Any

import pytest

from ddnsd.db import queries
from ddnsd.db.pending import ASKED_FOR, Confirmed
from ddnsd.db.rows import Domain, Host
from ddnsd.db.sqlite import SqliteStore
from ddnsd.dns import writer as module
from ddnsd.dns.writer import Writer


class EmptyStore(SqliteStore):
    def __init__(self) -> None:
        super().__init__("sqlite://")

    async def read(self, _work: Any) -> Any:
        return []

    async def transact(self, _work: Any) -> Any:
        await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(8))
def test_it_stops_while_acknowledgements_come_in(turns: int) -> None:
    async def go() -> None:
        store: Any = EmptyStore()
        writer = Writer(store, store, deadline=1, default_ttl=60)
        await writer.start()
        writer._confirm(Confirmed(1, 1))
        for _ in range(4):  # it pauses before it marks
            await asyncio.sleep(0)
        writer._confirm(Confirmed(2, 1))
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await writer.stop()

    asyncio.run(go())


def row(version: int, pending_since: int | None) -> Host:
    fields = dict.fromkeys(Host._fields) | {"id": 1, "version": version, "pending_since": pending_since}
    return Host(**fields)  # type: ignore[arg-type]


async def test_a_row_that_was_read_before_its_mark_is_known_to_be_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.05)
    store: Any = EmptyStore()
    writer = Writer(store, store, deadline=1, default_ttl=60)
    before, confirmed = queries.now() - 1, Confirmed(1, 7)
    writer._confirm(confirmed)
    writer._note_marked([confirmed])
    assert writer.is_published(row(7, before))
    assert not writer.is_published(row(8, before))
    assert not writer.is_published(row(7, ASKED_FOR))  # somebody wants it to be sent again
    assert not writer.is_published(row(7, queries.now() + 1))  # a new host with the id of a removed one
    await asyncio.sleep(0.2)
    assert not writer.is_published(row(7, before))


async def test_a_domain_with_the_id_of_a_removed_one_has_a_sender_of_its_own() -> None:
    def named(name: str) -> Domain:
        fields = dict.fromkeys(Domain._fields, 0) | {"id": 7, "name": name, "primary": "127.0.0.1:53"}
        return Domain(**fields | {"key_name": "k", "key_algorithm": "hmac-sha256", "key_secret": "c2VjcmV0"})  # type: ignore[arg-type]

    class OneDomain(EmptyStore):
        domain = named("gone.example.org")

        async def read(self, _work: Any) -> Any:
            return [self.domain]

    store: Any = OneDomain()
    writer = Writer(store, store, deadline=1, default_ttl=60)
    await writer.refresh()
    before = writer.senders[7]
    await writer.refresh()
    assert writer.senders[7] is before
    OneDomain.domain = named("new.example.org")
    await writer.refresh()
    assert writer.senders[7] is not before
    assert writer.senders[7].domain.name == "new.example.org"
    await writer.stop()
