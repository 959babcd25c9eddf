# SPDX-License-Identifier: GPL-3.0-or-later
"""This service process among the others of the same PostgreSQL database.

Each zone is owned by one node (`ownership`), which sends the changes that other nodes ask for (`relay`).
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ddnsd.db.notifications import Notifications
from ddnsd.dns.ownership import RENEW_SECONDS, Change, ZoneLeases
from ddnsd.dns.relay import REQUESTS, Relay, Sender

if TYPE_CHECKING:
    from ddnsd.db.postgres import PostgresStore

FREED = "ddnsd_freed"
"""The channel that says: there are free zones."""


class Nodes:
    """Leases, relay and notifications of this process; `version_of` and `confirm` as in `Relay`."""

    def __init__(
        self,
        store: "PostgresStore",
        senders: Mapping[int, Sender],
        *,
        guest: bool,
        version_of: Callable[[int], int | None],
        confirm: Callable[[int, int], None],
    ) -> None:
        self.leases = ZoneLeases(store, guest=guest)
        self.relay = Relay(
            store,
            senders,
            self._send,
            self.leases.node,
            self.leases.owner,
            version_of=version_of,
            confirm=confirm,
        )
        self._due = asyncio.Event()
        listeners = {
            REQUESTS: self.relay.received,
            self.relay.channel: self.relay.received,
            FREED: lambda _: self._due.set(),
        }
        self._notifications = Notifications(store, listeners)

    async def start(self) -> Change:
        """Connect, and take zones. Raises StoreDown, Pooled."""
        await self._notifications.start()
        return await self.renew()

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What must run, by name, beside regular calls of `renew`."""
        return {"notifications": self._notifications.run(), "relay": self.relay.run()}

    async def wait(self) -> None:
        """Wait until `renew` is due."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEW_SECONDS):
                await self._due.wait()
        self._due.clear()

    def hurry(self) -> None:
        """Let `renew` be due now: there is a new zone."""
        self._due.set()

    async def renew(self) -> Change:
        """Renew the leases; tell the other nodes about zones that are free now. Raises StoreDown."""
        change = await self.leases.renew()
        if change.lost:
            await self._send([(FREED, "")])
        return change

    async def stop(self) -> None:
        """Give all zones back, and disconnect. Raises StoreDown."""
        await self.leases.stop()
        await self._send([(FREED, "")])
        self._notifications.stop()

    async def _send(self, messages: Sequence[tuple[str, str]]) -> None:
        await self._notifications.send(messages)
