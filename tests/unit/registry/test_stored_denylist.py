# SPDX-License-Identifier: GPL-3.0-or-later
"""Deny lists are taken over from the store when they have changed, beside the event loop."""

import threading
from pathlib import Path
from typing import Any

from ddnsd.db import migrate
from ddnsd.db.connect import open_store
from ddnsd.registry.addresses import reached
from ddnsd.registry.denylist import DenyList
from ddnsd.registry.stored_denylist import StoredDenyList


class Watched(DenyList):
    """Remembers in which threads it was made anew."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    def use(self, *lists: Any) -> None:
        self.threads.append(threading.get_ident())
        super().use(*lists)


async def test_only_what_has_changed_is_taken_over(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ddnsd.db"
    await migrate.upgrade(url)
    store, current = open_store(url), Watched()
    held, elsewhere = StoredDenyList(store, current), StoredDenyList(store, DenyList())
    for _ in range(3):
        await held.refresh()
    assert len(current.threads) == 1
    made = await elsewhere.add("network", "203.0.113.0/24", None, actor="admin", client_ip=None)
    for _ in range(3):
        await held.refresh()
    assert len(current.threads) == 2
    assert current.has_address(reached(["203.0.113.9"]))
    await held.remove(made.id, actor="admin", client_ip=None)
    assert not current.has_address(reached(["203.0.113.9"]))
    assert len(current.threads) == 3
    assert threading.get_ident() not in current.threads
    await store.close()
