# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that owns every zone, for tests of a sender alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ddnsd.db.base import ZoneLock
from ddnsd.dns.ownership import FileLocks


class _Lock:
    marker = None

    def check(self) -> None:
        """It cannot be lost."""


@asynccontextmanager
async def _hold(_name: str) -> AsyncIterator[ZoneLock]:
    yield _Lock()


SOLE_OWNER = FileLocks(_hold)
