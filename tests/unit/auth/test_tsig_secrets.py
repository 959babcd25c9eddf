# SPDX-License-Identifier: GPL-3.0-or-later
"""TSIG secrets are stored encrypted, found by the stored hash, and deleted when nothing has that hash any more."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from ddnsd.auth.sealing import SealingKeys
from ddnsd.auth.secrets import verifier
from ddnsd.auth.tsig_secrets import TsigSecrets, tsig_secret
from ddnsd.db import migrate, queries, schema, tsig_secrets
from ddnsd.db.lookups import Lookups
from ddnsd.db.sqlite import SqliteStore

KEYS = SealingKeys([bytes(32)])


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    url = f"sqlite:///{tmp_path}/ddnsd.db"
    await migrate.upgrade(url)
    opened = SqliteStore(url)
    yield opened
    await opened.close()


async def test_they_are_stored_encrypted_and_found(store: SqliteStore) -> None:
    kept = TsigSecrets(store, Lookups(store), KEYS)
    await kept.keep(["first"])
    kept.note("second")
    await kept.write()
    sealed = await store.read(lambda c: list(c.scalars(select(schema.tsig_secrets.c.sealed))))
    assert len(sealed) == 2
    assert not [secret for secret in ("first", "second") for text in sealed if tsig_secret(secret) in text]
    later = TsigSecrets(store, Lookups(store), KEYS)
    for secret in ("first", "second"):
        assert await later.find(verifier(secret)) == tsig_secret(secret)
    assert await later.find(verifier("third")) is None
    assert await TsigSecrets(store, Lookups(store), SealingKeys([b"1" * 32])).find(verifier("first")) is None


async def test_without_a_key_none_is_stored(store: SqliteStore) -> None:
    kept = TsigSecrets(store, Lookups(store), None)
    await kept.keep(["first"])
    kept.note("second")
    await kept.write()
    assert await store.read(lambda c: list(c.scalars(select(schema.tsig_secrets.c.hash)))) == []


async def test_those_of_nobody_are_forgotten(store: SqliteStore) -> None:
    def fill(connection: Connection) -> None:
        connection.execute(insert(schema.users).values(id=1, name="alice", created=0))
        key = {"id": 1, "owner_id": 1, "login": "k-1", "name": "one", "created": 0}
        connection.execute(insert(schema.keys).values(**key, secret_hash=verifier("used")))

    await store.transact(fill)
    await TsigSecrets(store, Lookups(store), KEYS).keep(["used", "gone"])
    later = queries.now() + 1
    found = await store.read(lambda c: tsig_secrets.unused(c, b"", later, 10))
    assert found == [verifier("gone")]
    assert await store.read(lambda c: tsig_secrets.unused(c, b"", 0, 10)) == []
    assert await store.transact(lambda c: tsig_secrets.forget(c, found)) == 1
    assert await store.read(lambda c: tsig_secrets.unused(c, b"", later, 10)) == []
