# SPDX-License-Identifier: GPL-3.0-or-later
"""Export the data of a user with a command."""

from typing import IO

from ddnsd.db.history import SERVICE
from ddnsd.operations.store_access import check_schema, opened
from ddnsd.registry import accounts
from ddnsd.registry.account_export import AccountExport
from ddnsd.registry.last_seen import LastSeen
from ddnsd.settings import Settings


async def export(settings: Settings, name: str, file: IO[str]) -> None:
    """Write everything that is stored about the user. Raises Invalid, StoreDown, AdminError."""
    await check_schema(settings.store_url)
    async with opened(settings.store_url) as store:
        user = await store.read(lambda c: accounts.user_named(c, name))
        async for part in AccountExport(store, LastSeen(store)).parts(user, SERVICE):
            file.write(part)
