# SPDX-License-Identifier: GPL-3.0-or-later
"""Who signs in on `/nic` and `/api`: what is kept of those who fail."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ddnsd.auth.authenticate import LONGEST, SignIn
from ddnsd.auth.caller import BadCredentials
from ddnsd.auth.throttle import LoginThrottle
from ddnsd.db import migrate
from ddnsd.db.lookups import Lookups
from ddnsd.db.sqlite import SqliteStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    url = f"sqlite:///{tmp_path}/ddnsd.db"
    await migrate.upgrade(url)
    opened = SqliteStore(url)
    yield opened
    await opened.close()


async def test_endless_names_are_not_kept(store: SqliteStore) -> None:
    lookups = Lookups(store)
    throttle = LoginThrottle(store, lookups, 3)
    signin, kept_of = SignIn(lookups, throttle, []), throttle._by_name._records
    for name, kept in (("a.b", 1), ("x" * LONGEST, 2), ("x" * (LONGEST + 1), 2)):
        with pytest.raises(BadCredentials):
            await signin.by_secret("wrong", name, "192.0.2.1")
        assert len(kept_of) == kept
    with pytest.raises(BadCredentials):
        await signin.by_password("a." + "x" * LONGEST, "wrong", "192.0.2.1")
    assert len(kept_of) == 2
