# SPDX-License-Identifier: GPL-3.0-or-later
"""A store for tests of what asks it, on each database."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from support.servers.service import migrated_file

from ddnsd.db.base import Store
from ddnsd.db.connect import open_store


@pytest.fixture
async def store(tmp_path: Path, store_settings: Callable[[], dict[str, str]]) -> AsyncIterator[Store]:
    """An empty store with the newest schema."""
    opened = open_store(store_settings().get("database_url") or f"sqlite:///{migrated_file(tmp_path)}")
    yield opened
    await opened.close()
