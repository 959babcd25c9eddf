# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page shows once: from any process, to the browser that asked for it, and to nobody who has the database."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, update

from ddnsd.auth import one_time_secrets
from ddnsd.auth.one_time_secrets import NotReady, OneTimeSecrets
from ddnsd.auth.sessions import Lifetime, Session, Sessions
from ddnsd.db import one_time_secrets as stored
from ddnsd.db import queries, schema
from ddnsd.db.lookups import Lookups
from ddnsd.registry import accounts

HOUR = 3600 * 1_000_000
CONTENT = {"secret": "open sesame", "name": "ü"}
N = "a" * 64


@pytest.fixture
async def session(store: Any) -> Session:
    sessions = Sessions(store, Lookups(store), Lifetime(HOUR, HOUR))
    user = await store.transact(lambda c: accounts.add_user(c, "alice"))
    found = await sessions.find(await sessions.begin(user.id, "", None, ""), None)
    assert found is not None
    return found


@pytest.fixture
def one_time(store: Any) -> OneTimeSecrets:
    return OneTimeSecrets(store)


async def sealed(store: Any) -> list[str | None]:
    found: list[str | None] = await store.read(lambda c: list(c.scalars(select(schema.one_time_secrets.c.sealed))))
    return found


async def test_one_of_several_readers_gets_it(store: Any, one_time: OneTimeSecrets, session: Session) -> None:
    assert await one_time.begin(session, N, CONTENT)
    await one_time.finish(session, N)
    (kept,) = await sealed(store)
    assert kept is not None
    assert "sesame" not in kept
    readers = [OneTimeSecrets(store) for _ in range(5)]
    found = await asyncio.gather(*(reader.take(session, N) for reader in readers))
    assert [content for content in found if content] == [CONTENT]
    assert await sealed(store) == [None]
    assert not await one_time.begin(session, N, CONTENT)  # the form comes again
    assert await one_time.take(session, N) is None


async def test_a_page_waits_until_it_is_in_force(
    one_time: OneTimeSecrets, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one_time.begin(session, N, CONTENT)
    page = asyncio.create_task(one_time.take(session, N))
    await asyncio.sleep(0)
    await one_time.finish(session, N)
    assert await page == CONTENT
    await one_time.begin(session, "b", CONTENT)
    monkeypatch.setattr(one_time_secrets, "WAIT_SECONDS", 0)
    with pytest.raises(NotReady):
        await one_time.take(session, "b")
    await one_time.cancel(session, "b")
    assert await one_time.take(session, "b") is None
    assert await one_time.begin(session, "b", CONTENT)


async def test_it_waits_for_ten_minutes(store: Any, one_time: OneTimeSecrets, session: Session) -> None:
    await one_time.begin(session, N, CONTENT)
    await one_time.finish(session, N)
    old = queries.now() - stored.LIFETIME - 1
    await store.transact(lambda c: c.execute(update(schema.one_time_secrets).values(created=old)))
    assert await one_time.take(session, N) is None
    await one_time.begin(session, "b", CONTENT)
    assert len(await sealed(store)) == 1
    assert await store.transact(lambda c: stored.forget(c, queries.now() + 1, 10)) == 1


async def test_it_ends_with_its_session(store: Any, one_time: OneTimeSecrets, session: Session) -> None:
    await one_time.begin(session, N, CONTENT)
    await store.transact(lambda c: c.execute(schema.sessions.delete()))
    assert await sealed(store) == []


def test_the_key_is_not_shown_with_the_session(session: Session) -> None:
    assert "sealing_key" not in repr(session)
